-- Functions and procedures that run in the shard of their key.
CREATE SCHEMA functions;
SET search_path = functions, public;
SET tessera.shard_count = 4;
-- how nodes write values; otherwise functions run here
SET datestyle = 'ISO, MDY';
SET intervalstyle = 'postgres';

CREATE TABLE accounts (owner int, number int, balance numeric NOT NULL DEFAULT 0, PRIMARY KEY (owner, number));
CREATE TABLE moves (owner int, at serial, amount numeric, note text DEFAULT 'none');
CREATE TABLE fees (kind text PRIMARY KEY, fee numeric);
CREATE TABLE notes (id int, note text);
SELECT tessera.create_distributed_table('accounts', 'owner', colocate_with => 'none');
SELECT tessera.create_distributed_table('moves', 'owner', colocate_with => 'accounts');
SELECT tessera.create_reference_table('fees');
INSERT INTO fees VALUES ('pay', 1), ('look', 0);
INSERT INTO accounts SELECT o, n, 100 FROM generate_series(1, 20) o, generate_series(1, 2) n;

-- a procedure of several statements: tables by their plain names, a reference table, a loop, an exception
CREATE PROCEDURE pay(who int, amount numeric, note text DEFAULT 'paid')
LANGUAGE plpgsql AS $$
DECLARE
	rest numeric;
BEGIN
	UPDATE accounts SET balance = balance - amount - (SELECT fee FROM fees WHERE kind = 'pay')
		WHERE owner = who AND number = 1 RETURNING balance INTO rest;
	IF rest < 0 THEN
		RAISE EXCEPTION 'account of % would be at %', who, rest USING ERRCODE = '23514';
	END IF;
	INSERT INTO moves (owner, at, amount, note) VALUES (who, 0, -amount, note);
END $$;
SELECT tessera.create_distributed_function('pay(int, numeric, text)', 'who', 'accounts');
SELECT function, kind, key_argument, shard_count, search_path FROM tessera.functions ORDER BY 1;
CALL pay(1, 10);
CALL pay(who => 2, amount => 20, note => 'named');
CALL pay(note => 'mixed', who => 3, amount => 5);
SELECT owner, balance FROM accounts WHERE number = 1 AND owner <= 3 ORDER BY 1;
SELECT owner, amount, note FROM moves ORDER BY 1;

-- its errors are the node's, and leave nothing
\set VERBOSITY default
CALL pay(1, 1000);
\set VERBOSITY terse
SELECT balance FROM accounts WHERE owner = 1 AND number = 1;

-- in a transaction with others, of several shards, with savepoints
BEGIN;
CALL pay(1, 1);
CALL pay(2, 1);
SAVEPOINT s;
CALL pay(3, 1);
CALL pay(3, 1000);
ROLLBACK TO s;
CALL pay(4, 1);
UPDATE accounts SET balance = balance + 1 WHERE owner = 5;
COMMIT;
SELECT owner, balance FROM accounts WHERE number = 1 AND owner <= 5 ORDER BY 1;
BEGIN;
CALL pay(1, 1);
ROLLBACK;
SELECT owner, balance FROM accounts WHERE number = 1 AND owner = 1;

-- functions: a value, a row, rows, columns that the caller names, nothing
CREATE FUNCTION total(who int) RETURNS numeric STABLE LANGUAGE plpgsql
AS 'BEGIN RETURN (SELECT sum(balance) FROM accounts WHERE owner = who); END';
CREATE FUNCTION account(who int, n int, OUT balance numeric, OUT label text) LANGUAGE sql
AS 'SELECT balance, ''account '' || number FROM accounts WHERE owner = who AND number = n';
CREATE FUNCTION all_of(who int) RETURNS TABLE (number int, balance numeric) LANGUAGE sql STABLE
AS 'SELECT number, balance FROM accounts WHERE owner = who ORDER BY number';
CREATE FUNCTION any_row(who int) RETURNS record LANGUAGE sql
AS 'SELECT number, balance FROM accounts WHERE owner = who ORDER BY number LIMIT 1';
CREATE FUNCTION touch(who int) RETURNS void LANGUAGE sql
AS 'UPDATE accounts SET balance = balance + 0.5 WHERE owner = who';
CREATE FUNCTION numbers(who int) RETURNS SETOF int LANGUAGE sql
AS 'SELECT number FROM accounts WHERE owner = who ORDER BY 1';
SELECT tessera.create_distributed_function(f, 'who', 'accounts')
FROM unnest('{total,account,all_of,any_row,touch,numbers}'::text[]) f;
SELECT total(1);
SELECT total(1) AS sum;
SELECT * FROM total(2);
SELECT * FROM account(1, 2);
SELECT label FROM account(1, 2);
SELECT * FROM all_of(3);
SELECT balance, number FROM all_of(3) AS a;
SELECT n, b FROM all_of(3) AS a(n, b);
SELECT * FROM any_row(3) AS r(n int, b numeric);
SELECT touch(3);
SELECT numbers(3);
SELECT * FROM numbers(3);
SELECT total(3);

-- arguments by their names, in another order, and left out, the key among them
CREATE FUNCTION label(note text DEFAULT 'none', who int DEFAULT 3) RETURNS text LANGUAGE sql STABLE
AS 'SELECT note || '' '' || who || '' '' || sum(balance) FROM accounts WHERE owner = who';
SELECT tessera.create_distributed_function('label', 'who', 'accounts');
SELECT label();
SELECT label(who => 2);
SELECT label('first');
SELECT label(who => 2, note => 'named');
SELECT label('mixed', who => 2);
SELECT * FROM label(who => 2) AS r(l);
SELECT label(who => extract(second FROM make_interval(secs => 2))::int);
PREPARE labelled(int) AS SELECT label(who => $1, note => 'prepared');
EXECUTE labelled(1);
EXECUTE labelled(2);
DEALLOCATE labelled;
EXPLAIN (COSTS OFF) SELECT label(who => 2) \g | grep -c TesseraScan
DROP FUNCTION label;

-- EXPLAIN shows where it runs, and what does not run there
EXPLAIN (COSTS OFF) SELECT * FROM account(1, 2) \g | grep -c TesseraScan
EXPLAIN (COSTS OFF) SELECT total(owner) FROM accounts WHERE owner = 1 \g | grep -c 'total'

-- the result is the same where it runs here: inside of other queries, without a known key
SELECT owner, total(owner) FROM generate_series(1, 3) owner ORDER BY 1;
SELECT total(owner) + 1 FROM accounts WHERE owner = 1 AND number = 1;
SELECT sum(balance) FROM all_of(3);
SELECT total((SELECT 3));
SELECT all_of(3);
DO $$ BEGIN CALL pay(6, 1); PERFORM touch(6); RAISE NOTICE '%', total(6); END $$;

-- keys: parameters, stable expressions, NULL
PREPARE total_of(int) AS SELECT total($1);
EXECUTE total_of(1);
EXECUTE total_of(2);
EXECUTE total_of(NULL);
SELECT total(NULL), total(4711);
SELECT total(length(current_setting('search_path')) - length(current_setting('search_path')) + 1);
CALL pay(NULL, 1);
DEALLOCATE total_of;

-- INOUT and OUT arguments, VARIADIC, polymorphic arguments
CREATE PROCEDURE count_of(who int, INOUT more int, OUT label text) LANGUAGE plpgsql
AS $$ BEGIN SELECT more + count(*), 'of ' || who INTO more, label FROM accounts WHERE owner = who; END $$;
CREATE FUNCTION sum_of(who int, VARIADIC numbers int[]) RETURNS numeric LANGUAGE sql
AS 'SELECT sum(balance) FROM accounts WHERE owner = who AND number = ANY (numbers)';
CREATE FUNCTION same(who int, value anyelement) RETURNS anyelement LANGUAGE plpgsql
AS $$ BEGIN PERFORM 1 FROM accounts WHERE owner = who; RETURN value; END $$;
SELECT tessera.create_distributed_function(f, 'who', 'accounts') FROM unnest('{count_of,sum_of,same}'::text[]) f;
CALL count_of(1, 40, NULL);
SELECT sum_of(7, 1), sum_of(7, 1, 2), sum_of(7, VARIADIC '{1,2}');
SELECT sum_of(7, 1, 2);
SELECT sum_of(7, VARIADIC '{1,2}');
SELECT same(1, 'a'::text);
SELECT same(1, '{1,2}'::int[]);

-- a node keeps a CALL prepared, and its cache of plans copies it once, not for each execution
CREATE FUNCTION plans_of_calls(who int) RETURNS TABLE (for_values numeric, for_any numeric) LANGUAGE sql
AS $$SELECT sum(custom_plans), sum(generic_plans) FROM pg_prepared_statements WHERE statement LIKE 'CALL %count_again%'$$;
CREATE PROCEDURE count_again(who int, INOUT more int) LANGUAGE plpgsql AS 'BEGIN SELECT more + count(*) INTO more FROM accounts WHERE owner = who; END';
SELECT tessera.create_distributed_function(f, 'who', 'accounts') FROM unnest('{plans_of_calls,count_again}'::text[]) f;
DO $$
DECLARE
	more int := 0;
BEGIN
	FOR i IN 1 .. 20 LOOP
		CALL count_again(1, more);
	END LOOP;
	RAISE NOTICE 'more: %', more;
END $$;
SELECT * FROM plans_of_calls(1);

-- arguments that the call leaves out or names, the key among them
CREATE FUNCTION placed(label text, who int DEFAULT 3, n int DEFAULT 1) RETURNS text LANGUAGE sql
AS $$SELECT label || ' ' || owner || ' ' || number FROM accounts WHERE owner = who AND number = n$$;
SELECT tessera.create_distributed_function('placed', 'who', 'accounts');
SELECT placed('default');
SELECT * FROM placed('default');
SELECT placed('one', 2);
SELECT placed('named', n => 2);
SELECT placed(n => 2, who => 4, label => 'order');
SELECT * FROM placed(who => 5, label => 'order');

-- a cursor is opened where it is read
CREATE FUNCTION opened(who int) RETURNS refcursor LANGUAGE plpgsql
AS $$ DECLARE c refcursor := 'opened'; BEGIN OPEN c FOR SELECT number FROM accounts WHERE owner = who ORDER BY 1; RETURN c; END $$;
SELECT tessera.create_distributed_function('opened', 'who', 'accounts');
BEGIN;
SELECT opened(1);
FETCH ALL FROM opened;
COMMIT;

-- texts that the body makes of values are those of the session
CREATE FUNCTION written(who int) RETURNS text LANGUAGE sql
AS $$SELECT interval '1 day 2 hours' || ' ' || date '2001-02-03' FROM accounts WHERE owner = who AND number = 1$$;
SELECT tessera.create_distributed_function('written', 'who', 'accounts');
EXPLAIN (COSTS OFF) SELECT * FROM written(1) \g | grep -c Shards
SELECT written(1);
SET intervalstyle = 'iso_8601';
SELECT written(1);
SET intervalstyle = 'postgres';
SET datestyle = 'German';
SELECT written(1);
EXPLAIN (COSTS OFF) SELECT * FROM written(1) \g | grep -c Shards
SET datestyle = 'ISO, MDY';
-- so they are when the style has changed since the statement was planned, or within a transaction
PREPARE writes AS SELECT written(1);
EXECUTE writes;
EXECUTE writes;
SET datestyle = 'SQL, DMY';
SET intervalstyle = 'postgres_verbose';
EXECUTE writes;
EXECUTE writes;
BEGIN;
EXECUTE writes;
SAVEPOINT s;
SET LOCAL datestyle = 'ISO, YMD';
EXECUTE writes;
SET LOCAL intervalstyle = 'postgres';
EXECUTE writes;
ROLLBACK TO s;
EXECUTE writes;
COMMIT;
EXECUTE writes;
CREATE PROCEDURE write(who int, fails bool) LANGUAGE plpgsql AS $$
BEGIN
	UPDATE moves SET note = now()::date - now()::date || ' ' || date '2001-02-03' || ' ' || bytea 'ab' WHERE owner = who;
	IF fails THEN RAISE EXCEPTION 'on %', date '2001-02-03' USING ERRCODE = '23514'; END IF;
END $$;
SELECT tessera.create_distributed_function('write', 'who', 'accounts');
SET bytea_output = 'escape';
CALL write(1, false);
SELECT DISTINCT note FROM moves WHERE owner = 1;
CALL write(1, true);
BEGIN;
CALL write(2, false);
SET LOCAL datestyle = 'ISO, MDY';
SET LOCAL bytea_output = 'hex';
CALL write(1, false);
COMMIT;
SELECT DISTINCT owner, note FROM moves WHERE owner <= 2 ORDER BY 1;
RESET bytea_output;
SET datestyle = 'ISO, MDY';
SET intervalstyle = 'postgres';
EXECUTE writes;
CALL write(1, false);
SELECT DISTINCT note FROM moves WHERE owner = 1;
DEALLOCATE writes;

-- an expression of PL/pgSQL that is nothing but a call, below no statement: at commit
CREATE TABLE watched (who int);
CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql
AS $$ DECLARE found text; BEGIN found := placed('watched', NEW.who); RAISE NOTICE '%', found; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER watch AFTER INSERT ON watched DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION watch();
INSERT INTO watched VALUES (6);
DROP TABLE watched;

-- a statement about other shards is an error, never half an answer
CREATE PROCEDURE other(who int, what text) LANGUAGE plpgsql AS $$
BEGIN
	CASE what
	WHEN 'write' THEN UPDATE accounts SET balance = 0 WHERE owner = who + 1;
	WHEN 'read' THEN PERFORM 1 FROM accounts WHERE owner = who + 1;
	WHEN 'insert' THEN INSERT INTO accounts VALUES (who + 1, 9, 0);
	WHEN 'key' THEN UPDATE accounts SET owner = who + 1 WHERE owner = who;
	WHEN 'all' THEN PERFORM sum(balance) FROM accounts;
	WHEN 'delete' THEN DELETE FROM moves;
	WHEN 'dynamic' THEN EXECUTE 'DELETE FROM accounts WHERE owner = $1' USING who + 1;
	WHEN 'reference' THEN UPDATE fees SET fee = 2;
	WHEN 'lock' THEN PERFORM 1 FROM accounts, fees WHERE owner = who FOR UPDATE;
	WHEN 'lock ours' THEN PERFORM 1 FROM accounts, fees WHERE owner = who FOR UPDATE OF accounts;
	WHEN 'default' THEN INSERT INTO moves (owner, amount) VALUES (who, 1);
	WHEN 'local' THEN PERFORM 1 FROM notes;
	WHEN 'ddl' THEN CREATE TABLE made (i int);
	WHEN 'truncate' THEN TRUNCATE moves;
	WHEN 'notify' THEN NOTIFY something;
	WHEN 'set' THEN SET timezone = 'UTC';
	WHEN 'commit' THEN COMMIT;
	WHEN 'same' THEN UPDATE accounts SET owner = who WHERE owner = who;
	END CASE;
END $$;
SELECT tessera.create_distributed_function('other', 'who', 'accounts');
SELECT min(k) AS k FROM generate_series(1, 30) k
WHERE (SELECT shard_id FROM tessera.shard_of('accounts', k)) <> (SELECT shard_id FROM tessera.shard_of('accounts', k + 1)) \gset
\set VERBOSITY sqlstate
CALL other(:k, 'write');
CALL other(:k, 'read');
CALL other(:k, 'insert');
CALL other(:k, 'key');
CALL other(:k, 'all');
CALL other(:k, 'delete');
CALL other(:k, 'dynamic');
CALL other(:k, 'reference');
CALL other(:k, 'lock');
CALL other(:k, 'lock ours');
CALL other(:k, 'default');
CALL other(:k, 'local');
CALL other(:k, 'ddl');
CALL other(:k, 'truncate');
CALL other(:k, 'notify');
CALL other(:k, 'set');
CALL other(:k, 'commit');
CALL other(:k, 'same');
\set VERBOSITY default
CALL other(:k, 'all');
CALL other(:k, 'write');
CALL other(:k, 'reference');
CALL other(:k, 'lock');
CALL other(:k, 'commit');
\set VERBOSITY terse

-- what changes the function changes its copies
CREATE OR REPLACE FUNCTION total(who int) RETURNS numeric STABLE LANGUAGE plpgsql
AS 'BEGIN RETURN (SELECT -sum(balance) FROM accounts WHERE owner = who); END';
SELECT total(8);
ALTER FUNCTION total(int) RENAME TO summed;
SELECT summed(8);
CREATE SCHEMA functions_too;
ALTER FUNCTION summed(int) SET SCHEMA functions_too;
SELECT functions_too.summed(8);
ALTER FUNCTION functions_too.summed(int) SET search_path = functions;
SELECT function, search_path FROM tessera.functions WHERE function = 'functions_too.summed'::regproc;
SELECT functions_too.summed(8);
ALTER FUNCTION functions_too.summed(int) STRICT;
SELECT functions_too.summed(NULL);
DROP FUNCTION functions_too.summed(int);
DROP SCHEMA functions_too;
SELECT count(*) FROM tessera.functions WHERE function::text LIKE '%summed%';

-- another search_path than the one it was distributed with: it runs here
SET search_path = functions;
EXPLAIN (COSTS OFF) SELECT * FROM all_of(3) \g | grep -c Shards
SELECT * FROM all_of(3);
SET search_path = functions, public;
-- so it does where a temporary table hides one of the group's
CREATE TEMP TABLE accounts (owner int, number int, balance numeric);
SELECT * FROM all_of(3);
DROP TABLE pg_temp.accounts;
SELECT * FROM all_of(3);

-- a function without a key is on all nodes, for others to call
CREATE FUNCTION rounded(x numeric) RETURNS numeric STABLE LANGUAGE sql AS 'SELECT round(x)';
CREATE FUNCTION rough(who int) RETURNS numeric LANGUAGE sql
AS 'SELECT functions.rounded(sum(balance)) FROM accounts WHERE owner = who';
SELECT tessera.create_distributed_function('rounded');
SELECT tessera.create_distributed_function('rough(int)'::regprocedure, '1', 'accounts'::regclass);
SELECT rough(9);
CREATE OR REPLACE FUNCTION rounded(x numeric) RETURNS numeric STABLE LANGUAGE sql AS 'SELECT round(x) + 0.25';
SELECT rough(9);

-- tables that join the group later are the function's, too
CREATE TABLE late (owner int PRIMARY KEY, x int);
SELECT tessera.create_distributed_table('late', 'owner', colocate_with => 'accounts');
INSERT INTO late VALUES (1, 11), (2, 22);
CREATE OR REPLACE FUNCTION rough(who int) RETURNS numeric LANGUAGE sql AS 'SELECT x FROM late WHERE owner = who';
SELECT rough(2);

-- what is altered of tables is known to it
ALTER TABLE late RENAME TO later;
ALTER TABLE later RENAME COLUMN owner TO who;
CREATE OR REPLACE FUNCTION rough(who int) RETURNS numeric LANGUAGE sql AS 'SELECT x FROM later WHERE later.who = rough.who';
SELECT rough(2);

-- who may call it
CREATE ROLE regress_functions_user;
GRANT USAGE ON SCHEMA functions TO regress_functions_user;
REVOKE EXECUTE ON FUNCTION rough(int) FROM PUBLIC;
SET ROLE regress_functions_user;
\set VERBOSITY sqlstate
SELECT rough(1);
SELECT all_of(1);
SELECT tessera.undistribute_function('rough');
SELECT tessera.create_distributed_function('rough', 'who', 'accounts');
\set VERBOSITY terse
RESET ROLE;

-- what cannot be distributed
CREATE FUNCTION made() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION atomic(who int) RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM accounts WHERE owner = who; END;
CREATE FUNCTION by_row(a accounts) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE agg(int) (sfunc = int4pl, stype = int);
\set VERBOSITY default
SELECT tessera.create_distributed_function('made');
SELECT tessera.create_distributed_function('atomic', 'who', 'accounts');
SELECT tessera.create_distributed_function('by_row');
SELECT tessera.create_distributed_function('agg', '1', 'accounts');
SELECT tessera.create_distributed_function('pg_catalog.int4pl', '1', 'accounts');
SELECT tessera.create_distributed_function('nothing', '1', 'accounts');
SELECT tessera.create_distributed_function(NULL::text);
SELECT tessera.create_distributed_function('pay', 'nobody', 'accounts');
SELECT tessera.undistribute_function('pay');
SELECT tessera.create_distributed_function('pay', 'nobody', 'accounts');
SELECT tessera.create_distributed_function('pay', '$4', 'accounts');
SELECT tessera.create_distributed_function('pay', 'note', 'accounts');
SELECT tessera.create_distributed_function('pay', 'who', 'fees');
SELECT tessera.create_distributed_function('pay', 'who', 'nowhere');
SELECT tessera.create_distributed_function('pay', NULL, 'accounts');
SELECT tessera.undistribute_function('pay');
\set VERBOSITY terse

-- undistributed, it runs here again, and nothing is left in the shards
SELECT tessera.create_distributed_function('pay', 'who', 'accounts');
SELECT tessera.undistribute_function('pay');
CALL pay(10, 1);
SELECT success, result FROM tessera.run_on_nodes(
	$$SELECT count(*) FROM pg_proc WHERE proname = 'pay' AND pronamespace::regnamespace::text LIKE 'functions_%'$$)
GROUP BY 1, 2;

-- with the last table of its group it becomes an ordinary one
DROP FUNCTION atomic, by_row;
DROP TABLE later, moves;
DROP TABLE accounts;
SELECT function, key_argument FROM tessera.functions;
DROP SCHEMA functions CASCADE;
DROP ROLE regress_functions_user;
SELECT success, result FROM tessera.run_on_nodes(
	$$SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'functions%'$$) GROUP BY 1, 2;
