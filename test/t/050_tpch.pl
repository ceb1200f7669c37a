# The 22 queries of TPC-H give the same over local tables and over distributed
# ones, in two layouts.  test/tpch has generator and queries; TESS_TPCH_SCALE is
# the scale factor ("make tpch").  Loading takes most of the time: the file runs
# for more than 20 seconds.
use strict;
use warnings;
use FindBin;
use Time::HiRes qw(time);
use TesseraCluster;
use Test::More;

my $folder = "$FindBin::Bin/../tpch";
my $scale = $ENV{TESS_TPCH_SCALE} // 0.05;
my %layouts = (
	few => 'small tables as reference tables',
	all => 'every table by its own key');
my $cluster = TesseraCluster->new(nodes => 2);

# The queries of the file, as [name, [columns sorted by], text].
sub queries_of
{
	my ($file) = @_;
	my @queries;

	open my $handle, '<', $file or die "$file: $!";
	while (my $line = <$handle>)
	{
		if ($line =~ /^-- (\d.*), sorted by ([\d ]+)$/)
		{
			push @queries, [ "query $1", [ split ' ', $2 ], '' ];
		}
		elsif (@queries)
		{
			$queries[-1][2] .= $line;
		}
	}
	close $handle;
	return @queries;
}

# Fills a schema, and distributes its tables.
sub load_schema
{
	my ($layout) = @_;
	my $distribute = $layout eq 'local' ? '' : "\\i $folder/distribute_$layout.sql";

	$cluster->query(<<"SQL");
SET client_min_messages = warning;
CREATE SCHEMA tpch_$layout;
SET search_path = tpch_$layout;
\\set scale $scale
\\i $folder/schema.sql
\\i $folder/load.sql
$distribute
ANALYZE;
SQL
	return;
}

# What a query gives in a schema, as a list of lines, and how long it took.
sub answer
{
	my ($layout, $query) = @_;
	my $start = time;
	my $answer = $cluster->query(<<"SQL");
SET search_path = tpch_$layout;
SET statement_timeout = '10min';
$query->[2]
SQL
	return ([ split /\n/, $answer ], time - $start);
}

# What a query's ORDER BY sees of its rows, one after the other.
sub sort_columns
{
	my ($rows, $query) = @_;
	return [ map { join '|', (split /\|/, $_, -1)[ map { $_ - 1 } @{ $query->[1] } ] } @$rows ];
}

load_schema($_) for 'local', sort keys %layouts;
$cluster->gives(<<'SQL', '6', 'the tables are distributed');
SELECT count(*) FROM tessera.tables WHERE kind = 'distributed' AND relation::text ~ '^tpch_all\.'
SQL

my @queries = queries_of("$folder/queries.sql");
is(scalar @queries, 23, 'all queries are there, one of them in two forms');
my $lines = $cluster->query('SELECT count(*) FROM tpch_local.lineitem');
note "time: scale $scale, $lines lines; seconds: local, few, all";
for my $query (@queries)
{
	my ($name) = @$query;
	my ($expected, $local_time) = answer('local', $query);
	my @times = ($local_time);

	ok(@$expected > 0 && !grep({ /^$/ } @$expected), "$name finds rows");
	for my $layout (reverse sort keys %layouts)
	{
		my ($rows, $seconds) = answer($layout, $query);
		push @times, $seconds;
		is_deeply([ sort @$rows ], [ sort @$expected ], "$name, $layouts{$layout}: rows");
		is_deeply(sort_columns($rows, $query), sort_columns($expected, $query),
			"$name, $layouts{$layout}: order");
	}
	note sprintf "time: %-20s %8.2f %8.2f %8.2f", $name, @times;
}

done_testing();
