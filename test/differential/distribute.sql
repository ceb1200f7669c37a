-- Distributes the tables of twin_dist; those of twin_local stay what they are.
SET search_path = twin_dist, twin, public;
SELECT tessera.create_reference_table('categories');
SELECT tessera.create_reference_table('products');
SELECT tessera.create_distributed_table('users', 'user_id', shard_count => 8);
SELECT tessera.create_distributed_table('orders', 'user_id', colocate_with => 'users');
SELECT tessera.create_distributed_table('order_items', 'user_id', colocate_with => 'users');
SELECT tessera.create_distributed_table('posts', 'author', shard_count => 5);
SELECT tessera.create_distributed_table('follows', 'follower', colocate_with => 'posts');
SELECT tessera.create_distributed_table('events', 'tenant', shard_count => 4);
SELECT tessera.create_distributed_table('accounts', 'account', shard_count => 4);
SELECT tessera.create_distributed_table('filled', 'k', colocate_with => 'posts');
SELECT tessera.create_distributed_table('key_int', 'k', colocate_with => 'posts');
SELECT tessera.create_distributed_table('"Odd ""T.able"', 'Key Col', colocate_with => 'posts');
SELECT tessera.create_distributed_table('a_table_with_a_name_that_is_as_long_as_names_may_ever_become_x', 'k', colocate_with => 'posts');
SELECT tessera.create_distributed_table('deferred', 'k', colocate_with => 'posts');
SELECT tessera.create_distributed_table('types', 'k', colocate_with => 'posts');
SELECT tessera.create_distributed_table(c.oid::regclass, 'k', colocate_with => 'none', shard_count => 4)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'twin_dist' AND c.relname ~ '^key_' AND c.relkind = 'r'
	AND c.relname <> 'key_int'
ORDER BY c.relname;
RESET search_path;
