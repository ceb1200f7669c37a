
# What a sequence here gave out, and a node committed, is not given out again, though this
# server loses at once what it has not written yet.
use strict;
use warnings;
use TesseraCluster;
use Test::More;

# the WAL writer leaves the log alone, and nothing else commits here
my $cluster = TesseraCluster->new(
	nodes => 2,
	conf => "wal_writer_delay = '10s'\ntessera.recover_interval = 0\n");
my $coordinator = $cluster->coordinator;

$cluster->query(q{
	CREATE TABLE numbered (id bigserial PRIMARY KEY, v int);
	SELECT tessera.create_distributed_table('numbered', 'id', shard_count => 4)});

# One test: rows were committed on nodes by WRITE, a function of a new session; after a
# crash their keys do not come again.
sub survives
{
	my ($name, $write) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $before = $cluster->query('SELECT count(*) FROM numbered');
	my $client = $cluster->client;

	# the next value is logged
	$cluster->query('CHECKPOINT');
	is($write->($client), '', $name);
	$coordinator->stop('immediate');
	$coordinator->start;
	$cluster->wait_for('SELECT true');
	return $cluster->gives("SELECT count(*) - $before > 0, nextval('numbered_id_seq') > max(id) FROM numbered",
		't|t', "$name: no key comes again");
}
my $insert = 'INSERT INTO numbered DEFAULT VALUES;';

for my $setting ('on', 'off')
{
	survives("a statement, synchronous_commit = $setting",
		sub { return $_[0]->ask("SET synchronous_commit = $setting;\n$insert"); });
	survives("its rows are returned, synchronous_commit = $setting",
		sub { return $_[0]->ask("SET synchronous_commit = $setting;\n$insert\n"
			  . "INSERT INTO numbered (v) VALUES (1) RETURNING NULL \\g /dev/null"); });
}

# Values that another session has logged, and not committed.
survives('values that others have logged', sub {
	my $other = $cluster->client;

	$other->ask("BEGIN; SELECT nextval('numbered_id_seq')");
	return $_[0]->ask($insert) . $_[0]->ask("BEGIN;\n$insert\nCOMMIT;");
});
survives('a value that the client brings', sub {
	my $other = $cluster->client;

	$other->ask("BEGIN; SELECT nextval('numbered_id_seq')");
	my $id = $_[0]->ask("SELECT nextval('numbered_id_seq')");
	return $_[0]->ask("INSERT INTO numbered VALUES ($id);");
});

# Synchronous standbys have it before the node does.
sub standby
{
	my ($names) = @_;
	$cluster->query("SET synchronous_commit = local; ALTER SYSTEM SET synchronous_standby_names = '$names'");
	$cluster->query('SELECT pg_reload_conf()');
	$cluster->wait_for("SELECT current_setting('synchronous_standby_names') = '$names'");
	# Commits look at what the checkpointer made of it, which it reads between two checkpoints.
	return map { $cluster->query('CHECKPOINT') } (1, 2);
}
my $count = $cluster->query('SELECT count(*) FROM numbered');
my $client = $cluster->client;
$client->ask('SELECT count(*) FROM numbered');
standby('nobody');
$client->send($insert);
$cluster->wait_for(q{SELECT wait_event = 'SyncRep' FROM pg_stat_activity WHERE pid = } . $client->pid);
$cluster->gives('SELECT count(*) FROM numbered', $count, 'while a standby lacks the key, no node has it');
standby('');
is($client->answer, '', 'when it has it, the node commits');
$cluster->gives("SELECT count(*) - $count FROM numbered", '1', 'the row');

done_testing();
