
# ALTER TABLE when a node is down, or fails half way: nothing is altered anywhere.
use strict;
use warnings;
use TesseraCluster;
use Test::More;

my $cluster = TesseraCluster->new(nodes => 2);
$cluster->query(q{
	CREATE TABLE kinds (code int PRIMARY KEY, name text);
	CREATE TABLE t (k int, n int, v text, PRIMARY KEY (k, n));
	SELECT tessera.create_reference_table('kinds');
	SELECT tessera.create_distributed_table('t', 'k', shard_count => 4);
	CREATE TABLE parts (k int, n int, PRIMARY KEY (k, n)) PARTITION BY LIST (n);
	CREATE TABLE part_1 PARTITION OF parts FOR VALUES IN (1);
	CREATE TABLE part_3 (k int NOT NULL, n int NOT NULL);
	SELECT tessera.create_distributed_table('parts', 'k', shard_count => 4);
	INSERT INTO part_3 SELECT g, 3 FROM generate_series(1, 50) g;
	INSERT INTO kinds VALUES (1, 'one');
	INSERT INTO t SELECT g, 1, 'v' || g FROM generate_series(1, 50) g});

# all that a server's tables of ours are, with the files that their rows are in
my $describe = q{
	SELECT string_agg(line, E'\n' ORDER BY line) FROM (
		SELECT concat_ws(' ', c.oid::regclass, pg_relation_filenode(c.oid), reloptions::text,
			(SELECT string_agg(concat_ws(',', attname, atttypid::regtype, attnotnull, atthasdef), ';' ORDER BY attnum)
				FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0),
			(SELECT string_agg(conname || pg_get_constraintdef(o.oid), ';' ORDER BY conname)
				FROM pg_constraint o WHERE conrelid = c.oid),
			(SELECT inhparent::regclass FROM pg_inherits WHERE inhrelid = c.oid)) AS line
		FROM pg_class c WHERE relkind IN ('r', 'i', 'p', 'I') AND relname ~ '^part' OR relkind IN ('r', 'i') AND relname IN
			('t', 'kinds', 't_pkey', 'kinds_pkey', 't2', 'by_v', 't_k_v_key')) x};

sub everywhere
{
	return join "\n", $cluster->query($describe), map { $cluster->node_query($_, $describe) } 1, 2;
}

my @statements = (
	'ALTER TABLE t ADD x int DEFAULT 5',
	'ALTER TABLE t ADD s serial',
	'ALTER TABLE t DROP v',
	'ALTER TABLE t ALTER v TYPE int USING length(v)',
	'ALTER TABLE t ADD CHECK (n > 0), ADD UNIQUE (k, v)',
	'ALTER TABLE t ADD FOREIGN KEY (n) REFERENCES kinds',
	'ALTER TABLE t SET (fillfactor = 50)',
	'ALTER TABLE t RENAME TO t2',
	'ALTER TABLE t RENAME k TO key',
	'ALTER INDEX t_pkey RENAME TO by_v',
	'CREATE INDEX by_v ON t (v)',
	'CREATE TABLE part_2 PARTITION OF parts FOR VALUES IN (2)',
	'ALTER TABLE parts ATTACH PARTITION part_3 FOR VALUES IN (3)',
	'ALTER TABLE parts DETACH PARTITION part_1',
	'CREATE INDEX parts_n ON parts (n)',
	'ALTER TABLE parts ADD x int DEFAULT 5, ADD UNIQUE (k, n, x)',
	'ALTER TABLE kinds ADD x int DEFAULT 5',
	'ALTER TABLE kinds RENAME code TO id');
my $before = everywhere();

# one node is down
$cluster->node(2)->stop;
$cluster->refused($_, '08001', qr/node2/, "node down: $_") for @statements, 'DROP TABLE part_1';
$cluster->node(2)->start;
is(everywhere(), $before, 'nothing was altered');

# one node refuses when the others may have done their part
$cluster->node_query(2, q{
	CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS
		$$BEGIN RAISE EXCEPTION 'not here' USING ERRCODE = 'object_in_use'; END$$;
	CREATE EVENT TRIGGER refuse ON ddl_command_end EXECUTE FUNCTION refuse()});
$cluster->refused($_, '55006', qr/not here/, "node refuses: $_") for @statements;
is(everywhere(), $before, 'nothing was altered');

# in a transaction, what was written before stays possible to go on with
$cluster->query(q{BEGIN; INSERT INTO t VALUES (1000, 1, 'new');
	DO $$BEGIN ALTER TABLE t ADD x int; EXCEPTION WHEN object_in_use THEN UPDATE t SET v = 'not altered' WHERE k = 1000; END$$;
	COMMIT});
$cluster->gives('SELECT * FROM t WHERE k = 1000', '1000|1|not altered', 'the rest of the transaction stands');
is(everywhere(), $before, 'and the table is as it was');
$cluster->node_query(2, 'DROP EVENT TRIGGER refuse');

# a node goes between the ALTER and the commit
my $client = $cluster->client;
$client->ask(q{BEGIN; ALTER TABLE t ADD x int DEFAULT 5, ALTER v TYPE varchar(20)});
$cluster->node(2)->stop('immediate');
$cluster->node(2)->start;
like($client->ask('COMMIT'), qr/node2/, 'a transaction that lost a node does not commit');
$client->finish;
is(everywhere(), $before, 'and has altered nothing');

$cluster->query($_) for @statements[ 0, 4, 6, 11 .. 16 ];
$cluster->gives('SELECT sum(x) FROM t', 255, 'when all are well, it is done');

done_testing();
