-- Functions in the shard of their key where the shards are on this server: in process.
\set maindb :DBNAME
CREATE DATABASE regress_functions_alone;
\c regress_functions_alone
SET client_min_messages = warning;
CREATE EXTENSION tessera;
SET tessera.shard_count = 3;
CREATE TABLE a (k int PRIMARY KEY, v int);
CREATE TABLE far (id int PRIMARY KEY, v int);
CREATE TABLE here (v int);
INSERT INTO a SELECT i, 0 FROM generate_series(1, 30) i;
INSERT INTO far VALUES (1, 100);
INSERT INTO here VALUES (7);
SELECT tessera.create_distributed_table('a', 'k');
SELECT tessera.create_distributed_table('far', 'id', colocate_with => 'none');

CREATE PROCEDURE bump(key int, n int DEFAULT 1) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. n LOOP
		UPDATE a SET v = v + 1 WHERE k = key;
	END LOOP;
END $$;
CREATE PROCEDURE twice(key int, INOUT x int) LANGUAGE plpgsql AS $$ BEGIN CALL bump(key, 2); x := 2 * x; END $$;
CREATE FUNCTION look(key int) RETURNS int STABLE LANGUAGE sql AS 'SELECT v FROM a WHERE k = key';
CREATE FUNCTION rows(key int) RETURNS TABLE (k int, v int) LANGUAGE plpgsql AS $$
BEGIN
	UPDATE a SET v = a.v + 1 WHERE a.k = key;
	RETURN QUERY SELECT a.k, a.v FROM a WHERE a.k = key;
END $$;
SELECT tessera.create_distributed_function(f, 'key', 'a') FROM unnest('{bump,twice,look,rows}'::text[]) f;

-- again and again, so that plans are kept, in any transaction
CALL bump(1);
CALL bump(1, 3);
CALL bump(1);
SELECT look(1);
CALL twice(1, 21);
CALL twice(1, 21);
SELECT look(1);
SELECT * FROM rows(1);
SELECT v FROM rows(1);
PREPARE look_at(int) AS SELECT look($1);
EXECUTE look_at(1);
EXECUTE look_at(2);
BEGIN;
CALL bump(2);
SAVEPOINT s;
CALL bump(2);
ROLLBACK TO s;
SELECT look(2);
COMMIT;
BEGIN;
CALL bump(3);
ROLLBACK;
SELECT k, v FROM a WHERE v > 0 ORDER BY k;

-- the settings are the client's
CREATE FUNCTION shown(key int) RETURNS text LANGUAGE sql AS $$SELECT date '2001-02-03' || ' ' || current_setting('DateStyle') FROM a WHERE k = key$$;
SELECT tessera.create_distributed_function('shown', 'key', 'a');
SET datestyle = 'German';
SELECT shown(1);
RESET datestyle;

-- keys of other shards are refused; what this server has besides is found
CREATE FUNCTION other(key int, what text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	x int;
BEGIN
	CASE what
	WHEN 'write' THEN UPDATE a SET v = 0 WHERE k = key + 1;
	WHEN 'read' THEN SELECT v INTO x FROM a WHERE k = key + 1;
	WHEN 'sum' THEN SELECT sum(v) INTO x FROM a;
	WHEN 'local' THEN SELECT v INTO x FROM here;
	WHEN 'write local' THEN UPDATE here SET v = 8;
	WHEN 'far' THEN SELECT v INTO x FROM far WHERE id = 1;
	WHEN 'shell' THEN SELECT count(*) INTO x FROM public.a;
	WHEN 'call' THEN SELECT * INTO x FROM look(key + 1);
	END CASE;
	RETURN x;
END $$;
SELECT tessera.create_distributed_function('other', 'key', 'a');
SELECT min(k) AS k FROM generate_series(1, 29) k
WHERE (SELECT shard_id FROM tessera.shard_of('a', k)) <> (SELECT shard_id FROM tessera.shard_of('a', k + 1)) \gset
\set VERBOSITY sqlstate
SELECT other(:k, 'write');
SELECT other(:k, 'read');
SELECT other(:k, 'sum');
SELECT other(:k, 'write local');
\set VERBOSITY default
SELECT other(:k, 'local');
SELECT other(:k, 'far');
SELECT other(:k, 'shell');
SELECT v AS expected FROM a WHERE k = :k + 1;
SELECT other(:k, 'call');
SHOW tessera.shard_call;

-- such a call runs as one of the shard's copy, from the second time on
SELECT direct, nested FROM tessera_internal.runs_in_process() \gset
CALL bump(4);
CALL bump(4);
CALL bump(5);
CALL twice(4, 1);
CALL twice(4, 2);
SELECT look(4) AS looked;
SELECT look(4) AS looked;
SELECT v AS w, k FROM rows(4);
SELECT v AS w, k FROM rows(4);
SELECT p.direct - :direct AS direct, p.nested - :nested AS nested FROM tessera_internal.runs_in_process() p;
-- but for what the body changes while rows of an INSERT wait for who reads them
CREATE FUNCTION bumped(key int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN CALL bump(key); RETURN (SELECT a.v FROM a WHERE a.k = key); END $$;
INSERT INTO a SELECT 100 + i, coalesce(bumped(99 + i), 0) FROM generate_series(1, 4) i;
SELECT k, v FROM a WHERE k > 100 ORDER BY k;
-- only for who may execute it
CREATE ROLE regress_functions_alone;
REVOKE EXECUTE ON PROCEDURE bump FROM public;
SET ROLE regress_functions_alone;
CALL bump(4);
RESET ROLE;
DROP ROLE regress_functions_alone;
-- and as it is now
CREATE OR REPLACE PROCEDURE bump(key int, n int DEFAULT 1) LANGUAGE sql AS 'UPDATE a SET v = v + 1000 WHERE k = key';
CALL bump(4);
CALL bump(4);
SELECT look(4);

\c :maindb
DROP DATABASE regress_functions_alone;
