
# A transaction that wrote on two nodes commits on both or on neither, whatever
# is killed when. What a crash leaves is prepared, and the record tells what
# was decided.
# allow in server logs: was terminated by signal 9
use strict;
use warnings;
use IPC::Run;
use TesseraCluster;
use Test::More;
use Time::HiRes qw(usleep);

# what is left is looked at here before it is ended, by this file (see 042)
my $cluster = TesseraCluster->new(nodes => 2, conf => "tessera.recover_interval = 0\n");
my $coordinator = $cluster->coordinator;
my $write = q{BEGIN; INSERT INTO t SELECT i, 'new' FROM generate_series(101, 108) i; COMMIT;};

$cluster->query(q{CREATE TABLE t (k int PRIMARY KEY, v text);
	SELECT tessera.create_distributed_table('t', 'k', shard_count => 4);
	INSERT INTO t SELECT i, 'old' FROM generate_series(1, 100) i;});

sub prepared
{
	my ($n) = @_;
	return $cluster->node_query($n, 'SELECT count(*) FROM pg_prepared_xacts');
}

# Ends what is prepared on node N, as the record on the coordinator says. Nobody
# has to before reading: a node is not read that may not know of a decision.
sub settle
{
	my ($n) = @_;
	for my $gid (split /\n/, $cluster->node_query($n, 'SELECT gid FROM pg_prepared_xacts'))
	{
		(my $transaction = $gid) =~ s/:\d+$//;
		my $decided = $cluster->query(
			"SELECT count(*) FROM tessera.commit_record WHERE gid = '$transaction'");
		$cluster->node_query($n, ($decided ? 'COMMIT' : 'ROLLBACK') . " PREPARED '$gid'");
	}
}

# An error before the decision: nothing is left anywhere.
for my $point (qw(xact_before_prepare xact_after_prepare xact_after_record))
{
	$cluster->refused("SET tessera.fault_points = '$point:error'; $write",
		'38000', qr/$point/, "an error at $point is one of COMMIT");
	is(prepared(1) . prepared(2), '00', 'nothing stays prepared');
	$cluster->gives('SELECT count(*) FROM t', '100', 'and nothing was written');
}

# A refused PREPARE: the other node rolls back, too.
$cluster->gives(q{SELECT bool_and(success) FROM tessera.run_on_shards('t', 'ALTER TABLE %s
	ADD CONSTRAINT later EXCLUDE USING btree (v WITH =) WHERE (v = ''twice'')
	DEFERRABLE INITIALLY DEFERRED')}, 't', 'shards get a deferred constraint');
$cluster->refused(q{BEGIN; INSERT INTO t SELECT i, CASE WHEN i IN
	(SELECT k FROM (SELECT k, (tessera.shard_of('t', k)).shard_id AS s FROM generate_series(201, 260) k) x
	 WHERE s = (SELECT min(shard_id) FROM tessera.placements WHERE relation = 't'::regclass)) THEN 'twice' ELSE i::text END
	FROM generate_series(201, 260) i; COMMIT;},
	'23P01', qr/later/, 'a constraint that is checked at PREPARE fails the COMMIT');
is(prepared(1) . prepared(2), '00', 'nothing stays prepared');
$cluster->gives('SELECT count(*) FROM t', '100', 'nothing was written on any node');

# The coordinator is killed: before the decision, and after it.
sub killed
{
	my ($point, $rows) = @_;

	# the session is gone, and the server with it (restart_after_crash is off)
	$coordinator->psql(undef, "SET tessera.fault_points = '$point:kill'; $write",
		connstr => $coordinator->connstr($TesseraCluster::DATABASE));
	my $pid_file = $coordinator->data_dir . '/postmaster.pid';
	for (1 .. 1000)
	{
		last if !-e $pid_file;
		usleep(20_000);
	}
	$coordinator->_update_pid(0);
	$coordinator->start;
	$cluster->gives('SELECT count(*) FROM t', $rows, "killed at $point: all or nothing");
	settle($_) for 1, 2;
	$cluster->query('DELETE FROM t WHERE k > 100');
}
killed('xact_before_prepare', '100');
killed('xact_after_prepare', '100');
killed('xact_after_record', '100');
killed('xact_before_commit_prepared', '108');
killed('xact_between_commit_prepared', '108');
killed('xact_after_commit_prepared', '108');

# A node dies between its PREPARE and the decision's arrival.
my $records = $cluster->query('SELECT count(*) FROM tessera.commit_record');
$cluster->query(q{ALTER SYSTEM SET tessera.fault_points = 'xact_before_commit_prepared:wait'});
$cluster->query('SELECT pg_reload_conf()');
my ($in, $out) = ("$write\n", '');
my $client = IPC::Run::start([ 'psql', '-XqAt', '-d',
		$coordinator->connstr($TesseraCluster::DATABASE) ],
	'<', \$in, '>', \$out, '2>&1', IPC::Run::timeout(120));
$client->pump_nb;
$cluster->wait_for("SELECT count(*) > $records FROM tessera.commit_record");
$cluster->node(2)->stop('immediate');
$cluster->query('ALTER SYSTEM RESET tessera.fault_points');
$cluster->query('SELECT pg_reload_conf()');
$client->finish;
like($out, qr/WARNING: .*committed, but node "node2" has not confirmed it/,
	'COMMIT succeeds with a warning that names the node');
is(prepared(1), '0', 'the other node has committed');
$cluster->node(2)->start;
is(prepared(2), '1', 'the node keeps its part');
$cluster->gives('SELECT count(*) FROM t', '108', 'which is committed before anybody reads there');
is(prepared(2), '0', 'and no more in doubt');

# A node session that dies with work in it: the transaction cannot commit, not
# even after a savepoint has caught the error.
my $terminate = join '', map {
	sprintf "\\! psql -Xq -d \"%s\" -o /dev/null -c \"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
	  . "WHERE application_name = 'tessera' AND state = 'idle in transaction'\"\n",
	  $cluster->node($_)->connstr($TesseraCluster::DATABASE)
} 1, 2;
my $update = q{UPDATE t SET v = 'lost' WHERE k = 1;};

$cluster->refused("BEGIN;\n$update\n${terminate}COMMIT;", '08006', qr/node/,
	'COMMIT after the loss of the only writer fails, and it is known that it did');
$cluster->gives('SELECT v FROM t WHERE k = 1', 'old', 'and nothing is written');

my ($status, $stdout, $stderr) = $coordinator->psql(
	undef,
	"\\set VERBOSITY verbose\nBEGIN;\n$update\nSAVEPOINT a;\n$terminate$update\n"
	  . "ROLLBACK TO a;\nSELECT count(*) FROM t WHERE k = 2;\nCOMMIT;",
	connstr => $coordinator->connstr($TesseraCluster::DATABASE),
	on_error_stop => 0);
like($stderr, qr/08006.*08006/s, 'the loss outlives the savepoint');
$cluster->gives('SELECT v FROM t WHERE k = 1', 'old', 'the first write did not commit either');

# What was done only inside the savepoint may be lost: the node joins again.
($status, $stdout, $stderr) = $coordinator->psql(
	undef,
	"BEGIN;\nSAVEPOINT a;\n$update\n$terminate$update\nROLLBACK TO a;\n"
	  . "UPDATE t SET v = 'later' WHERE k = 1;\nCOMMIT;",
	connstr => $coordinator->connstr($TesseraCluster::DATABASE),
	on_error_stop => 0);
$cluster->gives('SELECT v FROM t WHERE k = 1', 'later', 'a transaction that lost nothing goes on');
is(prepared(1) . prepared(2), '00', 'nothing stays prepared');

done_testing();
