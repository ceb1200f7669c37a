-- Triggers of users on distributed and reference tables.
CREATE SCHEMA triggers;
CREATE SCHEMA triggers_twin;
SET tessera.shard_count = 4;
SET client_min_messages = warning;
SET search_path = triggers;
\set VERBOSITY terse

-- the same tables twice: local ones in triggers_twin
CREATE TABLE users (user_id bigint PRIMARY KEY, name text, post_count int NOT NULL DEFAULT 0, last_post date);
CREATE TABLE posts (user_id bigint REFERENCES users ON DELETE CASCADE, post_id int, title text, posted date DEFAULT '2020-01-01',
	edits int NOT NULL DEFAULT 0, PRIMARY KEY (user_id, post_id));
CREATE TABLE history (user_id bigint, post_id int, what text);
CREATE TABLE triggers_twin.users (LIKE users INCLUDING ALL);
CREATE TABLE triggers_twin.posts (LIKE posts INCLUDING ALL,
	FOREIGN KEY (user_id) REFERENCES triggers_twin.users ON DELETE CASCADE);
CREATE TABLE triggers_twin.history (LIKE history INCLUDING ALL);
-- nothing that is there when a table is distributed fires
INSERT INTO users SELECT i, 'user ' || i FROM generate_series(1, 12) i;
INSERT INTO triggers_twin.users SELECT * FROM users;

SELECT $$
CREATE FUNCTION count_posts() RETURNS trigger LANGUAGE plpgsql AS $f$
BEGIN
	IF TG_OP <> 'INSERT' THEN
		UPDATE users SET post_count = post_count - 1 WHERE user_id = OLD.user_id;
	END IF;
	IF TG_OP <> 'DELETE' THEN
		UPDATE users SET post_count = post_count + 1, last_post = greatest(last_post, NEW.posted)
			WHERE user_id = NEW.user_id;
	END IF;
	RETURN NULL;
END $f$;
CREATE TRIGGER count_posts AFTER INSERT OR UPDATE OR DELETE ON posts FOR EACH ROW EXECUTE FUNCTION count_posts();
CREATE FUNCTION edit_post() RETURNS trigger LANGUAGE plpgsql AS $f$
BEGIN
	IF NEW.title = 'nothing' THEN
		RETURN NULL;
	END IF;
	NEW.title = initcap(NEW.title);
	IF TG_OP = 'UPDATE' THEN
		NEW.edits = OLD.edits + 1;
	END IF;
	RETURN NEW;
END $f$;
CREATE TRIGGER edit_post BEFORE INSERT OR UPDATE OF title, posted ON posts FOR EACH ROW EXECUTE FUNCTION edit_post();
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $f$
BEGIN
	INSERT INTO history VALUES (OLD.user_id, OLD.post_id, TG_OP || ' ' || TG_NAME || ' ' || TG_TABLE_NAME || ' ' || TG_ARGV[0]);
	IF OLD.title = 'Stays' THEN
		RETURN NULL;
	END IF;
	RETURN OLD;
END $f$;
CREATE TRIGGER "Keep it" BEFORE DELETE ON posts FOR EACH ROW WHEN (OLD.post_id > 0) EXECUTE FUNCTION keep('it''s \ kept');
$$ AS triggers \gset
:triggers
SET search_path = triggers_twin;
:triggers
SET search_path = triggers;
SELECT tessera.create_distributed_table('users', 'user_id', colocate_with => 'none');
SELECT tessera.create_distributed_table('posts', 'user_id', colocate_with => 'users');
SELECT tessera.create_distributed_table('history', 'user_id', colocate_with => 'users');
SELECT function, kind, key_argument, shard_count, search_path FROM tessera.functions WHERE search_path = '{triggers}' ORDER BY 1;

-- what a statement gives in the twin, it gives here
CREATE FUNCTION public.triggers_both(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	found_here bigint;
	found_there bigint;
	rest bigint;
BEGIN
	SET LOCAL search_path = triggers_twin;
	EXECUTE statement;
	GET DIAGNOSTICS found_there = ROW_COUNT;
	SET LOCAL search_path = triggers;
	EXECUTE statement;
	GET DIAGNOSTICS found_here = ROW_COUNT;
	SELECT count(*) INTO rest FROM (
		(TABLE triggers.users EXCEPT ALL TABLE triggers_twin.users) UNION ALL
		(TABLE triggers_twin.users EXCEPT ALL TABLE triggers.users)) u;
	SELECT rest + count(*) INTO rest FROM (
		(TABLE triggers.posts EXCEPT ALL TABLE triggers_twin.posts) UNION ALL
		(TABLE triggers_twin.posts EXCEPT ALL TABLE triggers.posts)) p;
	SELECT rest + count(*) INTO rest FROM (
		(TABLE triggers.history EXCEPT ALL TABLE triggers_twin.history) UNION ALL
		(TABLE triggers_twin.history EXCEPT ALL TABLE triggers.history)) h;
	IF rest = 0 AND found_here = found_there THEN
		RETURN 'same, ' || found_here;
	END IF;
	RETURN format('%s rows of tables differ; %s here, %s there', rest, found_here, found_there);
END $$;
SELECT statement, public.triggers_both(statement) FROM (VALUES
	(1, 'INSERT INTO posts VALUES (1, 1, ''one'')'),
	(2, 'INSERT INTO posts VALUES (1, 2, ''nothing'')'),
	(3, 'INSERT INTO posts VALUES (1, 2, ''two''), (2, 1, ''nothing''), (3, 1, ''three''), (3, 2, NULL)'),
	(4, 'INSERT INTO posts SELECT u, 10 + p, CASE WHEN p = 3 THEN ''nothing'' ELSE ''some'' END, date ''2021-01-01'' + p FROM generate_series(1, 12) u, generate_series(1, 5) p'),
	(5, 'INSERT INTO posts SELECT user_id, 20, name FROM users WHERE user_id > 6'),
	(6, 'UPDATE posts SET title = ''changed'' WHERE user_id = 1 AND post_id = 1'),
	(7, 'UPDATE posts SET title = ''nothing'' WHERE user_id = 1 AND post_id = 1'),
	(8, 'UPDATE posts SET title = title || '' more'', posted = posted + 1 WHERE post_id IN (1, 12)'),
	(9, 'UPDATE posts SET title = title || floor(random()) WHERE post_id = 14'),
	(10, 'UPDATE posts SET title = ''of '' || name FROM users u WHERE u.user_id = posts.user_id AND post_id = 15'),
	(11, 'UPDATE posts SET edits = 100 WHERE post_id = 11'),
	(12, 'UPDATE posts SET title = ''stays'' WHERE user_id = 4'),
	(13, 'DELETE FROM posts WHERE user_id = 4'),
	(14, 'DELETE FROM posts WHERE post_id = 11'),
	(15, 'DELETE FROM posts WHERE post_id = 12 AND random() >= 0'),
	(16, 'INSERT INTO posts VALUES (1, 1, ''again''), (1, 99, ''new'') ON CONFLICT (user_id, post_id) DO UPDATE SET title = EXCLUDED.title || '' '' || posts.title'),
	(17, 'INSERT INTO posts VALUES (1, 1, ''again'') ON CONFLICT DO NOTHING'),
	(18, 'INSERT INTO posts VALUES (1, 1, ''nothing'') ON CONFLICT (user_id, post_id) DO UPDATE SET title = ''x'''),
	(19, 'MERGE INTO posts USING (VALUES (1, 1, ''merged''), (5, 50, ''new''), (6, 50, ''nothing'')) s(u, p, t) ON user_id = u AND post_id = p WHEN MATCHED THEN UPDATE SET title = t WHEN NOT MATCHED THEN INSERT (user_id, post_id, title) VALUES (u, p, t)'),
	(20, 'MERGE INTO posts USING users u ON u.user_id = posts.user_id AND post_id = 20 WHEN MATCHED AND u.user_id < 9 THEN DELETE WHEN MATCHED THEN UPDATE SET title = name'),
	(21, 'DELETE FROM users WHERE user_id = 12'),
	(22, 'WITH d AS (DELETE FROM posts WHERE post_id = 15 RETURNING user_id) SELECT * FROM d'),
	(23, 'INSERT INTO posts SELECT u, 1000 + p, ''many'' FROM generate_series(1, 3) u, generate_series(1, 800) p'),
	(24, 'DELETE FROM posts WHERE post_id > 1000')
) AS s (number, statement) ORDER BY number;

-- RETURNING has what triggers made; counts have no rows that they left out
INSERT INTO posts VALUES (7, 200, 'returned') RETURNING title, edits;
INSERT INTO posts VALUES (7, 201, 'returned'), (8, 201, 'nothing'), (9, 201, 'too') RETURNING user_id, title;
UPDATE posts SET title = 'nothing' WHERE user_id = 7 AND post_id = 200 RETURNING title;
UPDATE posts SET title = 'once more' WHERE user_id = 7 AND post_id = 200 RETURNING title, edits;
WITH u AS (UPDATE posts SET title = title || floor(random()) WHERE post_id = 201 RETURNING user_id, title, edits) SELECT * FROM u ORDER BY 1;
INSERT INTO posts VALUES (7, 200, 'UPPER') ON CONFLICT (user_id, post_id) DO UPDATE SET title = EXCLUDED.title RETURNING title, edits;
COPY posts (user_id, post_id, title) FROM stdin;
7	300	copied
8	300	nothing
9	300	copied
\.
SELECT user_id, title FROM posts WHERE post_id = 300 ORDER BY 1;
SELECT bool_and(u.post_count = (SELECT count(*) FROM posts p WHERE p.user_id = u.user_id)) FROM users u;

-- a transaction, with a savepoint, and prepared statements
PREPARE post AS INSERT INTO posts VALUES ($1, $2, 'prepared');
BEGIN;
EXECUTE post(1, 400);
EXECUTE post(2, 400);
SAVEPOINT s;
EXECUTE post(3, 400);
EXECUTE post(3, 400);
ROLLBACK TO s;
SELECT sum(post_count) = (SELECT count(*) FROM posts) FROM users;
ROLLBACK;
EXECUTE post(1, 400);
EXECUTE post(1, 401);
EXECUTE post(2, 401);
SELECT sum(post_count) = (SELECT count(*) FROM posts) FROM users;

-- no row gets a key of another shard
CREATE FUNCTION wander() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.user_id = CASE WHEN NEW.what = 'null' THEN NULL ELSE NEW.user_id + 1 END;
	RETURN NEW;
END $$;
CREATE TRIGGER wander BEFORE INSERT OR UPDATE ON history FOR EACH ROW WHEN (NEW.what IN ('go', 'null')) EXECUTE FUNCTION wander();
\set VERBOSITY default
\set SHOW_CONTEXT never
INSERT INTO history SELECT i, i, 'go' FROM generate_series(1, 20) i;
UPDATE history SET what = 'go';
COPY history FROM stdin;
1	1	go
2	2	go
3	3	go
4	4	go
5	5	go
\.
\set VERBOSITY terse
DROP TRIGGER wander ON history;
SELECT count(*) FROM tessera.functions WHERE function::text LIKE '%wander%';
BEGIN;
UPDATE history SET user_id = user_id + 1;
ROLLBACK;

-- a trigger is about its own shard: other keys are errors, and so is what no shard has
CREATE FUNCTION elsewhere() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	CASE NEW.what
	WHEN 'all' THEN UPDATE users SET name = 'x';
	WHEN 'other' THEN UPDATE users SET name = 'x' WHERE user_id = NEW.user_id + 1;
	WHEN 'count' THEN NEW.post_id = (SELECT count(*) FROM users);
	WHEN 'notify' THEN NOTIFY x;
	WHEN 'shell' THEN UPDATE triggers.users SET name = 'x' WHERE user_id = NEW.user_id;
	ELSE UPDATE users SET name = 'own' WHERE user_id = NEW.user_id;
	END CASE;
	RETURN NEW;
END $$;
CREATE TRIGGER elsewhere BEFORE INSERT ON history FOR EACH ROW EXECUTE FUNCTION elsewhere();
INSERT INTO history VALUES (1, 1, 'all');
INSERT INTO history SELECT i, 1, 'other' FROM generate_series(1, 20) i;
INSERT INTO history VALUES (1, 1, 'count');
INSERT INTO history VALUES (1, 1, 'notify');
INSERT INTO history VALUES (1, 1, 'own');
SELECT user_id FROM users WHERE name IN ('own', 'x');
-- also where a foreign key brings it about
CREATE FUNCTION other_user() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE users SET name = 'x' WHERE user_id = OLD.user_id + 1 OR user_id = OLD.user_id;
	RETURN OLD;
END $$;
CREATE TRIGGER other BEFORE DELETE ON posts FOR EACH ROW EXECUTE FUNCTION other_user();
DELETE FROM users WHERE user_id = 11;
DROP TRIGGER other ON posts;

-- altered with the table: off and on, names, comments, functions that are replaced, renamed and moved
CREATE FUNCTION say() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.what = NEW.what || ' ' || TG_NAME || ' 1';
	RETURN NEW;
END $$;
DROP TRIGGER elsewhere ON history;
CREATE TRIGGER say BEFORE INSERT ON history FOR EACH ROW EXECUTE FUNCTION say();
COMMENT ON TRIGGER say ON history IS 'says it';
INSERT INTO history VALUES (1, 1000, 'a');
ALTER TABLE history DISABLE TRIGGER say;
INSERT INTO history VALUES (1, 1000, 'b');
ALTER TABLE history ENABLE REPLICA TRIGGER say;
INSERT INTO history VALUES (1, 1000, 'c');
ALTER TABLE history ENABLE ALWAYS TRIGGER say;
INSERT INTO history VALUES (1, 1000, 'd');
ALTER TRIGGER say ON history RENAME TO "Say it";
INSERT INTO history VALUES (1, 1000, 'e');
CREATE OR REPLACE FUNCTION say() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.what = NEW.what || ' ' || TG_NAME || ' 2';
	RETURN NEW;
END $$;
INSERT INTO history VALUES (1, 1000, 'f');
ALTER FUNCTION say() RENAME TO speak;
INSERT INTO history VALUES (1, 1000, 'g');
CREATE OR REPLACE TRIGGER "Say it" BEFORE INSERT ON history FOR EACH ROW WHEN (NEW.what <> 'h') EXECUTE FUNCTION speak();
INSERT INTO history VALUES (1, 1000, 'h'), (1, 1000, 'i');
ALTER TABLE history DISABLE TRIGGER USER;
INSERT INTO history VALUES (1, 1000, 'j');
ALTER TABLE history ENABLE TRIGGER USER;
BEGIN;
DROP TRIGGER "Say it" ON history;
INSERT INTO history VALUES (1, 1000, 'k');
ROLLBACK;
INSERT INTO history VALUES (1, 1000, 'l');
SELECT what FROM history WHERE post_id = 1000 ORDER BY 1;
SELECT tessera.undistribute_function('speak');
DROP FUNCTION speak();
DROP FUNCTION speak() CASCADE;
INSERT INTO history VALUES (1, 1001, 'silent') RETURNING what;
SELECT count(*) FROM tessera.functions WHERE function::text LIKE '%speak%';
-- one that is of a column goes with it
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.what = 'noted'; RETURN NEW; END $$;
ALTER TABLE history ADD COLUMN noted bool;
CREATE TRIGGER noted BEFORE UPDATE OF noted ON history FOR EACH ROW EXECUTE FUNCTION noted();
UPDATE history SET noted = true WHERE user_id = 1 AND post_id = 1001 RETURNING what;
ALTER TABLE history DROP COLUMN noted;
ALTER TABLE history DROP COLUMN noted CASCADE;
CREATE TRIGGER noted BEFORE UPDATE ON history FOR EACH ROW EXECUTE FUNCTION noted();
UPDATE history SET what = 'x' WHERE user_id = 1 AND post_id = 1001 RETURNING what;
DROP TRIGGER noted ON history;

-- constraint triggers, deferred: at the end of the transaction
CREATE FUNCTION check_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF (SELECT count(*) FROM history WHERE user_id = NEW.user_id AND post_id = 2000) > 1 THEN
		RAISE EXCEPTION 'too many of %', NEW.user_id USING ERRCODE = '23514';
	END IF;
	RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER check_count AFTER INSERT OR UPDATE ON history DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION check_count();
BEGIN;
INSERT INTO history VALUES (1, 2000, 'a'), (1, 2000, 'b'), (2, 2000, 'c');
DELETE FROM history WHERE user_id = 1 AND what = 'b';
COMMIT;
BEGIN;
INSERT INTO history VALUES (1, 2000, 'b');
COMMIT;
BEGIN;
INSERT INTO history VALUES (1, 2000, 'b');
SET CONSTRAINTS ALL IMMEDIATE;
ROLLBACK;
INSERT INTO history VALUES (1, 2000, 'b');
SELECT count(*) FROM history WHERE post_id = 2000;
ALTER TRIGGER check_count ON history RENAME TO checked;
ALTER FUNCTION check_count() RENAME TO checks;
INSERT INTO history VALUES (1, 2000, 'b');
DROP TRIGGER checked ON history;
INSERT INTO history VALUES (1, 2000, 'b');

-- rows move as between partitions: they are deleted and inserted
CREATE FUNCTION moves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP = 'INSERT' THEN
		NEW.what = NEW.what || ' came';
		RETURN NEW;
	END IF;
	RETURN OLD;
END $$;
CREATE TRIGGER moves BEFORE INSERT OR DELETE ON history FOR EACH ROW EXECUTE FUNCTION moves();
INSERT INTO history SELECT i, 3000, 'row' FROM generate_series(1, 8) i;
UPDATE history SET user_id = user_id + 100 WHERE post_id = 3000;
SELECT count(*), bool_and(what LIKE 'row came%'), count(*) FILTER (WHERE what = 'row came came') > 0 FROM history WHERE post_id = 3000;
DROP TRIGGER moves ON history;
UPDATE posts SET user_id = user_id + 1;
-- only rows that move: object mappers set the key to what it is
PREPARE save(bigint, text, bigint) AS UPDATE posts SET user_id = $1, title = $2 WHERE user_id = $3 AND post_id = 1 RETURNING user_id, title;
SET plan_cache_mode = force_generic_plan;
BEGIN;
EXECUTE save(3, 'saved again', 3);
\set VERBOSITY sqlstate
EXECUTE save(2, 'saved', 3);
\set VERBOSITY terse
ROLLBACK;
RESET plan_cache_mode;
BEGIN;
WITH changed AS (UPDATE posts p SET user_id = u.user_id, title = 'by join' FROM users u WHERE u.user_id = p.user_id AND u.user_id < 4 RETURNING title)
SELECT title, count(*) > 0 FROM changed GROUP BY title;
MERGE INTO posts p USING users u ON u.user_id = p.user_id AND u.user_id < 4 WHEN MATCHED THEN UPDATE SET user_id = (SELECT u.user_id), title = 'merged';
SELECT DISTINCT title FROM posts WHERE user_id < 4;
ROLLBACK;

-- what triggers change is not changed by another part, nor seen by the rest of the statement
WITH i AS (INSERT INTO posts VALUES (1, 500, 'a'), (2, 500, 'b') RETURNING user_id) UPDATE users SET post_count = 0 WHERE user_id < 3;
SELECT (SELECT sum(post_count) FROM users WHERE user_id < 3) AS before \gset
WITH i AS (INSERT INTO posts VALUES (1, 500, 'a'), (2, 500, 'b') RETURNING user_id) SELECT count(DISTINCT i.user_id), sum(post_count) = :before FROM i CROSS JOIN users u WHERE u.user_id < 3 GROUP BY i.user_id;
-- only triggers of what happens, and what they name, are in the way of other parts
BEGIN;
CREATE TABLE things (user_id bigint REFERENCES users, id int, n int DEFAULT 0, PRIMARY KEY (user_id, id));
CREATE TABLE log (user_id bigint, what text);
SELECT tessera.create_distributed_table('things', 'user_id', colocate_with => 'users'), tessera.create_distributed_table('log', 'user_id', colocate_with => 'users');
INSERT INTO things SELECT i, 1 FROM generate_series(1, 5) i;
CREATE FUNCTION computes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.n = coalesce(OLD.n, 0) + 1; RETURN NEW; END $$;
CREATE FUNCTION logs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (coalesce(NEW.user_id, OLD.user_id), TG_OP); RETURN NULL; END $$;
CREATE FUNCTION runs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'SELECT 1'; RETURN NULL; END $$;
CREATE TRIGGER computes BEFORE UPDATE ON things FOR EACH ROW EXECUTE FUNCTION computes();
CREATE TRIGGER logs AFTER INSERT OR UPDATE ON things FOR EACH ROW EXECUTE FUNCTION logs();
WITH u AS (UPDATE things SET n = n WHERE user_id < 4 RETURNING *) INSERT INTO things SELECT user_id, id + 1 FROM u;
SELECT n, count(*) FROM things GROUP BY n ORDER BY n;
SELECT what, count(*) FROM log GROUP BY what ORDER BY what;
WITH u AS (UPDATE things SET n = 10 WHERE id = 1 RETURNING user_id), v AS (UPDATE users SET name = 'by part' FROM u WHERE u.user_id = users.user_id RETURNING users.user_id) DELETE FROM things WHERE id = 2 RETURNING (SELECT count(*) FROM v) AS named, n;
CREATE TRIGGER runs AFTER DELETE ON things FOR EACH ROW EXECUTE FUNCTION runs();
WITH i AS (INSERT INTO things VALUES (1, 3), (2, 3) RETURNING user_id) UPDATE things SET n = 20 FROM i WHERE i.user_id = things.user_id AND id = 1;
\set VERBOSITY sqlstate
SAVEPOINT s;
WITH i AS (INSERT INTO things VALUES (1, 4), (2, 4) RETURNING user_id) DELETE FROM things USING i WHERE i.user_id = things.user_id AND id = 1;
ROLLBACK TO s;
WITH i AS (INSERT INTO things VALUES (1, 4), (2, 4) RETURNING user_id) UPDATE log SET what = 'part' FROM i WHERE i.user_id = log.user_id;
ROLLBACK TO s;
CREATE OR REPLACE FUNCTION computes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.n = (SELECT count(*) FROM log WHERE user_id = NEW.user_id); RETURN NEW; END $$;
WITH i AS (INSERT INTO things VALUES (1, 4), (2, 4) RETURNING user_id) UPDATE things SET n = 5 WHERE user_id < 3 AND id = 1;
\set VERBOSITY terse
ROLLBACK;

-- those that see a statement are refused, but before TRUNCATE
CREATE FUNCTION statement() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING '% % of % rows', TG_WHEN, TG_OP, (SELECT count(*) FROM triggers.history); RETURN NULL; END $$;
\set VERBOSITY default
CREATE TRIGGER s AFTER TRUNCATE ON history EXECUTE FUNCTION statement();
CREATE TRIGGER s AFTER INSERT ON history REFERENCING NEW TABLE AS n FOR EACH ROW EXECUTE FUNCTION statement();
CREATE CONSTRAINT TRIGGER s AFTER INSERT ON history FROM users FOR EACH ROW EXECUTE FUNCTION statement();
\set VERBOSITY terse
CREATE TRIGGER s BEFORE TRUNCATE ON history EXECUTE FUNCTION statement();
ALTER TRIGGER s ON history RENAME TO t;
ALTER TABLE history DISABLE TRIGGER t;
ALTER TABLE history ENABLE TRIGGER t;
COMMENT ON TRIGGER t ON history IS 'here';
DELETE FROM history WHERE user_id > 1;
TRUNCATE history;
DROP TRIGGER t ON history;

-- built-in functions; one function for several groups; local tables
CREATE TABLE other (id text PRIMARY KEY, what text, user_id bigint);
SELECT tessera.create_distributed_table('other', 'id', colocate_with => 'none');
CREATE TRIGGER same BEFORE UPDATE ON other FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE TRIGGER noted BEFORE INSERT ON other FOR EACH ROW EXECUTE FUNCTION noted();
CREATE TRIGGER noted BEFORE INSERT ON history FOR EACH ROW EXECUTE FUNCTION noted();
INSERT INTO other VALUES ('a', 'x', 1), ('b', 'x', 2) RETURNING what;
INSERT INTO history VALUES (1, 1, 'x') RETURNING what;
UPDATE other SET what = 'noted' RETURNING id;
SELECT function, count(DISTINCT colocation_id) FROM tessera.functions WHERE function::text LIKE '%noted%' GROUP BY 1;
DROP TABLE other;
SELECT function, count(DISTINCT colocation_id) FROM tessera.functions WHERE function::text LIKE '%noted%' GROUP BY 1;

-- a view with INSTEAD OF triggers works here
CREATE VIEW titles AS SELECT u.name, p.user_id, p.post_id, p.title FROM posts p JOIN users u USING (user_id);
CREATE FUNCTION change_title() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP = 'INSERT' THEN
		INSERT INTO posts (user_id, post_id, title) VALUES (NEW.user_id, NEW.post_id, NEW.title);
		RETURN NEW;
	ELSIF TG_OP = 'UPDATE' THEN
		UPDATE posts SET title = NEW.title WHERE user_id = OLD.user_id AND post_id = OLD.post_id;
		RETURN NEW;
	END IF;
	DELETE FROM posts WHERE user_id = OLD.user_id AND post_id = OLD.post_id;
	RETURN OLD;
END $$;
CREATE TRIGGER change_title INSTEAD OF INSERT OR UPDATE OR DELETE ON titles FOR EACH ROW EXECUTE FUNCTION change_title();
INSERT INTO titles VALUES ('', 3, 700, 'by a view'), ('', 5, 700, 'by a view') RETURNING user_id;
WITH u AS (UPDATE titles SET title = 'again' WHERE post_id = 700 RETURNING user_id) SELECT * FROM u ORDER BY 1;
SELECT user_id, title, edits FROM posts WHERE post_id = 700 ORDER BY 1;
DELETE FROM titles WHERE post_id = 700;
SELECT count(*) FROM posts WHERE post_id = 700;
SELECT bool_and(u.post_count = (SELECT count(*) FROM posts p WHERE p.user_id = u.user_id)) FROM users u;

-- reference tables: triggers run once, here, and all copies get what came of it
CREATE TABLE kinds (id int PRIMARY KEY, name text, changed int DEFAULT 0);
CREATE TABLE kinds_log (id serial, what text, rows int);
CREATE FUNCTION kind() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.name = 'nothing' THEN
		RETURN NULL;
	END IF;
	NEW.name = upper(NEW.name);
	NEW.changed = NEW.changed + 1 + floor(random());
	RETURN NEW;
END $$;
CREATE FUNCTION log_kinds() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO triggers.kinds_log (what, rows) SELECT TG_OP || ' ' || TG_LEVEL, count(*) FROM triggers.kinds;
	RETURN NULL;
END $$;
CREATE TRIGGER kind BEFORE INSERT OR UPDATE ON kinds FOR EACH ROW EXECUTE FUNCTION kind();
SELECT tessera.create_reference_table('kinds');
SELECT tessera.create_distributed_table('kinds_log', 'id', colocate_with => 'none');
CREATE TRIGGER logged AFTER INSERT OR UPDATE OR DELETE ON kinds FOR EACH ROW EXECUTE FUNCTION log_kinds();
CREATE TRIGGER logged_all AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON kinds FOR EACH STATEMENT EXECUTE FUNCTION log_kinds();
INSERT INTO kinds VALUES (1, 'a'), (2, 'nothing'), (3, 'c') RETURNING *;
INSERT INTO kinds SELECT i, 'more' FROM generate_series(4, 6) i;
UPDATE kinds SET id = id + 10 WHERE id > 4 RETURNING *;
UPDATE kinds SET name = 'nothing' WHERE id = 1;
DELETE FROM kinds WHERE id = 3;
INSERT INTO kinds VALUES (1, 'b') ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name || kinds.name;
SELECT * FROM kinds ORDER BY 1;
SELECT DISTINCT success, result FROM tessera.run_on_nodes($$SELECT string_agg(k::text, ' ' ORDER BY id) FROM triggers.kinds k$$) WHERE success;
SELECT what, rows, count(*) FROM kinds_log GROUP BY 1, 2 ORDER BY 1, 2;
-- not by COPY, nor into the table itself, nor where foreign keys change it
COPY kinds FROM '/dev/null';
CREATE FUNCTION more_kinds() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.id < 100 THEN
		INSERT INTO triggers.kinds VALUES (NEW.id + 100, 'by a trigger');
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER more BEFORE INSERT ON kinds FOR EACH ROW EXECUTE FUNCTION more_kinds();
INSERT INTO kinds VALUES (20, 'x');
DROP TRIGGER more ON kinds;
CREATE TRIGGER more AFTER INSERT ON kinds FOR EACH ROW EXECUTE FUNCTION more_kinds();
INSERT INTO kinds VALUES (20, 'x');
CREATE TABLE parts (id int PRIMARY KEY, kind int REFERENCES kinds ON DELETE CASCADE ON UPDATE CASCADE, name text, changed int DEFAULT 0);
SELECT tessera.create_reference_table('parts');
INSERT INTO parts VALUES (1, 1), (2, 4);
CREATE TRIGGER logged AFTER DELETE ON parts FOR EACH ROW EXECUTE FUNCTION log_kinds();
DELETE FROM kinds WHERE id = 4;
CREATE TRIGGER kind BEFORE UPDATE ON parts FOR EACH ROW EXECUTE FUNCTION kind();
DELETE FROM kinds WHERE id = 1;
DROP TRIGGER kind ON parts;
DELETE FROM kinds WHERE id = 1;
SELECT DISTINCT success, result FROM tessera.run_on_nodes($$SELECT (SELECT string_agg(k::text, ' ' ORDER BY id) FROM triggers.kinds k) || (SELECT count(*) FROM triggers.parts)$$) WHERE success;
SELECT string_agg(k::text, ' ' ORDER BY id), (SELECT count(*) FROM parts) FROM kinds k;
ALTER TABLE kinds DISABLE TRIGGER kind;
ALTER TRIGGER logged_all ON kinds RENAME TO renamed;
COMMENT ON TRIGGER renamed ON kinds IS 'not in copies';
TRUNCATE kinds CASCADE;
SELECT what, rows, count(*) FROM kinds_log WHERE what LIKE 'TR%' GROUP BY 1, 2;

-- bodies find the tables by the names that they had: when schemas are renamed, and tables are moved
CREATE SCHEMA triggers_moved;
CREATE SCHEMA triggers_functions;
ALTER FUNCTION count_posts() SET SCHEMA triggers_functions;
INSERT INTO posts VALUES (9, 900, 'function moved');
ALTER TABLE users SET SCHEMA triggers_moved;
INSERT INTO posts VALUES (9, 901, 'users moved');
ALTER SCHEMA triggers RENAME TO triggers_new;
ALTER SCHEMA triggers_moved RENAME TO triggers_users;
ALTER SCHEMA triggers_functions RENAME TO triggers_code;
SET search_path = triggers_new;
INSERT INTO posts VALUES (9, 902, 'renamed');
SELECT function, search_path FROM tessera.functions WHERE search_path::text LIKE '%triggers%' ORDER BY 1;
SELECT bool_and(u.post_count = (SELECT count(*) FROM posts p WHERE p.user_id = u.user_id)) FROM triggers_users.users u;
ALTER SCHEMA triggers_new RENAME TO triggers;
SET search_path = triggers;
ALTER TABLE triggers_users.users SET SCHEMA triggers;
ALTER FUNCTION triggers_code.count_posts() SET SCHEMA triggers;
DROP SCHEMA triggers_users;
DROP SCHEMA triggers_code;
INSERT INTO posts VALUES (9, 903, 'as before');
SELECT bool_and(u.post_count = (SELECT count(*) FROM posts p WHERE p.user_id = u.user_id)) FROM users u;

-- back home they are the table's, and go with it
SELECT tessera.undistribute_table('posts');
SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = 'posts'::regclass AND NOT tgisinternal ORDER BY 1;
BEGIN;
INSERT INTO posts VALUES (1, 800, 'home') RETURNING title;
ROLLBACK;
SELECT tessera.create_distributed_table('posts', 'user_id', colocate_with => 'users');
INSERT INTO posts VALUES (1, 800, 'away again') RETURNING title;
SELECT count(*) FROM tessera.functions WHERE 'triggers' = ANY (search_path);
DROP SCHEMA triggers CASCADE;
DROP SCHEMA triggers_twin CASCADE;
DROP FUNCTION public.triggers_both(text);
SELECT count(*) FROM tessera.functions;
SELECT count(*) FROM tessera.run_on_nodes('DROP SCHEMA IF EXISTS triggers CASCADE');
