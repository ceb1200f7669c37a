-- Kinds of statements that are rare, and those in which parts of others meet.

-- outer joins: keys of nullable sides, COALESCE, conditions above and in ON
SELECT f.follower, count(*) FROM posts p LEFT JOIN follows f ON f.follower = p.author AND f.followee < 10 GROUP BY f.follower;
SELECT DISTINCT f.follower FROM posts p LEFT JOIN follows f ON f.follower = p.author AND p.likes > 4;
SELECT COALESCE(p.author, f.follower) AS k, count(*), count(p.post_id), count(f.followee) FROM posts p FULL JOIN follows f ON f.follower = p.author AND f.followee = p.likes GROUP BY 1;
SELECT p.post_id, rank() OVER (PARTITION BY f.follower ORDER BY p.post_id, f.followee) FROM posts p LEFT JOIN follows f ON f.follower = p.author AND f.since < '2023-02-01';
SELECT a.post_id, b.post_id, c.followee FROM posts a LEFT JOIN (posts b JOIN follows c ON c.follower = b.author AND c.followee > 20) ON b.author = a.author AND b.likes = a.likes;
SELECT a.post_id, b.post_id FROM posts a LEFT JOIN posts b ON b.author = a.author AND b.reply_to = a.post_id WHERE b.post_id IS NULL OR b.likes > 3;
SELECT u.user_id, o.order_id, i.line FROM users u LEFT JOIN orders o USING (user_id) LEFT JOIN order_items i USING (user_id, order_id) WHERE COALESCE(i.line, 9) > 1;
SELECT u.user_id, x.n FROM users u LEFT JOIN (SELECT user_id, count(*) AS n FROM orders WHERE status = 'paid' GROUP BY user_id) x USING (user_id) WHERE COALESCE(x.n, 0) < 2;
SELECT x.user_id, x.c FROM (SELECT user_id, COALESCE(total, -1) AS c FROM orders) x RIGHT JOIN users u ON u.user_id = x.user_id AND u.age > 40;
SELECT count(*), count(f.follower), sum(COALESCE(f.followee, 0)) FROM users u LEFT JOIN follows f ON f.follower = u.user_id AND f.followee = u.age;
SELECT p.post_id, n.note_id, u.name FROM posts p LEFT JOIN notes n ON n.k = p.author LEFT JOIN users u ON u.user_id = COALESCE(n.user_id, p.author);
SELECT * FROM (SELECT author, 1 AS one FROM posts) a FULL JOIN (SELECT follower, 2 AS two FROM follows) b ON a.author = b.follower AND a.one = b.two WHERE a.one IS NOT NULL;
SELECT j.user_id, j.total FROM (users u JOIN orders o USING (user_id)) AS j WHERE j.age > 50;
SELECT j.user_id, o.order_id, u.name FROM users u JOIN orders o USING (user_id) AS j WHERE o.total > 100;
SELECT * FROM (SELECT user_id, age FROM users) a NATURAL LEFT JOIN (SELECT user_id, status FROM orders) b;
SELECT author FROM (SELECT author, post_id FROM posts) a NATURAL FULL JOIN (SELECT author, reply_to AS post_id FROM posts) b;
SELECT p.post_id FROM posts p JOIN follows f ON f.follower = p.author AND EXISTS (SELECT FROM posts q WHERE q.author = f.followee AND q.likes > p.likes);
SELECT p.post_id, f.followee FROM posts p LEFT JOIN follows f ON f.follower = p.author AND f.followee IN (SELECT q.likes FROM posts q WHERE q.author = p.author);
SELECT a.k, b.v FROM key_text a LEFT JOIN key_ci b ON a.k = b.k COLLATE "C" AND b.v > 9;
SELECT a.k, b.k FROM key_numeric a JOIN key_numeric b USING (k) WHERE a.v < b.v;

-- subqueries: quantifiers, rows, NULLs, aggregates of outer levels
SELECT post_id FROM posts WHERE likes >= ALL (SELECT likes FROM posts p WHERE p.author = posts.author);
SELECT post_id FROM posts WHERE likes <> ALL (SELECT followee FROM follows WHERE follower = author);
SELECT post_id FROM posts WHERE likes = ANY (ARRAY(SELECT followee FROM follows WHERE follower = author));
SELECT post_id FROM posts WHERE (author, likes) IN (SELECT follower, followee FROM follows);
SELECT post_id FROM posts WHERE (author, likes) NOT IN (SELECT follower, followee FROM follows WHERE followee < 15);
SELECT post_id FROM posts WHERE (likes, post_id) > (SELECT max(likes), 50 FROM posts p WHERE p.author = posts.author);
SELECT post_id FROM posts WHERE (author, likes) <> (SELECT p.author, p.likes FROM posts p WHERE p.post_id = 7);
SELECT post_id FROM posts WHERE reply_to NOT IN (SELECT post_id FROM posts p WHERE p.author = posts.author);
SELECT post_id, likes > SOME (SELECT likes FROM posts p WHERE p.author = posts.author AND p.post_id <> posts.post_id) FROM posts;
SELECT post_id, (SELECT count(*) FROM follows WHERE follower = author) + (SELECT count(*) FROM follows WHERE followee = author) AS n FROM posts ORDER BY n DESC, post_id LIMIT 12;
SELECT author, (SELECT sum(posts.likes) FROM follows WHERE follower = 7 LIMIT 1) FROM posts GROUP BY author;
SELECT author, count(*) FROM posts GROUP BY author HAVING count(*) > (SELECT avg(n) FROM (SELECT count(*) AS n FROM posts GROUP BY author) x);
SELECT author, (SELECT count(*) FROM follows WHERE follower = author AND followee > avg(likes)) FROM posts GROUP BY author;
SELECT author FROM posts GROUP BY author HAVING EXISTS (SELECT FROM follows WHERE follower = author HAVING count(*) > max(posts.likes));
SELECT u.user_id FROM users u WHERE EXISTS (SELECT FROM orders o WHERE o.user_id = u.user_id GROUP BY o.status HAVING count(*) > 1);
SELECT u.user_id, (SELECT o.total FROM orders o WHERE o.user_id = u.user_id ORDER BY o.placed_at DESC, o.order_id LIMIT 1 OFFSET 1) FROM users u;
SELECT u.user_id, ARRAY(SELECT o.status FROM orders o WHERE o.user_id = u.user_id AND EXISTS (SELECT FROM order_items i WHERE i.user_id = o.user_id AND i.order_id = o.order_id AND i.quantity > 2) ORDER BY o.order_id) FROM users u;
SELECT CASE WHEN EXISTS (SELECT FROM follows WHERE follower = author) THEN (SELECT min(followee) FROM follows WHERE follower = author) ELSE -1 END AS first, count(*) FROM posts GROUP BY 1;
SELECT post_id FROM posts ORDER BY (SELECT count(*) FROM follows WHERE follower = author) DESC, post_id LIMIT 9;
SELECT post_id FROM posts p WHERE (SELECT count(*) FROM posts q WHERE q.author = p.author AND (SELECT max(followee) FROM follows f WHERE f.follower = q.author AND f.followee <> p.likes) > q.likes) > 1;
SELECT (SELECT x.n FROM (SELECT count(*) AS n FROM posts WHERE author = u.user_id) x WHERE x.n > 3) FROM users u;
SELECT u.name, l.* FROM users u, LATERAL (SELECT count(*) AS n, max(total) AS most FROM orders o WHERE o.user_id = u.user_id AND o.total > u.age) l;
SELECT u.user_id, l.* FROM users u LEFT JOIN LATERAL (SELECT o.order_id, i.product_id FROM orders o JOIN order_items i USING (user_id, order_id) WHERE o.user_id = u.user_id ORDER BY i.price DESC, o.order_id, i.line LIMIT 2) l ON true;
SELECT p.product_id, l.n FROM products p LEFT JOIN LATERAL (SELECT sum(quantity) AS n FROM order_items i WHERE i.product_id = p.product_id AND i.price > p.price / 2) l ON l.n > 20;
SELECT v.x, l.post_id FROM (VALUES (7), (8), (NULL), (7)) v(x) LEFT JOIN LATERAL (SELECT post_id FROM posts WHERE author = v.x ORDER BY likes DESC, post_id LIMIT 1) l ON true;
SELECT g, l.c FROM generate_series(1, 6) g, LATERAL (SELECT count(*) AS c FROM posts WHERE author BETWEEN g AND g * 2) l;

-- grouping: sets, functions that return sets, whole rows, no columns at all
SELECT grouping(author, likes), author, likes, count(*) FROM posts WHERE author < 4 GROUP BY CUBE (author, likes);
SELECT author, likes % 2, grouping(author), sum(likes) FROM posts GROUP BY GROUPING SETS ((author, likes % 2), (likes % 2), ());
SELECT author, CASE grouping(author) WHEN 0 THEN count(*) ELSE -count(*) END FROM posts GROUP BY ROLLUP (author) HAVING count(*) > 5 OR grouping(author) = 1;
SELECT country, feeling, count(DISTINCT age), count(DISTINCT user_id) FROM users GROUP BY GROUPING SETS (country, feeling, (country, feeling));
SELECT status, date_trunc('month', placed_at AT TIME ZONE 'UTC'), count(*), sum(total) FROM orders GROUP BY ROLLUP (status, 2);
SELECT author, generate_series(1, count(*)::int) FROM posts WHERE author < 5 GROUP BY author;
SELECT generate_series(1, 2) AS g, likes, count(*) FROM posts GROUP BY g, likes;
SELECT unnest(tags), count(*) FROM users GROUP BY 1;
SELECT count(*) FROM posts HAVING max(likes) > 100;
SELECT 1 AS one FROM posts HAVING true;
SELECT FROM posts GROUP BY author;
SELECT 'x' FROM posts GROUP BY ();
SELECT author, json_agg(posts ORDER BY post_id) FROM posts WHERE author < 3 GROUP BY author;
SELECT author, array_agg(ROW(post_id, body) ORDER BY post_id) FROM posts WHERE author < 3 GROUP BY author;
SELECT row_to_json(x), x FROM (SELECT author AS a, count(*) AS "How many" FROM posts GROUP BY author) x;
SELECT o.*, u FROM users u JOIN orders o USING (user_id) WHERE o.order_id < 9;
SELECT u, count(*) FROM users u JOIN orders o USING (user_id) WHERE u.user_id < 6 GROUP BY u.user_id;
SELECT home, count(*), min(name) FROM users GROUP BY home;
SELECT (home).b, sum((home).a) FROM users GROUP BY (home).b;
SELECT mode() WITHIN GROUP (ORDER BY likes), percentile_disc(ARRAY[0.2, 0.5, 0.9]) WITHIN GROUP (ORDER BY likes DESC) FROM posts;
SELECT author, percentile_cont(0.5) WITHIN GROUP (ORDER BY likes) FILTER (WHERE post_id > 20), rank(3) WITHIN GROUP (ORDER BY likes) FROM posts GROUP BY author;
SELECT likes, string_agg(DISTINCT body, '|' ORDER BY body DESC), count(DISTINCT author) FROM posts GROUP BY likes;
SELECT bool_and(likes > 0), bool_or(body IS NULL), every(post_id > 0), bit_and(likes), bit_or(post_id) FROM posts;
SELECT range_agg(int4range(post_id, post_id + 2)), range_intersect_agg(int4range(0, likes + 20)) FROM posts WHERE likes < 3;
SELECT tenant, jsonb_object_agg(event_id, kind ORDER BY event_id), xmlagg(doc ORDER BY event_id) FROM events WHERE event_id < 20 GROUP BY tenant;
SELECT kind, max(duration), min(at), sum(cost), count(DISTINCT during) FROM events GROUP BY kind ORDER BY kind DESC NULLS LAST;
SELECT regr_count(likes, post_id), corr(likes, likes)::numeric(6,4), variance(likes)::numeric(12,6), stddev_pop(likes)::numeric(12,6) FROM posts;
SELECT author, my_sum(likes), my_sum(DISTINCT likes) FROM posts GROUP BY author;
SELECT u.country, sum(x.n) FROM users u JOIN (SELECT user_id, count(*) AS n FROM orders GROUP BY user_id) x USING (user_id) GROUP BY u.country ORDER BY 1;
SELECT max(n), min(n) FROM (SELECT author, count(*) AS n FROM posts GROUP BY author UNION ALL SELECT follower, -count(*) FROM follows GROUP BY follower) x;

-- windows: frames, exclusion, names, over groups
SELECT post_id, sum(likes) OVER (ORDER BY post_id ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW) FROM posts;
SELECT post_id, count(*) OVER (PARTITION BY author ORDER BY likes GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW EXCLUDE TIES) FROM posts;
SELECT post_id, sum(likes) OVER (ORDER BY posted RANGE BETWEEN '3 days' PRECEDING AND '1 day' FOLLOWING) FROM posts;
SELECT author, post_id, first_value(post_id) OVER w, last_value(post_id) OVER w, nth_value(post_id, 2) OVER w FROM posts WINDOW w AS (PARTITION BY author ORDER BY post_id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING);
SELECT author, count(*), sum(count(*)) OVER (ORDER BY author NULLS FIRST), rank() OVER (ORDER BY count(*) DESC) FROM posts GROUP BY author;
SELECT * FROM (SELECT author, post_id, row_number() OVER (PARTITION BY author ORDER BY likes DESC, post_id) AS n FROM posts) x WHERE n <= 2;
SELECT author, post_id, lag(likes, 1, -1) OVER w - likes, ntile(3) OVER w, cume_dist() OVER w::numeric(5,3) FROM posts WINDOW w AS (PARTITION BY author ORDER BY post_id);
SELECT u.country, o.order_id, sum(o.total) FILTER (WHERE o.status <> 'new') OVER (PARTITION BY u.user_id ORDER BY o.order_id) FROM users u JOIN orders o USING (user_id);
SELECT DISTINCT author, max(likes) OVER (PARTITION BY author) FROM posts;
SELECT author, percent_rank() OVER (ORDER BY max(likes), author)::numeric(6,4) FROM posts GROUP BY author ORDER BY author LIMIT 5;
SELECT sum(x) OVER (ORDER BY x) FROM (SELECT DISTINCT likes AS x FROM posts) y;

-- set operations, DISTINCT ON, ORDER BY with LIMIT
(SELECT author FROM posts ORDER BY likes DESC, post_id LIMIT 5) UNION ALL (SELECT follower FROM follows ORDER BY since, follower, followee LIMIT 5);
SELECT author FROM posts INTERSECT ALL SELECT follower FROM follows;
(SELECT author, likes FROM posts EXCEPT ALL SELECT follower, followee FROM follows) UNION SELECT 1, 1 ORDER BY 1 NULLS FIRST, 2 LIMIT 10;
SELECT author, post_id FROM posts WHERE author = 7 UNION SELECT follower, followee FROM follows WHERE follower = 7 ORDER BY 1, 2;
SELECT * FROM (SELECT author AS k FROM posts UNION SELECT follower FROM follows) x JOIN follows f ON f.follower = x.k;
SELECT k, count(*) FROM (SELECT author AS k FROM posts UNION ALL SELECT follower FROM follows UNION ALL SELECT k FROM notes) x GROUP BY k;
SELECT DISTINCT ON (likes % 3) likes % 3, post_id, body FROM posts ORDER BY likes % 3, posted DESC, post_id;
SELECT DISTINCT ON (country, feeling) country, feeling, name FROM users ORDER BY country, feeling, age DESC NULLS LAST, user_id;
SELECT name FROM users ORDER BY name COLLATE twin.num DESC LIMIT 6;
SELECT k, v FROM key_ci ORDER BY k, v LIMIT 9 OFFSET 3;
SELECT k FROM key_enum ORDER BY k DESC NULLS LAST, v FETCH FIRST 5 ROWS WITH TIES;
SELECT body FROM posts ORDER BY body NULLS FIRST, post_id FETCH FIRST 20 ROWS ONLY;
SELECT likes, author IS NULL FROM posts ORDER BY likes DESC, 2 FETCH FIRST 3 ROWS WITH TIES;
SELECT post_id FROM posts ORDER BY 0 - likes, 1 + post_id LIMIT 4;
SELECT user_id, score FROM users ORDER BY score DESC, user_id LIMIT 12;
SELECT a.post_id, b.post_id FROM posts a JOIN posts b USING (author) ORDER BY a.likes, b.likes DESC, a.post_id, b.post_id OFFSET 10 LIMIT 10;
VALUES ((SELECT count(*) FROM posts), (SELECT max(name) FROM users)), (0, 'x');
TABLE follows ORDER BY since DESC, follower, followee LIMIT 3;

-- recursion, CTEs
WITH RECURSIVE t AS (SELECT post_id, reply_to, 0 AS depth FROM posts WHERE reply_to IS NULL AND post_id < 20 UNION ALL SELECT p.post_id, p.reply_to, t.depth + 1 FROM posts p JOIN t ON p.reply_to = t.post_id) SELECT depth, count(*), max(post_id) FROM t GROUP BY depth ORDER BY depth;
WITH RECURSIVE t AS (SELECT follower, followee FROM follows WHERE follower = 7 UNION SELECT f.follower, f.followee FROM follows f JOIN t ON f.follower = t.followee) SEARCH BREADTH FIRST BY followee SET o CYCLE follower SET looped USING path SELECT follower, followee, looped FROM t;
WITH RECURSIVE c AS (SELECT category_id, name::text AS path FROM categories WHERE parent_id IS NULL UNION ALL SELECT k.category_id, c.path || '/' || k.name FROM categories k JOIN c ON k.parent_id = c.category_id) SELECT c.path, count(i.line), sum(i.quantity) FROM c LEFT JOIN products p USING (category_id) LEFT JOIN order_items i USING (product_id) GROUP BY c.path;
WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 8) SELECT x, count(post_id) FROM n LEFT JOIN posts ON author = x GROUP BY x;
WITH a AS (SELECT author, count(*) AS n FROM posts GROUP BY author), b AS NOT MATERIALIZED (SELECT * FROM a WHERE n > 3) SELECT a.author, b.n FROM a LEFT JOIN b USING (author);
WITH a AS MATERIALIZED (SELECT * FROM posts WHERE likes > 5) SELECT (SELECT count(*) FROM a), (SELECT sum(likes) FROM a x WHERE x.author = follower) FROM follows WHERE followee = 4;
WITH a AS (WITH b AS (SELECT author FROM posts WHERE likes > 6) SELECT DISTINCT author FROM b) SELECT f.* FROM follows f JOIN a ON a.author = f.follower ORDER BY 1, 2;

-- functions and tables in FROM
SELECT t.n, p.post_id FROM ROWS FROM (generate_series(1, 4), unnest(ARRAY[7, 8])) WITH ORDINALITY AS t(n, a, o) LEFT JOIN posts p ON p.author = t.a AND p.likes = t.n;
SELECT u.user_id, t.tag, t.o FROM users u, unnest(u.tags) WITH ORDINALITY AS t(tag, o) WHERE u.user_id < 12;
SELECT e.event_id, j.key, j.value FROM events e, jsonb_each(e.payload) j WHERE e.event_id % 9 = 0;
SELECT e.event_id, x.b FROM events e, XMLTABLE('/a' PASSING e.doc COLUMNS b int PATH 'b') x;
SELECT p.sku, t.tag, count(i.*) FROM products p CROSS JOIN LATERAL unnest(p.tags) t(tag) JOIN order_items i USING (product_id) GROUP BY p.sku, t.tag;
SELECT o.order_id, d FROM orders o, generate_series(o.placed_at, o.placed_at + '2 days', '1 day') d WHERE o.user_id = 5;
SELECT r.* FROM users u, jsonb_to_record(u.preferences) AS r(news bool, n int, l jsonb) WHERE u.user_id < 9;
SELECT (x.r).* FROM (SELECT ROW(post_id, likes)::pair AS r FROM posts WHERE likes IS NOT NULL AND post_id < 9) x;
SELECT s.* FROM posts_of(7) s JOIN follows f ON f.follower = s.author;
SELECT u.user_id, order_count(u.user_id), u.user_name FROM users u WHERE order_count(u.user_id) > 4;
SELECT count(*) FROM posts TABLESAMPLE BERNOULLI (100) JOIN follows TABLESAMPLE SYSTEM (100) ON follower = author;

-- types, names, casts, NULLs
SELECT k, p, bx, c FROM types ORDER BY k;
SELECT a.k FROM types a JOIN types b ON a.rec = b.rec AND a.ea = b.ea WHERE a.da[2] > 2;
SELECT "Key Col", "select", "ü" FROM "Odd ""T.able" WHERE "select" IN (SELECT "select" FROM "Odd ""T.able" o WHERE o."ü" = 3);
SELECT account, (state).p.a, (state).l[1], limits[2:3], level::int + 1 FROM accounts ORDER BY account LIMIT 9;
SELECT tenant COLLATE "C", count(*) FROM events GROUP BY 1 ORDER BY 1;
SELECT tenant LIKE 'b%', tenant ~ '^[A-Z]', count(*) FROM events GROUP BY 1, 2;
SELECT extract(hour FROM at AT TIME ZONE 'Asia/Tokyo') AS h, count(*) FROM events GROUP BY h ORDER BY h;
SELECT event_id FROM events WHERE during @> timestamptz '2024-04-01 00:00+00' AND raw > '\x20'::bytea;
SELECT v FROM key_float WHERE k = 'NaN' OR k = -0.0;
SELECT k, count(*) FROM key_interval GROUP BY k HAVING count(*) > 1;
SELECT user_id, name FROM users WHERE (home).b = 'h1' AND preferences @> '{"n": 2}' AND tags && ARRAY['a1'];
SELECT NULLIF(author, 7), COALESCE(body, 'none'), GREATEST(likes, 4), body IS DISTINCT FROM '1' FROM posts WHERE post_id < 20;
SELECT x.posts IS NULL, x.f IS NOT NULL, count(*) FROM (SELECT posts, f FROM posts LEFT JOIN follows f ON f.follower = posts.author AND f.followee = 4) x GROUP BY 1, 2;
SELECT posts.tableoid = follows.tableoid, count(*) FROM posts JOIN follows ON follower = author GROUP BY 1;

-- views
SELECT g.name, t.orders, t.total FROM grown_users g JOIN user_totals t USING (user_id) WHERE t.orders > 2;
SELECT id, count(*) FROM all_ids WHERE id < 9 GROUP BY id;
SELECT user_id FROM guarded_users WHERE strict_len(name) > 6 AND age > 30;
UPDATE grown_users SET age = age + 1 WHERE user_id IN (SELECT user_id FROM orders WHERE total > 120) RETURNING user_id, age;
DELETE FROM guarded_users WHERE age IS NULL RETURNING user_id;
INSERT INTO checked_users (user_id, name, age) VALUES (900, 'old', 90), (901, 'older', 91) RETURNING *;
INSERT INTO checked_users (user_id, name, age) VALUES (902, 'young', 9);
MERGE INTO users g USING (VALUES (900, 'merged'), (950, 'new')) v(id, n) ON g.user_id = v.id WHEN MATCHED THEN UPDATE SET name = n WHEN NOT MATCHED THEN INSERT (user_id, name, age, country) VALUES (id, n, 33, 'FR');

-- changes that meet other kinds
UPDATE posts SET (likes, body) = (SELECT count(*), max(f.followee)::text FROM follows f WHERE f.follower = posts.author) WHERE post_id < 40;
UPDATE posts p SET likes = x.r FROM (SELECT post_id, author, rank() OVER (PARTITION BY author ORDER BY post_id DESC) AS r FROM posts) x WHERE x.author = p.author AND x.post_id = p.post_id AND p.post_id > 60 RETURNING p.post_id, x.r;
UPDATE orders o SET total = (SELECT sum(i.amount) FROM order_items i WHERE i.user_id = o.user_id AND i.order_id = o.order_id) WHERE EXISTS (SELECT FROM users u WHERE u.user_id = o.user_id AND u.country = 'AT');
UPDATE order_items i SET quantity = quantity + 1 FROM products p JOIN categories c USING (category_id) WHERE p.product_id = i.product_id AND c.name LIKE 'books%' RETURNING i.user_id, i.order_id, i.line, i.amount, c.name;
DELETE FROM follows f USING posts p LEFT JOIN users u ON u.user_id = p.author WHERE p.author = f.follower AND u.age > 60 RETURNING f.follower, f.followee;
DELETE FROM posts WHERE (author, likes) IN (SELECT author, min(likes) FROM posts GROUP BY author HAVING count(*) > 4);
INSERT INTO follows SELECT author, row_number() OVER (PARTITION BY author ORDER BY post_id) + 200, posted FROM posts WHERE author IS NOT NULL ON CONFLICT DO NOTHING RETURNING *;
INSERT INTO posts (author, post_id, likes) SELECT follower, 500 + rank() OVER (ORDER BY follower, followee), (SELECT count(*) FROM posts WHERE author = follower) FROM follows WHERE followee > 200 AND follower < 5 RETURNING *;
INSERT INTO accounts (account, owner) VALUES (md5('1')::uuid, (SELECT min(name) FROM users)), (md5('new')::uuid, DEFAULT) ON CONFLICT (account) DO UPDATE SET owner = EXCLUDED.owner || accounts.level, balance = (SELECT count(*) FROM posts) RETURNING account, owner, balance;
MERGE INTO accounts a USING (SELECT md5(user_id::text)::uuid AS id, count(*) AS n FROM orders GROUP BY user_id) o ON o.id = a.account WHEN MATCHED AND n > 4 THEN DELETE WHEN MATCHED AND n = 4 THEN DO NOTHING WHEN MATCHED THEN UPDATE SET balance = n WHEN NOT MATCHED AND n > 2 THEN INSERT (account, balance) VALUES (id, n);
MERGE INTO events e USING (SELECT * FROM (VALUES ('acme', 9), ('zeta', 10), ('none', 11)) v(t, i)) s ON e.tenant = s.t AND e.event_id = s.i WHEN MATCHED THEN UPDATE SET payload = e.payload || jsonb_build_object('merged', s.i), raw = NULL WHEN NOT MATCHED THEN INSERT (tenant, event_id, kind) VALUES (t, i, 'red');
SELECT u.user_id, o.order_id FROM users u JOIN orders o USING (user_id) WHERE u.user_id < 6 ORDER BY 1, 2 FOR UPDATE OF o SKIP LOCKED;
SELECT author, post_id FROM posts WHERE likes = (SELECT max(likes) FROM posts) ORDER BY post_id LIMIT 3 FOR NO KEY UPDATE;
TRUNCATE key_jsonb;
