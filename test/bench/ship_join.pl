# CPU of all servers for joins of 1,000,000 rows with 200,000 that are not
# colocated, with an aggregate on top, beside plain PostgreSQL's for the same
# rows.  Rounds alternate between the two, so that other work of the machine
# hits both.  "make bench" runs it; TESS_BENCH_ROWS is the larger number.
use strict;
use warnings;
use CpuTime 'ticks_of';
use List::Util 'sum';
use TesseraCluster;
use Test::More;

my $rows = $ENV{TESS_BENCH_ROWS} // 1_000_000;
my $fewer = $rows / 5;
my $rounds = 5;
my $conf = "max_parallel_workers_per_gather = 0\nautovacuum = off\nfsync = off\n";
my $cluster = TesseraCluster->new(nodes => 3, conf => $conf, node_conf => $conf);
my @servers = ($cluster->coordinator, map { $cluster->node($_) } 1 .. 3);
my @queries = (
	[ 'customers by region', <<'SQL' ],
SELECT c.region, count(*), sum(o.amount) FROM orders o JOIN customers c ON o.customer = c.id GROUP BY c.region ORDER BY 1
SQL
	[ 'orders by their key', <<'SQL' ],
SELECT c.region, count(*), sum(o.amount) FROM orders o JOIN customers c ON o.id = c.reference GROUP BY c.region ORDER BY 1
SQL
	[ 'all orders, customers or not', <<'SQL' ],
SELECT c.region, count(*), sum(o.amount) FROM orders o LEFT JOIN customers c ON o.customer = c.id AND c.region > 3 GROUP BY c.region ORDER BY 1
SQL
	[ 'neither by its key', <<'SQL' ],
SELECT o.status, count(*), max(c.name) FROM orders o JOIN customers c ON o.reference = c.reference GROUP BY o.status ORDER BY 1
SQL
);

# Three runs in one session: what they give, and what they cost.
sub run
{
	my ($schema, $sql) = @_;
	my $before = sum(ticks_of(@servers));
	my $answer = $cluster->query("SET search_path = $schema;\n" . "$sql;\n" x 3);

	# sessions end a moment after psql
	$cluster->wait_for(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'client backend'});
	return ($answer, sum(ticks_of(@servers)) - $before);
}

sub load_schema
{
	my ($schema, $distribute) = @_;
	$cluster->query(<<"SQL");
SET client_min_messages = warning;
CREATE SCHEMA $schema;
SET search_path = $schema;
CREATE TABLE orders (id bigint PRIMARY KEY, customer bigint, amount numeric(10,2), status int, reference bigint);
CREATE TABLE customers (id bigint PRIMARY KEY, region int, name text, reference bigint);
$distribute
INSERT INTO orders SELECT i, (i::bigint * 7919) % $fewer, (i % 1000) * 1.25, i % 5, (i::bigint * 104729) % $fewer FROM generate_series(1, $rows) i;
INSERT INTO customers SELECT i, i % 20, 'customer ' || i, i FROM generate_series(0, $fewer - 1) i;
SQL
	$cluster->query("VACUUM (ANALYZE) $schema.orders, $schema.customers");
	return;
}

load_schema('plain', '');
load_schema('spread', <<'SQL');
SELECT tessera.create_distributed_table('orders', 'id', shard_count => 12);
SELECT tessera.create_distributed_table('customers', 'id', shard_count => 12, colocate_with => 'none');
SQL

note "time: $rows x $fewer rows, CPU of all servers in ms a run: plain, spread, ratio";
for my $query (@queries)
{
	my ($name, $sql) = @$query;
	my %sum = (plain => 0, spread => 0);
	my %answer;

	for my $round (0 .. $rounds)
	{
		for my $schema (sort keys %sum)
		{
			($answer{$schema}, my $ticks) = run($schema, $sql =~ s/\n//r);
			$sum{$schema} += $ticks if $round > 0;    # the first warms up
		}
	}
	is($answer{spread}, $answer{plain}, "$name: the same rows");
	note sprintf "time: %-32s %8.0f %8.0f %6.2f", $name,
	  (map { $sum{$_} * 10 / $rounds / 3 } 'plain', 'spread'), $sum{spread} / $sum{plain};
}

done_testing();
