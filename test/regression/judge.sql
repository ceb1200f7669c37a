-- What a session of PostgreSQL's regression queries is helped with on the sides
-- that are not plain PostgreSQL.  What the functions return is a note for
-- compare.pl, one line each.
CREATE SCHEMA judge;
ALTER DEFAULT PRIVILEGES IN SCHEMA judge GRANT SELECT ON TABLES TO PUBLIC;
GRANT USAGE ON SCHEMA judge TO PUBLIC;

-- Plain tables of users; inherited, partitioned and temporary ones are not.
CREATE VIEW judge.plain_table AS
SELECT c.oid::regclass AS relation, c.relname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND NOT c.relispartition
	AND n.nspname !~ '^(pg_|information_schema$|tessera|judge$)'
	AND NOT EXISTS (SELECT FROM pg_inherits i WHERE c.oid IN (i.inhrelid, i.inhparent));

-- Distributes each new table by the first column that can be its key, or makes it
-- a reference table if none can; as the current role, because a transaction cannot
-- be of two on the nodes.  Says for how many tables of a statement that was done,
-- now or earlier.
CREATE FUNCTION judge.distribute(statement text) RETURNS SETOF text
LANGUAGE plpgsql
SET search_path = pg_catalog SET client_min_messages = error AS $$
DECLARE
	t judge.plain_table;
	key name;
	kind text;
	reason text;
BEGIN
	FOR t IN
		SELECT * FROM judge.plain_table
		WHERE relation NOT IN (SELECT relation FROM tessera."table") ORDER BY relation
	LOOP
		kind := 'local';
		FOR key IN
			SELECT a.attname FROM pg_attribute a
			WHERE a.attrelid = t.relation AND a.attnum > 0 AND NOT a.attisdropped
				AND NOT EXISTS (
					SELECT FROM pg_index i
					WHERE i.indrelid = t.relation AND i.indisunique AND a.attnum <> ALL (i.indkey))
			ORDER BY a.attnum
		LOOP
			BEGIN
				PERFORM tessera.create_distributed_table(t.relation, key);
				kind := format('distributed by %s', key);
				EXIT;
			EXCEPTION WHEN OTHERS THEN
				reason := SQLERRM;
			END;
		END LOOP;
		IF kind = 'local' THEN
			BEGIN
				PERFORM tessera.create_reference_table(t.relation);
				kind := 'reference';
			EXCEPTION WHEN OTHERS THEN
				kind := format('local: %s', coalesce(reason, SQLERRM));
			END;
		END IF;
		RETURN NEXT format('@@ table %s %s', t.relation, kind);
	END LOOP;
	RETURN NEXT format('@@ touches %s', (
		SELECT count(*)
		FROM tessera."table" d JOIN pg_class c ON c.oid = d.relation
		WHERE statement ~* format('\m%s\M', c.relname)));
END $$;

-- Makes the tables that a statement names local again: DDL comes.
CREATE FUNCTION judge.withdraw(statement text) RETURNS SETOF text
LANGUAGE plpgsql
SET search_path = pg_catalog SET client_min_messages = error AS $$
DECLARE
	t regclass;
BEGIN
	FOR t IN
		SELECT d.relation
		FROM tessera."table" d JOIN pg_class c ON c.oid = d.relation
		WHERE statement ~* format('\m%s\M', c.relname) ORDER BY d.relation
	LOOP
		BEGIN
			PERFORM tessera.undistribute_table(t);
		EXCEPTION WHEN OTHERS THEN
			RETURN NEXT format('@@ table %s stays distributed: %s', t, SQLERRM);
		END;
	END LOOP;
END $$;

-- Gives the rows of the tables that a statement names, and of their children,
-- another order, once the reverse one or always one that depends on a salt: an
-- answer that changes with it is not determined by the rows.
CREATE FUNCTION judge.shuffle(statement text, salt text) RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog SET client_min_messages = error
SET session_replication_role = replica AS $$
DECLARE
	t regclass;
	done text;
	n bigint;
BEGIN
	FOR t IN
		WITH RECURSIVE named AS (
			SELECT oid FROM pg_class
			WHERE relkind IN ('r', 'p') AND oid >= 16384 AND statement ~* format('\m%s\M', relname)
			UNION
			SELECT inhrelid FROM pg_inherits JOIN named ON inhparent = named.oid)
		SELECT named.oid::regclass FROM named JOIN pg_class c ON c.oid = named.oid
		WHERE c.relkind = 'r' ORDER BY named.oid
	LOOP
		BEGIN
			EXECUTE format('SELECT count(*) FROM ONLY %s', t) INTO n;
			-- large ones once, too
			done := 'judge.t' || t::oid;
			CONTINUE WHEN (n > 500 OR salt = 'reverse') AND current_setting(done, true) = 'shuffled';
			CONTINUE WHEN n < 2;
			PERFORM set_config(done, 'shuffled', false);
			EXECUTE format('WITH gone AS (DELETE FROM ONLY %1$s RETURNING *)
				INSERT INTO %1$s OVERRIDING SYSTEM VALUE
				SELECT * FROM gone ORDER BY %2$s', t,
				CASE salt WHEN 'reverse' THEN 'row_number() OVER () DESC'
					ELSE format('md5(gone::text || %L)', salt) END);
		EXCEPTION WHEN OTHERS THEN
			-- generated columns, say: it stays as it is
			NULL;
		END;
	END LOOP;
	RETURN;
END $$;
