# What cluster snapshots cost: 8 sessions that move money between nodes beside 2
# that add it all up, for each value of tessera.snapshot: commits and sums a
# second.  Rounds alternate between the values, so that other work of the machine
# hits all of them.  TESS_BENCH_SECONDS is the length of a round.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Utils;
use TesseraCluster;
use Test::More;

my $seconds = $ENV{TESS_BENCH_SECONDS} // 5;
my $rounds = 3;
my $accounts = 1000;
my $cluster = TesseraCluster->new(nodes => 2);
my $coordinator = $cluster->coordinator;

$cluster->query(qq{
	ALTER SYSTEM SET log_statement = 'none';
	SELECT pg_reload_conf();
	CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL);
	SELECT tessera.create_distributed_table('accounts', 'id', shard_count => 4);
	INSERT INTO accounts SELECT i, 100 FROM generate_series(1, $accounts) i;});
for my $n (1, 2)
{
	$cluster->node_query($n, q{ALTER SYSTEM SET log_statement = 'none'});
	$cluster->node_query($n, 'SELECT pg_reload_conf()');
}

sub script
{
	my ($name, $sql) = @_;
	my $file = $coordinator->basedir . "/$name.sql";

	append_to_file($file, $sql);
	return $file;
}
my $half = $accounts / 2;
my $transfer = script('transfer',
	"\\set a random(1, $half)\n\\set b random($half + 1, $accounts)\nBEGIN;\n" .
	"UPDATE accounts SET balance = balance - 1 WHERE id = :a;\n" .
	"UPDATE accounts SET balance = balance + 1 WHERE id = :b;\nCOMMIT;\n");
my $sum = script('sum', "SELECT sum(balance) FROM accounts;\n");
my $sum_in_transaction = script('sum_in_transaction',
	"BEGIN ISOLATION LEVEL REPEATABLE READ;\n" .
	"SELECT sum(balance) FROM accounts WHERE id <= $half;\n" .
	"SELECT sum(balance) FROM accounts WHERE id > $half;\nCOMMIT;\n");

sub start_load
{
	my ($out, $clients, $file) = @_;
	return IPC::Run::start(
		[ 'pgbench', '--no-vacuum', '-T', $seconds, '-c', $clients, '-f', $file,
			'-h', $coordinator->host, '-p', $coordinator->port,
			$TesseraCluster::DATABASE ],
		'<', \undef, '>', $out, '2>', \my $err);
}

for my $reader ([ 'one statement', $sum ], [ 'REPEATABLE READ', $sum_in_transaction ])
{
	my ($name, $file) = @$reader;
	my %totals;

	for my $round (1 .. $rounds)
	{
		for my $mode ('all', 'repeatable_read', 'off')
		{
			my ($written, $read) = ('', '');
			local $ENV{PGOPTIONS} = "-c tessera.snapshot=$mode";
			my $writers = start_load(\$written, 8, $transfer);
			my $readers = start_load(\$read, 2, $file);

			$writers->finish;
			$readers->finish;
			$totals{$mode}{commits} += $1 if $written =~ /actually processed: (\d+)/;
			$totals{$mode}{sums} += $1 if $read =~ /actually processed: (\d+)/;
		}
	}
	for my $mode ('all', 'repeatable_read', 'off')
	{
		note sprintf "time: %-16s %-16s %6.0f commits/s %6.0f sums/s", $name, $mode,
			map { $totals{$mode}{$_} / $seconds / $rounds } 'commits', 'sums';
	}
	cmp_ok($totals{all}{commits}, '>', 0, "writers beside $name");
}
$cluster->gives('SELECT sum(balance) FROM accounts', 100 * $accounts, 'nothing is lost');

done_testing();
