
# TesseraClient.pm - a psql that stays connected; ask() gives what one input brings,
# errors included.  If the session ends, so does psql: the answer is what it has said.
#
#   my $client = $cluster->client;
#   is($client->ask('SELECT 1'), '1', 'an answer');
#   $client->send('SELECT pg_sleep(60)');       # comes back at once
#   like($client->answer, qr/ERROR/, 'the answer to what was sent');
package TesseraClient;

use strict;
use warnings;
use IPC::Run;

# How long an answer may take: a test that waits for longer hangs.
use constant TIMEOUT_S => 120;

# What stands after an answer.
use constant END => "== end of answer ==\n";

sub new
{
	my ($class, $connection) = @_;
	my $self = bless { in => '', out => '' }, $class;

	$self->{timer} = IPC::Run::timeout(TIMEOUT_S);
	$self->{run} = IPC::Run::start(
		[ 'psql', '-XqAt', '-v', 'VERBOSITY=verbose', '-d', $connection ],
		'<', \$self->{in}, '>', \$self->{out}, '2>&1', $self->{timer});
	$self->{pid} = $self->ask('SELECT pg_backend_pid()');
	return $self;
}

sub send
{
	my ($self, $sql) = @_;
	$self->{in} .= "$sql\n;\n\\echo " . END;
	$self->{run}->pump_nb;
	return $self;
}

# True if the whole answer has come, or none will.
sub has_answered
{
	my ($self) = @_;
	return index($self->{out}, END) >= 0 || !$self->{run}->pumpable || !eval { $self->{run}->pump_nb; 1 };
}

sub answer
{
	my ($self) = @_;
	my $end = END;
	my $at;

	$self->{timer}->start(TIMEOUT_S);
	while (($at = index($self->{out}, $end)) < 0)
	{
		# a psql that has lost its session ends by itself
		next if $self->{run}->pumpable && eval { $self->{run}->pump; 1 };
		die $@ if $@ =~ /timeout/;
		return $self->{out};
	}
	my $answer = substr($self->{out}, 0, $at, '');
	substr($self->{out}, 0, length $end, '');
	chomp $answer;
	return $answer;
}

sub ask { return $_[0]->send($_[1])->answer; }

# The process of its server session.
sub pid { return $_[0]->{pid}; }

sub finish
{
	my ($self) = @_;
	$self->{in} .= "\\q\n";
	$self->{run}->finish;
	return;
}

1;
