# CPU of COPY into 32 shards on two nodes, and out of them, beside COPY of the same file
# into a plain table of the coordinator, and out of it; the two in turn, so that other work
# of the machine hits both. "make bench" runs it: TESS_BENCH_ROWS (ROWS=) is the number of
# rows, TESS_POINT_ROUNDS (ROUNDS=) of rounds, TESS_POINT_ONLY (ONLY=) a pattern of names.
# At the end one line of JSON for each measure.
use strict;
use warnings;
use CpuTime qw(median ticks_of);
use JSON::PP;
use PostgreSQL::Test::Utils;
use TesseraCluster;
use Test::More;

my $rows = $ENV{TESS_BENCH_ROWS} // 2_000_000;
my $rounds = $ENV{TESS_POINT_ROUNDS} // 3;
my $only = $ENV{TESS_POINT_ONLY} || '.';
my $conf = "autovacuum = off\nmax_wal_size = '8GB'\ncheckpoint_timeout = '1h'\nshared_buffers = '256MB'\nlog_statement = none\n";
my $cluster = TesseraCluster->new(nodes => 2, conf => $conf, node_conf => $conf);
my @servers = ($cluster->coordinator, $cluster->node(1), $cluster->node(2));
my $folder = $PostgreSQL::Test::Utils::tmp_check;

my $events = q{k bigint, n int, at timestamptz, v text, amount numeric};
my $documents = 'k bigint, j jsonb';
my %rows_of = (
	events => [ $events, $rows, q{i * 7919::bigint, i % 1000, '2024-01-01'::timestamptz + i * interval '7 s', md5(i::text) || 'abcdefgh', i * 1.25} ],
	documents => [ $documents, $rows / 10, q{i, jsonb_build_object('id', i, 'name', md5(i::text), 'tags', jsonb_build_array('a', 'b', i % 7, 'c'),
		'lines', (SELECT jsonb_agg(jsonb_build_object('n', x, 'price', x * 1.5, 'text', md5((i + x)::text))) FROM generate_series(1, 12) x))} ]);

# name, table, options, what a goal is: of all servers, and of the coordinator
my @measures = (
	[ 'from text', 'events', '', 1.4, 0.35 ],
	[ 'from csv', 'events', '(FORMAT csv)', 1.4, 0.35 ],
	[ 'from binary', 'events', '(FORMAT binary)', 1.6 ],
	[ 'from text, jsonb', 'documents', '', 1.3 ],
	[ 'to text', 'events', '', 1.3 ],
	[ 'to csv', 'events', '(FORMAT csv)', 1.3 ],
	[ 'to binary', 'events', '(FORMAT binary)', 1.3 ],
	[ 'insert 1000 rows', 'events', '' ]);

# Ticks of the coordinator, and of all.
sub cost
{
	my ($sql) = @_;
	my @before = ticks_of(@servers);
	my @after;

	$cluster->query($sql);
	$cluster->wait_for(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'client backend'});
	@after = ticks_of(@servers);
	my @used = map { $after[$_] - $before[$_] } 0 .. $#after;
	return ($used[0], $used[0] + $used[1] + $used[2]);
}

my @chosen = grep { $_->[0] =~ /$only/ } @measures;
my %needed = map { $_->[1] => 1 } @chosen;
for my $table (sort keys %needed)
{
	my ($columns, $count, $values) = @{ $rows_of{$table} };

	$cluster->query(<<"SQL");
CREATE TABLE plain_$table ($columns);
CREATE TABLE $table ($columns);
SELECT tessera.create_distributed_table('$table', 'k', shard_count => 32);
INSERT INTO plain_$table SELECT $values FROM generate_series(1, $count) i;
COPY plain_$table TO '$folder/$table.text';
COPY plain_$table TO '$folder/$table.csv' (FORMAT csv);
COPY plain_$table TO '$folder/$table.binary' (FORMAT binary);
COPY $table FROM '$folder/$table.text';
VACUUM plain_$table, $table;
SQL
}

sub statements
{
	my ($name, $target, $table, $options) = @_;
	my ($format) = $options =~ /FORMAT (\w+)/;
	my $file = "$folder/$table." . ($format // 'text');

	return "COPY $target FROM '$file' $options" if $name =~ /^from/;
	return "COPY $target TO '/dev/null' $options" if $name =~ /^to/;
	my $statement = 0;
	return join ";\n", map {
		my $from = $_ * 1000;
		"INSERT INTO $target VALUES " . join ', ', map { my $i = $from + $_; "($i, 7, '2024-01-01 00:00:07', 'forty characters of text, more or less $i', $i.25)" } 1 .. 1000
	} 0 .. $rows / 20_000;
}

my @results;
for my $measure (@chosen)
{
	my ($name, $table, $options, $goal, $goal_here) = @$measure;
	my (@total, @here, @plain);

	for my $round (0 .. $rounds)
	{
		$cluster->query("TRUNCATE plain_$table, $table") if $name !~ /^to/;
		my ($plain) = cost(statements($name, "plain_$table", $table, $options));
		my ($here, $total) = cost(statements($name, $table, $table, $options));
		next if $round == 0 && $rounds > 1;    # the first warms up
		push @plain, $plain;
		push @total, $total / $plain;
		push @here, $here / $plain;
	}
	is($cluster->query("SELECT count(*), sum(k) FROM $table"), $cluster->query("SELECT count(*), sum(k) FROM plain_$table"), "$name: the same rows");
	push @results, { measure => $name, rows => $rows_of{$table}[1], plain_ms => 10 * median(@plain), times => 0 + sprintf('%.2f', median(@total)),
		here => 0 + sprintf('%.2f', median(@here)), goal => $goal, goal_here => $goal_here, rounds => $rounds };
	note sprintf 'time: %-18s plain %6d ms, all servers %.2f times that, the coordinator %.2f', $name, 10 * median(@plain), median(@total), median(@here);
}

my $json = JSON::PP->new->canonical;
note 'time: ' . $json->encode($_) for @results;

done_testing();
