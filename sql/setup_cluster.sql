-- the cluster that all files of this folder work with: a coordinator and the
-- nodes node1, node2 and node3
\getenv host1 TESS_NODE1_HOST
\getenv port1 TESS_NODE1_PORT
\getenv db1 TESS_NODE1_DB
\getenv host2 TESS_NODE2_HOST
\getenv port2 TESS_NODE2_PORT
\getenv db2 TESS_NODE2_DB
\getenv host3 TESS_NODE3_HOST
\getenv port3 TESS_NODE3_PORT
\getenv db3 TESS_NODE3_DB
CREATE EXTENSION tessera;
SELECT tessera.add_node('node1', :'host1', :'port1', :'db1') > 0 AS added;
SELECT tessera.add_node('node2', :'host2', :'port2', :'db2') > 0 AS added;
SELECT tessera.add_node('node3', :'host3', :'port3', :'db3') > 0 AS added;
SELECT node, reachable, problem FROM tessera.check_nodes() ORDER BY node;
