# What functions and triggers do on nodes that a node cannot prepare: a transaction of
# several servers fails as a whole, one of a single node goes on. And what would stay
# in a session that is not the client's is refused at once.
use strict;
use warnings;
use TesseraCluster;
use Test::More;

my $cluster = TesseraCluster->new(nodes => 2);

$cluster->query(q{CREATE TABLE t (k int PRIMARY KEY, v int DEFAULT 0);
	SELECT tessera.create_distributed_table('t', 'k', shard_count => 4);
	INSERT INTO t SELECT i FROM generate_series(1, 100) i});
my ($one, $other) = map {
	$cluster->query("SELECT min(k) FROM t WHERE (tessera.shard_of('t', k)).node = 'node$_'")
} 1, 2;

# Rows of these shards run a command before they are changed.
sub on_change
{
	my ($command) = @_;

	$cluster->node_query($_, "CREATE OR REPLACE FUNCTION public.act() RETURNS trigger LANGUAGE plpgsql AS \$\$
		BEGIN IF TG_OP = 'UPDATE' THEN $command END IF; RETURN NEW; END \$\$") for 1, 2;
	return;
}
on_change('NULL;');
$cluster->query(q{SELECT count(*) FROM tessera.run_on_shards('t',
	'CREATE TRIGGER act BEFORE UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION public.act()')});

my $several = qr/on a node in a transaction that writes on several servers/;
for (
	[ 'NOTIFY', q{PERFORM pg_catalog.pg_notify('changed', 'x');}, qr/cannot use NOTIFY $several/ ],
	[ 'a temporary table', q{CREATE TEMP TABLE IF NOT EXISTS seen (a int); INSERT INTO pg_temp.seen VALUES (1);},
		qr/cannot use temporary objects $several/ ],
	[ 'an exported snapshot', q{PERFORM pg_catalog.pg_export_snapshot();}, qr/cannot export a snapshot $several/ ],
	[ 'two kinds of advisory locks', q{PERFORM pg_catalog.pg_advisory_lock(7), pg_catalog.pg_advisory_xact_lock(7);},
		qr/session-level and transaction-level locks on the same object/ ])
{
	my ($name, $command, $message) = @$_;

	on_change($command);
	$cluster->query("UPDATE t SET v = 1 WHERE k = $one");
	$cluster->query("BEGIN; UPDATE t SET v = v + 1 WHERE k = $one; COMMIT");
	$cluster->gives("SELECT v FROM t WHERE k = $one", '2', "$name: a transaction of one node goes on");
	$cluster->refused($_, '0A000', $message, "$name: not in one of several: $_")
	  for 'UPDATE t SET v = 3',
	  "BEGIN; UPDATE t SET v = 3 WHERE k = $one; UPDATE t SET v = 3 WHERE k = $other; COMMIT",
	  "BEGIN; CREATE TABLE local (a int); UPDATE t SET v = 3 WHERE k = $one; COMMIT";
	$cluster->gives('SELECT count(*) FROM t WHERE v = 3', '0', "$name: nothing was done anywhere");
	is($cluster->node_query($_, 'SELECT count(*) FROM pg_prepared_xacts'), '0', "$name: nothing stays prepared on node $_")
	  for 1, 2;
	$cluster->gives(q{SELECT count(*) FROM pg_class WHERE relname = 'local'}, '0', "$name: nor here");
	on_change('NULL;');
	$cluster->query("UPDATE t SET v = 0");
}

for ([ 'LISTEN', q{EXECUTE 'LISTEN changed';}, qr/cannot LISTEN on a node/ ],
	[ 'a cursor WITH HOLD', q{EXECUTE 'DECLARE c CURSOR WITH HOLD FOR SELECT 1';}, qr/cannot declare a cursor WITH HOLD on a node/ ])
{
	my ($name, $command, $message) = @$_;

	on_change($command);
	$cluster->refused("UPDATE t SET v = 1 WHERE k = $one", '0A000', $message, "$name is refused");
}

# The client's own: beside writes of several nodes.
on_change('NULL;');
my $client = $cluster->client;
is( $client->ask(q{LISTEN here; BEGIN; NOTIFY here, 'x'; CREATE TEMP TABLE mine (a int); INSERT INTO mine VALUES (1);
		DECLARE c CURSOR WITH HOLD FOR SELECT a FROM mine; UPDATE t SET v = 5; COMMIT; FETCH c; SELECT min(v), count(*) FROM t})
	  =~ s/Asynchronous notification "here" .*\n//r,
	"1\n5|100", 'what the client does itself goes along');

done_testing();
