
# LoopbackProxy.pm - a network between a coordinator and its nodes that tests can
# slow down, silence and cut, and that counts what goes through.  One process of its
# own forwards TCP connections on the loopback to targets, numbered from 1.
#
#   my $network = LoopbackProxy->new($port_of_node1, $port_of_node2);
#   $network->port(1)                    # where to reach target 1
#   $network->delay($n, $ms)             # each direction takes this long
#   $network->silent($n)                 # nothing goes through any more, either way, on
#                                        # open and on new connections; nobody is told
#   $network->pass($n)                   # as at the start; what silence held goes on
#   $network->cut($n)                    # resets all connections; new ones go through
#   $network->refuse($n)                 # new connections are refused, open ones stay
#
# What happens when bytes to the node match a pattern (once, on one connection):
#
#   $network->when($n, qr/COMMIT PREPARED/, 'cut')         # before the node has them
#   $network->when($n, qr/COMMIT PREPARED/, 'cut_after')   # the node has them, its answer is lost
#   'silent' and 'silent_after' silence the target, 'mute' and 'mute_after' this connection
#   $network->wait_until_fired($n)
#
# Counts since the start or reset(), a hash: counts($n)->{...}
#   connections   accepted           open      now
#   turns         how often a client spoke on a connection after it had heard something there
#   to_node, to_client               bytes     held  now, for silence or delay
# rounds() is the number of round trips in a row: those of several connections that were under
# way at the same time count once.  With one client, and a delay that keeps answers away
# longer than the client takes to send to all nodes, it is exact.
package LoopbackProxy;

use strict;
use warnings;
use Errno qw(EAGAIN EWOULDBLOCK EINTR);
use IO::Handle;
use Socket qw(:DEFAULT :crlf SO_LINGER SO_REUSEADDR IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time usleep);

# What is held of one direction of a connection before its sender is not read any more.
use constant HELD_BYTES => 256 * 1024;
# How far back a pattern may begin, before the bytes that complete it.
use constant PATTERN_BYTES => 300;

# The test's side --------------------------------------------------------------

sub new
{
	my ($class, @ports) = @_;
	my $self = bless { in => '', out => '' }, $class;

	require IPC::Run;
	$self->{timer} = IPC::Run::timeout(180);
	$self->{run} = IPC::Run::start([ $^X, $INC{'LoopbackProxy.pm'}, @ports ],
		'<', \$self->{in}, '>', \$self->{out}, $self->{timer});
	$self->{ports} = [ split / /, $self->_answer ];
	return $self;
}

sub port { return $_[0]->{ports}[ $_[1] - 1 ]; }

sub delay { return $_[0]->_ask('delay', $_[1], $_[2]); }
sub silent { return $_[0]->_ask('silent', $_[1]); }
sub pass { return $_[0]->_ask('pass', $_[1]); }
sub cut { return $_[0]->_ask('cut', $_[1]); }
sub refuse { return $_[0]->_ask('refuse', $_[1]); }
sub reset { return $_[0]->_ask('reset'); }
sub rounds { return $_[0]->_ask('rounds'); }

sub when
{
	my ($self, $n, $pattern, $action) = @_;
	return $self->_ask('when', $n, $action, unpack('H*', "$pattern"));
}

sub counts
{
	my ($self, $n) = @_;
	return { map { split /=/ } split / /, $self->_ask('counts', $n) };
}

# Waits until a count of target N satisfies the condition: wait_until(1, sub { $_[0]->{held} > 0 })
sub wait_until
{
	my ($self, $n, $condition) = @_;

	for (1 .. 6000)
	{
		return 1 if $condition->($self->counts($n));
		usleep(20_000);
	}
	die "the network never came to what was waited for";
}

sub wait_until_fired
{
	my ($self, $n) = @_;
	return $self->wait_until($n, sub { $_[0]->{armed} == 0 });
}

# Ends it; connections are reset.
sub stop
{
	my ($self) = @_;
	$self->{run}->kill_kill if $self->{run};
	delete $self->{run};
	return;
}

sub _ask
{
	my ($self, @words) = @_;
	$self->{in} .= join(' ', @words) . "\n";
	return $self->_answer;
}

sub _answer
{
	my ($self) = @_;
	$self->{timer}->start(180);
	$self->{run}->pump while $self->{out} !~ /\n/;
	$self->{out} =~ s/^(.*?)\n//;
	my $answer = $1;
	die "network: $answer" if $answer =~ s/^error //;
	return $answer;
}

# The proxy's side -------------------------------------------------------------

# All targets: { port, listener, mode, delay_s, connections, armed => [pattern, action], counts }
my @targets;
# Round trips in a row: of what clients sent, and of what they have heard.
my ($rounds, $heard) = (0, 0);

exit serve(@ARGV) unless caller;

sub serve
{
	my @ports = @ARGV;
	my $control = '';

	$SIG{PIPE} = 'IGNORE';
	STDOUT->autoflush(1);
	STDIN->blocking(0);
	for my $port (@ports)
	{
		my $target = { port => $port, mode => 'pass', delay_s => 0, connections => [], armed => undef };
		$target->{listener} = bound_socket(0);
		listen $target->{listener}, 128 or die "listen: $!";
		push @targets, $target;
	}
	reset_counts();
	print join(' ', map { local_port($_->{listener}) } @targets), "\n";

	while (1)
	{
		my $readable = wait_for_sockets();

		if ($readable->(\*STDIN))
		{
			my $got = sysread STDIN, $control, 65536, length $control;
			return 0 if defined $got && $got == 0;
			obey($1) while $control =~ s/^(.*?)\n//;
		}
		for my $target (@targets)
		{
			accept_connection($target)
			  if $target->{mode} ne 'refuse' && $readable->($target->{listener});
			for my $connection (@{ $target->{connections} })
			{
				receive($target, $connection, $_) for grep { $connection->{$_}{socket}
					  && $readable->($connection->{$_}{socket}) } qw(client node);
				send_queued($target, $connection, $_) for qw(node client);
			}
			@{ $target->{connections} } = grep { !is_over($_) } @{ $target->{connections} };
		}
	}
}

sub bound_socket
{
	my ($port) = @_;
	socket my $socket, PF_INET, SOCK_STREAM, IPPROTO_TCP or die "socket: $!";
	setsockopt $socket, SOL_SOCKET, SO_REUSEADDR, 1;
	bind $socket, pack_sockaddr_in($port, INADDR_LOOPBACK) or die "bind: $!";
	$socket->blocking(0);
	return $socket;
}

sub local_port { return (unpack_sockaddr_in(getsockname $_[0]))[0]; }

sub reset_counts
{
	for my $target (@targets)
	{
		$target->{count} = { map { $_ => 0 } qw(connections turns to_node to_client) };
		for my $connection (@{ $target->{connections} })
		{
			$connection->{has_heard} = 1;
			$connection->{round} = 0;
			$_->{round} = 0 for @{ $connection->{node}{queue} }, @{ $connection->{client}{queue} };
		}
	}
	($rounds, $heard) = (0, 0);
	return;
}

# Waits until there is something to do; returns a function that tells whether a
# socket is readable.  What is due is written without asking.
sub wait_for_sockets
{
	my ($read, $write) = ('', '');
	my $now = time;
	my $timeout;

	vec($read, fileno(STDIN), 1) = 1;
	for my $target (@targets)
	{
		vec($read, fileno($target->{listener}), 1) = 1 if $target->{mode} ne 'refuse';
		for my $connection (@{ $target->{connections} })
		{
			for my $from (qw(client node))
			{
				my ($source, $sink) = ($connection->{$from}, $connection->{ other($from) });

				vec($read, fileno($source->{socket}), 1) = 1
				  if $source->{socket} && !$source->{ended} && held($sink) < HELD_BYTES;
				next unless @{ $sink->{queue} } && may_pass($target, $connection, $sink->{queue}[0]);
				my $wait = $sink->{queue}[0]{at} - $now;
				if ($wait <= 0 && $sink->{socket})
				{
					vec($write, fileno($sink->{socket}), 1) = 1;
					next;
				}
				$wait = 0 if $wait < 0;    # the node is still to be connected
				$timeout = $wait if !defined $timeout || $wait < $timeout;
			}
		}
	}
	my $found = select($read, $write, undef, $timeout);
	($read, $write) = ('', '') if $found < 0;
	return sub { return vec($read, fileno($_[0]), 1); };
}

sub other { return $_[0] eq 'client' ? 'node' : 'client'; }

sub held
{
	my ($sink) = @_;
	my $bytes = 0;
	$bytes += length $_->{bytes} for @{ $sink->{queue} };
	return $bytes;
}

# False for what silence holds.
sub may_pass
{
	my ($target, $connection, $part) = @_;
	return 1 if $part->{let_through};
	return $target->{mode} ne 'silent' && !$connection->{mute};
}

sub accept_connection
{
	my ($target) = @_;
	accept my $socket, $target->{listener} or return;
	$socket->blocking(0);
	setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1;
	push @{ $target->{connections} }, {
		client => { socket => $socket, queue => [] },
		node => { socket => undef, queue => [] },    # connected with the first bytes for it
		tail => '', has_heard => 1, round => 0 };
	$target->{count}{connections}++;
	return;
}

# Reads what came from one side, into the queue of the other.
sub receive
{
	my ($target, $connection, $from) = @_;
	my $got = sysread $connection->{$from}{socket}, my $bytes, 65536;
	my $sink = $connection->{ other($from) };

	return if !defined $got && ($!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR});
	if (!$got)
	{
		$connection->{$from}{ended} = 1;
		push @{ $sink->{queue} }, { round => 0, bytes => '', at => time + $target->{delay_s}, end => 1 };
		return;
	}
	my $part = { bytes => $bytes, at => time + $target->{delay_s}, round => $connection->{round} };
	if ($from eq 'client')
	{
		$target->{count}{turns}++ if $connection->{has_heard};
		$connection->{has_heard} = 0;
		$part->{round} = $heard + 1;
		$rounds = $part->{round} if $rounds < $part->{round};
		push @{ $sink->{queue} }, $part;
		fire($target, $connection, $bytes) if $target->{armed};
		return;
	}
	push @{ $sink->{queue} }, $part;
	return;
}

# Does what is to be done when these bytes go to the node, which stand last in its queue.
sub fire
{
	my ($target, $connection, $bytes) = @_;
	my ($pattern, $action) = @{ $target->{armed} };

	$connection->{tail} = substr($connection->{tail}, -PATTERN_BYTES()) . $bytes;
	return unless $connection->{tail} =~ $pattern;
	$target->{armed} = undef;
	$_->{tail} = '' for @{ $target->{connections} };
	if ($action =~ s/_after$//)
	{
		$_->{let_through} = 1 for @{ $connection->{node}{queue} };
		$connection->{node}{queue}[-1]{cuts} = 1 if $action eq 'cut';
	}
	elsif ($action eq 'cut')
	{
		reset_connection($connection);
	}
	$target->{mode} = 'silent' if $action eq 'silent';
	$connection->{mute} = 1 if $action eq 'mute';
	return;
}

# Sends to one side what is due.
sub send_queued
{
	my ($target, $connection, $to) = @_;
	my $sink = $connection->{$to};
	my $now = time;

	$sink->{queue} = [] if $sink->{gone};
	while (my $part = $sink->{queue}[0])
	{
		last if !may_pass($target, $connection, $part) || $part->{at} > $now;
		if ($to eq 'node' && !$sink->{socket})
		{
			connect_node($target, $connection) or return reset_connection($connection);
		}
		if ($part->{end})
		{
			shutdown $sink->{socket}, SHUT_WR;
			shift @{ $sink->{queue} };
			next;
		}
		my $sent = syswrite $sink->{socket}, $part->{bytes};
		if (!defined $sent)
		{
			last if $!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR};
			return reset_connection($connection);
		}
		$target->{count}{"to_$to"} += $sent;
		note_sent($connection, $to, $part);
		substr($part->{bytes}, 0, $sent, '');
		last if length $part->{bytes};
		shift @{ $sink->{queue} };
		return cut_client($connection) if $part->{cuts};
	}
	return;
}

sub note_sent
{
	my ($connection, $to, $part) = @_;

	if ($to eq 'node')
	{
		$connection->{round} = $part->{round} if $connection->{round} < $part->{round};
	}
	else
	{
		$connection->{has_heard} = 1;
		$heard = $part->{round} if $heard < $part->{round};
	}
	return;
}

sub connect_node
{
	my ($target, $connection) = @_;
	socket my $socket, PF_INET, SOCK_STREAM, IPPROTO_TCP or die "socket: $!";
	connect $socket, pack_sockaddr_in($target->{port}, INADDR_LOOPBACK) or return 0;
	$socket->blocking(0);
	setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1;
	$connection->{node}{socket} = $socket;
	return 1;
}

# Closes with a reset, so that the peer has an error and not an end.
sub reset_side
{
	my ($side) = @_;
	setsockopt $side->{socket}, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0) if $side->{socket};
	close $side->{socket} if $side->{socket};
	$side->{socket} = undef;
	$side->{ended} = 1;
	$side->{queue} = [];
	return;
}

sub reset_connection
{
	my ($connection) = @_;
	reset_side($connection->{$_}) for qw(client node);
	return;
}

# The client has lost the connection; the node reads what it was sent, then the end.
sub cut_client
{
	my ($connection) = @_;
	reset_side($connection->{client});
	$connection->{client}{gone} = 1;
	shutdown $connection->{node}{socket}, SHUT_WR;
	return;
}

# Both sides have ended, and both have been told.
sub is_over
{
	my ($connection) = @_;
	my ($client, $node) = @$connection{qw(client node)};

	return 0 unless $client->{ended} && $node->{ended};
	return 0 if @{ $client->{queue} } || @{ $node->{queue} };
	close $_ for grep { defined } map { $_->{socket} } $client, $node;
	return 1;
}

# A command of the test: one line in, one line out.
sub obey
{
	my ($line) = @_;
	my ($command, $n, @arguments) = split / /, $line;
	my $target = defined $n ? $targets[ $n - 1 ] : undef;
	my $answer = eval { command($command, $target, @arguments) };

	print defined $answer ? "$answer\n" : 'error ' . ($@ =~ s/\n/ /gr) . "\n";
	return;
}

sub command
{
	my ($command, $target, @arguments) = @_;

	if ($command eq 'reset')
	{
		reset_counts();
		return 'ok';
	}
	return $rounds if $command eq 'rounds';
	return counts_text($target) if $command eq 'counts';
	if ($command eq 'when')
	{
		my $pattern = pack 'H*', $arguments[1];
		$target->{armed} = [ qr/$pattern/, $arguments[0] ];
		$_->{tail} = '' for @{ $target->{connections} };
	}
	elsif ($command eq 'delay')
	{
		$target->{delay_s} = $arguments[0] / 1000;
	}
	elsif ($command eq 'cut')
	{
		reset_connection($_) for @{ $target->{connections} };
		@{ $target->{connections} } = ();
	}
	elsif ($command eq 'pass' || $command eq 'silent' || $command eq 'refuse')
	{
		set_mode($target, $command);
	}
	else
	{
		die "no such command: $command";
	}
	return 'ok';
}

# A socket that is bound and does not listen keeps the port and refuses.
sub set_mode
{
	my ($target, $mode) = @_;

	if ($mode eq 'refuse' || $target->{mode} eq 'refuse')
	{
		my $port = local_port($target->{listener});
		close $target->{listener};
		$target->{listener} = bound_socket($port);
		listen $target->{listener}, 128 or die "listen: $!" if $mode ne 'refuse';
	}
	$target->{mode} = $mode;
	if ($mode eq 'pass')
	{
		$_->{mute} = 0 for @{ $target->{connections} };
	}
	return;
}

sub counts_text
{
	my ($target) = @_;
	my %count = %{ $target->{count} };

	$count{open} = @{ $target->{connections} };
	$count{armed} = $target->{armed} ? 1 : 0;
	$count{held} = 0;
	$count{held} += held($_->{client}) + held($_->{node}) for @{ $target->{connections} };
	return join ' ', map { "$_=$count{$_}" } sort keys %count;
}

1;
