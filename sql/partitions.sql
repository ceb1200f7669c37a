-- partitioned tables: every step is done to a local tree of tables and to one
-- that is distributed, and both are compared: definitions of shells, shards and
-- twins, and the rows with their partitions
CREATE SCHEMA partitions;
CREATE SCHEMA partitions_twin;
CREATE SCHEMA partitions_steps;
SET search_path = partitions_steps;
SET tessera.shard_count = 4;
SET client_min_messages = warning;

-- all tables of a schema in words that are the same for twin, shell and shard
CREATE FUNCTION structure(schema text) RETURNS SETOF text LANGUAGE sql STABLE
SET search_path = pg_catalog SET datestyle = 'ISO' AS $$
    WITH tables AS (
        SELECT c.* FROM pg_class c WHERE c.relnamespace = to_regnamespace(schema) AND c.relkind IN ('r', 'p') AND c.relname <> 'kinds')
    SELECT replace(replace(x.line, schema || '.', ''), 'partitions.', '') FROM (
        SELECT concat_ws(' ', 'table', t.relname, t.relkind, pg_get_partkeydef(t.oid), i.inhparent::regclass,
            pg_get_expr(t.relpartbound, t.oid), t.reloptions::text, pg_get_userbyid(t.relowner), t.relacl::text) AS line
        FROM tables t LEFT JOIN pg_inherits i ON i.inhrelid = t.oid
        UNION ALL
        SELECT concat_ws(' ', 'column', t.relname, row_number() OVER (PARTITION BY t.oid ORDER BY a.attnum), a.attname,
            format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated, a.attinhcount, a.attislocal, a.attstattarget,
            (SELECT e FROM pg_get_expr(d.adbin, t.oid) e WHERE e NOT LIKE 'nextval%'))
        FROM tables t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
            LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        UNION ALL
        SELECT concat_ws(' ', 'constraint', t.relname, CASE WHEN p.conrelid = o.conrelid THEN 'part of' ELSE o.conname END,
            pg_get_constraintdef(o.oid), o.convalidated, o.condeferrable, o.coninhcount, o.conislocal, CASE WHEN p.conrelid <> o.conrelid THEN p.conname END)
        FROM tables t JOIN pg_constraint o ON o.conrelid = t.oid LEFT JOIN pg_constraint p ON p.oid = o.conparentid
        WHERE o.conname <> 'tessera_key' AND o.contype <> 't'
        UNION ALL
        SELECT concat_ws(' ', 'index', pg_get_indexdef(i.indexrelid), i.indisprimary, i.indisvalid, h.inhparent::regclass)
        FROM tables t JOIN pg_index i ON i.indrelid = t.oid LEFT JOIN pg_inherits h ON h.inhrelid = i.indexrelid
        UNION ALL
        SELECT concat_ws(' ', 'trigger', t.relname, g.tgname, g.tgtype, g.tgenabled, (SELECT p.tgname FROM pg_trigger p WHERE p.oid = g.tgparentid))
        FROM tables t JOIN pg_trigger g ON g.tgrelid = t.oid WHERE NOT g.tgisinternal
    ) x $$;
SELECT pg_get_functiondef('structure'::regproc) AS definition \gset
CREATE TABLE all_nodes AS SELECT success FROM tessera.run_on_nodes('CREATE SCHEMA IF NOT EXISTS partitions_steps');
SELECT count(*) > 1 AS several, bool_and(success) FROM tessera.run_on_nodes(:'definition');

-- what all shards say that they have, with the number of those that do
CREATE FUNCTION of_shards() RETURNS TABLE (line text, shards bigint) LANGUAGE sql AS $$
    SELECT d, count(*) FROM tessera.run_on_nodes(
        'SELECT string_agg(d, E''\f'') FROM pg_namespace n, partitions_steps.structure(nspname::text) d
         WHERE n.nspname ~ ''^partitions_\d+$''') s, unnest(string_to_array(s.result, E'\f')) d GROUP BY d $$;
CREATE FUNCTION rows_of(schema text, name text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format('SELECT concat_ws('' '', c.relname, to_jsonb(t)) FROM %I.%I t JOIN pg_class c ON c.oid = t.tableoid', schema, name);
END $$;
CREATE FUNCTION differences() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    twin text[] := array(SELECT structure('partitions_twin'));
    ours text[] := array(SELECT structure('partitions'));
    count int := (SELECT count(*) FROM tessera.shards WHERE colocation_id = (SELECT min(colocation_id) FROM tessera.tables WHERE relation::text LIKE 'partitions.%'));
    name text;
BEGIN
    RETURN QUERY SELECT 'shell: ' || d FROM unnest(ours) d WHERE d <> ALL (twin);
    RETURN QUERY SELECT 'not in the shell: ' || d FROM unnest(twin) d WHERE d <> ALL (ours);
    RETURN QUERY SELECT 'shards: ' || line FROM of_shards() WHERE line <> ALL (twin);
    RETURN QUERY SELECT 'not in all shards: ' || d FROM unnest(twin) d WHERE d NOT IN (SELECT line FROM of_shards() WHERE shards = count)
        AND d NOT LIKE '% events_2024 %' || CASE WHEN to_regclass('partitions.events_2024') IN (SELECT relation FROM tessera.tables) THEN 'x' ELSE '' END;
    FOR name IN SELECT relname FROM pg_class WHERE relnamespace = 'partitions_twin'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition LOOP
        RETURN QUERY SELECT 'ours: ' || r FROM (SELECT rows_of('partitions', name) r EXCEPT ALL SELECT rows_of('partitions_twin', name)) x ORDER BY r;
        RETURN QUERY SELECT 'not ours: ' || r FROM (SELECT rows_of('partitions_twin', name) r EXCEPT ALL SELECT rows_of('partitions', name)) x ORDER BY r;
    END LOOP;
END $$;
-- the rows of a query, or the error
CREATE FUNCTION run(sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
    n bigint;
BEGIN
    IF sql ~* '^(SELECT|TABLE|WITH|[^;]* RETURNING )' AND sql !~* '^WITH.*(INSERT|UPDATE|DELETE)' AND sql !~* '^(INSERT|UPDATE|DELETE)' THEN
        EXECUTE format('SELECT string_agg(x::text, ''; '') FROM (%s) x', sql) INTO result;
        RETURN result;
    END IF;
    IF sql ~* ' RETURNING ' AND sql !~* '^WITH' THEN
        EXECUTE format('WITH x AS (%s) SELECT string_agg(x::text, ''; '' ORDER BY x::text) FROM x', sql) INTO result;
        RETURN result;
    END IF;
    EXECUTE sql;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN NULLIF(n, 0);
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
-- what both give is shown once
CREATE PROCEDURE step(sql text) LANGUAGE plpgsql AS $$
DECLARE
    twin text;
    ours text;
BEGIN
    PERFORM set_config('search_path', 'partitions_twin, partitions_steps', true);
    twin := run(sql);
    PERFORM set_config('search_path', 'partitions, partitions_steps', true);
    ours := run(sql);
    PERFORM set_config('search_path', 'partitions_steps', true);
    COMMIT;
    IF twin IS NOT NULL THEN
        RAISE INFO '%', twin;
    END IF;
    IF twin IS DISTINCT FROM ours THEN
        RAISE INFO 'ours: %', ours;
    END IF;
    FOR ours IN SELECT differences() LOOP
        RAISE INFO '%', ours;
    END LOOP;
END $$;

-- what is refused changes nothing
CREATE PROCEDURE refused(sql text) LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    PERFORM set_config('search_path', 'partitions, partitions_steps', true);
    answer := run(sql);
    PERFORM set_config('search_path', 'partitions_steps', true);
    COMMIT;
    RAISE INFO '%', coalesce(answer, 'done');
    FOR answer IN SELECT differences() LOOP
        RAISE INFO '%', answer;
    END LOOP;
END $$;

-- a tree of several levels: range, list, hash, default partitions, another order
-- of columns, names of its own
CREATE FUNCTION make(schema text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('search_path', schema, true);
    CREATE TABLE kinds (code text PRIMARY KEY);
    CREATE TABLE users (k int PRIMARY KEY, name text);
    CREATE TABLE events (gone int, id int, k int NOT NULL, day date NOT NULL, v text DEFAULT 'none', n numeric CHECK (n >= 0),
        code text REFERENCES kinds, twice numeric GENERATED ALWAYS AS (n * 2) STORED,
        PRIMARY KEY (k, day, id), FOREIGN KEY (k) REFERENCES users ON DELETE CASCADE) PARTITION BY RANGE (day);
    ALTER TABLE events DROP gone;
    CREATE TABLE events_old PARTITION OF events FOR VALUES FROM (MINVALUE) TO ('2020-01-01');
    CREATE TABLE events_2020 PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2021-01-01') PARTITION BY LIST (id);
    CREATE TABLE events_2020_a PARTITION OF events_2020 FOR VALUES IN (20, 21, 22, 23, 24, 25) WITH (fillfactor = 70);
    CREATE TABLE events_2020_rest PARTITION OF events_2020 DEFAULT PARTITION BY HASH (k);
    CREATE TABLE events_2020_rest_0 PARTITION OF events_2020_rest FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE events_2020_rest_1 PARTITION OF events_2020_rest FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    CREATE TABLE events_rest (v text DEFAULT 'rest', n numeric CONSTRAINT events_n_check CHECK (n >= 0), day date NOT NULL, code text, other_gone int,
        k int NOT NULL, twice numeric GENERATED ALWAYS AS (n * 2) STORED, id int NOT NULL,
        CONSTRAINT rest_key PRIMARY KEY (k, day, id), CONSTRAINT rest_user FOREIGN KEY (k) REFERENCES users ON DELETE CASCADE);
    ALTER TABLE events_rest DROP other_gone;
    ALTER TABLE events ATTACH PARTITION events_rest DEFAULT;
    CREATE INDEX events_v ON events (v);
    CREATE INDEX of_rest ON events_rest (n) WHERE n > 5;
    CREATE TABLE notes (k int, day date, id int, note text, PRIMARY KEY (k, day, id, note),
        CONSTRAINT of_event FOREIGN KEY (k, day, id) REFERENCES events ON DELETE CASCADE ON UPDATE CASCADE);
    INSERT INTO kinds VALUES ('a'), ('b'), ('c');
    INSERT INTO users SELECT i, 'user ' || i FROM generate_series(0, 9) i;
    INSERT INTO events (id, k, day, n, code) SELECT i, i % 10, date '2019-11-01' + i * 5, i, chr(97 + i % 3) FROM generate_series(1, 120) i;
    INSERT INTO notes SELECT k, day, id, 'note' FROM events WHERE id % 20 = 0;
END $$;
SELECT make('partitions_twin'), make('partitions');
SELECT 1 FROM (SELECT set_config('search_path', 'partitions_steps', false)) x;

-- a partition alone is refused, and so is a reference table in partitions
SELECT tessera.create_distributed_table('partitions.events_old', 'k');
SELECT tessera.create_reference_table('partitions.events');
SELECT tessera.create_reference_table('partitions.kinds');
SELECT tessera.create_distributed_table('partitions.users', 'k', colocate_with => 'none');
-- the key has to be in the unique constraints
SELECT tessera.create_distributed_table('partitions.events', 'n', colocate_with => 'none');
SELECT tessera.create_distributed_table('partitions.events', 'k', colocate_with => 'partitions.users');
SELECT tessera.create_distributed_table('partitions.notes', 'k', colocate_with => 'partitions.users');
SELECT differences();
SELECT relation::text, kind, key FROM tessera.tables WHERE relation::text LIKE 'partitions.events%' ORDER BY relation::text;

-- queries of the tree, of parts of it, of partitions
CALL step('SELECT count(*), sum(n), min(v), max(day) FROM events');
CALL step('SELECT count(*), sum(n) FROM events_2020');
CALL step('SELECT count(*), sum(n) FROM ONLY events');
CALL step('SELECT count(*), sum(n) FROM ONLY events_rest');
CALL step('SELECT * FROM events WHERE k = 3 AND day < ''2019-12-31'' ORDER BY id');
CALL step('SELECT code, count(*) FROM events WHERE day > ''2020-03-01'' GROUP BY code ORDER BY 1');
CALL step('SELECT tableoid::regclass, count(*) FROM events e GROUP BY e.tableoid ORDER BY e.tableoid::regclass::text');
CALL step('SELECT e.tableoid::regclass, u.name FROM events e JOIN users u USING (k) WHERE id IN (3, 60, 119) ORDER BY id');
CALL step('SELECT u.name, count(e.id) FROM users u LEFT JOIN events e ON e.k = u.k AND e.day >= ''2021-01-01'' GROUP BY u.k, u.name ORDER BY 1 LIMIT 3');
CALL step('SELECT a.id, b.id FROM events a JOIN events_rest b ON a.id + 1 = b.id WHERE a.day < ''2021-01-10'' ORDER BY 1');
CALL step('SELECT e FROM events e WHERE id = 7');
CALL step('SELECT id FROM (SELECT * FROM events_old UNION ALL SELECT * FROM events_2020) x WHERE n < 6 ORDER BY id');
CALL step('SELECT id FROM events ORDER BY day DESC, id LIMIT 3 FOR UPDATE');
CALL step('SELECT (SELECT count(*) FROM events e WHERE e.k = u.k) FROM users u ORDER BY k LIMIT 2');

-- rows are put into their partitions, through the tree and directly
CALL step('INSERT INTO events (id, k, day, n, code) VALUES (200, 1, ''2020-05-05'', 1, ''b''), (201, 2, ''2030-01-01'', 2, NULL), (202, 3, ''2001-01-01'', 3, ''c'') RETURNING *');
CALL step('INSERT INTO events_rest (id, k, day, n) VALUES (203, 4, ''2031-01-01'', 4) RETURNING id, v');
CALL step('INSERT INTO events_2020 (id, k, day, code) VALUES (204, 4, ''2020-01-01'', ''c'')');
CALL step('INSERT INTO events_2020 (id, k, day, code) VALUES (205, 4, ''2021-01-01'', ''c'')');
CALL step('INSERT INTO events (id, k, day, n) VALUES (206, 4, ''2021-01-01'', -1)');
CALL step('INSERT INTO events (id, k, day) VALUES (206, 44, ''2021-01-01'')');
CALL step('INSERT INTO events (id, k, day) VALUES (200, 1, ''2020-05-05'')');
CALL step('INSERT INTO events (id, k, day, n) SELECT id + 1000, k, day, n FROM events_old');
CALL step('INSERT INTO events (id, k, day, n) SELECT row_number() OVER (ORDER BY k) + 2000, k, ''2020-02-02'', k FROM users');
CALL step('INSERT INTO events AS e (id, k, day, n) VALUES (200, 1, ''2020-05-05'', 5), (207, 1, ''2020-05-05'', 5) ON CONFLICT (k, day, id) DO UPDATE SET n = e.n + 10 RETURNING id, n');
CALL step('INSERT INTO events (id, k, day, n) VALUES (200, 1, ''2020-05-05'', 5), (208, 1, ''2020-05-05'', 5) ON CONFLICT DO NOTHING');

-- changes, of one shard and of many, that nodes make and that are made here;
-- rows go to other partitions
CALL step('UPDATE events SET n = n + 1, v = ''changed'' WHERE k = 1 AND day < ''2020-03-01''');
CALL step('UPDATE events SET n = n + 1 WHERE day >= ''2020-12-01''');
CALL step('UPDATE events SET day = day + 366 WHERE id = 200 RETURNING id, day');
CALL step('UPDATE events SET code = ''b'' WHERE id BETWEEN 20 AND 30');
CALL step('UPDATE events SET id = id + 300 WHERE id BETWEEN 22 AND 24');
CALL step('UPDATE events SET id = id - 300 WHERE id = 324');
CALL step('UPDATE events_old SET day = ''2020-07-07'' WHERE id = 1');
CALL step('UPDATE events SET v = id || ''/'' || (SELECT count(*) FROM all_nodes WHERE false) WHERE id % 7 = 0');
CALL step('UPDATE events e SET n = x.n FROM (SELECT id, rank() OVER (ORDER BY id) AS n FROM events) x WHERE x.id = e.id AND e.id < 60');
CALL step('UPDATE events e SET day = day + 400 FROM (SELECT id, rank() OVER (ORDER BY id) AS n FROM events) x WHERE x.id = e.id AND e.id BETWEEN 30 AND 40 RETURNING e.id, e.day, x.n');
CALL step('DELETE FROM events e USING (SELECT id, rank() OVER (ORDER BY id DESC) AS n FROM events) x WHERE x.id = e.id AND x.n < 5 RETURNING e.id, x.n');
CALL step('DELETE FROM events WHERE id % 10 = 9');
CALL step('DELETE FROM events_2020_rest WHERE k = 2');
CALL step('DELETE FROM users WHERE k = 8');
CALL step('WITH moved AS (DELETE FROM events WHERE id = 12 RETURNING id, k, day, n, code) INSERT INTO events (id, k, day, n, code) SELECT id + 5000, k, day + 500, n, code FROM moved');
CALL step('MERGE INTO events e USING (SELECT k, name FROM users) u ON e.k = u.k AND e.id = 5 WHEN MATCHED THEN UPDATE SET v = u.name');
-- the partition of a row that is changed is known in its shard only; nor can a row
-- of many get another key
CALL refused('DELETE FROM events WHERE tableoid = ''events_old''::regclass AND id < 0');
CALL step('UPDATE events SET k = k WHERE id = 3');
CALL refused('UPDATE events SET k = 5 WHERE id = 13');
CALL refused('UPDATE events SET v = ''a'' WHERE id = 3 RETURNING tableoid');

-- COPY and TRUNCATE
CALL step('COPY events (id, k, day, n) FROM PROGRAM ''printf "301\\t1\\t2020-01-02\\t1\\n302\\t2\\t2001-01-02\\t2\\n303\\t3\\t2030-01-02\\t3\\n"''');
CALL step('COPY events FROM PROGRAM ''printf "304,1,2020-01-02,x,1,a\\n" '' (FORMAT csv)');
CALL step('COPY events_old (id, k, day) FROM PROGRAM ''printf "305\\t1\\t2020-01-02\\n"''');
CALL step('COPY events TO PROGRAM ''cat > /dev/null''');
CALL step('COPY events_old TO PROGRAM ''cat > /dev/null''');
CALL step('TRUNCATE events_2020_a');
CALL step('TRUNCATE events_2020_rest, notes');
CALL step('TRUNCATE ONLY events');
CALL step('TRUNCATE events_rest CASCADE');

-- partitions are created
SET client_min_messages = notice;
CALL step('CREATE TABLE events_2022 PARTITION OF events FOR VALUES FROM (''2022-01-01'') TO (''2023-01-01'')');
CALL step('CREATE TABLE IF NOT EXISTS events_2022 PARTITION OF events FOR VALUES FROM (''2022-01-01'') TO (''2023-01-01'')');
CALL step('CREATE TABLE events_2023 PARTITION OF events (v DEFAULT ''new'', CONSTRAINT small CHECK (n < 1000), UNIQUE (k, v)) FOR VALUES FROM (''2023-01-01'') TO (''2024-01-01'') PARTITION BY HASH (k)');
CALL step('CREATE TABLE events_2023_0 PARTITION OF events_2023 FOR VALUES WITH (MODULUS 1, REMAINDER 0)');
CALL refused('CREATE TABLE bad PARTITION OF events (CHECK (n > 0), UNIQUE (day)) FOR VALUES FROM (''2040-01-01'') TO (''2041-01-01'')');
CALL step('CREATE TABLE bad PARTITION OF events FOR VALUES FROM (''2022-05-01'') TO (''2022-06-01'')');
CALL step('INSERT INTO events (id, k, day, n) VALUES (1, 1, ''2022-02-02'', 1), (2, 2, ''2023-02-02'', 2), (3, 3, ''2024-02-02'', 3), (4, 4, ''2025-05-05'', 4)');
CALL step('CREATE TABLE events_2024 PARTITION OF events FOR VALUES FROM (''2024-01-01'') TO (''2025-01-01'')');

SET client_min_messages = warning;

-- rows of the default partition are moved out of it, as pg_partman does it: the
-- new partition gets them while it is a table of its own
CALL step('CREATE TABLE events_2024 (LIKE events INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED)');
CALL step('WITH gone AS (DELETE FROM events_rest WHERE day BETWEEN ''2024-01-01'' AND ''2024-12-31'' RETURNING *) INSERT INTO events_2024 (id, k, day, n) SELECT id, k, day, n FROM gone');
CALL step('ALTER TABLE events ATTACH PARTITION events_2024 FOR VALUES FROM (''2024-01-01'') TO (''2025-01-01'')');
SELECT relation::text FROM tessera.tables WHERE relation::text LIKE '%2024';

-- tables are detached, and stay distributed; attached again, also with rows that
-- do not fit, with other indexes, as a tree
CALL step('ALTER TABLE events DETACH PARTITION events_2022');
CALL step('INSERT INTO events_2022 (id, k, day, n) VALUES (5, 5, ''2030-02-02'', 5)');
CALL step('ALTER TABLE events ATTACH PARTITION events_2022 FOR VALUES FROM (''2022-01-01'') TO (''2023-01-01'')');
CALL step('DELETE FROM events_2022 WHERE id = 5');
CALL step('DROP INDEX events_2022_v_idx');
CALL step('ALTER TABLE events ATTACH PARTITION events_2022 FOR VALUES FROM (''2022-01-01'') TO (''2023-01-01'')');
CALL step('ALTER TABLE events DETACH PARTITION events_2020');
CALL step('SELECT count(*) FROM events_2020');
CALL step('INSERT INTO events (id, k, day) VALUES (6, 6, ''2020-06-06'')');
CALL step('ALTER TABLE events ATTACH PARTITION events_2020 FOR VALUES FROM (''2020-01-01'') TO (''2021-01-01'')');
CALL step('DELETE FROM events WHERE id = 6');
CALL step('ALTER TABLE events ATTACH PARTITION events_2020 FOR VALUES FROM (''2020-01-01'') TO (''2021-01-01'')');
CALL refused('ALTER TABLE events DETACH PARTITION events_2020 CONCURRENTLY');
CREATE TABLE partitions.other (id int, k int, day date, v text, n numeric, code text, twice numeric GENERATED ALWAYS AS (n * 2) STORED);
SELECT tessera.create_distributed_table('partitions.other', 'id', colocate_with => 'none');
SELECT run('ALTER TABLE partitions.events ATTACH PARTITION partitions.other FOR VALUES FROM (''2050-01-01'') TO (''2051-01-01'')');
DROP TABLE partitions.other;
CALL step('DROP TABLE events_2023');
CALL step('ALTER TABLE events DETACH PARTITION events_2023');
CALL step('DROP TABLE events_2023');
CALL step('ALTER TABLE events DETACH PARTITION events_rest');
CALL step('ALTER TABLE events ATTACH PARTITION events_rest DEFAULT');

-- the tree is altered
CALL step('ALTER TABLE events ADD COLUMN extra int DEFAULT 7, ADD CONSTRAINT positive CHECK (extra > 0), ADD UNIQUE (k, day, id, extra)');
CALL step('ALTER TABLE events ALTER v TYPE varchar(40), ALTER code TYPE varchar(9) USING code || ''''');
CALL step('ALTER TABLE events RENAME COLUMN n TO amount');
CALL step('ALTER TABLE events RENAME COLUMN extra TO more');
CALL step('ALTER TABLE events RENAME CONSTRAINT positive TO more_positive');
CALL step('ALTER TABLE events ALTER code SET DEFAULT ''a'', ALTER code SET STATISTICS 50');
CALL step('ALTER TABLE ONLY events ALTER v SET DEFAULT ''only''');
CALL step('ALTER TABLE events_rest ALTER v SET DEFAULT ''my rest'', ADD CHECK (id < 100000)');
CALL step('ALTER TABLE events_rest DROP COLUMN v');
CALL step('ALTER TABLE events DROP CONSTRAINT events_code_fkey, DROP CONSTRAINT events_k_day_id_extra_key');
CALL step('ALTER TABLE events ADD CONSTRAINT kind FOREIGN KEY (code) REFERENCES kinds ON UPDATE CASCADE DEFERRABLE');
CALL step('UPDATE kinds SET code = ''z'' WHERE code = ''b''');
CALL step('ALTER TABLE events ADD COLUMN kind2 text REFERENCES kinds DEFAULT ''a''');
CALL step('ALTER TABLE events DROP COLUMN kind2');
CALL step('ALTER TABLE events DROP COLUMN more');
CALL step('ALTER TABLE events ADD COLUMN at timestamptz DEFAULT ''2020-02-02 02:02+00'', ADD CHECK (amount IS NOT NULL)');
CALL step('INSERT INTO events (id, k, day, amount) VALUES (400, 1, ''2020-02-02'', 1), (401, 1, ''2029-02-02'', 1), (402, 1, ''1999-02-02'', 1)');
CALL step('ALTER TABLE events_old RENAME TO events_ancient');
CALL step('ALTER TABLE events RENAME TO happenings');
CALL step('ALTER TABLE happenings RENAME TO events');
CALL step('COMMENT ON TABLE events_rest IS ''rest''');
CALL step('ALTER TABLE events RENAME COLUMN k TO tenant');
SELECT relation::text, key FROM tessera.tables WHERE relation::text LIKE 'partitions.events%' ORDER BY relation::text;
CALL step('SELECT id FROM events WHERE tenant = 1 ORDER BY id');
CALL step('CREATE TABLE events_2060 PARTITION OF events FOR VALUES FROM (''2060-01-01'') TO (''2061-01-01'')');
CALL step('ALTER TABLE events RENAME COLUMN tenant TO k');

-- indexes of the tree
CALL step('CREATE INDEX ON events (code, amount)');
CALL step('CREATE INDEX by_day ON events USING brin (day)');
CALL step('CREATE INDEX only_top ON ONLY events (amount)');
CALL step('CREATE INDEX part_of_top ON events_rest (amount)');
CALL step('ALTER INDEX only_top ATTACH PARTITION part_of_top');
CALL refused('CREATE UNIQUE INDEX ON events_rest (day, id)');
CALL step('ALTER INDEX by_day RENAME TO by_its_day');
CALL step('DROP INDEX part_of_top');
CALL step('DROP INDEX by_its_day');
CALL step('DROP INDEX only_top');
CALL refused('REINDEX TABLE events');
CALL step('REINDEX TABLE events_rest');
CALL step('CREATE STATISTICS events_stats ON code, amount FROM events');
CALL step('DROP STATISTICS events_stats');

-- triggers of the tree
CREATE FUNCTION partitions.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO notes VALUES (NEW.k, NEW.day, NEW.id, TG_TABLE_NAME || ' ' || TG_OP);
    RETURN NEW;
END $$;
CREATE FUNCTION partitions_twin.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO notes VALUES (NEW.k, NEW.day, NEW.id, TG_TABLE_NAME || ' ' || TG_OP);
    RETURN NEW;
END $$;
CREATE FUNCTION partitions.mark() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.v := 'marked'; RETURN NEW; END $$;
CREATE FUNCTION partitions_twin.mark() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.v := 'marked'; RETURN NEW; END $$;
CALL step('CREATE TRIGGER noting AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION note()');
CALL step('INSERT INTO events (id, k, day, amount) VALUES (500, 1, ''2020-02-03'', 1), (501, 1, ''2029-02-02'', 1)');
CALL step('CREATE TRIGGER marking BEFORE INSERT OR UPDATE ON events FOR EACH ROW EXECUTE FUNCTION mark()');
CALL step('INSERT INTO events (id, k, day, amount) VALUES (502, 1, ''2020-02-03'', 1), (503, 1, ''2029-02-02'', 1) RETURNING v');
CALL step('CREATE TABLE events_2070 PARTITION OF events FOR VALUES FROM (''2070-01-01'') TO (''2071-01-01'')');
CALL step('INSERT INTO events (id, k, day, amount) VALUES (504, 1, ''2070-02-03'', 1)');
CALL refused('CREATE TRIGGER own AFTER INSERT ON events_2070 FOR EACH ROW EXECUTE FUNCTION note()');
CALL step('ALTER TABLE events DISABLE TRIGGER noting');
CALL step('ALTER TRIGGER noting ON events RENAME TO writing');
CALL step('ALTER TABLE events DETACH PARTITION events_2070');
CALL step('INSERT INTO events_2070 (id, k, day, amount) VALUES (505, 1, ''2070-02-03'', 1)');
CALL step('DROP TRIGGER marking ON events');
CALL step('DROP TRIGGER writing ON events');

CALL step('ALTER TABLE notes DROP CONSTRAINT of_event');
CALL step('DROP TABLE events_2070, events_2020_rest_0');

-- statements in a transaction that is rolled back leave nothing
BEGIN;
SET LOCAL search_path = partitions;
CREATE TABLE events_2080 PARTITION OF events FOR VALUES FROM ('2080-01-01') TO ('2081-01-01');
INSERT INTO events (id, k, day, amount) SELECT i, i, '2080-02-02', i FROM generate_series(0, 5) i;
SELECT count(*) FROM events_2080;
SAVEPOINT s;
ALTER TABLE events DETACH PARTITION events_2080;
DROP TABLE events_rest;
SELECT count(*) FROM events WHERE day > '2079-01-01';
ROLLBACK TO s;
SELECT count(*) FROM events WHERE day > '2079-01-01';
ROLLBACK;
CALL step('SELECT count(*) FROM events');

-- it comes back, and goes again
ANALYZE partitions.events;
VACUUM (ANALYZE) partitions.events_rest;
SELECT relname, reltuples FROM pg_class WHERE relnamespace = 'partitions'::regnamespace AND relname IN ('events_rest', 'events_ancient') ORDER BY 1;
SELECT tessera.undistribute_table('partitions.events_rest');
SELECT tessera.undistribute_table('partitions.events');
SELECT tessera.undistribute_table('partitions.notes');
SELECT d FROM differences() d WHERE d NOT LIKE 'not in all shards%';
SELECT tessera.create_distributed_table('partitions.events', 'k', colocate_with => 'partitions.users');
SELECT tessera.create_distributed_table('partitions.notes', 'k', colocate_with => 'partitions.users');
CALL step('SELECT count(*) FROM events');
CALL step('DROP TABLE events CASCADE');

SET client_min_messages = error;
DROP SCHEMA partitions, partitions_twin, partitions_steps CASCADE;
SELECT count(*) FROM tessera.run_on_nodes('DROP SCHEMA IF EXISTS partitions_steps CASCADE') WHERE NOT success;
SELECT * FROM tessera.tables WHERE relation::text LIKE 'partitions%';
