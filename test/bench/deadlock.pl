# How long a deadlock stands, from the wait that closes the cycle to 40P01, beside
# twice deadlock_timeout: cycles of 2 to 10 sessions, of rows of two nodes, of nodes and
# this server in turn, and, for comparison, of this server alone, where PostgreSQL
# finds it.  The time is that of the client, on a machine that everything shares.
use strict;
use warnings;
use Deadlocks;
use List::Util qw(max);
use TesseraCluster;
use Test::More;
use Time::HiRes qw(time);

my $timeout_ms = 1000;
my $cluster = TesseraCluster->new(nodes => 2, conf => "deadlock_timeout = ${timeout_ms}ms\n",
	node_conf => "deadlock_timeout = ${timeout_ms}ms\n");
my $deadlocks = Deadlocks->new($cluster);

$cluster->query(q{
	CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL);
	SELECT tessera.create_distributed_table('account', 'id', shard_count => 4);
	INSERT INTO account SELECT i, 0 FROM generate_series(1, 100) i;
	CREATE TABLE here (id int PRIMARY KEY, balance int NOT NULL);
	INSERT INTO here SELECT i, 0 FROM generate_series(1, 100) i;});

# Ids of accounts, by node.
my @on = map {
	[ split /\n/, $cluster->query("SELECT id FROM account
		WHERE (tessera.shard_of('account', id)).node = 'node$_' ORDER BY id") ]
} 1, 2;

# Which row session number i begins with.
my %places = (
	'nodes' => sub { "account WHERE id = $on[ $_[0] % 2 ][ $_[0] ]" },
	'nodes and here' => sub {
		$_[0] % 3 == 1 ? "here WHERE id = $_[0]" : "account WHERE id = $on[ $_[0] % 3 / 2 ][ $_[0] ]";
	},
	'here' => sub { 'here WHERE id = ' . ($_[0] + 1) });

# The same here, where PostgreSQL's victim is whoever looks first; how long it took.
sub any_victim
{
	my ($clients, $wanted) = @_;

	for my $i (0 .. $#$clients)
	{
		$clients->[$i]->send($wanted->[$i]);
		$deadlocks->waits($clients->[$i]) if $i < $#$clients;
	}
	my $closed = time;
	1 until grep { $_->has_answered } @$clients;
	my $seconds = time - $closed;
	# the victim lets another one go on, which is heard of first sometimes
	$_->send('ROLLBACK') for @$clients;
	like(join("\n", map { $_->answer } @$clients), qr/40P01/, scalar(@$clients) . ' here: there is a victim');
	$_->finish for @$clients;
	return $seconds;
}

for my $place ('nodes', 'nodes and here', 'here')
{
	my @seconds;

	for my $size (2 .. 10)
	{
		my @rows = map { 'SELECT FROM ' . $places{$place}->($_) . ' FOR UPDATE' } 0 .. $size - 1;
		my @wanted = map { $rows[ ($_ + 1) % $size ] } 0 .. $size - 1;

		my @clients = $deadlocks->sessions(@rows);

		if ($place eq 'here')
		{
			push @seconds, any_victim(\@clients, \@wanted);
			next;
		}
		$deadlocks->all_but_last("$place, $size", \@clients, \@wanted);
		push @seconds, $deadlocks->seconds;
	}
	note sprintf 'time: %-16s 2 to 10 sessions: %s, at most %.2f s (twice deadlock_timeout: %.1f s)', $place,
	  join(' ', map { sprintf '%.2f', $_ } @seconds), max(@seconds), 2 * $timeout_ms / 1000;
}

done_testing();
