-- What bodies of functions that run in the shard of their key do: exceptions, rows, calls of others.
CREATE SCHEMA functions_bodies;
SET search_path = functions_bodies;
SET tessera.shard_count = 4;
SET client_min_messages = warning;
CREATE TABLE stock (shop int, item int, amount int NOT NULL CHECK (amount >= 0), PRIMARY KEY (shop, item));
CREATE TABLE log (shop int, line text);
SELECT tessera.create_distributed_table('stock', 'shop', colocate_with => 'none');
SELECT tessera.create_distributed_table('log', 'shop', colocate_with => 'stock');
INSERT INTO stock SELECT s, i, 10 FROM generate_series(1, 10) s, generate_series(1, 3) i;
SET client_min_messages = notice;

-- an exception block undoes its own statements, at the node as well, and the body goes on
CREATE PROCEDURE take(which int, n int, INOUT taken int, OUT said text) LANGUAGE plpgsql AS $$
BEGIN
	taken := 0;
	said := 'all';
	FOR i IN 1 .. 3 LOOP
		BEGIN
			INSERT INTO log VALUES (which, 'item ' || i);
			UPDATE stock SET amount = amount - n * i WHERE shop = which AND item = i;
			taken := taken + n * i;
		EXCEPTION WHEN check_violation THEN
			said := 'without item ' || i;
		END;
	END LOOP;
END $$;
SELECT tessera.create_distributed_function('take', 'which', 'stock');
CALL take(1, 4, NULL, NULL);
CALL take(2, 3, 0, NULL);
SELECT item, amount FROM stock WHERE shop = 1 ORDER BY 1;
SELECT line FROM log WHERE shop = 1 ORDER BY 1;
BEGIN;
CALL take(1, 4, NULL, NULL);
SAVEPOINT s;
CALL take(2, 4, NULL, NULL);
ROLLBACK TO s;
CALL take(3, 1, NULL, NULL);
COMMIT;
SELECT shop, item, amount FROM stock WHERE shop <= 3 ORDER BY 1, 2;

-- OUT columns by their names, of a CALL and of a function in FROM; constants of any kind share a plan
CREATE FUNCTION counted(which int, low int, OUT items bigint, OUT total bigint, OUT note text) LANGUAGE plpgsql AS $$
BEGIN
	SELECT count(*), sum(amount), 'shop ' || which INTO items, total, note FROM stock WHERE shop = which AND amount >= low;
END $$;
SELECT tessera.create_distributed_function('counted', 'which', 'stock');
SELECT * FROM counted(4, 0);
SELECT note, total FROM counted(5, 0);
SELECT * FROM counted(5, 20);
SELECT * FROM counted(5, NULL);
SELECT * FROM counted(NULL, 0);
SELECT * FROM counted(low => 0, which => 6);
SELECT counted(4, 0);
SELECT counted(5, 10 + 10);

-- plans of calls are shared by statements that differ in constants, and know what has changed
SELECT tessera_internal.reset_plan_cache_counters();
CALL take(6, 1, 0, NULL);
CALL take(7, 2, 0, NULL);
CALL take(8, 1, 5, NULL);
SELECT note FROM counted(6, 1);
SELECT note FROM counted(7, 2);
SELECT hits, misses FROM tessera_internal.plan_cache_counters();
CREATE OR REPLACE FUNCTION counted(which int, low int, OUT items bigint, OUT total bigint, OUT note text) LANGUAGE plpgsql AS $$
BEGIN
	SELECT count(*), sum(amount), 'new' INTO items, total, note FROM stock WHERE shop = which AND amount >= low;
END $$;
SELECT note FROM counted(7, 2);
ALTER FUNCTION counted(int, int) RENAME TO counted_too;
SELECT note FROM counted_too(7, 2);
CREATE FUNCTION counted(which int, low int, OUT note text) LANGUAGE sql AS $$ SELECT 'another' $$;
SELECT note FROM counted(7, 2);
DROP FUNCTION counted(int, int);

-- a type's name is part of what is sent
CREATE TYPE kind AS ENUM ('dry', 'wet');
CREATE FUNCTION of_kind(which int, k kind) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM 1 FROM stock WHERE shop = which;
	RETURN k || ' ' || which;
END $$;
SELECT tessera.create_distributed_function('of_kind', 'which', 'stock');
SELECT of_kind(1, 'dry');
SELECT of_kind(2, 'wet');
ALTER TYPE kind RENAME TO sort;
SELECT of_kind(2, 'wet');
ALTER TYPE sort SET SCHEMA public;
SELECT of_kind(3, 'wet');

-- a role that may not call it is refused, though the plan is there
CREATE ROLE regress_functions_bodies;
GRANT USAGE ON SCHEMA functions_bodies TO regress_functions_bodies;
REVOKE EXECUTE ON PROCEDURE take FROM public;
SET ROLE regress_functions_bodies;
\set VERBOSITY sqlstate
CALL take(1, 1, 0, NULL);
\set VERBOSITY terse
RESET ROLE;
CALL take(1, 0, 0, NULL);

-- rows that end in an error are not given out in part, and leave nothing
CREATE FUNCTION sold(which int, bad int) RETURNS TABLE (item int, rest int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 3 LOOP
		item := i;
		UPDATE stock s SET amount = amount - 1 WHERE shop = which AND s.item = sold.item RETURNING amount INTO rest;
		IF item = bad THEN
			RAISE EXCEPTION 'item % of shop % is bad', item, which USING ERRCODE = '23514';
		END IF;
		RETURN NEXT;
	END LOOP;
END $$;
SELECT tessera.create_distributed_function('sold', 'which', 'stock');
SELECT * FROM sold(9, 3);
SELECT amount FROM stock WHERE shop = 9 ORDER BY item;
BEGIN;
SELECT * FROM sold(9, 0);
SAVEPOINT s;
SELECT * FROM sold(9, 2);
ROLLBACK TO s;
SELECT * FROM sold(10, 0);
COMMIT;
SELECT shop, sum(amount) FROM stock WHERE shop >= 9 GROUP BY 1 ORDER BY 1;
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM sold(9, 0);
FETCH 2 FROM c;
CALL take(10, 1, 0, NULL);
FETCH 2 FROM c;
COMMIT;
SELECT shop, sum(amount) FROM stock WHERE shop >= 9 GROUP BY 1 ORDER BY 1;

-- functions that are on all nodes are called by others, with the tables of the caller's shard
CREATE FUNCTION half(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT n / 2';
CREATE PROCEDURE halve(which int, what int) LANGUAGE plpgsql AS $$
BEGIN
	UPDATE stock SET amount = functions_bodies.half(amount) WHERE shop = which AND item = what;
END $$;
CREATE PROCEDURE halve_all(which int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 3 LOOP
		CALL functions_bodies.halve(which, i);
	END LOOP;
END $$;
SELECT tessera.create_distributed_function('half');
SELECT tessera.create_distributed_function('halve');
SELECT tessera.create_distributed_function('halve_all', 'which', 'stock');
CALL halve_all(4);
SELECT item, amount FROM stock WHERE shop = 4 ORDER BY 1;

-- one that runs in shards finds its own copy by its plain name, for any key of that shard, and no other shard's
CREATE PROCEDURE down(which int, step int) LANGUAGE plpgsql AS $$
BEGIN
	UPDATE stock SET amount = amount + 1 WHERE shop = which AND item = 1;
	IF step <> 0 THEN
		CALL down(which + step, 0);
	END IF;
END $$;
SELECT tessera.create_distributed_function('down', 'which', 'stock');
SELECT min(s) AS s FROM generate_series(1, 9) s
WHERE (SELECT shard_id FROM tessera.shard_of('stock', s)) <> (SELECT shard_id FROM tessera.shard_of('stock', s + 1)) \gset
SELECT a AS near, b - a AS step FROM generate_series(1, 9) a, generate_series(a + 1, 10) b
WHERE (SELECT shard_id FROM tessera.shard_of('stock', a)) = (SELECT shard_id FROM tessera.shard_of('stock', b)) ORDER BY 1, 2 LIMIT 1 \gset
UPDATE stock SET amount = 0;
CALL down(:near, 0);
CALL down(:near, :step);
\set VERBOSITY sqlstate
CALL down(:s, 1);
BEGIN;
SAVEPOINT s;
CALL down(:s, 1);
ROLLBACK TO s;
CALL down(:near, :step);
COMMIT;
\set VERBOSITY terse
CALL down(:s, 1);
SELECT sum(amount) FROM stock;

-- a BEFORE trigger of the shard's table is the body's as well
SELECT bool_and(success) FROM tessera.run_on_nodes($$CREATE FUNCTION functions_bodies.at_most() RETURNS trigger LANGUAGE plpgsql
	AS 'BEGIN NEW.amount := least(NEW.amount, 100); RETURN NEW; END'$$);
SELECT bool_and(success) FROM tessera.run_on_shards('stock',
	'CREATE TRIGGER at_most BEFORE INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION functions_bodies.at_most()');
CREATE PROCEDURE fill(which int, n int, OUT filled int) LANGUAGE plpgsql AS $$
BEGIN
	UPDATE stock SET amount = n WHERE shop = which AND item = 1 RETURNING amount INTO filled;
END $$;
SELECT tessera.create_distributed_function('fill', 'which', 'stock');
CALL fill(1, 99, NULL);
CALL fill(2, 101, NULL);

SET client_min_messages = warning;
DROP FUNCTION of_kind(int, public.sort);
DROP TYPE public.sort;
SELECT bool_and(success) FROM tessera.run_on_nodes('DROP FUNCTION functions_bodies.at_most() CASCADE');
DROP SCHEMA functions_bodies CASCADE;
DROP ROLE regress_functions_bodies;
