-- a small shop, made and loaded as local tables, then distributed
CREATE SCHEMA shop;
SET search_path = shop;
\getenv files TESS_SHOP
\set users 100
\set products 50
\set orders 500
\set schema :files '/schema.sql'
\set load :files '/load.sql'
\set distribute :files '/distribute.sql'
\set ECHO none
\o /dev/null
SET client_min_messages = warning;
\i :schema
\i :load
\o
\set ECHO all
CREATE TEMP TABLE before AS SELECT md5(string_agg(i::text, ',' ORDER BY order_id, line)) FROM order_items i;
\set ECHO none
\o /dev/null
\i :distribute
\o
RESET client_min_messages;
\set ECHO all
SELECT relation, kind, key FROM tessera.tables
WHERE relation::text ~ '^(categories|products|users|orders|order_items)$' ORDER BY relation::text;

-- no row is lost or changed, and the coordinator keeps none of them
SELECT count(*), md5(string_agg(i::text, ',' ORDER BY order_id, line)) = (SELECT md5 FROM before) AS same
FROM order_items i;
SELECT pg_relation_size('users') AS users, pg_relation_size('orders') AS orders,
       pg_relation_size('order_items') AS items;

-- one user
SELECT name, country, preferences FROM users WHERE user_id = 42;
SELECT o.order_id, o.status, i.line, i.quantity, i.amount, p.sku
FROM orders o JOIN order_items i USING (user_id, order_id) JOIN products p USING (product_id)
WHERE o.user_id = 42 ORDER BY o.order_id, i.line LIMIT 5;

-- all users
SELECT status, count(*), min(placed_at), max(placed_at) FROM orders GROUP BY status ORDER BY status;
SELECT u.country, c.name, count(*), sum(i.amount)
FROM users u JOIN orders o USING (user_id) JOIN order_items i USING (user_id, order_id)
JOIN products p USING (product_id) JOIN categories c USING (category_id)
GROUP BY u.country, c.name ORDER BY sum(i.amount) DESC, 1, 2 LIMIT 5;
SELECT count(*) FROM users WHERE user_id NOT IN (SELECT user_id FROM orders);

-- an order in one transaction
BEGIN;
INSERT INTO orders (user_id) VALUES (95) RETURNING order_id, status;
INSERT INTO order_items (user_id, order_id, line, product_id, quantity, price)
SELECT 95, 501, row_number() OVER (ORDER BY product_id), product_id, 2, price FROM products
WHERE product_id IN (7, 8) RETURNING line, amount;
COMMIT;
SELECT status, count(*), sum(amount) FROM orders JOIN order_items USING (user_id, order_id)
WHERE user_id = 95 GROUP BY status;

-- the rules of the tables hold on the shards
\set VERBOSITY terse
INSERT INTO orders (user_id) VALUES (1000);
INSERT INTO users (user_id, email, name, country) VALUES (1, 'a@example.org', 'a', 'DE');
INSERT INTO users (email, name, country) VALUES ('nobody', 'a', 'DE');
UPDATE orders SET status = 'eaten' WHERE user_id = 42;
DELETE FROM products WHERE product_id = 7;
DELETE FROM orders WHERE user_id = 95;
SELECT count(*) FROM order_items WHERE user_id = 95;

DROP SCHEMA shop CASCADE;
SELECT count(*) FROM tessera.tables WHERE relation::text LIKE 'shop.%';
