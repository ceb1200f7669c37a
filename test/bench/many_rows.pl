# Rows a second of INSERT statements of 1,000 rows, and the CPU of all servers, into 32
# shards on two nodes and into a plain table of the coordinator; the two in turn, so that
# other work of the machine hits both. "make bench TESTS=../bench/many_rows" runs it: COUNT=
# is the number of statements, ROUNDS= of rounds, ONLY= a pattern of names. At the end one
# line of JSON for each measure.
use strict;
use warnings;
use CpuTime qw(median ticks_of);
use File::Basename;
use IPC::Run;
use JSON::PP;
use List::Util 'sum';
use PostgreSQL::Test::Utils;
use TesseraCluster;
use Test::More;

my $statements = ($ENV{TESS_POINT_COUNT} || 20_000) / 100;
my $rounds = $ENV{TESS_POINT_ROUNDS} // 3;
my $only = $ENV{TESS_POINT_ONLY} || '.';
my $rows = 1000;
my $goal = 0.6;
my $conf = "autovacuum = off\nmax_wal_size = '8GB'\ncheckpoint_timeout = '1h'\nshared_buffers = '256MB'\nlog_statement = none\n";
my $cluster = TesseraCluster->new(nodes => 2, conf => $conf, node_conf => $conf);
my @servers = ($cluster->coordinator, $cluster->node(1), $cluster->node(2));
my $binary = "$PostgreSQL::Test::Utils::tmp_check/many_rows";
{
	my %config = map { /^(\w+) = (.*)$/ ? ($1 => $2) : () } split /\n/, qx($ENV{PG_CONFIG});
	system_or_bail('cc', '-O2', "-I$config{INCLUDEDIR}", '-o', $binary, dirname(__FILE__) . '/many_rows.c', "-L$config{LIBDIR}",
		"-Wl,-rpath,$config{LIBDIR}", '-lpq');
}

$cluster->query(<<'SQL');
CREATE TABLE plain (k bigint, n int, v text);
CREATE TABLE plain_unique (k bigint PRIMARY KEY, n int, v text);
CREATE TABLE spread (LIKE plain);
CREATE TABLE spread_unique (LIKE plain_unique INCLUDING ALL);
SELECT tessera.create_distributed_table('spread', 'k', shard_count => 32);
SELECT tessera.create_distributed_table('spread_unique', 'k', colocate_with => 'spread');
SQL

# name, protocol, suffix of the table, what stands behind the rows
my @measures = (
	[ 'simple', 'simple', '', '' ],
	[ 'extended, 3,000 parameters', 'extended', '', '' ],
	[ 'prepared', 'prepared', '', '' ],
	[ 'prepared, in a pipeline', 'pipeline', '', '' ],
	[ 'simple, RETURNING', 'simple', '', 'RETURNING k' ],
	[ 'prepared, RETURNING', 'prepared', '', 'RETURNING k' ],
	[ 'simple, DO NOTHING', 'simple', '_unique', 'ON CONFLICT DO NOTHING' ],
	[ 'simple, DO UPDATE', 'simple', '_unique', 'ON CONFLICT (k) DO UPDATE SET n = excluded.n' ]);

# Rows a second, and ticks of all servers.
sub run
{
	my ($protocol, $table, $tail) = @_;
	my ($out, $err);
	my $before = sum(ticks_of(@servers));

	IPC::Run::run([ $binary, $cluster->coordinator->connstr('shop'), $protocol, $rows, $statements, 1, $table, $tail ], '<', \undef, '>', \$out, '2>', \$err)
	  or die "many_rows: $err";
	$cluster->wait_for(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'client backend'});
	return ($statements * $rows * 1e6 / $out, sum(ticks_of(@servers)) - $before);
}

my @results;
for my $measure (grep { $_->[0] =~ /$only/ } @measures)
{
	my ($name, $protocol, $suffix, $tail) = @$measure;
	my (@speed, @speed_plain, @cpu);

	for my $round (0 .. $rounds)
	{
		$cluster->query("TRUNCATE plain$suffix, spread$suffix");
		my ($plain, $plain_ticks) = run($protocol, "plain$suffix", $tail);
		my ($spread, $ticks) = run($protocol, "spread$suffix", $tail);

		next if $round == 0 && $rounds > 1;    # the first warms up
		push @speed_plain, $plain;
		push @speed, $spread / $plain;
		push @cpu, $ticks / ($plain_ticks || 1);
	}
	is($cluster->query("SELECT count(*), sum(k) FROM spread$suffix"), $cluster->query("SELECT count(*), sum(k) FROM plain$suffix"), "$name: the same rows");
	push @results, { measure => $name, statements => $statements, plain_rows_a_second => int(median(@speed_plain)), speed => 0 + sprintf('%.2f', median(@speed)),
		cpu => 0 + sprintf('%.2f', median(@cpu)), goal => $goal, rounds => $rounds };
	note sprintf 'time: %-28s plain %7d rows/s, spread %.2f of that (goal %.2f%s), CPU of all servers %.2f times', $name, median(@speed_plain), median(@speed), $goal,
	  median(@speed) < $goal ? ', missed' : '', median(@cpu);
}

my $json = JSON::PP->new->canonical;
note 'time: ' . $json->encode($_) for @results;

done_testing();
