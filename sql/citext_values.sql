-- citext: values that are equal and differ in case, as key and elsewhere.
CREATE SCHEMA citext_values;
SET search_path = citext_values, public;
SET client_min_messages = warning;
CREATE EXTENSION citext SCHEMA public;
SET tessera.shard_count = 8;
CREATE TABLE here (k citext PRIMARY KEY, v citext, n int);
CREATE TABLE there (LIKE here INCLUDING ALL);
CREATE TABLE near (k citext, w text);
CREATE TABLE tags (v citext PRIMARY KEY, w text);
SELECT tessera.create_distributed_table('there', 'k');
SELECT tessera.create_distributed_table('near', 'k', colocate_with => 'there');
SELECT tessera.create_reference_table('tags');
RESET client_min_messages;
INSERT INTO here SELECT CASE i % 3 WHEN 0 THEN 'Key ' WHEN 1 THEN 'KEY ' ELSE 'key ' END || i, CASE WHEN i % 2 = 0 THEN 'V' ELSE 'v' END || i % 4, i FROM generate_series(1, 60) i;
INSERT INTO there TABLE here;
INSERT INTO near SELECT upper(k::text), 'w' || n FROM here WHERE n % 2 = 0;
INSERT INTO tags VALUES ('v0', 'zero'), ('V1', 'one'), ('V2', 'two');

-- found by the key in any case, by constants, parameters and joins
SELECT * FROM there WHERE k = 'KEY 7';
SELECT * FROM there WHERE k = 'kEy 7'::citext;
SELECT k FROM there WHERE k IN ('key 1', 'KEY 2', 'none') ORDER BY n;
PREPARE by_key(citext) AS SELECT k, n FROM there WHERE k = $1;
EXECUTE by_key('KEY 11');
EXECUTE by_key('key 11');
SELECT shard_id = (SELECT shard_id FROM tessera.shard_of('there', 'KEY 7')) AS same FROM tessera.shard_of('there', 'key 7');
SELECT count(*), count(w) FROM there LEFT JOIN near USING (k);
SELECT count(*) FROM there JOIN tags USING (v);
SELECT count(*) FROM there a JOIN there b ON b.v = a.k;
-- as text it is another order, and another equality
SELECT count(*) FROM there WHERE k::text = 'KEY 7';
SELECT count(*) FROM there WHERE k = 'KEY 8'::text;

-- grouped, counted, ordered, compared with the same rows here
SELECT lower(v::text), count(*), sum(n) FROM there GROUP BY v ORDER BY v;
SELECT count(DISTINCT v), count(DISTINCT k), min(v) = max(v) AS one FROM there;
SELECT lower(v::text) FROM (SELECT DISTINCT v FROM there) x ORDER BY v;
SELECT count(*) FROM (SELECT k, v::text, n FROM there EXCEPT SELECT k, v::text, n FROM here) x;
SELECT count(*) FROM (SELECT v FROM there UNION SELECT v FROM here) x;
SELECT k FROM there ORDER BY k DESC LIMIT 3;
SELECT k, rank() OVER (PARTITION BY k ORDER BY n) FROM there WHERE n < 4 ORDER BY k;
SELECT count(*) FROM there WHERE v LIKE 'V1%' AND v ~ 'v' AND k > 'key 5' AND k BETWEEN 'A' AND 'z';
SELECT lower(min(k)::text), lower(max(v)::text) FROM there;
SELECT count(*) FROM there a WHERE EXISTS (SELECT FROM near b WHERE b.k = a.k) AND v IN (SELECT v FROM tags);
-- stays equal where it is written
INSERT INTO there VALUES ('KEY 7', 'x', 70) ON CONFLICT (k) DO UPDATE SET n = excluded.n RETURNING *;
INSERT INTO there VALUES ('kEY 7', 'x', 71) ON CONFLICT DO NOTHING RETURNING *;
UPDATE there SET k = 'KEy 8' WHERE k = 'key 8' RETURNING k, n;
UPDATE there SET k = 'Other' WHERE k = 'KEY 9' RETURNING k, n;
SELECT k FROM there WHERE k IN ('key 8', 'OTHER') ORDER BY k;
MERGE INTO there USING (VALUES ('OTHER'::citext, 1), ('New', 2)) s (k, n) ON there.k = s.k WHEN MATCHED THEN UPDATE SET n = s.n WHEN NOT MATCHED THEN INSERT (k, n) VALUES (s.k, s.n);
DELETE FROM there USING near WHERE near.k = there.k AND w = 'w10' RETURNING there.k;
\copy there FROM PROGRAM 'printf "Copied 1,a,1\nCOPIED 2,b,2\n"' CSV
SELECT k FROM there WHERE k IN ('COPIED 1', 'copied 2', 'NEW') ORDER BY k;
\set VERBOSITY sqlstate
INSERT INTO there VALUES ('copIED 1');
\set VERBOSITY default
SET client_min_messages = warning;
DROP SCHEMA citext_values CASCADE;
DROP EXTENSION citext;
SELECT count(*) > 0 FROM tessera.run_on_nodes('DROP EXTENSION IF EXISTS citext');
