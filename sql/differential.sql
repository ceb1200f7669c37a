-- Statements give the same over local and distributed tables, run from PL/pgSQL
-- (test/t/040_differential.pl runs them by themselves, and more of them).
\getenv srcdir PG_ABS_SRCDIR
\set ECHO none
\set folder :srcdir '/test/differential'
\cd :folder
SET client_min_messages = warning;
\o /dev/null
\i shared.sql
SET search_path = twin_local, twin;
\i tables.sql
SET search_path = twin_dist, twin;
\i tables.sql
\i distribute.sql
\i compare.sql
\o
\set selects `cat select.sql`
\set changes `cat dml.sql`
\set ECHO all
CREATE TABLE twin.compared (number serial, file text, statement text, difference text);
-- each ends with ; at the end of a line; not those that only a client can run
CREATE FUNCTION twin.statements(file text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT btrim(s, E'\n') FROM regexp_split_to_table(
		regexp_replace(file, '^--[^\n]*\n', '', 'gn'), ';\n') WITH ORDINALITY AS t(s, n)
	WHERE s ~ '^\s*[A-Z(]' AND s !~ '\m(COPY|EXPLAIN|TEMP|made|pairs)\M' ORDER BY n;
$$;
INSERT INTO twin.compared (file, statement, difference)
SELECT file, s, twin.difference(s)
FROM (VALUES ('select', :'selects'), ('dml', :'changes')) f(file, content), twin.statements(content) s;
SELECT file, count(*) > 300 AS enough, count(*) FILTER (WHERE difference = 'refused') AS refused,
	count(*) FILTER (WHERE difference <> 'refused') AS different
FROM twin.compared GROUP BY file ORDER BY file;
SELECT statement, difference FROM twin.compared
WHERE difference <> 'refused' ORDER BY number;
DROP SCHEMA twin_dist, twin_local, twin_shadow, twin CASCADE;
