-- What belongs to a user goes to the user's shard; what all users share is
-- copied to every node.
SELECT tessera.create_reference_table('categories');
SELECT tessera.create_reference_table('products');
SELECT tessera.create_distributed_table('users', 'user_id');
SELECT tessera.create_distributed_table('orders', 'user_id');
SELECT tessera.create_distributed_table('order_items', 'user_id');
ANALYZE;
