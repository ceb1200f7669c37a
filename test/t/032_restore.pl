# A coordinator is dumped and restored: the cluster is kept, and no row is seen
# twice, whether the dump has the rows of distributed tables or not.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use TesseraCluster;
use Test::More;

my $cluster = TesseraCluster->new(nodes => 2);
my $server = $cluster->coordinator;
my $folder = PostgreSQL::Test::Utils::tempdir();
my $origin = $TesseraCluster::DATABASE;

# Schemas before and after "tessera" in the order of a dump.
my @schemas = ('app', 'zoo "X"');
foreach my $schema (@schemas)
{
	(my $s = $schema) =~ s/"/""/g;
	$server->query(<<"SQL");
SET search_path = "$s";
CREATE SCHEMA "$s";
SET tessera.shard_count = 3;
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE kinds (code text PRIMARY KEY);
CREATE TABLE users (id int PRIMARY KEY, feels mood DEFAULT 'ok', code text REFERENCES kinds);
CREATE TABLE "Orders ""o""" (
	user_id int REFERENCES users, id int GENERATED ALWAYS AS IDENTITY, at timestamptz DEFAULT now(),
	PRIMARY KEY (user_id, id), CONSTRAINT early CHECK (at < 'infinity'));
CREATE INDEX by_time ON "Orders ""o""" (at);
CREATE STATISTICS stat ON user_id, at FROM "Orders ""o""";
COMMENT ON TABLE users IS 'people';
COMMENT ON INDEX by_time IS 'an index';
COMMENT ON CONSTRAINT early ON "Orders ""o""" IS 'a check';
GRANT SELECT ON users TO pg_monitor;
ALTER TABLE "Orders ""o""" CLUSTER ON by_time;
ALTER TABLE users REPLICA IDENTITY FULL;
CREATE FUNCTION beware() RETURNS trigger LANGUAGE plpgsql AS \$\$
	BEGIN IF NEW.id = 666 THEN RAISE 'beware'; END IF; RETURN NEW; END \$\$;
CREATE TRIGGER beware BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION beware();
CREATE TABLE plain (a int PRIMARY KEY REFERENCES users);
INSERT INTO kinds VALUES ('a'), ('b');
INSERT INTO users SELECT i, 'sad', 'a' FROM generate_series(1, 50) i;
INSERT INTO "Orders ""o""" (user_id) SELECT 1 + i % 50 FROM generate_series(1, 100) i;
SELECT tessera.create_reference_table('kinds');
SELECT tessera.create_distributed_table('users', 'id');
SELECT tessera.create_distributed_table('"Orders ""o"""', 'user_id');
SQL
}

sub rows
{
	my ($database) = @_;
	return join "\n", map {
		(my $s = $_) =~ s/"/""/g;
		$server->query(
			qq{SELECT count(*), sum(o.id), min(k.code) FROM "$s".users u JOIN "$s"."Orders ""o""" o ON user_id = u.id JOIN "$s".kinds k USING (code)},
			database => $database)
		  . $server->query(qq{SELECT count(*) FROM "$s".users}, database => $database)
		  . $server->query(qq{SELECT count(*) FROM "$s".kinds}, database => $database)
	} @schemas;
}

# The restored coordinator works: all is as before, on shell and shards.
sub works
{
	my ($database, $what, $expected) = @_;
	like(
		$server->failure('SELECT count(*) FROM app.users', database => $database),
		qr/ERROR:  55000: this node serves another coordinator/,
		"$what: the nodes serve the origin");
	is($server->query('SELECT tessera.take_over()', database => $database),
		'2', "$what: until it takes over");
	is(rows($database), $expected, "$what: every row once");
	foreach my $schema (@schemas)
	{
		(my $s = $schema) =~ s/"/""/g;
		$server->query(
			qq{BEGIN; INSERT INTO "$s"."Orders ""o""" (user_id) VALUES (7);
			UPDATE "$s".users SET feels = 'ok';
			INSERT INTO "$s".kinds VALUES ('c');
			ALTER TABLE "$s".users ADD x int; UPDATE "$s".users SET x = 1; ROLLBACK},
			database => $database);
		like(
			$server->failure(
				qq{INSERT INTO "$s"."Orders ""o""" (user_id) VALUES (700)},
				database => $database),
			qr/23503/, "$what: constraints hold");
		like(
			$server->failure(qq{INSERT INTO "$s".users VALUES (666)}, database => $database),
			qr/beware/, "$what: triggers run");
		like(
			$server->failure(qq{SET search_path = "$s";
				CREATE OR REPLACE FUNCTION beware() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''changed''; END';
				INSERT INTO users VALUES (1000)}, database => $database),
			qr/changed/, "$what: and so do their functions, when they are replaced");
		like(
			$server->failure(
				qq{ALTER TABLE "$s".users SET UNLOGGED},
				database => $database),
			qr/0A000/, "$what: what cannot be altered cannot be altered");
	}
	is($server->query(q{SELECT count(*) FROM pg_index i JOIN tessera."table" t ON t.relation = i.indrelid}, database => $database),
		'8', "$what: indexes are there");
	is($server->query(q{SELECT count(*) FROM pg_constraint i JOIN tessera."table" t ON t.relation = i.conrelid}, database => $database),
		'12', "$what: constraints are there");
	return;
}

sub dump_to
{
	my ($file, @options) = @_;
	$server->PostgreSQL::Test::Cluster::command_ok(
		[ 'pg_dump', @options, '-f', $file, $origin ], "pg_dump to $file");
	return;
}

my $expected = rows($origin);
my @options = split /\n/, $server->query('SELECT tessera.dump_options()');
is(scalar @options, 4, 'an option for every distributed table');

# as documented: without the rows of distributed tables
dump_to("$folder/plain", @options);
dump_to("$folder/custom", '-Fc', @options);
$server->query("CREATE DATABASE $_") foreach qw(by_psql by_restore by_jobs full_psql full_restore);
$server->PostgreSQL::Test::Cluster::command_ok(
	[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', 'by_psql', '-f', "$folder/plain" ],
	'restored by psql');
works('by_psql', 'psql', $expected);
$server->PostgreSQL::Test::Cluster::command_ok(
	[ 'pg_restore', '-e', '-d', 'by_restore', "$folder/custom" ],
	'restored by pg_restore');
works('by_restore', 'pg_restore', $expected);

# parallel jobs are other sessions: they must not touch shards and copies
$server->PostgreSQL::Test::Cluster::command_fails(
	[ 'pg_restore', '-j', '3', '-d', 'by_jobs', "$folder/custom" ],
	'not restored by parallel jobs');
$server->query('SELECT tessera.take_over()');
is(rows($origin), $expected, 'which leaves the rows alone');

# with the rows: they are not loaded a second time
dump_to("$folder/full");
dump_to("$folder/full_custom", '-Fc');
$server->PostgreSQL::Test::Cluster::command_checks_all(
	[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', 'full_psql', '-f', "$folder/full" ],
	0, [qr//],
	[
		qr/WARNING:  restored rows of distributed table "users" are not used/
	],
	'a full dump restored by psql says so');
works('full_psql', 'full dump', $expected);
$server->PostgreSQL::Test::Cluster::command_checks_all(
	[ 'pg_restore', '-e', '-d', 'full_restore', "$folder/full_custom" ],
	0, [qr//], [qr//], 'a full dump restored by pg_restore');
works('full_restore', 'full dump, pg_restore', $expected);

# rows that a restore left in a shell do not come back
$server->query('SELECT tessera.take_over()', database => 'full_psql');
$server->query(
	q{SELECT tessera.undistribute_table('app."Orders ""o"""'); SELECT tessera.undistribute_table('app.users')},
	database => 'full_psql');
is($server->query('SELECT count(*) FROM app.users', database => 'full_psql'),
	'50', 'undistributed: every row once');

# A cluster of one: its shards are in the same dump.
$server->query("CREATE DATABASE $_") foreach qw(one one_full one_more);
$server->query(<<'SQL', database => 'one');
CREATE EXTENSION tessera;
CREATE TABLE items (k text PRIMARY KEY, v int);
CREATE INDEX ON items (v);
INSERT INTO items SELECT 'item ' || i, i FROM generate_series(1, 100) i;
SELECT tessera.create_distributed_table('items', 'k', shard_count => 4);
CREATE TABLE parts (k text REFERENCES items, n int);
SELECT tessera.create_distributed_table('parts', 'k', colocate_with => 'items');
INSERT INTO parts SELECT k, v FROM items;
SQL
$origin = 'one';
dump_to("$folder/one_full");
dump_to("$folder/one", split /\n/,
	$server->query('SELECT tessera.dump_options()', database => 'one'));
foreach ([ 'one_full', "$folder/one_full" ], [ 'one_more', "$folder/one" ])
{
	my ($database, $file) = @$_;

	$server->PostgreSQL::Test::Cluster::command_ok(
		[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $database, '-f', $file ],
		"$database: restored");
	is($server->query(
			q{UPDATE items SET v = v + 1; SELECT count(*), sum(v), sum(n) FROM items JOIN parts USING (k)},
			database => $database),
		'100|5150|5050', "$database: all rows, once");
	like(
		$server->failure(
			q{INSERT INTO parts VALUES ('none', 1)}, database => $database),
		qr/23503/, "$database: constraints hold");
	$server->query('DROP TABLE items, parts', database => $database);
	is($server->query(
			q{SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'public\_%'},
			database => $database),
		'0', "$database: dropped with their shards");
}
is($server->query('SELECT sum(v) FROM items', database => 'one'), '5050', 'the origin is another');

done_testing();
