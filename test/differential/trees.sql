-- Local inheritance trees and partitioned local tables beside distributed ones.

CREATE TABLE places (place_id int, name text, size int);
CREATE TABLE towns (mayor text) INHERITS (places);
CREATE TABLE capitals (country text DEFAULT 'none') INHERITS (towns);
CREATE TABLE ports (depth int, size int) INHERITS (places);
INSERT INTO places SELECT i, 'place ' || i, i % 5 FROM generate_series(1, 8) i;
INSERT INTO towns SELECT i, 'town ' || i, i % 5, 'mayor ' || i % 3 FROM generate_series(6, 16) i;
INSERT INTO capitals SELECT i, 'capital ' || i, i % 5, 'mayor ' || i % 2, 'c' || i % 4 FROM generate_series(14, 22) i;
INSERT INTO ports (place_id, name, size, depth) SELECT i, 'port ' || i, i % 5, i * 3 FROM generate_series(2, 26, 4) i;
CREATE TABLE measures (k int, at date NOT NULL, v numeric, note text DEFAULT 'm', PRIMARY KEY (k, at)) PARTITION BY RANGE (at);
CREATE TABLE measures_old PARTITION OF measures FOR VALUES FROM (MINVALUE) TO ('2024-02-10');
CREATE TABLE measures_mid (note text, k int NOT NULL, v numeric, at date NOT NULL);
ALTER TABLE measures ATTACH PARTITION measures_mid FOR VALUES FROM ('2024-02-10') TO ('2024-03-01');
CREATE TABLE measures_new PARTITION OF measures FOR VALUES FROM ('2024-03-01') TO (MAXVALUE) PARTITION BY LIST (k);
CREATE TABLE measures_new_a PARTITION OF measures_new FOR VALUES IN (1, 2, 3, 4, 5, 6, 7);
CREATE TABLE measures_new_b PARTITION OF measures_new DEFAULT;
INSERT INTO measures SELECT i % 24, date '2024-02-01' + i, i * 1.5, CASE WHEN i % 3 > 0 THEN 'n' || i % 4 END FROM generate_series(1, 40) i;

-- joins of every kind, both ways
SELECT p.place_id, p.name, post_id FROM places p JOIN posts ON author = place_id;
SELECT p.place_id, post_id FROM ONLY places p JOIN posts ON author = place_id;
SELECT p.place_id, post_id FROM places p LEFT JOIN posts ON author = place_id AND likes > 5;
SELECT p.place_id, post_id FROM posts LEFT JOIN places p ON author = place_id;
SELECT p.place_id, post_id FROM places p RIGHT JOIN posts ON author = place_id AND size = likes;
SELECT p.place_id, post_id FROM places p FULL JOIN posts ON author = place_id;
SELECT p.place_id, post_id FROM ONLY towns p FULL JOIN posts ON author = place_id AND likes = size;
SELECT p.place_id FROM places p WHERE EXISTS (SELECT FROM posts WHERE author = place_id);
SELECT p.place_id FROM places p WHERE NOT EXISTS (SELECT FROM posts WHERE author = place_id AND likes > 3);
SELECT post_id FROM posts WHERE author IN (SELECT place_id FROM towns);
SELECT post_id FROM posts WHERE author NOT IN (SELECT place_id FROM places WHERE place_id IS NOT NULL);
SELECT post_id FROM posts WHERE EXISTS (SELECT FROM capitals WHERE place_id = author AND size < likes);
SELECT p.name, x.post_id FROM places p, LATERAL (SELECT post_id FROM posts WHERE author = place_id ORDER BY post_id LIMIT 2) x;
SELECT post_id, x.name FROM posts, LATERAL (SELECT name FROM places WHERE place_id = author ORDER BY name LIMIT 1) x;
SELECT m.k, m.at, post_id FROM measures m JOIN posts ON author = k AND posted = at;
SELECT m.k, post_id FROM measures m LEFT JOIN posts ON author = k AND posted > at;
SELECT m.k, post_id FROM posts LEFT JOIN measures m ON author = k AND posted = at;
SELECT m.k, post_id FROM measures m FULL JOIN posts ON author = k AND posted = at;
SELECT m.k, m.v FROM measures m WHERE at < '2024-02-08' AND EXISTS (SELECT FROM posts WHERE author = k);
SELECT m.k, m.v, post_id FROM measures_mid m JOIN posts ON author = k;
SELECT count(*), sum(v) FROM measures JOIN posts ON author = k WHERE at >= '2024-03-05' AND likes > 2;
SELECT p.name, m.at, post_id FROM places p JOIN measures m ON m.k = place_id JOIN posts ON author = place_id WHERE likes < 4;
SELECT u.name, p.name, t.mayor FROM users u JOIN places p ON user_id = place_id LEFT JOIN towns t USING (place_id);
SELECT p.name, c.name FROM places p JOIN categories c ON category_id = size JOIN posts ON author = place_id;
SELECT a.place_id, b.place_id, post_id FROM places a JOIN places b ON a.size = b.size AND a.place_id < b.place_id JOIN posts ON author = a.place_id AND likes = b.size;
SELECT f.follower, p.name FROM follows f JOIN posts ON author = follower JOIN places p ON place_id = followee;

-- which table a row is of, whole rows, columns of children
SELECT p.tableoid::regclass::text, count(*) FROM places p JOIN posts ON author = place_id GROUP BY 1 ORDER BY 1;
SELECT p.tableoid::regclass::text, posts.tableoid::regclass::text, post_id FROM places p JOIN posts ON author = place_id;
SELECT m.tableoid::regclass::text, count(*), sum(likes) FROM measures m JOIN posts ON author = k GROUP BY 1 ORDER BY 1;
SELECT p, post_id FROM places p JOIN posts ON author = place_id;
SELECT p FROM places p WHERE place_id IN (SELECT author FROM posts);
SELECT row_to_json(t), row_to_json(posts) FROM towns t JOIN posts ON author = place_id WHERE likes = 1;
SELECT m, posts FROM measures m JOIN posts ON author = k AND at = posted;
SELECT (t).mayor, post_id FROM towns t JOIN posts ON author = place_id;
SELECT t::places, post_id FROM towns t JOIN posts ON author = place_id;
SELECT p.*, (SELECT count(*) FROM posts WHERE author = place_id) FROM places p;
SELECT p.name, (SELECT max(body) FROM posts WHERE author = place_id AND likes > size) FROM places p;
SELECT post_id, (SELECT string_agg(name, ',' ORDER BY name) FROM places WHERE place_id = author) FROM posts;
SELECT post_id, (SELECT count(*) FROM ONLY places WHERE place_id = author) FROM posts;
SELECT p.ctid IS NOT NULL, p.xmin IS NOT NULL, post_id FROM places p JOIN posts ON author = place_id WHERE likes = 2;

-- grouping, windows, set operations, ORDER BY ... LIMIT
SELECT size, count(*), count(post_id), avg(likes) FROM places LEFT JOIN posts ON author = place_id GROUP BY size ORDER BY size;
SELECT p.tableoid::regclass::text, size, sum(likes) FROM places p JOIN posts ON author = place_id GROUP BY ROLLUP (1, 2) ORDER BY 1, 2;
SELECT mayor, count(DISTINCT post_id) FROM towns LEFT JOIN posts ON author = place_id GROUP BY mayor HAVING count(*) > 1 ORDER BY 1;
SELECT name, likes, rank() OVER (PARTITION BY size ORDER BY likes, post_id, name) FROM places JOIN posts ON author = place_id;
SELECT place_id FROM places UNION SELECT author FROM posts;
SELECT place_id FROM places UNION ALL SELECT author FROM posts;
SELECT place_id FROM places EXCEPT SELECT author FROM posts;
SELECT author FROM posts EXCEPT ALL SELECT place_id FROM towns;
SELECT author FROM posts INTERSECT SELECT k FROM measures;
SELECT name, post_id FROM places JOIN posts ON author = place_id ORDER BY name, post_id LIMIT 5;
SELECT post_id, at FROM posts JOIN measures ON author = k ORDER BY at DESC, post_id, k LIMIT 7 OFFSET 2;
SELECT DISTINCT ON (author) author, name FROM posts JOIN places ON author = place_id ORDER BY author, name;
WITH t AS (SELECT * FROM towns), p AS MATERIALIZED (SELECT author, likes FROM posts) SELECT t.name, p.likes FROM t JOIN p ON author = place_id;
WITH RECURSIVE r AS (SELECT place_id, 1 AS n FROM capitals UNION SELECT followee, n + 1 FROM r JOIN follows ON follower = place_id WHERE n < 3) SELECT r.place_id, n, name FROM r LEFT JOIN places USING (place_id);
SELECT (SELECT count(*) FROM places JOIN posts ON author = place_id), (SELECT count(*) FROM measures, follows WHERE k = follower);
SELECT p.name, o.total FROM places p TABLESAMPLE SYSTEM (100) JOIN orders o ON o.user_id = place_id;

-- locks
SELECT p.place_id, post_id FROM places p JOIN posts ON author = place_id WHERE likes = 3 FOR UPDATE OF p;
SELECT p.place_id, post_id FROM places p JOIN posts ON author = place_id WHERE likes = 3 FOR UPDATE;
SELECT p.place_id, post_id FROM places p JOIN posts ON author = place_id WHERE likes = 3 FOR SHARE OF posts;
SELECT p.place_id, post_id FROM ONLY towns p JOIN posts ON author = place_id WHERE likes = 3 FOR NO KEY UPDATE;
SELECT m.k, m.at, post_id FROM measures m JOIN posts ON author = k WHERE likes = 3 FOR UPDATE;
SELECT m.k, m.at, post_id FROM measures m JOIN posts ON author = k WHERE likes = 3 FOR KEY SHARE OF m SKIP LOCKED;
SELECT m.tableoid::regclass::text, m.k, post_id FROM measures m LEFT JOIN posts ON author = k AND likes = 3 WHERE at < '2024-02-05' FOR UPDATE OF m;

-- changes of a tree that read distributed tables
UPDATE places SET size = likes FROM posts WHERE author = place_id AND post_id = 12;
UPDATE places SET name = name || '!' WHERE place_id IN (SELECT author FROM posts WHERE likes = 4);
UPDATE ONLY places SET size = size + 10 WHERE EXISTS (SELECT FROM posts WHERE author = place_id);
UPDATE places p SET size = (SELECT count(*) FROM posts WHERE author = p.place_id) RETURNING p.place_id, p.size;
UPDATE places p SET (name, size) = (SELECT max(body), min(likes) FROM posts WHERE author = p.place_id) WHERE p.place_id % 3 = 0;
UPDATE towns SET mayor = body FROM posts WHERE author = place_id AND likes = 7 AND post_id = (SELECT max(post_id) FROM posts WHERE likes = 7 AND author = place_id) RETURNING towns.*, post_id;
UPDATE towns t SET mayor = 'x' FROM posts WHERE author = place_id AND likes = 1 RETURNING t.tableoid::regclass::text, t;
DELETE FROM places USING posts WHERE author = place_id AND likes = 8;
DELETE FROM ONLY places WHERE place_id NOT IN (SELECT author FROM posts WHERE author IS NOT NULL);
DELETE FROM places p WHERE size < (SELECT min(likes) FROM posts WHERE author = p.place_id) RETURNING p.tableoid::regclass::text, p.place_id;
INSERT INTO places SELECT author, body, likes FROM posts WHERE post_id < 12;
INSERT INTO capitals (place_id, name, size, mayor) SELECT follower, 'f' || followee, 1, 'm' FROM follows WHERE follower < 3 RETURNING *;
UPDATE measures SET v = likes FROM posts WHERE author = k AND post_id = (SELECT max(post_id) FROM posts WHERE author = k) AND at < '2024-02-09';
UPDATE measures SET at = at + 25 WHERE k IN (SELECT author FROM posts WHERE likes = 5);
UPDATE measures m SET at = posted + 100, note = 'moved' FROM posts WHERE author = k AND post_id = 15 RETURNING m.tableoid::regclass::text, m.*, post_id;
UPDATE measures SET k = k + 30 WHERE at > '2024-03-03' AND NOT EXISTS (SELECT FROM posts WHERE author = k AND likes > 4);
DELETE FROM measures USING posts WHERE author = k AND posted = at;
DELETE FROM measures WHERE k = ANY (ARRAY(SELECT followee FROM follows WHERE follower = 7)) RETURNING tableoid::regclass::text, k;
INSERT INTO measures SELECT DISTINCT ON (author, posted) author, posted + 7, likes, body FROM posts WHERE author IS NOT NULL ORDER BY author, posted, post_id ON CONFLICT DO NOTHING;
INSERT INTO measures (k, at, v) SELECT follower, since, count(*) FROM follows GROUP BY 1, 2 ON CONFLICT (k, at) DO UPDATE SET v = measures.v + EXCLUDED.v;
INSERT INTO measures (k, at) SELECT author, posted FROM posts WHERE post_id < 5 AND author IS NOT NULL ON CONFLICT (k, at) DO UPDATE SET note = (SELECT max(body) FROM posts WHERE author = EXCLUDED.k) RETURNING tableoid::regclass::text, *;
MERGE INTO measures m USING posts p ON m.k = p.author AND m.at = p.posted AND p.post_id % 2 = 0 WHEN MATCHED AND likes > 6 THEN DELETE WHEN MATCHED THEN UPDATE SET v = likes;
MERGE INTO measures m USING (SELECT DISTINCT ON (author) * FROM posts WHERE author IS NOT NULL ORDER BY author, post_id) p ON m.k = p.author AND m.at = p.posted WHEN NOT MATCHED THEN INSERT (k, at, v) VALUES (author, posted, likes) WHEN MATCHED THEN UPDATE SET at = m.at + 60;
MERGE INTO measures_mid m USING follows f ON m.k = f.follower AND f.followee = 4 WHEN MATCHED THEN UPDATE SET note = 'followed' WHEN NOT MATCHED AND follower < 0 THEN DO NOTHING;
MERGE INTO ONLY towns t USING posts p ON t.place_id = p.author AND p.post_id = 6 WHEN MATCHED THEN UPDATE SET mayor = body;
MERGE INTO capitals t USING posts p ON t.place_id = p.author AND p.likes = 99 WHEN MATCHED THEN DELETE;

-- changes of distributed tables that read a tree
INSERT INTO posts (author, post_id, body) SELECT place_id, 1000 + row_number() OVER (ORDER BY place_id, name, size), name FROM places;
INSERT INTO posts (author, post_id, body) SELECT place_id, 2000 + row_number() OVER (ORDER BY place_id, name), mayor FROM ONLY towns RETURNING author, body;
INSERT INTO posts (author, post_id, posted) SELECT k, 3000 + row_number() OVER (ORDER BY k, at), at FROM measures WHERE at >= '2024-02-20';
INSERT INTO follows SELECT k, 100, min(at) FROM measures GROUP BY k ON CONFLICT DO NOTHING;
INSERT INTO follows SELECT k, 100, max(at) FROM measures WHERE k < 9 GROUP BY k ON CONFLICT (follower, followee) DO UPDATE SET since = EXCLUDED.since RETURNING *;
INSERT INTO posts (author, post_id, body) VALUES (7, 4000, (SELECT max(name) FROM places)), (8, 4001, (SELECT max(note) FROM measures));
UPDATE posts SET body = name FROM towns WHERE place_id = author AND towns.tableoid = 'towns'::regclass AND post_id < 60;
UPDATE posts SET likes = likes + 1 WHERE author IN (SELECT place_id FROM places);
UPDATE posts SET likes = (SELECT count(*) FROM places WHERE place_id = author) WHERE post_id > 1005;
UPDATE posts SET (body, likes) = (SELECT min(note), count(*) FROM measures WHERE k = author) WHERE post_id % 4 = 1;
UPDATE posts SET likes = 0 FROM measures m WHERE m.k = author AND m.at = posted RETURNING post_id, m.tableoid::regclass::text, m.at, m;
UPDATE posts p SET body = c.country FROM capitals c WHERE c.place_id = p.author AND c.mayor LIKE 'mayor%' AND p.post_id < 1000 RETURNING p.post_id, c;
UPDATE posts SET author = place_id + 50 FROM capitals WHERE place_id = author AND post_id > 2000;
DELETE FROM posts USING places p WHERE p.place_id = author AND p.size > 3 AND post_id > 90;
DELETE FROM posts WHERE EXISTS (SELECT FROM measures WHERE k = author AND at = posted) RETURNING post_id;
DELETE FROM posts USING ONLY measures m WHERE k = author;
DELETE FROM follows USING measures m WHERE m.k = follower AND followee = 100 AND m.at < since RETURNING follower, m.tableoid::regclass::text;
MERGE INTO posts USING places p ON p.place_id = author AND p.size = 2 AND p.tableoid = 'places'::regclass AND post_id < 50 WHEN MATCHED THEN UPDATE SET body = p.name;
MERGE INTO follows f USING (SELECT DISTINCT k FROM measures) m ON f.follower = m.k AND f.followee = 100 WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (m.k, 101, '2024-01-01');
MERGE INTO posts USING (SELECT place_id, max(name) AS name FROM places GROUP BY 1) p ON author = place_id AND post_id = 4000 WHEN MATCHED THEN UPDATE SET body = name WHEN NOT MATCHED AND place_id > 20 THEN INSERT (author, post_id, body) VALUES (place_id, 5000 + place_id, name);

-- changes in WITH, of both
WITH gone AS (DELETE FROM places WHERE place_id < 4 RETURNING *) INSERT INTO posts (author, post_id, body) SELECT place_id, 6000 + row_number() OVER (ORDER BY place_id, name, size), name FROM gone;
WITH gone AS (DELETE FROM posts WHERE post_id > 6000 RETURNING author, post_id, body) INSERT INTO towns (place_id, name) SELECT author, body FROM gone RETURNING *;
WITH up AS (UPDATE measures SET note = 'with' WHERE k < 6 RETURNING k, at, tableoid::regclass::text AS part) SELECT part, post_id FROM up JOIN posts ON author = k;
WITH up AS (UPDATE posts SET likes = 77 WHERE author IN (SELECT k FROM measures) AND post_id < 30 RETURNING author, post_id) UPDATE measures m SET v = up.post_id FROM up WHERE up.author = m.k AND up.post_id = (SELECT min(post_id) FROM up u WHERE u.author = m.k);
WITH moved AS (UPDATE measures SET at = at + 40 WHERE k = 7 RETURNING *) SELECT m.*, (SELECT count(*) FROM posts WHERE author = m.k) FROM moved m;

-- cursors, prepared statements, functions
PREPARE tree(int) AS SELECT p.tableoid::regclass::text, name, post_id FROM places p JOIN posts ON author = place_id WHERE place_id = $1;
EXECUTE tree(7);
EXECUTE tree(14);
EXECUTE tree(NULL);
DEALLOCATE tree;
SET plan_cache_mode = force_generic_plan;
PREPARE parts(date) AS SELECT m.tableoid::regclass::text, k, post_id FROM measures m JOIN posts ON author = k WHERE at = $1;
EXECUTE parts('2024-02-20');
EXECUTE parts('2024-03-04');
DEALLOCATE parts;
RESET plan_cache_mode;
SET enable_partitionwise_join = on;
SET enable_partitionwise_aggregate = on;
SELECT m.tableoid::regclass::text, n.note, post_id FROM measures m JOIN measures n USING (k, at) JOIN posts ON author = k;
SELECT at, count(*) FROM measures LEFT JOIN posts ON author = k GROUP BY at ORDER BY at;
SELECT k, at, sum(likes) FROM measures JOIN posts ON author = k GROUP BY k, at;
RESET enable_partitionwise_join;
RESET enable_partitionwise_aggregate;
CREATE VIEW known_places AS SELECT p.*, p.tableoid::regclass::text AS kind FROM places p WHERE EXISTS (SELECT FROM posts WHERE author = place_id);
SELECT kind, count(*) FROM known_places GROUP BY kind ORDER BY kind;
UPDATE known_places SET size = 50 WHERE place_id < 10 RETURNING place_id, name;
DELETE FROM known_places WHERE size = 50 AND kind = 'ports';
SELECT name FROM known_places JOIN follows ON follower = place_id;
BEGIN;
DECLARE c CURSOR FOR SELECT place_id, post_id FROM places JOIN posts ON author = place_id ORDER BY 1, 2, name;
FETCH 3 FROM c;
UPDATE places SET place_id = place_id + 100;
FETCH 3 FROM c;
ROLLBACK;

-- a local tree is small, the shards' side is not: sent to the nodes, or not
ANALYZE places;
ANALYZE measures;
ANALYZE posts;
SELECT count(*), sum(likes), max(name) FROM posts JOIN places ON reply_to = place_id;
SELECT p.tableoid::regclass::text, count(*), sum(likes) FROM posts JOIN places p ON reply_to = place_id GROUP BY 1 ORDER BY 1;
SELECT count(*), max(at) FROM posts JOIN measures ON likes = k;
SELECT at, sum(likes) FROM posts JOIN measures ON author = k GROUP BY at ORDER BY at;
SELECT count(*) FROM posts WHERE reply_to IN (SELECT place_id FROM towns);
SELECT count(*) FROM posts LEFT JOIN measures ON reply_to = k AND at > '2024-02-25' WHERE likes < 5;
