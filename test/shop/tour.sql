-- What `make demo` shows.
\pset null '-'
\echo
\echo '== The cluster: a coordinator and three nodes'
SELECT name, host, port, dbname, role, holds_shards, shards
FROM tessera.nodes ORDER BY name;

\echo '== Its tables'
SELECT relation, kind, key, shard_count, bytes FROM tessera.tables ORDER BY relation;

\echo '== A query for one user goes to one shard, as it is'
SELECT order_id, status, placed_at
FROM orders WHERE user_id = 4711 ORDER BY order_id LIMIT 3;

EXPLAIN (VERBOSE, COSTS OFF) SELECT order_id, status, placed_at
FROM orders WHERE user_id = 4711 ORDER BY order_id LIMIT 3;

\echo '== A query for all users goes to all shards'
SELECT status, count(*), min(placed_at), max(placed_at)
FROM orders GROUP BY status ORDER BY status;

\echo '== A join of users, orders, items and products'
SELECT u.country, c.name AS category, count(*) AS items, sum(i.amount) AS revenue
FROM users u
JOIN orders o USING (user_id)
JOIN order_items i USING (user_id, order_id)
JOIN products p USING (product_id)
JOIN categories c USING (category_id)
WHERE o.status = 'sent' AND p.attributes ->> 'colour' = 'red'
GROUP BY u.country, c.name
ORDER BY revenue DESC LIMIT 3;

\echo '== The shards join and group, the coordinator adds up'
EXPLAIN (COSTS OFF) SELECT u.country, count(*) AS items, sum(i.amount) AS revenue
FROM users u
JOIN orders o USING (user_id)
JOIN order_items i USING (user_id, order_id)
WHERE o.status = 'sent'
GROUP BY u.country
ORDER BY revenue DESC;

\echo '== Where the rows of a user live'
SELECT * FROM tessera.shard_of('users', 4711);
SELECT * FROM tessera.shard_of('orders', 4711);
