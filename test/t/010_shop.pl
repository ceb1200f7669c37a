
# The shop of the demo: distributing its tables changes no answer, and the
# constraints of its tables hold on the shards.
use strict;
use warnings;
use FindBin;
use TesseraCluster;
use Test::More;

my $shop = "$FindBin::Bin/../shop";
my $cluster = TesseraCluster->new(nodes => 3);

sub shop_file { return "\\i $shop/$_[0].sql\n"; }

my $sizes = "\\set users 10000\n\\set products 1000\n\\set orders 100000\n";
$cluster->query($sizes . shop_file('schema') . shop_file('load'));

my %queries = (
	'counts' => q{SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM orders),
		(SELECT count(*) FROM order_items), (SELECT count(*) FROM products)},
	'one user' => q{SELECT * FROM users WHERE user_id = 4711},
	'orders of one user' => q{SELECT * FROM orders WHERE user_id = 4711 ORDER BY order_id},
	'orders of three users' => q{SELECT user_id, count(*), max(placed_at) FROM orders
		WHERE user_id IN (1, 2, 3, 4711) GROUP BY user_id ORDER BY user_id},
	'join on the key' => q{SELECT o.order_id, i.line, i.amount, p.name
		FROM users u JOIN orders o USING (user_id)
		JOIN order_items i USING (user_id, order_id) JOIN products p USING (product_id)
		WHERE u.user_id = 4711 ORDER BY 1, 2},
	'join over all shards' => q{SELECT u.country, c.name, count(*), sum(i.amount)
		FROM users u JOIN orders o USING (user_id)
		JOIN order_items i USING (user_id, order_id)
		JOIN products p USING (product_id) JOIN categories c USING (category_id)
		GROUP BY 1, 2 ORDER BY 1, 2},
	'join not on the key' => q{SELECT count(*), sum(a.user_id - b.user_id) FROM users a
		JOIN users b ON a.country = b.country AND lower(a.email) = 'user' || b.user_id % 97 || '@example.org'},
	'outer join' => q{SELECT count(*), count(o.order_id) FROM users u
		LEFT JOIN orders o ON o.user_id = u.user_id AND o.status = 'returned'},
	'never bought' => q{SELECT count(*), min(product_id) FROM products p WHERE NOT EXISTS
		(SELECT FROM order_items i WHERE i.product_id = p.product_id)},
	'no orders' => q{SELECT count(*), min(user_id) FROM users
		WHERE user_id NOT IN (SELECT user_id FROM orders)},
	'subquery' => q{SELECT user_id, n FROM (SELECT user_id, count(*) n FROM orders GROUP BY 1) s
		ORDER BY n DESC, user_id LIMIT 10},
	'window' => q{SELECT * FROM (SELECT user_id, order_id, rank() OVER
		(PARTITION BY status ORDER BY placed_at, order_id) r FROM orders) s WHERE r <= 3 ORDER BY 1, 2},
	'union' => q{SELECT country FROM users UNION SELECT status FROM orders ORDER BY 1},
	'jsonb' => q{SELECT preferences ->> 'newsletter', count(*) FROM users GROUP BY 1 ORDER BY 1},
	'lateral' => q{SELECT u.user_id, l.order_id FROM users u, LATERAL
		(SELECT order_id FROM orders o WHERE o.user_id = u.user_id ORDER BY placed_at DESC LIMIT 1) l
		WHERE u.user_id % 1000 = 1 ORDER BY 1},
	'whole contents' => q{SELECT md5(string_agg(i::text, ',' ORDER BY order_id, line))
		FROM order_items i});

my %before = map { $_ => $cluster->query($queries{$_}) } keys %queries;
$cluster->query(shop_file('distribute'));

for my $name (sort keys %queries)
{
	$cluster->gives($queries{$name}, $before{$name}, "same answer: $name");
}
$cluster->gives(q{SELECT count(*) FROM ONLY pg_class WHERE relname = 'orders'
	AND pg_relation_size(oid) > 0}, '0', 'the coordinator keeps no rows of orders');

# Work of a shop: an order in one transaction.
my $order = <<'SQL';
BEGIN;
INSERT INTO orders (user_id) VALUES (42) RETURNING order_id \gset
INSERT INTO order_items (user_id, order_id, line, product_id, quantity, price)
SELECT 42, :order_id, row_number() OVER (ORDER BY product_id), product_id, 2, price
FROM products WHERE product_id IN (7, 8);
UPDATE orders SET status = 'paid' WHERE user_id = 42 AND order_id = :order_id;
SQL
$cluster->gives($order . q{COMMIT;
	SELECT o.order_id, o.status, sum(i.amount) = 2 * (SELECT sum(price) FROM products WHERE product_id IN (7, 8))
	FROM orders o JOIN order_items i USING (user_id, order_id)
	WHERE user_id = 42 AND order_id = :order_id GROUP BY 1, 2;},
	'100001|paid|t', 'an order in a transaction');
$cluster->gives($order . q{ROLLBACK;
	SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM order_items);},
	'100001|300002', 'nothing is left of one rolled back');

# Identity and serial columns go on where they were.
$cluster->gives(q{INSERT INTO users (email, name, country) VALUES ('new@example.org', 'new', 'DE')
	RETURNING user_id}, '10001', 'an identity column counts on');

# Constraints.
$cluster->refused(q{INSERT INTO orders (user_id) VALUES (999999)}, '23503',
	qr/violates foreign key constraint "orders_user_id_fkey"/, 'a foreign key to a distributed table');
$cluster->refused(q{INSERT INTO order_items VALUES (42, 100001, 9, 5000, 1, 1)}, '23503',
	qr/"order_items_product_id_fkey"/, 'a foreign key to a reference table');
$cluster->refused(q{INSERT INTO users (user_id, email, name, country) VALUES (1, 'a@b.c', 'x', 'DE')},
	'23505', qr/"users_pkey"/, 'a primary key');
$cluster->refused(q{UPDATE orders SET status = 'eaten' WHERE user_id = 42}, '23514',
	qr/"orders_status_check"/, 'a check');
$cluster->refused(q{INSERT INTO users (email, country) VALUES ('a@b.c', 'DE')}, '23502',
	qr/null value in column "name"/, 'a not-null column');
$cluster->refused(q{DELETE FROM products WHERE product_id = 7}, '23503',
	qr/"order_items_product_id_fkey"/, 'a reference row that is referenced');
$cluster->gives(q{DELETE FROM orders WHERE user_id = 42 AND order_id = 100001;
	SELECT count(*) FROM order_items}, '300000', 'ON DELETE CASCADE on the shards');

# Statements over all shards.
$cluster->gives(q{WITH c AS (SELECT count(*) n FROM orders WHERE status = 'new')
	SELECT n > 0 FROM c;
	UPDATE orders SET status = 'paid' WHERE status = 'new';
	SELECT count(*) FROM orders WHERE status = 'new'}, "t\n0", 'an UPDATE over all shards');

# A write to a reference table is a write to every copy.
$cluster->query(q{UPDATE products SET name = 'renamed' WHERE product_id = 7});
for my $n (1 .. 3)
{
	is($cluster->node_query($n, 'SELECT name FROM products WHERE product_id = 7'),
		'renamed', "the copy of node$n has it");
}

done_testing();
