-- Rows of the shop, the same every time: three items to an order.  The psql
-- variables users, products and orders say how many; every tenth user has no
-- order yet.

INSERT INTO categories (name, parent_id)
SELECT (ARRAY['books', 'music', 'garden', 'kitchen', 'toys'])[1 + (i - 1) % 5]
       || CASE WHEN i > 5 THEN ' ' || (i - 1) / 5 ELSE '' END,
       CASE WHEN i > 5 THEN 1 + (i - 1) % 5 END
FROM generate_series(1, 20) i;

INSERT INTO products (category_id, sku, name, price, attributes, created_at)
SELECT 1 + i % 20, 'SKU-' || lpad(i::text, 6, '0'), 'product ' || i,
       1 + (i * 7919 % 20000) / 100.0,
       jsonb_build_object('weight', i % 50,
                          'colour', (ARRAY['red', 'green', 'blue'])[1 + i % 3]),
       timestamptz '2024-01-01 00:00:00+00' + i * interval '1 hour'
FROM generate_series(1, :products) i;

INSERT INTO users (email, name, country, preferences, created_at)
SELECT 'user' || i || '@example.org', 'user ' || i,
       (ARRAY['AT', 'BR', 'DE', 'FR', 'IN', 'JP', 'US'])[1 + i % 7],
       jsonb_build_object('newsletter', i % 3 = 0),
       timestamptz '2024-06-01 00:00:00+00' + i * interval '10 minutes'
FROM generate_series(1, :users) i;

INSERT INTO orders (user_id, status, address, placed_at)
SELECT 1 + (i::bigint * 7919 + i / 1000 * 31) % (:users * 9 / 10),
       (ARRAY['new', 'paid', 'sent', 'sent', 'sent', 'returned'])[1 + i % 6],
       jsonb_build_object('street', 'street ' || i % 100),
       timestamptz '2025-01-01 00:00:00+00' + i * interval '5 minutes'
FROM generate_series(1, :orders) i;

INSERT INTO order_items (user_id, order_id, line, product_id, quantity, price)
SELECT o.user_id, o.order_id, l, p.product_id, 1 + (o.order_id + l) % 4, p.price
FROM orders o, generate_series(1, 3) l, products p
WHERE p.product_id = 1 + (o.order_id * 13 + l * 389) % :products;
