
# A bank: 100 accounts over three nodes, eight sessions that transfer money between
# them, and readers under REPEATABLE READ that add all of it up, while servers are
# killed and come back.  Every sum is right, and at the end each account has what its
# ledger says, with every transfer that was acknowledged in it.
# Takes 20 seconds, because it is the number of kills that counts; `make soak` goes on
# until there are TESS_SOAK_SUMS sums (10,000), for TESS_SOAK_SECONDS at least.
# allow in server logs: was terminated by signal 9
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Utils;
use TesseraCluster;
use Test::More;
use Time::HiRes qw(time usleep);

my $seconds = $ENV{TESS_SOAK_SECONDS} || ($ENV{TESS_SOAK} ? 600 : 15);
my $wanted = $ENV{TESS_SOAK_SUMS} || ($ENV{TESS_SOAK} ? 10_000 : 1);
my $seed = $ENV{TESS_SOAK_SEED} || time;
my $cluster = TesseraCluster->new(
	nodes => 3,
	conf => "restart_after_crash = on\ntessera.recover_interval = 1s\nlog_statement = none\nmax_connections = 60\n",
	node_conf => "log_statement = none\nmax_connections = 60\nmax_prepared_transactions = 50\n");
my $coordinator = $cluster->coordinator;
my $total = 100 * 1000;

srand($seed);
note("seed $seed");
$cluster->query(q{
	CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL);
	CREATE TABLE ledger (id int, amount bigint);
	SELECT tessera.create_distributed_table('account', 'id', shard_count => 6);
	SELECT tessera.create_distributed_table('ledger', 'id', colocate_with => 'account');
	INSERT INTO account SELECT i, 1000 FROM generate_series(1, 100) i;});

sub script
{
	my ($name, $sql) = @_;
	my $file = $coordinator->basedir . "/$name.sql";
	append_to_file($file, $sql);
	return $file;
}

# Accounts are locked by id: no deadlocks.
my $transfer = script('transfer', <<'SQL');
\set a random(1, 50)
\set b random(51, 100)
\set v random(-9, 9)
BEGIN;
UPDATE account SET balance = balance - :v WHERE id = :a;
INSERT INTO ledger VALUES (:a, -:v);
UPDATE account SET balance = balance + :v WHERE id = :b;
INSERT INTO ledger VALUES (:b, :v);
COMMIT;
SQL

# A wrong sum is a division by zero, and in the server's log.
my $sum = script('sum', <<"SQL");
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM account WHERE id = 1;
SELECT 1 / (sum(balance) = $total)::int FROM account;
COMMIT;
SQL

# pgbench gives up a client that loses its session: it is started again and again
# until the file is gone.  What it has done is in its output.
my $going = $coordinator->basedir . '/going';
append_to_file($going, '');

sub load
{
	my ($file, $clients) = @_;
	my $out = "$file.out";
	my $command = sprintf q{while [ -e '%s' ]; do pgbench --no-vacuum -T 2 -c %d -f '%s' -h '%s' -p %d %s >>'%s' || sleep 0.1; done},
	  $going, $clients, $file, $coordinator->host, $coordinator->port, $TesseraCluster::DATABASE, $out;
	append_to_file($out, '');
	return { out => $out, run => IPC::Run::start([ 'sh', '-c', $command ], '<', \undef, '2>', '/dev/null') };
}

sub done
{
	my ($load) = @_;
	my $out = slurp_file($load->{out});
	my $sum = 0;
	$sum += $1 while $out =~ /transactions actually processed: (\d+)/g;
	return $sum;
}

# A server that is killed leaves processes which hold its memory until they notice.
sub crash
{
	my ($server, $pause) = @_;
	my $pid = $server->{_pid};

	$server->kill9;
	usleep($pause);
	usleep(50_000) while kill 0, $pid;
	usleep(200_000) until $server->start(fail_ok => 1);
	return;
}

my %kills = (
	'a session' => sub {
		my $pid = eval { $cluster->query(q{SELECT pid FROM pg_stat_activity
			WHERE application_name = 'pgbench' ORDER BY random() LIMIT 1}) };
		kill 'KILL', $pid if $pid;
		usleep(300_000);
	},
	'this server' => sub { crash($coordinator, 300_000) },
	'a node' => sub { crash($cluster->node(1 + int rand 3), 500_000) },
	'this server, stopped' => sub { $coordinator->stop('immediate'); $coordinator->start; },
	'a node, stopped' => sub {
		my $node = $cluster->node(1 + int rand 3);
		$node->stop('immediate');
		usleep(500_000);
		$node->start;
	},
	'sessions on a node' => sub {
		eval { $cluster->node_query(1 + int rand 3, q{SELECT count(pg_terminate_backend(pid))
			FROM pg_stat_activity WHERE application_name = 'tessera'}) };
	});
my @names = sort keys %kills;
my ($transfers, $sums) = (load($transfer, 8), load($sum, 2));
my $start = time;
my ($end, $seen, $progress) = ($start + $seconds, 0, $start);
my %killed;

while (time < $end || done($sums) < $wanted)
{
	my $name = $names[ rand @names ];

	usleep(1_000_000);
	$kills{$name}->();
	$killed{$name}++;
	($seen, $progress) = (done($sums), time) if done($sums) > $seen;
	last if time - $progress > 120;
}
my $killed = join '; ', map { "$_: $killed{$_}" } sort keys %killed;
usleep(2_500_000);    # a run without a kill at its end
unlink $going;
$_->{run}->finish for $transfers, $sums;

$cluster->wait_for('SELECT true');
$cluster->gives('SELECT sum(balance) FROM account', $total, 'no money is lost');
$cluster->gives(q{SELECT count(*) FROM account a WHERE balance <>
		1000 + coalesce((SELECT sum(amount) FROM ledger l WHERE l.id = a.id), 0)},
	'0', 'each account has what its ledger says');
$cluster->gives('SELECT count(*) FILTER (WHERE id <= 50) - count(*) FILTER (WHERE id > 50) FROM ledger',
	'0', 'each transfer is on both sides');
cmp_ok($cluster->query('SELECT count(*) FROM ledger'), '>=', 2 * done($transfers), 'and those that were acknowledged are there');
cmp_ok(done($transfers), '>', 0, 'some were');
cmp_ok(done($sums), '>=', $wanted, 'sums were taken');
unlike(slurp_file($coordinator->logfile), qr/division by zero/, 'every sum was right');
for my $n (1 .. 3)
{
	ok( $cluster->node($n)->poll_query_until($TesseraCluster::DATABASE,
			'SELECT count(*) = 0 FROM pg_prepared_xacts'),
		"nothing stays prepared on node $n");
}
note(sprintf 'time: %d s: %d transfers, %d sums (%s)', time - $start, done($transfers), done($sums), $killed);

done_testing();
