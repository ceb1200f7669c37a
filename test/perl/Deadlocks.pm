
# Deadlocks.pm - sessions that are brought into a cycle of waits.
#
#   my $deadlocks = Deadlocks->new($cluster);
#   my @clients = $deadlocks->sessions('LOCK TABLE a', 'LOCK TABLE b');
#   $deadlocks->all_but_last('tables', \@clients, [ 'LOCK TABLE b', 'LOCK TABLE a' ]);
package Deadlocks;

use strict;
use warnings;
use TesseraClient;
use Test::More;
use Time::HiRes qw(time);

# In a database of the coordinator's server, if not the cluster's own.
sub new
{
	my ($class, $cluster, $database) = @_;
	return bless { cluster => $cluster, database => $database // $TesseraCluster::DATABASE }, $class;
}

# Sessions in transactions, the oldest first, each holding something.
sub sessions
{
	my ($self, @taken) = @_;
	return map {
		my $client = TesseraClient->new($self->{cluster}->coordinator->connstr($self->{database}));
		$client->pid;    # one after the other
		$client->ask("BEGIN; $_");
		$client
	} @taken;
}

# Until what was sent to the session waits for something.
sub waits
{
	my ($self, $client) = @_;
	$self->{cluster}->wait_for(sprintf q{SELECT state = 'active' AND wait_event IS NOT NULL
		FROM pg_stat_activity WHERE pid = %d}, $client->pid);
	return;
}

# How long the last cycle stood.
sub seconds { return $_[0]->{seconds}; }

# Each session but the last has its second statement done at last, and the last
# one, the youngest, is the victim; returns what it was told.
sub all_but_last
{
	my ($self, $name, $clients, $wanted) = @_;
	for my $i (0 .. $#$clients)
	{
		$clients->[$i]->send($wanted->[$i]);
		$self->waits($clients->[$i]) if $i < $#$clients;
	}
	my $closed = time;
	my $told = $clients->[-1]->answer;
	$self->{seconds} = time - $closed;
	like($told, qr/ERROR:  40P01: deadlock detected\nDETAIL:  /, "$name: the youngest is the victim");
	$clients->[-1]->ask('ROLLBACK');
	for my $i (reverse 0 .. $#$clients - 1)
	{
		is($clients->[$i]->answer, '', "$name: session $i goes on");
		is($clients->[$i]->ask('COMMIT'), '', 'and commits');
	}
	$_->finish for @$clients;
	return $told;
}

1;
