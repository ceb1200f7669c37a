
# Who one is on a node: oneself, or somebody else by a password that the node
# asks for.  And what a node's own settings say does not matter.
use strict;
use warnings;
use TesseraCluster;
use Test::More;

my $cluster = TesseraCluster->new(nodes => 1);

$cluster->query(q{
	CREATE ROLE alice LOGIN;
	CREATE TABLE t (id int PRIMARY KEY, at timestamptz, v text);
	SELECT tessera.create_distributed_table('t', 'id', shard_count => 2);
	INSERT INTO t VALUES (1, '2020-02-03 00:00+00', 'a\b');
	GRANT SELECT ON t TO alice;});

my $server = $cluster->query("SELECT server FROM tessera.node WHERE name = 'node1'");
my $read = 'SELECT v FROM t WHERE id = 1';

sub map_alice
{
	my ($options) = @_;
	$cluster->query(qq{
		DROP USER MAPPING IF EXISTS FOR alice SERVER "$server";
		CREATE USER MAPPING FOR alice SERVER "$server" OPTIONS ($options);});
	return;
}

# without a mapping
$cluster->node_query(1, q{
	DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'alice')
		THEN CREATE ROLE alice LOGIN; END IF; END $$;
	CREATE ROLE bob LOGIN PASSWORD 'correct';
	GRANT alice TO bob;});
is($cluster->query($read, role => 'alice'), 'a\b', 'a role is itself on the node');

# somebody else, without a password
map_alice("user 'bob'");
$cluster->refused($read, '2F003', qr/password is required to connect to node "node1" as "bob"/,
	'a non-superuser is nobody else without a password', role => 'alice');

# with a password that the node does not ask for
map_alice("user 'bob', password 'wrong'");
$cluster->refused($read, '2F003', qr/password is required/,
	'a password that the node does not ask for counts for nothing', role => 'alice');

# a superuser may allow it
map_alice("user 'bob', password_required 'false'");
is($cluster->query($read, role => 'alice'), 'a\b', 'unless a superuser allowed it');

# with a password that the node asks for
my $node = $cluster->node(1);
my $hba = $node->data_dir . '/pg_hba.conf';
my $old_hba = PostgreSQL::Test::Utils::slurp_file($hba);
unlink $hba;
$node->append_conf('pg_hba.conf', "host all bob all scram-sha-256\n$old_hba");
$node->reload;
map_alice("user 'bob', password 'correct'");
is($cluster->query($read, role => 'alice'), 'a\b', 'the right password opens the node');
map_alice("user 'bob', password 'wrong'");
$cluster->refused($read, '28P01', qr/could not connect to node "node1"/,
	'the wrong one does not, and the error says which', role => 'alice');
unlike($cluster->coordinator->failure($read, role => 'alice'), qr/wrong/,
	'and does not show it');
map_alice("user 'nobody', password 'x'");
$cluster->refused($read, '28000', qr/node/, 'nor does a role that is not there',
	role => 'alice');
$cluster->query(qq{DROP USER MAPPING FOR alice SERVER "$server"});
is($cluster->query($read, role => 'alice'), 'a\b', 'a changed mapping holds at once');

# settings of the node's database
$cluster->node_query(1, sprintf q{
	ALTER DATABASE %1$s SET datestyle = 'SQL, DMY';
	ALTER DATABASE %1$s SET standard_conforming_strings = off;
	ALTER DATABASE %1$s SET search_path = nowhere;
	ALTER DATABASE %1$s SET timezone = 'Asia/Tokyo';
	ALTER DATABASE %1$s SET default_transaction_read_only = on;
	ALTER DATABASE %1$s SET default_transaction_isolation = serializable;
	ALTER DATABASE %1$s SET statement_timeout = '1ms';
	ALTER DATABASE %1$s SET bytea_output = escape;}, $TesseraCluster::DATABASE);
is( $cluster->query(q{
	SET timezone = 'UTC';
	INSERT INTO t VALUES (2, '2020-02-03 12:00', 'c\d');
	SELECT id, at, v FROM t ORDER BY id;
	SELECT count(*) FROM t WHERE at = '02/03/2020 12:00';
	SELECT v FROM t WHERE id = 2 AND v = 'c\d';}),
	"1|2020-02-03 00:00:00+00|a\\b\n2|2020-02-03 12:00:00+00|c\\d\n1\nc\\d",
	'settings of the node change nothing');

# settings that are chosen here: for the role, and where the node does not let it
$cluster->query(q{
	CREATE TABLE seen (name text PRIMARY KEY, value text, CHECK (current_setting(name) = value));
	SELECT tessera.create_distributed_table('seen', 'name', shard_count => 2);
	GRANT INSERT, SELECT ON seen, t TO alice;
	ALTER ROLE alice SET work_mem = '5MB';
	GRANT SET ON PARAMETER session_replication_role TO alice;});
is($cluster->query(q{INSERT INTO seen VALUES ('work_mem', '5MB') RETURNING value}, role => 'alice'),
	'5MB', 'what the role has here holds on the node');
my $replicate = 'SET session_replication_role = replica; ';
$cluster->refused("$replicate $read", '42501',
	qr/permission denied to set parameter "session_replication_role".*on node "node1"/s,
	'a setting that it may not make on the node is not left out', role => 'alice');
my $write = "INSERT INTO t VALUES (3, now(), 'x')";
is($cluster->query("\\set ON_ERROR_STOP 0\n$replicate\n$write;\nRESET session_replication_role;\n$read"
	  . ';SELECT count(*) FROM t WHERE id = 3', role => 'alice'),
	"a\\b\n0", 'nothing was done, and the session goes on without it');
$cluster->node_query(1, 'GRANT SET ON PARAMETER session_replication_role TO alice', database => 'postgres');
is($cluster->query("$replicate $read", role => 'alice'), 'a\b', 'nor if it may');

done_testing();
