# The nodes serve one coordinator. A standby that was promoted beside a live one is
# refused until it takes over; then the other one is, and ends nothing on the nodes.
# What is in doubt is ended by who has the decision. (Copies by dump: 032_restore.)
# allow in server logs: was terminated by signal 9
use strict;
use warnings;
use TesseraCluster;
use Test::More;

my $cluster = TesseraCluster->new(
	nodes => 2,
	conf => "wal_level = replica\nmax_wal_senders = 5\nrestart_after_crash = on\ntessera.recover_interval = 0\n");
my $old = $cluster->coordinator;

$cluster->query(q{CREATE TABLE account (id int PRIMARY KEY, balance int);
	SELECT tessera.create_distributed_table('account', 'id', shard_count => 4);
	INSERT INTO account SELECT i, 1000 FROM generate_series(1, 100) i});
# two accounts on each node
my ($from, $other_from, $to, $other_to) = map {
	split /\n/, $cluster->query("SELECT id FROM account WHERE (tessera.shard_of('account', id)).node = 'node$_' ORDER BY id LIMIT 2")
} 1, 2;
my $sums = "SELECT sum(balance), min(balance), max(balance) FROM account";
my $refusal = qr/ERROR:  55000: this node serves another coordinator/;

sub prepared
{
	return join '', map { $cluster->node_query($_, 'SELECT count(*) FROM pg_prepared_xacts') } 1, 2;
}

# A standby of a server, promoted while that one runs.
sub promoted
{
	my ($server, $name) = @_;
	my $standby = TesseraServer->new($name);

	$server->backup($name);
	$standby->init_from_backup($server, $name, has_streaming => 1);
	$standby->append_conf('postgresql.conf',
		sprintf "port = %d\nunix_socket_directories = '%s'\n", $standby->port, $standby->host);
	$standby->start;
	$server->wait_for_catchup($standby, 'replay', $server->lsn('insert'));
	$standby->promote;
	return $standby;
}

# A transfer of a server, whose session is killed at a fault point.
sub leave_in_doubt
{
	my ($server, $point, $payer, $payee) = @_;
	my $client = TesseraClient->new($server->connstr($TesseraCluster::DATABASE));

	$client->ask("SET tessera.fault_points = '$point:kill'; BEGIN;\n"
		  . "UPDATE account SET balance = balance - 1 WHERE id = $payer;\n"
		  . "UPDATE account SET balance = balance + 1 WHERE id = $payee;\nCOMMIT;");
	$server->poll_query_until($TesseraCluster::DATABASE, 'SELECT true');
	return;
}

# Nobody asked the new one to be the coordinator: it does nothing.
leave_in_doubt($old, 'xact_after_prepare', $from, $to);
is(prepared(), '11', 'something is in doubt');
my $new = promoted($old, 'promoted');
like($new->failure($_), $refusal, "a promoted standby is refused: $_")
  for $sums, "UPDATE account SET balance = 0", "UPDATE account SET balance = 0 WHERE id = $from";
my ($status, $out, $err) = $new->psql(undef, 'SELECT tessera.recover_transactions()',
	connstr => $new->connstr($TesseraCluster::DATABASE));
is($out, '0', 'it ends nothing');
like($err, qr/WARNING: .*serves another coordinator/s, 'and says why');
is(prepared(), '11', 'what is in doubt is still there');
is( $new->query(q{SELECT node, problem ~ 'serves another coordinator' FROM tessera.check_nodes() WHERE node <> 'coordinator' ORDER BY node}),
	"node1|t\nnode2|t", 'check_nodes() shows it');
$cluster->gives($sums, '100000|1000|1000', 'the old one goes on');

# It takes over, without having all decisions. A session of the old one is in a transaction.
my $client = $cluster->client;
$client->ask("BEGIN; UPDATE account SET balance = 0 WHERE id = $from");
is($new->query('SELECT tessera.take_over()'), '2', 'all nodes serve the new one');
like($client->ask('COMMIT'), qr/ERROR:  08006: /, 'a transaction of the old one is rolled back');
$cluster->refused($_, '55000', qr/this node serves another coordinator/, "the old one is refused: $_")
  for $sums, "UPDATE account SET balance = 0 WHERE id = $from";
is($new->query($sums), '100000|1000|1000', 'the new one sees all rows');

# They take turns: who comes last is served, and each ends only what it has left itself.
$cluster->gives('SELECT tessera.take_over()', '2', 'the old one takes over');
leave_in_doubt($old, 'xact_after_prepare', $from, $to);
is($new->query('SELECT tessera.take_over()'), '2', 'and the new one again');
is($new->query('SELECT tessera.recover_transactions()'), '0', 'it ends nothing');
is($new->query('SELECT node, decision FROM tessera.in_doubt ORDER BY node'), "node1|unknown\nnode2|unknown",
	'because it does not know what was decided');
($status, $out, $err) = $old->psql(undef, 'SELECT tessera.recover_transactions()',
	connstr => $old->connstr($TesseraCluster::DATABASE));
is($out, '0', 'who is not served any more ends nothing either');
is(prepared(), '11', 'so that is still there');
leave_in_doubt($new, 'xact_before_commit_prepared', $other_from, $other_to);
is(prepared(), '22', 'a decision of the new one is in doubt as well');
$cluster->gives('SELECT tessera.take_over()', '2', 'the old one takes over');
$cluster->gives('SELECT tessera.recover_transactions()', '2', 'and ends what it has left');
$cluster->gives($sums, '100000|1000|1000', 'as it decided');
$cluster->gives('SELECT node, decision FROM tessera.in_doubt ORDER BY node', "node1|unknown\nnode2|unknown",
	'but not what the new one has');
like($new->failure($sums), $refusal, 'the new one is refused');
like($new->failure('SELECT tessera.take_over(true)'), qr/ERROR:  55000: this server cannot have all decisions/,
	'who was taken over from does not know all');
is($new->query('SELECT tessera.take_over()'), '2', 'the new one takes over again');
is($new->query($sums), '100000|999|1001', 'and its decision is carried out');
is(prepared(), '00', 'nothing is in doubt');
$old->stop('immediate');

# A failover: the new coordinator has all decisions, and ends all that is in doubt.
my $last = promoted($new, 'last');
leave_in_doubt($new, 'xact_after_prepare', $from, $to);
$new->stop('immediate');
is(prepared(), '11', 'something is in doubt');
$cluster->node(2)->stop('immediate');
($status, $out, $err) = $last->psql(undef, 'SELECT tessera.take_over(has_all_decisions => true)',
	connstr => $last->connstr($TesseraCluster::DATABASE));
is($out, '1', 'one node is down');
like($err, qr/WARNING:  node "node2" does not serve this coordinator yet/, 'which is said');
is($last->query("SELECT balance FROM account WHERE id = $from"), '1000', 'the other one works');
is($cluster->node_query(1, 'SELECT count(*) FROM pg_prepared_xacts'), '0', 'with nothing in doubt');
$cluster->node(2)->start;
is($last->query($sums), '100000|999|1001', 'a node that was away is told when it is back');
$last->query('SELECT tessera.recover_transactions()');
is(prepared(), '00', 'nothing is in doubt');

done_testing();
