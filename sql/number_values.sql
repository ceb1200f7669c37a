-- Values that stand for objects (regclass and its kin) are OIDs of the
-- coordinator everywhere, and become names only there.
CREATE SCHEMA number_values;
SET search_path = number_values;
SET tessera.shard_count = 4;
CREATE TABLE orders (id int PRIMARY KEY);
SELECT tessera.create_distributed_table('orders', 'id');
CREATE TABLE loc (v int);
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CREATE DOMAIN tab AS regclass;
CREATE TYPE pair AS (a int, b text);

-- a table with its rows, which it has of all kinds; again as a reference table
CREATE TABLE audit (k int, rel regclass DEFAULT 'orders', rels regclass[], t tab, f regproc, fp regprocedure, ty regtype, r regrole, n regnamespace, o regoper, op regoperator, c regconfig, d regdictionary, co regcollation, plain oid);
CREATE TABLE texts (k int, rel regclass DEFAULT 'loc', rels regclass[], t tab, q tsquery, p pair);
INSERT INTO audit SELECT i, 'orders', '{orders,loc,NULL,pg_class,-}', 'loc', 'number_values.twice', 'twice(int)', 'pair', current_user::regrole, 'number_values', 'pg_catalog.||/', '+(int,int)', 'simple', 'simple', '"C"', 'loc'::regclass FROM generate_series(1, 8) i;
INSERT INTO texts SELECT i, 'orders', '{orders,loc,NULL,pg_class,-}', 'loc', 'a & b', (i, 'x')::pair FROM generate_series(1, 8) i;
CREATE TABLE audit_here AS TABLE audit;
CREATE TABLE texts_here AS TABLE texts;
CREATE TABLE texts_ref AS TABLE texts;
SET client_min_messages = warning;
SELECT tessera.create_distributed_table('audit', 'k');
SELECT tessera.create_distributed_table('texts', 'k');
SELECT tessera.create_reference_table('texts_ref');
RESET client_min_messages;

-- the same rows come back, in binary and as text, by any way
SELECT rel, rels, t, f, fp, ty, n, o, op, c, d, co, plain::regclass, r = current_user::regrole AS r FROM audit WHERE k = 3;
SELECT count(*) FROM (TABLE audit EXCEPT TABLE audit_here) x;
SELECT * FROM texts WHERE k = 3;
SELECT count(*) FROM (SELECT k, rel, rels, t FROM texts EXCEPT SELECT k, rel, rels, t FROM texts_here) x;
SELECT texts, q FROM texts WHERE k = 4;
SELECT row_to_json(texts) FROM texts WHERE k = 4;
SELECT row_to_json(x) FROM (SELECT k, rel FROM texts WHERE k = 4) x;
SELECT array_agg(a.rel::text || b.t ORDER BY a.k) FROM audit a JOIN texts b USING (k) WHERE k < 4;
SELECT rel::text, q FROM (SELECT rel, q FROM texts UNION SELECT 'pg_class', q FROM texts UNION SELECT rels[2], q FROM texts) x ORDER BY 1;
SELECT DISTINCT rel, q, rels FROM texts;
SELECT rel, q, count(*) FROM texts GROUP BY rel, q;
SELECT rel, q, row_number() OVER (PARTITION BY k) FROM texts WHERE k = 4;
SELECT rels[1], rels[2:3], p FROM texts WHERE k = 4;
COPY (SELECT k, rel, t, q FROM texts WHERE k = 5) TO STDOUT;
COPY (SELECT k, rel, rels, t FROM audit WHERE k = 5) TO STDOUT;
-- of a table, whose rows nodes write
CREATE TABLE one (k int, rel regclass, rels regclass[], t tab, v text);
SELECT tessera.create_distributed_table('one', 'k');
INSERT INTO one VALUES (7, 'orders', '{orders,loc,pg_class,-}', 'loc', 'x');
COPY one TO STDOUT;
COPY one (t, k, rel) TO STDOUT CSV;
SET search_path = pg_catalog;
COPY number_values.one TO STDOUT CSV;
SET search_path = number_values;
-- 0 for nothing; an OID that no longer names anything goes as a number
INSERT INTO texts (k, rel, q) VALUES (101, '-', 'a'), (102, '4200000000', 'b');
SELECT k, rel, q FROM texts WHERE k > 100 ORDER BY k;
SELECT k, rel FROM texts WHERE k > 100 ORDER BY k;

-- inserted: constants, defaults, parameters, names in words, plans that are kept
INSERT INTO audit (k, rel) VALUES (11, 'orders'), (12, 'loc'), (13, 'pg_proc');
INSERT INTO audit (k) VALUES (14);
INSERT INTO audit (k, rel) VALUES (15, 'loc') RETURNING k, rel, rel::text;
INSERT INTO texts (k, rel, q) VALUES (15, 'loc', 'x') RETURNING k, rel, rel::text, q;
PREPARE put(int, regclass) AS INSERT INTO audit (k, rel) VALUES ($1, $2) RETURNING rel;
EXECUTE put(16, 'loc');
EXECUTE put(17, 'number_values.orders');
INSERT INTO audit (k, rel) SELECT 18 + v, w::regclass FROM (VALUES (0, 'loc'), (1, 'orders')) s(v, w);
INSERT INTO audit (k, rels) SELECT k + 50, array_prepend('loc', rels) FROM audit WHERE k < 3;
INSERT INTO audit (k, rel) SELECT k + 60, t FROM audit WHERE k < 3;
INSERT INTO texts (k, rel, rels, q) SELECT k, t, rels, 'y' FROM audit WHERE k = 7;
SELECT k, rel, rels FROM audit WHERE k > 10 ORDER BY k;
SELECT k, rel, rels, q FROM texts WHERE k = 7 ORDER BY rel;
\copy audit (k, rel) FROM PROGRAM 'echo 21,number_values.loc; echo 22,orders' CSV
\copy texts (k, rel, q) FROM PROGRAM 'echo 21,number_values.loc,a; echo 22,orders,b' CSV
SELECT rel FROM audit WHERE k IN (21, 22) ORDER BY k;
SELECT rel, q FROM texts WHERE k IN (21, 22) ORDER BY k;

-- changed, in shards where nothing needs a name, and here where something does
UPDATE audit SET rel = 'loc' WHERE k = 11 RETURNING rel;
UPDATE audit SET rel = 'loc' WHERE rel = 'pg_proc'::regclass RETURNING k, rel;
UPDATE audit SET rel = (rel::text || '')::regclass WHERE k = 12 RETURNING rel;
UPDATE texts SET rel = to_regclass('loc') WHERE k = 5 RETURNING rel, q;
WITH gone AS (DELETE FROM audit WHERE rel::text = 'loc' AND k > 20 RETURNING k) SELECT * FROM gone ORDER BY k;
MERGE INTO audit USING (VALUES (11, 'orders'::regclass), (31, 'loc')) s(k, rel) ON audit.k = s.k WHEN MATCHED THEN UPDATE SET rel = s.rel WHEN NOT MATCHED THEN INSERT (k, rel) VALUES (s.k, s.rel);
SELECT k, rel FROM audit WHERE k IN (11, 31) ORDER BY k;
UPDATE texts_ref SET rel = 'orders' WHERE k = 1;
UPDATE texts_ref SET t = 'orders' WHERE rel::text = 'orders' AND k < 4;
INSERT INTO texts_ref (k) VALUES (100);
DELETE FROM texts_ref USING loc RIGHT JOIN (SELECT 3 AS k) x ON true WHERE texts_ref.k = x.k AND rel::text <> 'x';
SELECT count(DISTINCT result) FROM tessera.run_on_nodes('SELECT md5(string_agg(format(''%s %s %s %s'', k, rel::oid, rels::oid[], t::oid), '','' ORDER BY k)) FROM number_values.texts_ref');
SELECT rel, count(*) FROM texts_ref GROUP BY rel ORDER BY rel::text;
SELECT a.rel, b.rel, b.q FROM audit a JOIN texts_ref b USING (k) WHERE k = 1;

-- compared, grouped and ordered in the shards; names are made here
EXPLAIN (COSTS OFF) SELECT k FROM audit WHERE rel = 'orders'::regclass AND t <> ALL ('{orders}'::regclass[]);
SELECT rel::text, count(*), min(k) FROM audit GROUP BY rel ORDER BY rel::text;
SELECT count(DISTINCT rel), min(rel::oid) = max(rel::oid) AS one, count(*) FILTER (WHERE rel = 'loc'::regclass) AS loc FROM audit;
SELECT k, rel FROM audit WHERE k < 20 ORDER BY rel = 'orders'::regclass, k LIMIT 4;
SELECT count(*) FROM audit WHERE rel::text LIKE '%orders';
SELECT count(*) FROM audit WHERE rel = ANY ('{orders,loc}'::regclass[]);
SELECT count(*) FROM audit JOIN pg_class ON pg_class.oid = audit.rel WHERE relname = 'loc';
SELECT k, pg_relation_size(rel) >= 0 AS has_size FROM audit WHERE k = 11;
SELECT CASE WHEN k > 3 THEN rel ELSE 'loc'::regclass END AS rel, coalesce(rels, '{loc}'::regclass[]) FROM audit WHERE k IN (3, 4) ORDER BY k;
SELECT a.k FROM audit a WHERE EXISTS (SELECT FROM texts b WHERE b.k = a.k AND b.rel = a.rel) ORDER BY k;
SELECT to_tsvector('simple', 'A b') @@ q, to_tsvector(c, 'A b') = to_tsvector('simple', 'A b') FROM audit JOIN texts USING (k) WHERE k = 2;

-- analyzed
ANALYZE audit, texts;
SELECT count(*) FROM pg_stats WHERE schemaname = 'number_values' AND attname = 'rel' AND tablename IN ('audit', 'texts');

-- columns come, change and go with the same values
ALTER TABLE orders ADD COLUMN by regclass DEFAULT 'loc';
INSERT INTO orders (id) VALUES (1);
INSERT INTO orders VALUES (2, 'orders');
ALTER TABLE orders ADD COLUMN also regclass DEFAULT 'orders';
SELECT * FROM orders ORDER BY id;
ALTER TABLE orders ALTER also TYPE oid;
ALTER TABLE orders ALTER also TYPE regclass;
SELECT * FROM orders ORDER BY id;
\set VERBOSITY terse
ALTER TABLE orders ALTER also TYPE text;
ALTER TABLE orders ALTER also TYPE text USING also::text || 'x';
ALTER TABLE orders ADD CHECK (by::text <> 'x');
ALTER TABLE orders ADD CHECK (by <> 'pg_class'::regclass);
INSERT INTO orders VALUES (3, 'pg_class');
SET client_min_messages = warning;
CREATE DOMAIN odd AS regclass CHECK (VALUE::text <> 'loc');
CREATE TABLE odd_table (k int, o odd);
SELECT tessera.create_distributed_table('odd_table', 'k');
-- no key: the same after a restore
CREATE TABLE by_name (k regclass);
SELECT tessera.create_distributed_table('by_name', 'k');

-- functions that run in a shard know nothing of them, and take no such arguments there
SET datestyle = 'ISO, MDY';
SET intervalstyle = 'postgres';
CREATE FUNCTION noted(who int) RETURNS text LANGUAGE sql AS 'SELECT rel::text FROM audit WHERE k = who';
CREATE FUNCTION plain_of(who int) RETURNS int LANGUAGE sql AS 'SELECT count(*)::int FROM audit WHERE k = who';
CREATE FUNCTION is_named(who int, what regclass) RETURNS text LANGUAGE sql AS 'SELECT what::text FROM orders WHERE id = who';
SELECT tessera.create_distributed_function('noted', 'who', 'audit');
SELECT tessera.create_distributed_function('plain_of', 'who', 'audit');
SELECT tessera.create_distributed_function('is_named', 'who', 'audit');
SELECT noted(1);
SELECT plain_of(1);
SELECT is_named(1, 'orders');

-- taken back
SELECT tessera.undistribute_table('audit');
SELECT tessera.undistribute_table('texts');
SELECT k, rel, rels, t, f, n FROM audit WHERE k IN (3, 16) ORDER BY k;
SELECT k, rel, rels, t, q FROM texts WHERE k IN (3, 15) ORDER BY k;
\set VERBOSITY default
SET client_min_messages = warning;
DROP SCHEMA number_values CASCADE;
