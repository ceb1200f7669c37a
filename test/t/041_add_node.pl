
# What add_node refuses, what it warns of, and nodes that are down.
# allow in server logs: terminating connection because of crash
use strict;
use warnings;
use IO::Socket::INET;
use TesseraCluster;
use Test::More;

my $cluster = TesseraCluster->new(nodes => 1, add => 0);
my $coordinator = $cluster->coordinator;
my $node = $cluster->node(1);

# add_node of a database of node 1, or of this one's own address
sub add
{
	my ($database, $name) = @_;
	$name //= 'n';
	return sprintf "SELECT tessera.add_node('%s', '%s', %d, '%s')",
	  $name, $node->loopback, $node->port, $database;
}

# Nothing of a refused node stays here.
sub nothing_left
{
	$cluster->gives(q{SELECT (SELECT count(*) FROM tessera.node), (SELECT count(*) FROM pg_foreign_server)},
		'1|0', 'nothing is left of it');
}

$node->query(q{CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0});
$cluster->refused(add('latin'), '42P21', qr/encoding .*HINT/s, 'another encoding');
nothing_left();
$node->query(q{CREATE DATABASE other_collation LOCALE 'C' TEMPLATE template0});
$cluster->refused(add('other_collation'), '42P21', qr/collation .*HINT/s, 'another collation');
nothing_left();
$cluster->refused(add('missing'), '08001', qr/"n".*HINT/s, 'a database that is not there');
nothing_left();

# A server of another major version, as far as one can see before the first statement: it lets
# everybody in, says its version, and hangs up on who asks it anything.
sub message { return $_[0] . pack('N', 4 + length $_[1]) . $_[1]; }
my $listener = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die "cannot listen: $!";
my $server = fork // die "cannot fork: $!";
if (!$server)
{
	while (my $client = $listener->accept)
	{
		$client->autoflush;
		while (read($client, my $start, 8) == 8)
		{
			my ($length, $code) = unpack 'NN', $start;
			read $client, my $rest, $length - 8 if $length > 8;
			if ($code != 0x30000) { print $client 'N'; next; }    # no encryption
			print $client message('R', pack 'N', 0), message('S', "server_version\0" . "14.5\0"),
			  message('K', pack 'NN', 1, 1), message('Z', 'I');
			read $client, my $asked, 1;
			last;
		}
	}
	exit 0;
}
$cluster->refused(sprintf("SELECT tessera.add_node('n', '127.0.0.1', %d, 'shop')", $listener->sockport),
	'0A000', qr/node "n" runs another major version of PostgreSQL.*14\.5.*HINT/s, 'another major version');
kill 'TERM', $server;
waitpid $server, 0;
nothing_left();

# settings of the node
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
$cluster->refused(add('shop'), '55000', qr/shared_preload_libraries/, 'a node that has not loaded tessera');
nothing_left();
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'tessera'\n"
	  . "max_prepared_transactions = 0\nwal_level = replica\nmax_connections = 20");
$node->restart;
my ($status, $out, $err) = $coordinator->psql(undef, add('shop'),
	connstr => $coordinator->connstr($TesseraCluster::DATABASE));
is($status, 0, 'a node whose settings are poor is added');
like($err, qr/WARNING:  max_prepared_transactions is 0.*HINT/s, 'with a warning of prepared transactions');
like($err, qr/WARNING:  wal_level is "replica".*HINT/s, 'of the WAL level');
like($err, qr/WARNING:  node "n" accepts fewer connections.*HINT/s, 'of the connections');
$cluster->gives('SELECT node, reachable, count(problem) = count(hint), count(*) FROM tessera.check_nodes() '
	  . 'GROUP BY 1, 2 ORDER BY 1', "coordinator|t|t|1\nn|t|t|3", 'check_nodes shows the same');
$cluster->refused(q{CREATE TABLE t (k int); SELECT tessera.create_distributed_table('t', 'k')}, '55000',
	qr/prepared transactions are disabled/, 'what needs prepared transactions says so');
$node->append_conf('postgresql.conf', "max_prepared_transactions = 100\nwal_level = logical\nmax_connections = 100");
$node->restart;
$cluster->gives(q{SELECT count(problem) FROM tessera.check_nodes()}, '0', 'mended, there is no problem left');

# a node that is down
$cluster->query(q{DROP TABLE IF EXISTS t; CREATE TABLE t (k int);
	SELECT tessera.create_distributed_table('t', 'k', shard_count => 2);});
$node->stop('immediate');
$cluster->gives(q{SELECT node, reachable, problem LIKE '%could not connect%', hint IS NOT NULL
	FROM tessera.check_nodes() ORDER BY node}, "coordinator|t||f\nn|f|t|t", 'check_nodes shows a dead node');
$cluster->gives('SELECT name, shards FROM tessera.nodes ORDER BY name', "coordinator|0\nn|2",
	'nodes does not need it');
($status, $out, $err) = $coordinator->psql(undef, 'SELECT name, bytes FROM tessera.nodes ORDER BY name',
	connstr => $coordinator->connstr($TesseraCluster::DATABASE));
is($out, "coordinator|\nn|", 'its size is not known');
like($err, qr/WARNING:  sizes on node "n" are not known/, 'and that is said');
$cluster->refused(q{SELECT tessera.total_relation_size('t')}, '08001', qr/node "n"/, 'no sum without it');
$cluster->gives(q{SELECT node, success, result LIKE '%node "n"%' FROM tessera.run_on_nodes('SELECT 1') ORDER BY 1},
	"coordinator|t|f\nn|f|t", 'a command fails there alone');
$cluster->refused(q{SELECT tessera.remove_node('n')}, '55006', qr/holds shards.*HINT/s,
	'it is not removed while it holds shards');
$node->start;
$cluster->query('DROP TABLE t');
$node->stop('immediate');
($status, $out, $err) = $coordinator->psql(undef, q{SELECT tessera.remove_node('n')},
	connstr => $coordinator->connstr($TesseraCluster::DATABASE));
is($status, 0, 'without shards it is removed');
like($err, qr/WARNING:  node "n" is removed without having been told.*HINT/s, 'with a warning');
nothing_left();

# it remembers its cluster, which takes it back
$node->start;
$cluster->query(add('shop', 'again'));
$cluster->gives(q{SELECT name, holds_shards FROM tessera.nodes WHERE role = 'node'}, 'again|t',
	'it can come back under another name');

done_testing();
