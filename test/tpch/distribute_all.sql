-- All tables but the two smallest, each by its own key.
SELECT tessera.create_reference_table('region');
SELECT tessera.create_reference_table('nation');
SELECT tessera.create_distributed_table('supplier', 's_suppkey');
SELECT tessera.create_distributed_table('customer', 'c_custkey');
SELECT tessera.create_distributed_table('part', 'p_partkey');
SELECT tessera.create_distributed_table('partsupp', 'ps_partkey', colocate_with => 'part');
SELECT tessera.create_distributed_table('orders', 'o_orderkey');
SELECT tessera.create_distributed_table('lineitem', 'l_orderkey', colocate_with => 'orders');
