-- Changes of more than one kind at once, and of the key: after each of them the
-- first table it names for a change holds the same rows in both twins.

-- the key changes: rows move
UPDATE posts SET author = 8 WHERE author = 7 AND post_id = 1;
UPDATE posts SET author = author + 1000;
UPDATE posts SET author = author - 1000 RETURNING *;
UPDATE posts SET author = NULL WHERE author = 8;
UPDATE posts SET author = 8 WHERE author IS NULL RETURNING author, post_id;
UPDATE posts SET author = likes, likes = author WHERE post_id < 30 RETURNING *;
UPDATE posts SET author = f.followee FROM follows f WHERE f.follower = author AND f.followee > 25;
UPDATE posts SET author = n.note_id, body = n.body FROM notes n WHERE n.k = posts.author AND n.note_id % 3 = 0 RETURNING author, post_id, n.note_id;
UPDATE posts p SET author = q.author FROM posts q WHERE q.post_id = p.reply_to RETURNING p.*;
UPDATE posts SET author = (SELECT max(follower) FROM follows WHERE followee = posts.author) WHERE post_id > 80 RETURNING author, post_id;
UPDATE posts SET (author, body) = (SELECT k, body FROM notes WHERE note_id = posts.post_id) WHERE post_id IN (6, 7, 8);
UPDATE posts SET author = volatile_one() + 3 WHERE post_id = 9 RETURNING *;
UPDATE posts SET author = twice(author) WHERE author < 6 RETURNING *;
UPDATE posts SET author = 3 WHERE author = 3 OR author = 4;
UPDATE posts SET author = 3 WHERE author BETWEEN 3 AND 4 RETURNING post_id;
UPDATE posts SET author = 5 WHERE false;
UPDATE posts SET author = 1 / (post_id - 50) WHERE post_id BETWEEN 49 AND 51;
UPDATE posts SET author = 'x';
UPDATE follows SET follower = NULL;
UPDATE follows SET follower = 1;
UPDATE follows SET follower = follower + 100 RETURNING *;
UPDATE follows SET follower = followee, followee = follower - 100;
UPDATE filled SET k = k + 1 WHERE v < 5;
UPDATE filled SET k = DEFAULT WHERE v > 25;
UPDATE key_text SET k = 'c' WHERE k = 'b';
UPDATE key_text SET k = k || k RETURNING *;
UPDATE key_text SET k = upper(k);
UPDATE key_numeric SET k = k + 0.00 RETURNING *;
UPDATE key_numeric SET k = 1.000 WHERE k = 1 RETURNING *;
UPDATE key_float SET k = -k;
UPDATE key_uuid SET k = md5(k::text)::uuid RETURNING *;
UPDATE key_timestamptz SET k = k + interval '1 day';
UPDATE key_enum SET k = 'happy' WHERE k = 'sad' RETURNING *;
UPDATE key_enum SET k = CASE k WHEN 'ok' THEN 'sad'::mood WHEN 'happy' THEN NULL ELSE 'ok' END RETURNING *;
UPDATE key_domain SET k = k - 1;
UPDATE key_domain SET k = k + 1 RETURNING *;
UPDATE key_array SET k = k || 5 RETURNING *;
UPDATE key_array SET k[1] = 9;
UPDATE key_pair SET k = ROW((k).a + 1, 'x') RETURNING *;
UPDATE key_jsonb SET k = '{"a": 1}' RETURNING *;
UPDATE key_varchar SET k = k || '12345678';
UPDATE key_varchar SET k = substr(k || '1234', 1, 5);
UPDATE key_bpchar SET k = k || 'x' RETURNING *;
UPDATE key_int SET k = v, v = k;
UPDATE key_bigint SET k = k / 2 RETURNING *;
UPDATE types SET k = k + 50 RETURNING *;
UPDATE types SET k = k - 50, ea = NULL, rec = rec || rec[1];
UPDATE deferred SET k = k + 1;
UPDATE deferred SET v = v + 1, k = 5;
UPDATE "Odd ""T.able" SET "Key Col" = "Key Col" + 30, "select" = 'moved' WHERE "ü" = 1 RETURNING *;
UPDATE order_items SET user_id = user_id + 1;
UPDATE order_items SET user_id = 1, order_id = (SELECT min(order_id) FROM orders WHERE user_id = 1), line = line + 1000 * order_id WHERE line = 1 RETURNING *;
UPDATE events SET tenant = 'moved' WHERE tenant = 'acme' RETURNING *;
UPDATE events SET tenant = tenant || event_id;
UPDATE accounts SET account = md5(account::text)::uuid RETURNING *;

-- through views
UPDATE guarded_users SET age = age + 1 WHERE user_id < 10 RETURNING *;
UPDATE guarded_users SET name = name || '?' WHERE slow_twice(age) > 50 RETURNING user_id, name;
UPDATE guarded_users SET name = o.status FROM orders o WHERE o.user_id = guarded_users.user_id AND o.order_id < 30 RETURNING guarded_users.user_id, o.order_id IS NULL;
DELETE FROM guarded_users WHERE user_id = 1;
DELETE FROM guarded_users WHERE age > 60 RETURNING user_id;
SELECT user_id, name, age FROM users ORDER BY 1;

INSERT INTO checked_users VALUES (300, 'new', 30, 'DE') RETURNING *;
UPDATE checked_users SET age = age + 1 WHERE age BETWEEN 26 AND 30 RETURNING user_id, age;
UPDATE checked_users SET name = 'checked' WHERE user_id < 20;
DELETE FROM checked_users WHERE user_id = 300 RETURNING *;
SELECT user_id, name, age FROM users ORDER BY 1;

-- parts of WITH
WITH moved AS (DELETE FROM posts WHERE post_id > 90 RETURNING *) INSERT INTO follows (follower, followee) SELECT author, 500 + post_id FROM moved WHERE author IS NOT NULL;
WITH moved AS (DELETE FROM notes WHERE note_id > 20 RETURNING *) INSERT INTO posts (author, post_id, body) SELECT k, note_id + 5000, body FROM moved RETURNING *;
WITH moved AS (DELETE FROM posts WHERE post_id > 5000 RETURNING *) INSERT INTO notes (note_id, k, body) SELECT post_id, author, body FROM moved;
WITH moved AS (DELETE FROM posts WHERE post_id BETWEEN 80 AND 90 RETURNING *) SELECT count(*), sum(likes) FROM moved;
WITH moved AS (DELETE FROM posts WHERE author = 7 RETURNING *) INSERT INTO posts SELECT author, post_id + 6000 FROM moved;
WITH ins AS (INSERT INTO posts (author, post_id) VALUES (1, 700), (2, 701), (NULL, 702) RETURNING author, post_id) SELECT * FROM ins;
WITH ins AS (INSERT INTO posts (author, post_id) VALUES (1, 710), (2, 711) RETURNING author, post_id) SELECT a.post_id, b.post_id FROM ins a JOIN ins b ON a.author < b.author;
WITH ins AS (INSERT INTO posts (author, post_id) VALUES (1, 720), (2, 721) RETURNING author, post_id) SELECT count(*) FROM posts;
WITH ins AS (INSERT INTO posts (author, post_id) VALUES (1, 730), (2, 731)) SELECT 1;
WITH ins AS (INSERT INTO posts (author, post_id) VALUES (1, 740), (2, 741) RETURNING post_id) SELECT post_id FROM ins ORDER BY 1 LIMIT 1;
WITH ins AS (INSERT INTO posts (author, post_id) VALUES (1, 750), (2, 751) RETURNING post_id) SELECT 1 WHERE EXISTS (SELECT FROM ins);
WITH ins AS (INSERT INTO posts (author, post_id) VALUES (1, 760) RETURNING post_id) SELECT 1 WHERE false AND EXISTS (SELECT FROM ins);
WITH ins AS (INSERT INTO posts (author, post_id) VALUES (1, 760) RETURNING post_id) SELECT * FROM ins;
WITH ins AS (INSERT INTO posts (author, post_id, likes) VALUES (1, 760, 9), (3, 762, 8) ON CONFLICT (author, post_id) DO UPDATE SET likes = EXCLUDED.likes RETURNING *) SELECT author, likes FROM ins;
WITH ins AS (INSERT INTO posts (author, post_id) SELECT follower, 770 FROM follows ON CONFLICT DO NOTHING RETURNING author) SELECT count(*), count(DISTINCT author) FROM ins;
WITH u AS (UPDATE posts SET likes = likes + 1 WHERE post_id BETWEEN 700 AND 800 RETURNING post_id, likes) SELECT u.post_id, u.likes, p.likes FROM u JOIN posts p USING (post_id);
WITH u AS (UPDATE posts SET author = author + 1 WHERE post_id BETWEEN 700 AND 720 RETURNING post_id, author) SELECT u.*, p.author FROM u JOIN posts p USING (post_id);
WITH u AS (UPDATE posts SET likes = 0 FROM follows WHERE follower = author AND post_id > 700 RETURNING post_id, followee) SELECT count(*) > 0 FROM u;
WITH d AS (DELETE FROM posts WHERE post_id >= 700 RETURNING author), f AS (INSERT INTO follows SELECT author, 900 FROM d WHERE author IS NOT NULL GROUP BY 1 RETURNING follower) SELECT (SELECT count(*) FROM d), (SELECT count(*) FROM f), (SELECT count(*) FROM follows WHERE followee = 900);
WITH d AS (DELETE FROM posts WHERE post_id < 5 RETURNING *), f AS (DELETE FROM follows WHERE followee = 900 RETURNING *) UPDATE notes SET body = 'both' FROM d, f WHERE d.author = f.follower AND notes.note_id = d.post_id;
WITH d AS (DELETE FROM posts WHERE post_id < 10 RETURNING *) DELETE FROM posts WHERE post_id < 12;
WITH d AS (UPDATE follows SET since = NULL WHERE follower < 5 RETURNING follower) UPDATE posts SET body = 'd' FROM d WHERE d.follower = author RETURNING author, post_id, d.follower;
WITH d AS (UPDATE follows SET since = '2024-01-01' RETURNING follower, followee) DELETE FROM posts USING d WHERE d.follower = author AND d.followee = post_id RETURNING post_id;
WITH c AS (INSERT INTO categories (name) VALUES ('from with') RETURNING category_id, name) SELECT name FROM c;
WITH c AS (INSERT INTO categories (name) VALUES ('and more') RETURNING category_id, name) INSERT INTO posts (author, post_id, body) SELECT 1, 810, name FROM c RETURNING author, post_id, body;
WITH c AS (UPDATE categories SET name = upper(name) WHERE parent_id IS NULL RETURNING category_id, name) SELECT * FROM c;
WITH c AS (UPDATE categories SET name = name || '!' WHERE category_id < 3) SELECT category_id, name FROM categories ORDER BY 1;
WITH c AS (UPDATE categories SET name = name || post_id FROM posts WHERE post_id = category_id AND category_id < 3 RETURNING categories.name, post_id) UPDATE posts SET body = c.name FROM c WHERE posts.post_id = c.post_id RETURNING posts.post_id, body;
WITH c AS (DELETE FROM categories WHERE name = 'and more' RETURNING name) INSERT INTO posts (author, post_id, body) SELECT 1, 815, name FROM c;
SELECT category_id, name FROM categories ORDER BY 1;
WITH c AS (INSERT INTO notes (note_id, k) VALUES (900, 3) RETURNING k) UPDATE posts SET likes = 55 FROM c WHERE author = c.k RETURNING post_id;
WITH c AS (SELECT max(author) m FROM posts), d AS (DELETE FROM posts USING c WHERE author = c.m RETURNING post_id) SELECT post_id, m FROM d, c;
WITH e AS (DELETE FROM posts WHERE 1 / (post_id - 40) > 5 RETURNING *) SELECT * FROM e;
WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5), i AS (INSERT INTO posts (author, post_id) SELECT n, 820 + n FROM r RETURNING *) SELECT author, post_id FROM i;
WITH d AS (DELETE FROM posts WHERE post_id > 800 RETURNING post_id) SELECT post_id FROM posts WHERE post_id > 800 ORDER BY 1;
WITH d AS (DELETE FROM posts WHERE post_id BETWEEN 60 AND 70 RETURNING *) SELECT p.post_id, (SELECT count(*) FROM d WHERE d.author = p.author) FROM posts p WHERE p.post_id < 64 ORDER BY 1;
SELECT count(*), sum(author), sum(likes) FROM posts;

-- MERGE
MERGE INTO posts USING notes n ON n.note_id = posts.post_id WHEN MATCHED THEN UPDATE SET likes = 1 WHEN NOT MATCHED THEN INSERT (author, post_id) VALUES (n.k, n.note_id);
MERGE INTO posts p USING (SELECT note_id, k, body FROM notes) n ON n.note_id = p.post_id AND p.author = n.k WHEN MATCHED AND n.note_id % 2 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET body = p.body || n.body, likes = p.likes + 1 WHEN NOT MATCHED AND n.note_id > 10 THEN INSERT (author, post_id, body) VALUES (n.k, n.note_id + 900, n.body) WHEN NOT MATCHED THEN DO NOTHING;
MERGE INTO posts USING follows f ON f.follower = posts.author AND f.followee = posts.post_id WHEN MATCHED THEN UPDATE SET likes = likes + 100 WHEN NOT MATCHED AND f.followee < 3 THEN INSERT VALUES (f.follower, f.followee + 3000, 'f', DEFAULT, NULL, f.since);
MERGE INTO posts USING posts q ON q.post_id = posts.reply_to WHEN MATCHED THEN UPDATE SET likes = q.likes;
MERGE INTO posts USING follows f ON f.follower = posts.author WHEN MATCHED THEN UPDATE SET likes = 1;
MERGE INTO posts USING follows f ON f.follower = posts.author WHEN MATCHED THEN DO NOTHING;
MERGE INTO posts USING (VALUES (1, 50), (2, 51), (3, 4000)) v(a, p) ON v.p = posts.post_id WHEN MATCHED THEN UPDATE SET author = v.a WHEN NOT MATCHED THEN INSERT (author, post_id) VALUES (v.a, v.p);
MERGE INTO posts USING (VALUES (50), (51), (4000), (4001)) v(p) ON v.p = posts.post_id WHEN MATCHED AND author < 2 THEN UPDATE SET author = author + 20, body = 'merged' WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (author, post_id) VALUES (v.p, (SELECT max(post_id) FROM posts) + v.p);
MERGE INTO posts USING categories c ON c.category_id = posts.post_id WHEN MATCHED THEN UPDATE SET body = c.name WHEN NOT MATCHED THEN INSERT (post_id, body) VALUES (c.category_id, c.name);
MERGE INTO posts USING (SELECT 1) x ON false WHEN NOT MATCHED THEN INSERT (author, post_id) VALUES (1, 4100);
MERGE INTO posts USING (SELECT 1) x ON false WHEN NOT MATCHED THEN INSERT (author, post_id) VALUES (1, 4100);
MERGE INTO posts USING (SELECT 1) x ON true WHEN MATCHED AND post_id = 4100 THEN DELETE;
MERGE INTO posts USING notes n ON n.note_id = post_id WHEN MATCHED AND 1 / (n.note_id - 12) > 5 THEN DELETE;
MERGE INTO posts USING notes n ON n.note_id = post_id WHEN MATCHED THEN UPDATE SET likes = CASE WHEN n.note_id > 5 THEN 1 / (n.note_id - 6) END;
MERGE INTO posts USING notes n ON n.note_id = post_id WHEN MATCHED AND EXISTS (SELECT FROM follows WHERE follower = n.k) THEN UPDATE SET body = (SELECT max(followee)::text FROM follows WHERE follower = n.k) WHEN MATCHED AND NOT EXISTS (SELECT FROM follows WHERE follower = author) THEN DELETE;
WITH c AS (SELECT k, min(note_id) AS note_id FROM notes GROUP BY k) MERGE INTO posts USING c ON c.k = posts.author AND posts.post_id = c.note_id WHEN MATCHED THEN UPDATE SET body = (SELECT count(*)::text FROM c WHERE k > posts.author) WHEN NOT MATCHED AND c.k = (SELECT max(k) FROM c) THEN INSERT (author, post_id) VALUES (c.k, (SELECT 5000 + count(*) FROM c));
WITH d AS (DELETE FROM notes WHERE note_id < 5 RETURNING *) MERGE INTO posts USING d ON d.note_id = posts.post_id WHEN MATCHED THEN UPDATE SET body = 'gone' WHEN NOT MATCHED THEN INSERT (author, post_id, body) VALUES (d.k, d.note_id + 4200, 'was not there');
MERGE INTO filled f USING (SELECT g AS k, g * 2 AS v FROM generate_series(1, 8) g) s ON s.k = f.k AND f.v < 4 WHEN MATCHED THEN UPDATE SET v = s.v, w = DEFAULT WHEN NOT MATCHED THEN INSERT (k, v) VALUES (s.k, s.v);
MERGE INTO filled f USING (SELECT 1) s ON false WHEN NOT MATCHED THEN INSERT DEFAULT VALUES;
MERGE INTO order_items i USING (SELECT user_id, order_id, count(*) n FROM orders GROUP BY 1, 2) o ON o.user_id = i.user_id AND o.order_id = i.order_id WHEN MATCHED AND i.line = 1 THEN UPDATE SET quantity = 3 WHEN MATCHED AND i.line = 1002 THEN DELETE;
MERGE INTO order_items i USING (SELECT user_id, order_id FROM orders WHERE order_id < 5) o ON o.user_id = i.user_id AND o.order_id = i.order_id AND line = 77 WHEN NOT MATCHED THEN INSERT VALUES (o.user_id, o.order_id, 77, 1, 2, 3.5);
MERGE INTO order_items i USING (VALUES (1)) v(x) ON i.line = 77 WHEN MATCHED THEN UPDATE SET user_id = i.user_id + 50;
MERGE INTO orders o USING users u ON u.user_id = o.user_id AND o.status = 'new' WHEN MATCHED AND u.age > 40 THEN UPDATE SET status = 'paid', note = u.name WHEN NOT MATCHED AND u.age < 25 THEN INSERT (user_id, order_id, total) VALUES (u.user_id, 9000, 1);
MERGE INTO orders USING (VALUES (1, 'nothing')) v(id, s) ON order_id = v.id WHEN MATCHED THEN UPDATE SET status = v.s;
MERGE INTO key_text t USING (VALUES ('A'), ('new'), (NULL)) v(k) ON v.k = t.k WHEN MATCHED THEN UPDATE SET s = 'm' WHEN NOT MATCHED THEN INSERT VALUES (v.k, 100, 'n');
MERGE INTO key_int t USING (VALUES (5::bigint), (6)) v(k) ON v.k = t.k WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (v.k, 1000);
MERGE INTO key_enum t USING (SELECT 'ok'::mood AS k) v ON v.k = t.k AND t.v = 1 WHEN MATCHED THEN UPDATE SET k = 'happy' WHEN NOT MATCHED THEN INSERT VALUES (v.k, 1, 'x');
SELECT count(*), sum(author), sum(likes) FROM posts;

-- ON CONFLICT with subqueries that know no row
INSERT INTO posts VALUES (7, 1, 'x'), (7, 904, 'y') ON CONFLICT (author, post_id) DO UPDATE SET likes = (SELECT count(*) FROM posts), body = (SELECT max(body) FROM posts) || EXCLUDED.body RETURNING author, post_id, body, likes;
INSERT INTO posts SELECT author, post_id, body, likes FROM posts ON CONFLICT (author, post_id) DO UPDATE SET (likes, body) = (SELECT count(*), max(follower)::text FROM follows) WHERE posts.author IN (1, 7) AND EXISTS (SELECT FROM follows WHERE follower = 1);
WITH q AS (SELECT max(likes) AS likes FROM posts) INSERT INTO posts SELECT 7, 905 + i % 2, 'q', likes FROM q, generate_series(1, 2) i ON CONFLICT (author, post_id) DO UPDATE SET likes = (SELECT likes + 1 FROM q) RETURNING *;
INSERT INTO posts VALUES (7, 1, 'x') ON CONFLICT (author, post_id) DO UPDATE SET likes = (SELECT likes FROM posts);

-- ON CONFLICT and MERGE of reference tables, whatever they compute
INSERT INTO categories (name, parent_id) VALUES ('books', 1), ('upserted', 2), ('music', 3) ON CONFLICT (name) DO UPDATE SET parent_id = (SELECT max(c.category_id) FROM categories c WHERE c.category_id < categories.category_id + EXCLUDED.parent_id) RETURNING name, parent_id;
INSERT INTO categories (name, parent_id) SELECT 'books', note_id FROM notes WHERE note_id < 2 ON CONFLICT (name) DO UPDATE SET parent_id = (SELECT count(*) FROM posts WHERE post_id < categories.category_id) + volatile_one() RETURNING name, parent_id;
INSERT INTO categories (name, parent_id) VALUES ('x', 1), ('x', 1) ON CONFLICT (name) DO UPDATE SET parent_id = volatile_one();
INSERT INTO categories (name, parent_id) VALUES ('books', 1), ('music', 1) ON CONFLICT (name) DO UPDATE SET (parent_id, name) = (SELECT volatile_one(), EXCLUDED.name || count(*) FROM notes WHERE k > categories.category_id) WHERE categories.name LIKE 'b%' AND volatile_one() = 1 RETURNING name, parent_id;
INSERT INTO categories (name, parent_id) VALUES ('y', 999), ('music', 1) ON CONFLICT (name) DO UPDATE SET parent_id = volatile_one();
INSERT INTO products (category_id, sku, price, tags) SELECT 1, 'SKU-' || note_id, note_id + 1, ARRAY[body] FROM notes ON CONFLICT (sku) DO UPDATE SET price = (SELECT max(likes) + 1 FROM posts WHERE author = products.product_id), attributes = products.attributes || to_jsonb(EXCLUDED) - 'product_id' RETURNING sku, price;
MERGE INTO categories c USING notes n ON n.note_id = c.category_id WHEN MATCHED AND n.note_id < 4 THEN UPDATE SET name = c.name || n.body WHEN NOT MATCHED THEN INSERT (name, parent_id) VALUES ('from ' || n.note_id, 1);
MERGE INTO products p USING (SELECT post_id, min(likes) AS likes, max(body) AS body FROM posts WHERE author IS NOT NULL GROUP BY post_id) q ON post_id = product_id WHEN MATCHED AND likes > 4 THEN UPDATE SET price = p.price + likes, tags = p.tags || body WHEN MATCHED AND likes < 3 AND NOT EXISTS (SELECT FROM order_items i WHERE i.product_id = p.product_id) THEN DELETE WHEN NOT MATCHED AND post_id > 95 THEN INSERT (product_id, category_id, sku, price) VALUES (post_id + 10000, 1, 'post ' || post_id, volatile_one());
MERGE INTO products p USING (VALUES (1, 1.5), (2, 2.5), (500, 3.5)) v(i, price) ON v.i = p.product_id WHEN MATCHED THEN UPDATE SET price = v.price WHEN NOT MATCHED THEN INSERT (product_id, category_id, sku, price) VALUES (i, 1, 'v' || i, v.price);
MERGE INTO products p USING (VALUES (1, 1.5), (1, 2.5)) v(i, price) ON v.i = p.product_id WHEN MATCHED THEN UPDATE SET price = v.price;
MERGE INTO products p USING (VALUES (1, -1.5)) v(i, price) ON v.i = p.product_id WHEN MATCHED THEN UPDATE SET price = v.price;
WITH d AS (DELETE FROM notes WHERE note_id > 15 RETURNING *) MERGE INTO categories c USING d ON 'from ' || d.note_id = c.name WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (name) VALUES ('deleted ' || d.note_id);
MERGE INTO products USING products p ON p.product_id = products.product_id + 1 WHEN MATCHED AND p.price > 3 THEN UPDATE SET price = p.price;
SELECT name, parent_id FROM categories ORDER BY name;
SELECT sku, price, tags FROM products ORDER BY sku;

-- ON CONFLICT of distributed tables that knows the rows, or is volatile
INSERT INTO posts VALUES (7, 1, 'x'), (7, 1904, 'y'), (8, 1, 'z') ON CONFLICT (author, post_id) DO UPDATE SET likes = (SELECT count(*) FROM posts p WHERE p.author = posts.author), body = posts.body || EXCLUDED.body || volatile_one() RETURNING author, post_id, body, likes;
INSERT INTO posts SELECT author, post_id, body, likes FROM posts WHERE author IS NOT NULL ON CONFLICT (author, post_id) DO UPDATE SET likes = posts.likes + (SELECT count(*) FROM follows WHERE follower = EXCLUDED.author), posted = (SELECT max(since) FROM follows WHERE followee = posts.post_id) WHERE EXISTS (SELECT FROM follows WHERE follower = posts.author) RETURNING author, post_id, likes, posted;
INSERT INTO posts SELECT author, post_id + i, 'new ' || i FROM posts, generate_series(0, 1) i WHERE post_id BETWEEN 10 AND 60 AND post_id % 2 = 0 ON CONFLICT (author, post_id) DO UPDATE SET (body, likes) = (SELECT max(body) || EXCLUDED.body, count(*) FROM notes WHERE k = posts.author) RETURNING *;
INSERT INTO posts AS q (post_id, author) VALUES (2904, 9), (2905, NULL), (2905, NULL), (2904, 9) ON CONFLICT (author, post_id) DO UPDATE SET body = volatile_one();
INSERT INTO posts AS q (post_id, author) VALUES (2904, 9), (2905, NULL), (2905, NULL), (2906, 9) ON CONFLICT (author, post_id) DO UPDATE SET body = volatile_one() RETURNING q.*;
INSERT INTO posts AS q (post_id, author) VALUES (2904, 9), (2905, NULL), (2906, 9) ON CONFLICT (author, post_id) DO UPDATE SET body = (SELECT q::text || EXCLUDED::text || volatile_one()) RETURNING q, (SELECT count(*) FROM notes);
INSERT INTO posts AS q VALUES (9, 2904, 'a'), (9, 2904, 'b') ON CONFLICT (author, post_id) DO UPDATE SET body = EXCLUDED.body WHERE EXCLUDED.body = 'b' AND volatile_one() = 1 RETURNING body;
INSERT INTO posts AS q VALUES (9, 2904, 'b'), (9, 2904, 'a') ON CONFLICT (author, post_id) DO UPDATE SET body = EXCLUDED.body WHERE EXCLUDED.body = 'b' AND volatile_one() = 1 RETURNING body;
INSERT INTO posts VALUES (9, 2904, 'b'), (9, 2907, 'a') ON CONFLICT (author, post_id) DO UPDATE SET likes = 1 / (volatile_one() - 1);
INSERT INTO posts VALUES (9, 2904, 'b'), (9, 2907, 'a') ON CONFLICT (author, post_id) DO UPDATE SET likes = (SELECT followee FROM follows WHERE follower < posts.author);
INSERT INTO follows SELECT f.follower, f.followee FROM follows f ON CONFLICT (follower, followee) DO UPDATE SET since = (SELECT max(p.posted) FROM posts p WHERE p.author = follows.follower AND p.post_id < follows.followee) RETURNING *;
INSERT INTO follows VALUES (1, 2), (1, 901), (901, 1) ON CONFLICT ON CONSTRAINT follows_pkey DO UPDATE SET since = (SELECT at::date FROM notes WHERE note_id = EXCLUDED.followee), followee = EXCLUDED.followee WHERE follows.follower IN (SELECT k FROM notes) RETURNING *;
WITH i AS (INSERT INTO posts SELECT k, note_id, body FROM notes ON CONFLICT (author, post_id) DO UPDATE SET body = (SELECT string_agg(name, ',' ORDER BY category_id) FROM categories WHERE category_id < posts.post_id) RETURNING *) SELECT n.note_id, i.body FROM i JOIN notes n ON n.k = i.author AND n.note_id = i.post_id;
INSERT INTO users (user_id, name, age) SELECT user_id + 20, name, age FROM users ON CONFLICT (user_id) DO UPDATE SET age = (SELECT count(*) FROM orders o WHERE o.user_id = users.user_id), preferences = users.preferences || to_jsonb(EXCLUDED.age), home = ROW((users.home).a, (SELECT max(status) FROM orders o WHERE o.user_id = EXCLUDED.user_id))::pair RETURNING user_id, age, preferences, home;
INSERT INTO order_items SELECT user_id, order_id, line, product_id, 1, 1.5 FROM order_items WHERE line = 1 ON CONFLICT (user_id, order_id, line) DO UPDATE SET price = (SELECT price + volatile_one() FROM products p WHERE p.product_id = order_items.product_id) RETURNING order_id, line, amount;
INSERT INTO events (tenant, event_id, kind) SELECT tenant, event_id, 'green' FROM events WHERE event_id < 40 ON CONFLICT (tenant, event_id) DO UPDATE SET payload = events.payload || jsonb_build_object('n', (SELECT count(*) FROM events e WHERE e.kind = EXCLUDED.kind AND e.event_id < events.event_id)), kind = EXCLUDED.kind WHERE events.kind IS DISTINCT FROM EXCLUDED.kind AND volatile_one() > 0 RETURNING tenant, event_id, payload, kind;
INSERT INTO accounts (account, owner, balance) SELECT account, owner, 1 FROM accounts ON CONFLICT (account) DO UPDATE SET balance = accounts.balance + (SELECT count(*) FROM accounts a WHERE a.account < accounts.account), limits = array_append(accounts.limits, volatile_one()), state = accounts.state RETURNING account, balance, limits, state;
SELECT count(*), sum(author), sum(likes), sum(length(body)) FROM posts;
-- it may set the key to what it is
INSERT INTO posts VALUES (9, 2904, 'k'), (9, 2950, 'n') ON CONFLICT (author, post_id) DO UPDATE SET (author, body) = (SELECT author, body || EXCLUDED.body FROM posts p WHERE p.author = posts.author AND p.post_id = EXCLUDED.post_id) RETURNING author, post_id, body;
INSERT INTO posts VALUES (9, 2951, 'k') ON CONFLICT (author, post_id) DO UPDATE SET author = 10 RETURNING author;
-- parts of WITH that add rows to what another one changes
WITH d AS (DELETE FROM posts WHERE post_id BETWEEN 2900 AND 2960 RETURNING *) INSERT INTO posts SELECT author, post_id, 'again' FROM d RETURNING author, post_id, body;
WITH i AS (INSERT INTO posts (author, post_id) SELECT k, note_id + 6000 FROM notes RETURNING author, post_id), u AS (UPDATE posts SET likes = likes + 1 WHERE post_id > 2900 RETURNING post_id, likes) SELECT (SELECT count(*) FROM i), count(*), sum(likes) FROM u;
WITH i AS (INSERT INTO follows VALUES (1, 7001), (2, 7002) ON CONFLICT DO NOTHING), j AS (INSERT INTO follows VALUES (3, 7003)) DELETE FROM follows WHERE followee >= 7000 OR follower = 5 RETURNING *;
SELECT count(*), sum(post_id), sum(likes) FROM posts;
SELECT * FROM follows WHERE followee >= 7000 ORDER BY 1, 2;
-- bound to one shard: changes in WITH, INSERT ... SELECT and MERGE, whole
WITH m AS (DELETE FROM follows WHERE follower = 3 RETURNING *) INSERT INTO posts (author, post_id, posted) SELECT follower, followee + 8000, since FROM m RETURNING *;
WITH m AS (DELETE FROM posts WHERE author = 3 AND post_id > 8000 RETURNING *), k AS (INSERT INTO key_int SELECT author, post_id, 'moved' FROM m RETURNING k, v) INSERT INTO follows SELECT k.k, k.v - 8000, m.posted FROM k JOIN m ON m.post_id = k.v RETURNING *;
WITH m AS (DELETE FROM key_int WHERE s = 'moved' RETURNING *) SELECT count(*), sum(v) FROM m;
WITH f AS (INSERT INTO filled (k, v) VALUES (4, 100), (4, 101) RETURNING *) INSERT INTO key_int SELECT k, v, s || moody::text || doubled FROM f RETURNING *;
WITH f AS (INSERT INTO filled (v, "Odd name") VALUES (102, 1) RETURNING *) INSERT INTO key_int SELECT k, v, w FROM f RETURNING k, v, s;
WITH f AS (INSERT INTO filled (k, v) VALUES (NULL, 103) RETURNING *), g AS (INSERT INTO key_int VALUES (NULL, 103, 'n')) SELECT k, v, w FROM f;
SELECT count(*) FROM key_int WHERE k IS NULL;
WITH a AS (UPDATE posts SET likes = likes + 1 WHERE author = 5 RETURNING post_id, likes), b AS (UPDATE posts SET likes = 0 WHERE author = 5 AND likes > 4 RETURNING post_id), c AS (DELETE FROM follows WHERE follower = 5 AND followee > 10) SELECT (SELECT count(*) FROM b) >= 0, count(*) FROM a JOIN posts p ON p.author = 5 AND p.post_id = a.post_id;
WITH x AS (DELETE FROM posts WHERE author = 6 AND post_id IN (SELECT max(post_id) FROM posts WHERE author = 6) RETURNING *), y AS (INSERT INTO posts SELECT author, post_id, 'again', likes FROM x RETURNING *) SELECT y.*, (SELECT count(*) FROM posts WHERE author = 6) FROM y;
WITH u AS (UPDATE orders o SET status = 'paid', note = u.name FROM users u WHERE u.user_id = o.user_id AND o.user_id = 7 RETURNING o.order_id, u.name), i AS (INSERT INTO order_items (user_id, order_id, line, product_id, price) SELECT 7, order_id, 900, 1, 2.5 FROM u ON CONFLICT (user_id, order_id, line) DO UPDATE SET price = EXCLUDED.price + 1 RETURNING order_id, amount) SELECT u.*, i.amount FROM u JOIN i USING (order_id);
WITH o AS (INSERT INTO orders (user_id, status) VALUES (7, 'new') RETURNING order_id, user_id), i AS (INSERT INTO order_items (user_id, order_id, line, product_id, price) SELECT o.user_id, o.order_id, l, p.product_id, p.price FROM o, generate_series(1, 3) l JOIN products p ON p.product_id = l RETURNING *) SELECT count(*), sum(amount) FROM i;
WITH o AS (DELETE FROM orders WHERE user_id = 7 AND order_id IN (SELECT order_id FROM order_items WHERE user_id = 7 AND line = 3) RETURNING order_id) SELECT count(*) FROM o;
INSERT INTO orders (user_id, total, note) SELECT user_id, sum(total), max(note) FROM orders WHERE user_id = 8 GROUP BY user_id RETURNING user_id, total, note, status;
INSERT INTO key_int SELECT author, post_id, body FROM posts WHERE author = 8 AND post_id < 60 RETURNING *;
INSERT INTO key_int SELECT author, count(*), 'r' FROM posts WHERE author = 8 GROUP BY CUBE (author) RETURNING *;
INSERT INTO key_int (v, k) SELECT p.post_id, f.follower FROM posts p LEFT JOIN follows f ON f.follower = p.author AND f.followee = p.post_id WHERE p.author = 9 RETURNING *;
INSERT INTO key_bigint SELECT k, v + 1000, s FROM key_bigint WHERE k = 7 RETURNING *;
INSERT INTO key_bigint (k) SELECT k + 1 FROM key_bigint WHERE k = 7 RETURNING *;
MERGE INTO posts p USING (SELECT * FROM follows WHERE follower = 4) f ON p.author = f.follower AND p.post_id = f.followee WHEN MATCHED AND p.likes > 4 THEN DELETE WHEN MATCHED THEN UPDATE SET likes = -1, author = f.follower WHEN NOT MATCHED AND f.followee < 20 THEN INSERT (author, post_id, posted) VALUES (f.follower, f.followee, f.since);
MERGE INTO posts p USING (SELECT * FROM follows WHERE follower = 4) f ON p.author = f.follower AND p.post_id = f.followee WHEN NOT MATCHED THEN INSERT (author, post_id) VALUES (f.followee, f.followee + 7000);
MERGE INTO posts p USING follows f ON p.author = f.follower AND p.post_id = f.followee AND f.follower = 4 WHEN MATCHED THEN UPDATE SET body = 'four' WHEN NOT MATCHED AND f.followee > 25 THEN INSERT (author, post_id, body) VALUES (f.follower, f.followee + 9000, 'not four');
MERGE INTO filled USING (VALUES (4, 100), (4, 200)) s(k, v) ON filled.k = s.k AND filled.v = s.v WHEN MATCHED THEN UPDATE SET w = DEFAULT, v = s.v + 1 WHEN NOT MATCHED THEN INSERT (k, v) VALUES (s.k, s.v);
MERGE INTO key_int USING (SELECT 4 AS k, 200 AS v) s ON key_int.k = s.k WHEN MATCHED THEN UPDATE SET (v, s) = (SELECT count(*), max(body) FROM posts WHERE author = 4) WHEN NOT MATCHED THEN INSERT VALUES (s.k, s.v, 'new');
MERGE INTO key_int USING (SELECT NULL::int AS k, 200 AS v) s ON key_int.k = s.k WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.k, s.v, 'new');
MERGE INTO order_items i USING products p ON i.user_id = 9 AND i.product_id = p.product_id WHEN MATCHED AND p.price > 8 THEN UPDATE SET price = p.price + 1 WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN DO NOTHING;
WITH s AS (DELETE FROM key_int WHERE k = 4 RETURNING *) MERGE INTO posts USING s ON author = s.k AND post_id = s.v WHEN NOT MATCHED THEN INSERT (author, post_id, body) VALUES (s.k, s.v, s.s);
SELECT count(*), sum(author), sum(likes), sum(length(body)) FROM posts;
SELECT count(*), sum(v), count(k) FROM key_int;
SELECT k, v, w, doubled FROM filled ORDER BY k, v, w;

-- two parts may change tables of a foreign key, if none makes it change rows
WITH u AS (UPDATE users SET age = age + 1 WHERE user_id < 10 RETURNING user_id, age), o AS (UPDATE orders o SET note = 'age ' || u.age FROM u WHERE u.user_id = o.user_id RETURNING o.*) SELECT u.user_id, o.order_id, o.note, (SELECT sum(age) FROM users) FROM u LEFT JOIN o USING (user_id);
TABLE users;
TABLE orders;
WITH u AS (UPDATE users SET age = age + 1 WHERE user_id < 10 RETURNING user_id), d AS (DELETE FROM orders o USING u WHERE u.user_id = o.user_id RETURNING o.order_id) SELECT * FROM d;
TABLE orders;
TABLE order_items;

-- parts of WITH that read, row by row, what another part changes
WITH gone AS (DELETE FROM posts WHERE post_id BETWEEN 40 AND 50 RETURNING author, post_id) SELECT post_id, (SELECT count(*) FROM posts p WHERE p.author = g.author AND p.post_id <= g.post_id) FROM gone g;
WITH up AS (UPDATE posts SET likes = likes + 1000 WHERE author = 7 RETURNING post_id, likes) SELECT u.*, (SELECT max(p.likes) FROM posts p WHERE p.post_id < u.post_id) FROM up u;
WITH up AS (UPDATE users SET age = age + 1 WHERE user_id < 9 RETURNING user_id, age) SELECT up.*, x.* FROM up, LATERAL (SELECT u.user_id, u.age FROM users u WHERE u.age < up.age ORDER BY u.age DESC, u.user_id LIMIT 1) x;
WITH new AS (INSERT INTO follows VALUES (50, 1, NULL), (51, 2, NULL) RETURNING *) SELECT p.post_id, (SELECT count(*) FROM follows f WHERE f.followee = p.author) FROM posts p WHERE p.post_id < 10;
WITH gone AS (DELETE FROM follows WHERE follower >= 50 RETURNING followee) SELECT follower FROM follows WHERE followee = (SELECT max(followee) FROM gone);
WITH gone AS (DELETE FROM orders WHERE total < 10 RETURNING user_id, order_id) SELECT count(*), sum((SELECT count(*) FROM order_items i WHERE i.user_id = g.user_id AND i.order_id = g.order_id)) FROM gone g;
WITH up AS (UPDATE accounts SET level = level + 1 RETURNING account, level), o AS (SELECT account, (SELECT count(*) FROM accounts b WHERE b.level > a.level) AS higher FROM accounts a) SELECT up.level, o.higher FROM up JOIN o USING (account);
WITH up AS (UPDATE posts SET likes = 0 WHERE likes > 1000 RETURNING post_id) INSERT INTO notes (note_id, k, body) SELECT 9000 + post_id, (SELECT count(*) FROM posts p WHERE p.likes > 1000 AND p.post_id <= up.post_id), 'liked' FROM up;
WITH up AS (UPDATE posts SET body = 'last' WHERE post_id > 95 RETURNING author) SELECT post_id FROM posts ORDER BY post_id DESC LIMIT (SELECT count(*) FROM up) OFFSET 1;
UPDATE posts SET likes = likes + 1 WHERE author < 5 RETURNING post_id, likes, (SELECT count(*) FROM posts p WHERE p.author = posts.author AND p.likes >= posts.likes);
DELETE FROM posts WHERE post_id > 97 RETURNING post_id, (SELECT string_agg(p.post_id::text, ',' ORDER BY p.post_id) FROM posts p WHERE p.post_id >= posts.post_id);
INSERT INTO posts (author, post_id) VALUES (3, 8001), (4, 8002), (5, 8003) RETURNING post_id, (SELECT count(*) FROM posts p WHERE p.author = posts.author), (SELECT count(*) FROM posts p JOIN follows f ON f.follower = p.author WHERE p.author = posts.author);
UPDATE users SET age = u.age + 5 FROM users u WHERE u.user_id = users.user_id + 1 AND u.user_id < 12 RETURNING users.user_id, users.age, (SELECT count(*) FROM orders o JOIN users x USING (user_id) WHERE x.age < users.age AND x.user_id <= u.user_id);
DELETE FROM orders WHERE user_id % 5 = 2 RETURNING order_id, (SELECT count(*) FROM order_items i WHERE i.order_id = orders.order_id);

-- two parts that change rows of one table
WITH a AS (UPDATE posts SET body = 'a' WHERE post_id % 3 = 0 RETURNING post_id), b AS (UPDATE posts SET body = 'b' WHERE post_id % 3 = 1 RETURNING post_id) SELECT (SELECT sum(post_id) FROM a), (SELECT sum(post_id) FROM b), count(*) FROM posts;
WITH a AS (DELETE FROM posts WHERE post_id % 3 = 2 AND likes < 3 RETURNING *) UPDATE posts SET likes = likes + (SELECT count(*) FROM a) WHERE post_id % 3 = 0 RETURNING post_id, likes;
WITH a AS (UPDATE posts SET body = 'c' WHERE post_id < 30 AND post_id % 3 = 0 AND post_id IN (SELECT min(post_id) FROM posts GROUP BY author) RETURNING author, post_id), b AS (DELETE FROM posts WHERE post_id BETWEEN 30 AND 36 RETURNING author, post_id), c AS (INSERT INTO posts (author, post_id) SELECT author, post_id + 9000 FROM b RETURNING post_id) DELETE FROM posts USING a WHERE posts.author = a.author AND posts.post_id > 36 RETURNING posts.post_id, a.post_id, (SELECT count(*) FROM b), (SELECT count(*) FROM c);
WITH a AS (UPDATE users SET age = 1 WHERE user_id IN (SELECT user_id FROM orders WHERE status = 'new')), b AS (UPDATE users SET age = 2 WHERE NOT EXISTS (SELECT FROM orders o WHERE o.user_id = users.user_id AND status = 'new') RETURNING user_id) SELECT count(*) FROM b;
WITH a AS (UPDATE filled SET v = v + 100 WHERE k = 2 RETURNING id, v), b AS (DELETE FROM filled USING notes WHERE filled.k = notes.k AND filled.k IN (3, 4) RETURNING id) SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b);
