-- INSERT ... SELECT: in the shards where source and target have the same key, through this
-- server where they have not. The target is compared after each.

-- columns in another order, constants, defaults, generated columns
INSERT INTO key_int SELECT author, post_id, body FROM posts;
INSERT INTO key_int (s, v, k) SELECT body, likes, author FROM posts WHERE post_id < 20;
INSERT INTO key_int (k) SELECT follower FROM follows;
INSERT INTO key_int SELECT follower, 5, 'constant' FROM follows WHERE followee > 5;
INSERT INTO key_int SELECT author, likes::smallint, post_id FROM posts WHERE post_id < 20;
INSERT INTO posts (author, post_id) SELECT k, v + 500 FROM key_int WHERE s LIKE 's%';
INSERT INTO posts (author, post_id, posted) SELECT k, v + 600, CURRENT_DATE - CURRENT_DATE + date '2024-01-01' FROM key_int WHERE s LIKE 's%';
INSERT INTO posts (author, post_id, body) SELECT k, v + 700, to_char(timestamptz '2024-01-01 12:00+00', 'HH24 TZ') FROM key_int WHERE s LIKE 's%';
INSERT INTO filled (k, v, "Odd name") SELECT author, post_id, likes FROM posts WHERE post_id < 40 ORDER BY post_id;
INSERT INTO filled (id, s, k, v) OVERRIDING SYSTEM VALUE SELECT post_id + 1000, post_id, author, likes FROM posts WHERE post_id < 50;
INSERT INTO filled (id, s, v) OVERRIDING SYSTEM VALUE SELECT post_id + 2000, post_id, likes FROM posts WHERE post_id < 50;
INSERT INTO filled (id, s, k, moody) OVERRIDING SYSTEM VALUE SELECT k + 3000, v, k, 'happy' FROM key_int WHERE k BETWEEN 0 AND 10 AND v < 30;
INSERT INTO filled (id, k) SELECT 1, author FROM posts;
INSERT INTO orders (user_id, order_id, status, note) SELECT user_id, order_id + 5000, status, note FROM orders WHERE order_id < 40;
INSERT INTO orders (user_id, order_id) SELECT user_id, max(order_id) + 6000 FROM orders GROUP BY user_id;
INSERT INTO orders (user_id, total) SELECT user_id, sum(quantity * price) FROM order_items GROUP BY user_id ORDER BY user_id;
INSERT INTO order_items (user_id, order_id, line, product_id, price) SELECT user_id, order_id, 100, 1, 2.5 FROM orders WHERE order_id < 20;
INSERT INTO order_items (user_id, order_id, line, product_id, quantity, price) SELECT i.user_id, i.order_id, 200 + i.line, p.product_id, 2, p.price FROM order_items i JOIN products p ON p.product_id = i.product_id + 1 WHERE i.line < 3;
INSERT INTO users (user_id, name, home, feeling, preferences) SELECT user_id + 1000, name, home, feeling, preferences FROM users;
INSERT INTO accounts SELECT md5(account::text)::uuid, owner, balance, limits, state, level, opened FROM accounts WHERE level < 3;
INSERT INTO accounts (account, level) SELECT account, 2 FROM accounts WHERE owner = 'owner 1' ON CONFLICT (account) DO UPDATE SET level = 3;
INSERT INTO events (tenant, event_id, kind, payload, duration, during, raw, cost, doc, measure) SELECT tenant, event_id + 1000, kind, payload, duration, during, raw, cost, doc, measure FROM events;
INSERT INTO events (tenant, event_id) SELECT tenant, event_id + 2000 FROM events WHERE tenant LIKE 'b%';
INSERT INTO events (tenant, event_id) SELECT upper(tenant), event_id + 3000 FROM events WHERE event_id < 1000;
INSERT INTO events (tenant, event_id) SELECT tenant || 'x', event_id + 4000 FROM events WHERE event_id < 1000;
INSERT INTO events (event_id) SELECT event_id + 5000 FROM events WHERE event_id < 1000;
INSERT INTO "Odd ""T.able" SELECT author, max(body) FROM posts WHERE author IS NOT NULL GROUP BY author;
INSERT INTO "Odd ""T.able" ("ü", "Key Col") SELECT post_id + 100, author FROM posts WHERE author > 3;
INSERT INTO types (k, b, o, da, js, ts, ba) SELECT author, '10101', post_id, ARRAY[1, 2], '{"a": 1.0}', posted, 'x' FROM posts;

-- the key of the target is another column, or computed
INSERT INTO key_int SELECT post_id, author, body FROM posts WHERE post_id < 30;
INSERT INTO key_int SELECT author + 1, post_id, body FROM posts WHERE post_id < 30;
INSERT INTO key_int SELECT -author, post_id, body FROM posts WHERE post_id < 30;
INSERT INTO key_int SELECT NULL, post_id, body FROM posts WHERE post_id < 30;
INSERT INTO key_int SELECT 3, post_id, body FROM posts WHERE post_id < 30;
INSERT INTO key_int (v, s) SELECT post_id, body FROM posts WHERE post_id < 30;
INSERT INTO key_int SELECT count(*), min(author), body FROM posts GROUP BY body;
INSERT INTO key_int SELECT CASE WHEN post_id % 2 = 0 THEN author END, post_id, body FROM posts WHERE post_id < 30;
INSERT INTO key_int SELECT COALESCE(author, 0), post_id, body FROM posts WHERE post_id < 50;
INSERT INTO key_bigint SELECT author, post_id, body FROM posts;
INSERT INTO key_smallint SELECT author, post_id, body FROM posts;
INSERT INTO key_smallint SELECT k, v, s FROM key_int WHERE v < 40;
INSERT INTO key_text SELECT author, post_id, body FROM posts;
INSERT INTO key_text SELECT k, v, s FROM key_varchar WHERE v < 30;
INSERT INTO key_text SELECT k, v, s FROM key_bpchar WHERE v < 30;
INSERT INTO key_bpchar SELECT k, v, s FROM key_text WHERE v < 30 AND length(k) < 4;
INSERT INTO key_bpchar SELECT k, v, s FROM key_bpchar WHERE v < 10;
INSERT INTO key_varchar SELECT k || ' ', v, s FROM key_varchar WHERE v < 30 AND length(k) < 3;
INSERT INTO key_varchar SELECT repeat('too long', 3), v, s FROM key_varchar;
INSERT INTO key_ci SELECT upper(k), v, s FROM key_ci WHERE v < 30;
INSERT INTO key_ci SELECT k, v + 100, s FROM key_ci WHERE v < 30;
INSERT INTO key_numeric SELECT k, v + 100, s FROM key_numeric WHERE v < 30;
INSERT INTO key_numeric SELECT k, v, s FROM key_float WHERE v < 30;
INSERT INTO key_float SELECT k, v + 100, s FROM key_float WHERE v < 30;
INSERT INTO key_float SELECT k, v, s FROM key_numeric WHERE v < 30;
INSERT INTO key_domain SELECT k, v + 100, s FROM key_domain WHERE v < 30;
INSERT INTO key_domain SELECT author, post_id, body FROM posts WHERE author > 0;
INSERT INTO key_domain SELECT author, post_id, body FROM posts;
INSERT INTO key_enum SELECT k, v + 100, s FROM key_enum WHERE v < 30;
INSERT INTO key_timestamptz SELECT k, v + 100, s FROM key_timestamptz WHERE v < 30;
INSERT INTO key_timestamptz SELECT k, v, s FROM key_date WHERE v < 30;
INSERT INTO key_uuid SELECT account, level, owner FROM accounts;
INSERT INTO key_pair SELECT k, v + 100, s FROM key_pair WHERE v < 30;
INSERT INTO key_array SELECT k, v + 100, s FROM key_array WHERE v < 30;
INSERT INTO key_jsonb SELECT payload, event_id, kind FROM events WHERE event_id < 20;

-- joins, groups, DISTINCT, windows and set operations that have the key
INSERT INTO key_int SELECT p.author, f.followee, p.body FROM posts p JOIN follows f ON f.follower = p.author WHERE p.post_id < 30;
INSERT INTO key_int SELECT f.follower, p.post_id, p.body FROM posts p JOIN follows f ON f.follower = p.author WHERE p.post_id < 30;
INSERT INTO key_int SELECT f.followee, p.post_id, p.body FROM posts p JOIN follows f ON f.follower = p.author WHERE p.post_id < 30;
INSERT INTO key_int SELECT p.author, f.followee, p.body FROM posts p JOIN follows f ON f.followee = p.author WHERE p.post_id < 30;
INSERT INTO key_int SELECT p.author, f.followee, p.body FROM posts p LEFT JOIN follows f ON f.follower = p.author AND f.followee > 20;
INSERT INTO key_int SELECT f.follower, p.post_id, p.body FROM posts p LEFT JOIN follows f ON f.follower = p.author AND f.followee > 20;
INSERT INTO key_int SELECT COALESCE(p.author, f.follower), p.post_id, p.body FROM posts p FULL JOIN follows f ON f.follower = p.author AND f.followee = p.post_id;
INSERT INTO key_int SELECT author, count(*), max(body) FROM posts GROUP BY author;
INSERT INTO key_int SELECT author, likes, count(*) FROM posts GROUP BY author, likes HAVING count(*) > 1;
INSERT INTO key_int SELECT author, count(*), 'set' FROM posts GROUP BY GROUPING SETS ((author), ());
INSERT INTO key_int SELECT likes, count(*), 'likes' FROM posts GROUP BY likes;
INSERT INTO key_int SELECT count(*), count(author), 'all' FROM posts;
INSERT INTO key_int SELECT DISTINCT author, likes FROM posts;
INSERT INTO key_int SELECT DISTINCT ON (author) author, post_id, body FROM posts ORDER BY author, post_id DESC;
INSERT INTO key_int SELECT author, row_number() OVER (PARTITION BY author ORDER BY post_id), body FROM posts;
INSERT INTO key_int SELECT author, row_number() OVER (ORDER BY post_id), body FROM posts;
INSERT INTO key_int SELECT author, post_id FROM posts WHERE post_id < 20 UNION ALL SELECT follower, followee FROM follows;
INSERT INTO key_int SELECT author, post_id FROM posts UNION SELECT follower, followee FROM follows;
INSERT INTO key_int SELECT author, post_id FROM posts EXCEPT SELECT follower, followee FROM follows;
INSERT INTO key_int SELECT author, post_id FROM posts INTERSECT SELECT followee, follower FROM follows;
INSERT INTO key_int SELECT author, post_id FROM posts WHERE post_id < 20 UNION ALL SELECT product_id, category_id FROM products;
INSERT INTO key_int SELECT author, post_id, body FROM posts ORDER BY post_id LIMIT 7;
INSERT INTO key_int SELECT author, post_id, body FROM posts WHERE author = 3 ORDER BY post_id LIMIT 2;
INSERT INTO key_int SELECT author, post_id, body FROM posts WHERE author IN (3, 4, 5);
INSERT INTO key_int SELECT author, post_id, body FROM posts WHERE author = 3 AND author = 4;
INSERT INTO key_int SELECT author, post_id, c.name FROM posts, categories c WHERE c.category_id = likes;
INSERT INTO key_int SELECT c.category_id, post_id, c.name FROM posts, categories c WHERE c.category_id = author;
INSERT INTO key_int SELECT c.category_id, post_id, c.name FROM posts, categories c WHERE c.category_id = likes;
INSERT INTO key_int SELECT category_id, parent_id, name FROM categories;
INSERT INTO key_int SELECT n.k, post_id, n.body FROM posts JOIN notes n ON n.note_id = post_id;
INSERT INTO key_int SELECT author, post_id, body FROM posts p WHERE EXISTS (SELECT FROM follows f WHERE f.follower = p.author AND f.followee = p.post_id);
INSERT INTO key_int SELECT author, post_id, body FROM posts p WHERE author NOT IN (SELECT followee FROM follows);
INSERT INTO key_int SELECT author, (SELECT count(*) FROM follows f WHERE f.follower = p.author), body FROM posts p WHERE post_id < 30;
INSERT INTO key_int SELECT author, (SELECT count(*) FROM follows), body FROM posts p WHERE post_id < 30;
INSERT INTO key_int SELECT author, l.followee FROM posts p, LATERAL (SELECT followee FROM follows f WHERE f.follower = p.author ORDER BY followee LIMIT 1) l;
WITH q AS (SELECT author, count(*) AS n FROM posts GROUP BY author) INSERT INTO key_int SELECT author, n FROM q;
WITH q AS (SELECT author, count(*) AS n FROM posts GROUP BY author) INSERT INTO key_int SELECT q.author, q.n + r.n FROM q JOIN q r USING (author);
WITH q AS MATERIALIZED (SELECT author, count(*) AS n FROM posts GROUP BY author) INSERT INTO key_int SELECT author, n FROM q WHERE author > 5;
WITH q AS (SELECT max(likes) AS likes FROM posts) INSERT INTO key_int SELECT author, q.likes FROM posts, q WHERE post_id < 20;
WITH RECURSIVE q(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM q WHERE n < 5) INSERT INTO key_int SELECT author, n FROM posts, q WHERE post_id < 20;

-- the source is the state before the statement
INSERT INTO posts (author, post_id, body) SELECT author, post_id + 10000, body FROM posts WHERE post_id < 100;
INSERT INTO posts (author, post_id, body) SELECT post_id % 50, post_id + 20000, body FROM posts WHERE post_id < 100;
INSERT INTO posts (author, post_id, likes) SELECT author, 30000, count(*) FROM posts GROUP BY author;
INSERT INTO posts (author, post_id, likes) SELECT count(*), 31000, 0 FROM posts;
INSERT INTO posts (author, post_id, likes) SELECT author, 32000 + post_id, (SELECT count(*) FROM posts) FROM posts WHERE post_id < 20;
INSERT INTO posts (author, post_id, likes) SELECT author, 33000 + post_id, (SELECT count(*) FROM posts q WHERE q.author = p.author) FROM posts p WHERE post_id < 20;

-- ON CONFLICT
INSERT INTO posts (author, post_id, body) SELECT author, post_id, 'again' FROM posts ON CONFLICT DO NOTHING;
INSERT INTO posts (author, post_id, body) SELECT author, post_id, 'again' FROM posts WHERE author IS NOT NULL ON CONFLICT (author, post_id) DO UPDATE SET body = posts.body || EXCLUDED.body, likes = posts.likes + 1 WHERE posts.post_id % 2 = 0;
INSERT INTO posts (author, post_id) SELECT follower, followee FROM follows ON CONFLICT (author, post_id) DO UPDATE SET author = EXCLUDED.author, likes = 99;
INSERT INTO posts (author, post_id) SELECT followee, follower FROM follows ON CONFLICT (author, post_id) DO UPDATE SET likes = 77;
INSERT INTO posts (author, post_id) SELECT follower, 7 FROM follows ON CONFLICT (author, post_id) DO UPDATE SET likes = 99;
INSERT INTO posts (author, post_id) SELECT follower, followee FROM follows ON CONFLICT (author, post_id) DO UPDATE SET likes = (SELECT count(*) FROM follows f WHERE f.follower = posts.author), body = (SELECT name FROM categories WHERE category_id = posts.author);
INSERT INTO posts (author, post_id) SELECT follower, followee FROM follows ON CONFLICT (author, post_id) DO UPDATE SET likes = (SELECT count(*) FROM follows);
INSERT INTO follows SELECT follower, followee + 1, since FROM follows ON CONFLICT DO NOTHING RETURNING follower, followee;
INSERT INTO follows SELECT author, post_id FROM posts WHERE author IS NOT NULL ON CONFLICT ON CONSTRAINT follows_pkey DO UPDATE SET since = '2020-01-01' RETURNING *;

-- RETURNING
INSERT INTO key_int SELECT author, post_id, body FROM posts WHERE post_id < 30 RETURNING *;
INSERT INTO key_int SELECT author, post_id, body FROM posts WHERE post_id < 30 RETURNING k + v, s || 'x', key_int;
INSERT INTO key_int SELECT author, post_id, body FROM posts WHERE post_id < 30 RETURNING v, (SELECT count(*) FROM follows WHERE follower = key_int.k), (SELECT max(name) FROM categories);
INSERT INTO key_int SELECT author, post_id, body FROM posts WHERE post_id < 30 RETURNING v, (SELECT count(*) FROM follows), (SELECT max(body) FROM notes);
INSERT INTO key_int SELECT author, post_id, body FROM posts WHERE post_id < 30 ORDER BY post_id DESC RETURNING v, tableoid::regclass::text LIKE '%key_int';
INSERT INTO order_items (user_id, order_id, line, product_id, price) SELECT user_id, order_id, 300, 1, 2.5 FROM orders WHERE order_id < 20 RETURNING order_id, amount;
WITH i AS (INSERT INTO key_int SELECT author, post_id, body FROM posts WHERE post_id < 30 RETURNING *) SELECT count(*), sum(v) FROM i;

-- errors: nothing is inserted
INSERT INTO follows SELECT author, post_id FROM posts;
INSERT INTO follows SELECT follower, NULL FROM follows;
INSERT INTO orders (user_id, order_id, status) SELECT user_id, order_id + 7000, 'bad' FROM orders;
INSERT INTO orders (user_id, order_id) SELECT user_id, 1 FROM orders;
INSERT INTO order_items (user_id, order_id, line, product_id, price) SELECT user_id, order_id + 8000, 1, 1, 1 FROM orders;
INSERT INTO order_items (user_id, order_id, line, product_id, price) SELECT user_id, order_id, 400, 999, 1 FROM orders;
INSERT INTO key_int SELECT author, 1 / (post_id - 50), body FROM posts;
INSERT INTO accounts (account, level) SELECT md5(account::text)::uuid, -1 FROM accounts;
INSERT INTO orders (user_id, order_id, note) SELECT user_id, order_id + 9000, repeat('long', 20) FROM orders;
SELECT count(*) FROM orders;

-- once more in a transaction, with what it has changed itself
BEGIN;
UPDATE posts SET likes = 1000 WHERE author = 3;
INSERT INTO key_int SELECT author, likes, 'changed' FROM posts WHERE author IN (2, 3);
INSERT INTO key_int SELECT likes, author, 'moved' FROM posts WHERE author IN (2, 3);
SAVEPOINT a;
INSERT INTO key_int SELECT likes, author, 'gone' FROM posts;
ROLLBACK TO a;
INSERT INTO key_int SELECT k, v, 'twice' FROM key_int WHERE s IN ('changed', 'moved');
COMMIT;
TABLE key_int;
PREPARE copy_posts(int, text) AS INSERT INTO key_int SELECT author, post_id, $2 FROM posts WHERE author = $1 OR post_id = $1;
EXECUTE copy_posts(3, 'prepared');
EXECUTE copy_posts(4, 'once more');
PREPARE shift_posts(int) AS INSERT INTO key_int SELECT author + $1, post_id FROM posts WHERE post_id > $1;
EXECUTE shift_posts(60);
EXECUTE shift_posts(90);
TABLE key_int;

-- so many rows that they go as COPY
INSERT INTO key_int SELECT i, -i, 'many ' || i % 7 FROM generate_series(1, 1200) i;
INSERT INTO key_int SELECT v, k, s FROM key_int WHERE s LIKE 'many%';
INSERT INTO events (tenant, event_id, at, kind, payload, duration, during, raw, cost, doc, measure) SELECT COALESCE(tenant, '') || i, event_id + 100 * i, at, kind, payload, duration, during, raw, cost, doc, measure FROM events, generate_series(1, 20) i WHERE event_id < 100;
INSERT INTO accounts (account, owner, balance, limits, state, opened) SELECT md5(account::text || i)::uuid, owner, balance, limits, state, opened FROM accounts, generate_series(1, 60) i WHERE level < 4;
INSERT INTO types (k, o, rc) SELECT i, i, 'pg_class' FROM generate_series(1, 1100) i;
