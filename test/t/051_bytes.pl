# What the coordinator receives is proportional to the result and not to the tables:
# the same statements over two sizes of tables, of which the larger has ten times as
# many rows, receive as many rows and bytes.  TESS_BYTES_ROWS is the larger number;
# "make bench" takes 2,000,000.
use strict;
use warnings;
use JSON::PP;
use TesseraCluster;
use Test::More;

my $rows = $ENV{TESS_BYTES_ROWS} // 20_000;
my %sizes = (small => $rows / 10, large => $rows);
my $cluster = TesseraCluster->new(nodes => 2);

# Values have the same length in both sizes; every group has rows in every shard.
for my $size (sort keys %sizes)
{
	my $customers = $sizes{$size} / 10;

	$cluster->query(<<"SQL");
SET client_min_messages = warning;
CREATE SCHEMA $size;
SET search_path = $size;
CREATE TABLE customers (customer int PRIMARY KEY, region int, name char(20));
CREATE TABLE orders (customer int, id int, status int, quantity int, price float8, PRIMARY KEY (customer, id));
SELECT tessera.create_distributed_table('customers', 'customer', shard_count => 8);
SELECT tessera.create_distributed_table('orders', 'customer', colocate_with => 'customers');
INSERT INTO customers SELECT i, i % 3, 'customer ' || i FROM generate_series(0, $customers - 1) i;
INSERT INTO orders SELECT i % $customers, i, i / $customers % 4, (i + i / $customers * 7) % 50, i * 0.25 FROM generate_series(0, $sizes{$size} - 1) i;
SQL
	$cluster->query("VACUUM (ANALYZE) $size.customers, $size.orders");
}

# Rows and bytes that all scans of a plan have received.
sub received
{
	my ($plan) = @_;
	my @sum = ($plan->{'Rows Received'} // 0, $plan->{'Bytes Received'} // 0);

	for my $child (@{ $plan->{Plans} // [] })
	{
		my @more = received($child);
		$sum[$_] += $more[$_] for 0, 1;
	}
	return @sum;
}

sub explain
{
	my ($size, $sql) = @_;
	my $text = $cluster->query("SET search_path = $size; EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) $sql");
	return received(decode_json($text)->[0]{Plan});
}

# By the statement: how many rows there may be at most.
my @statements = (
	[ 'all rows counted', 8, 'SELECT count(*) FROM orders' ],
	[ 'conditions', 8, 'SELECT count(*), max(quantity) FROM orders WHERE quantity > 25 AND status <> 2' ],
	[ 'groups', 32, 'SELECT status, count(*), sum(quantity), avg(quantity), min(price) FROM orders GROUP BY status' ],
	[ 'groups that HAVING leaves', 32, 'SELECT status, count(*) FROM orders GROUP BY status HAVING count(*) > 1 ORDER BY 2' ],
	[ 'grouping sets', 96, 'SELECT status, quantity % 3, count(*), sum(quantity) FROM orders GROUP BY ROLLUP (status, quantity % 3)' ],
	[ 'distinct values', 32, 'SELECT DISTINCT status FROM orders' ],
	[ 'distinct values counted', 32, 'SELECT count(DISTINCT status), sum(quantity), max(price) FROM orders' ],
	[ 'keys counted', 8, 'SELECT count(DISTINCT customer) FROM orders' ],
	[ 'the first ten', 20, 'SELECT * FROM orders ORDER BY price DESC LIMIT 10' ],
	[ 'the first ten of a join', 20, 'SELECT o.id, c.name FROM orders o JOIN customers c USING (customer) ORDER BY o.id LIMIT 10' ],
	[ 'the first ten groups by the key', 20,
		'SELECT customer, count(*) FROM orders GROUP BY customer ORDER BY count(*), customer LIMIT 10' ],
	[ 'a join by the key', 24,
		'SELECT c.region, count(*), sum(o.quantity) FROM orders o JOIN customers c USING (customer) GROUP BY c.region' ],
	[ 'an outer join by the key', 24,
		'SELECT c.region, count(o.id), max(o.price) FROM customers c LEFT JOIN orders o ON o.customer = c.customer AND o.status = 3 GROUP BY c.region' ],
	[ 'a full join by the key', 8, 'SELECT count(*) FROM customers FULL JOIN orders USING (customer)' ],
	[ 'EXISTS by the key', 8,
		'SELECT count(*) FROM customers c WHERE EXISTS (SELECT FROM orders o WHERE o.customer = c.customer AND o.quantity > 40)' ],
	[ 'windows by the key', 8,
		'SELECT max(n) FROM (SELECT rank() OVER (PARTITION BY customer ORDER BY id) AS n FROM orders) q' ],
	[ 'one customer', 1, 'SELECT * FROM customers WHERE customer = 7' ]);

for my $statement (@statements)
{
	my ($name, $limit, $sql) = @$statement;
	my ($small_rows, $small_bytes) = explain('small', $sql);
	my ($large_rows, $large_bytes) = explain('large', $sql);

	cmp_ok($large_rows, '>', 0, "$name: something is received");
	cmp_ok($large_rows, '<=', $limit, "$name: no more than the result needs");
	# of sorted streams it depends on the rows how many of each are looked at
	is("$large_rows rows, $large_bytes bytes", "$small_rows rows, $small_bytes bytes", "$name: the same of both sizes")
	  unless $name =~ /first ten/;
	note "$name: $large_rows rows, $large_bytes bytes";
}

# The other way: what does return its rows receives ten times as many.
my (undef, $small) = explain('small', 'SELECT id, quantity FROM orders');
my (undef, $large) = explain('large', 'SELECT id, quantity FROM orders');
is($large, 10 * $small, 'all rows: ten times as many bytes');

done_testing();
