-- Small tables as reference tables; orders and their lines in the same shard.
SELECT tessera.create_reference_table('region');
SELECT tessera.create_reference_table('nation');
SELECT tessera.create_reference_table('supplier');
SELECT tessera.create_reference_table('customer');
SELECT tessera.create_reference_table('part');
SELECT tessera.create_distributed_table('partsupp', 'ps_partkey');
SELECT tessera.create_distributed_table('orders', 'o_orderkey');
SELECT tessera.create_distributed_table('lineitem', 'l_orderkey', colocate_with => 'orders');
