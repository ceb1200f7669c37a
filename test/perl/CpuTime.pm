# CpuTime.pm - the CPU that servers have used, from /proc, and the median of figures.
#
#   my @ticks = ticks_of(@servers);    # clock ticks of each, PostgreSQL::Test::Cluster
#   my $used = nanoseconds_of(\@servers, $pid);    # of each process but this one
package CpuTime;

use strict;
use warnings;
use Exporter 'import';
use List::Util 'sum0';

our @EXPORT_OK = qw(median nanoseconds_of ticks_of);

# The fields of /proc/PID/stat after the name of the program, from the state on.
sub stat_of
{
	my ($pid) = @_;
	open my $handle, '<', "/proc/$pid/stat" or return;
	my $line = <$handle> // return;
	return split ' ', $line =~ s/.*\) //r;
}

# The postmasters of these servers and their children: each a hash of its pid, the
# position of its server, whether it is_postmaster, and its clock ticks, a
# postmaster's with those of its children that are gone.
sub processes_of
{
	my (@servers) = @_;
	my %position = map { $servers[$_]->{_pid} => $_ } 0 .. $#servers;
	my @processes;

	for my $pid (map { m{/proc/(\d+)} } glob '/proc/[0-9]*')
	{
		my @stat = stat_of($pid) or next;
		my $is_postmaster = exists $position{$pid};
		my $server = $position{ $is_postmaster ? $pid : $stat[1] } // next;

		push @processes,
		  { pid => $pid, server => $server, is_postmaster => $is_postmaster, ticks => sum0(@stat[ 11, 12 ], $is_postmaster ? @stat[ 13, 14 ] : ()) };
	}
	return @processes;
}

# What the scheduler has counted for each process of these servers: a hash of pids to
# the position of its server and nanoseconds (ns).  $without: the pid of one
# that does not count.
sub nanoseconds_of
{
	my ($servers, $without) = @_;
	my %used;

	for my $process (processes_of(@$servers))
	{
		next if $process->{pid} == $without;
		open my $handle, '<', "/proc/$process->{pid}/schedstat" or next;
		my ($ns) = split ' ', <$handle> // next;
		$used{ $process->{pid} } = { server => $process->{server}, ns => $ns };
	}
	return \%used;
}

# Clock ticks that each of these servers has used, in their order.
sub ticks_of
{
	my (@servers) = @_;
	my @ticks = (0) x @servers;

	$ticks[ $_->{server} ] += $_->{ticks} for processes_of(@servers);
	return @ticks;
}

# Of the figures that are defined; undef if there is none.
sub median
{
	my @sorted = sort { $a <=> $b } grep { defined } @_;
	return @sorted ? ($sorted[ $#sorted / 2 ] + $sorted[ @sorted / 2 ]) / 2 : undef;
}

1;
