# pg_dump and pg_restore of the coordinator's catalogs.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use TesseraCluster;
use Test::More;

my $server = TesseraServer->make('dumped');
my $file = PostgreSQL::Test::Utils::tempdir() . '/dump';

$server->query(<<'SQL');
CREATE EXTENSION tessera;
CREATE SCHEMA "Odd ""schema";
CREATE TYPE "Odd ""schema".mood AS ENUM ('sad', 'ok');
CREATE TABLE "Odd ""schema"."T 1" ("K k" "Odd ""schema".mood);
CREATE TABLE ref (a int);
-- another node has the coordinator's first name: the order of rows must not matter
UPDATE tessera.node SET name = 'chief', holds_shards = true, zone = 'z';
INSERT INTO tessera.node (name, server) VALUES ('n1', 'server1'), ('coordinator', 'server 2');
INSERT INTO tessera.colocation (strategy, key_type, key_collation, shard_count, is_default)
VALUES ('hash', '"Odd ""schema".mood', NULL, 1, true), ('hash', 'text', '"C"', 1, false);
INSERT INTO tessera.shard (colocation_id) VALUES (1);
INSERT INTO tessera.shard_range SELECT colocation_id, shard_id, '-2147483648', '2147483647' FROM tessera.shard;
INSERT INTO tessera.placement SELECT shard_id, 1 FROM tessera.shard;
INSERT INTO tessera."table" VALUES ('"Odd ""schema"."T 1"', 'distributed', 1, 'K k');
INSERT INTO tessera."table" VALUES ('ref', 'reference');
INSERT INTO tessera.commit_record (gid) VALUES ('gid 1');
CREATE FUNCTION "Odd ""schema"."F f"("K k" "Odd ""schema".mood) RETURNS int LANGUAGE sql AS 'SELECT 1';
INSERT INTO tessera.function VALUES ('"Odd ""schema"."F f"("Odd ""schema".mood)', 1, 1, '{public}', false,
	'Odd "schema', '"F f"("Odd ""schema".mood)', 'digest');
SQL

# All rows of the catalogs, the sequences, and the dependencies on the extension.
my $all = join ";\n",
  (map { "SELECT '$_', r.* FROM tessera.\"$_\" r ORDER BY r::text" }
	  qw(cluster node colocation shard shard_range placement table function commit_record)),
  (map { "SELECT '$_', last_value, is_called FROM tessera.$_" }
	  qw(node_id_seq colocation_id_seq shard_id_seq)),
  "SELECT objid::regclass FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND deptype = 'n'"
  . " AND classid = 'pg_class'::regclass ORDER BY objid::regclass::text";

my $before = $server->query($all);
like($before, qr/chief/, 'there is something to dump');
$server->query('CREATE DATABASE copy');
$server->PostgreSQL::Test::Cluster::command_ok(
	# rows of distributed tables stay where they are: on the nodes
	[
		'pg_dump', '-Fc', '--exclude-table-data=*."T 1"',
		'-f', $file, $TesseraCluster::DATABASE
	],
	'pg_dump works');
$server->PostgreSQL::Test::Cluster::command_ok([ 'pg_restore', '-e', '-d', 'copy', $file ],
	'pg_restore works');
is($server->query($all, database => 'copy'),
	$before, 'the copy has the same catalogs');

# The extension stays as long as its tables.
like($server->failure('DROP EXTENSION tessera', database => 'copy'),
	qr/ERROR:  2BP01/, 'the restored tables keep the extension');
$server->query('TRUNCATE tessera."table"', database => 'copy');
$server->query('DROP EXTENSION tessera', database => 'copy');
pass('without them it can be dropped');

done_testing();
