-- The cluster that the specs work with: two nodes, which are databases of the
-- coordinator's own server.
\getenv host1 TESS_NODE1_HOST
\getenv port1 TESS_NODE1_PORT
\getenv db1 TESS_NODE1_DB
\getenv host2 TESS_NODE2_HOST
\getenv port2 TESS_NODE2_PORT
\getenv db2 TESS_NODE2_DB
CREATE EXTENSION tessera;
SELECT tessera.add_node('node1', :'host1', :'port1', :'db1');
SELECT tessera.add_node('node2', :'host2', :'port2', :'db2');

-- isolationtester asks this function whether a session waits for another one.
-- A session of the coordinator also waits if its session on a node does.  As
-- steps start one after the other, that one belongs to the session that had
-- started a statement last when it started its own.
-- (The function of core is called by its OID, so replacing it is not enough.)
ALTER FUNCTION pg_catalog.pg_isolation_test_session_is_blocked(integer, integer[])
    RENAME TO session_waits_here;

CREATE FUNCTION pg_catalog.pg_isolation_test_session_is_blocked(
    session integer, others integer[]) RETURNS boolean LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT pg_catalog.session_waits_here(session, others) OR EXISTS (
        SELECT FROM pg_stat_activity remote
        WHERE remote.application_name = 'tessera'
          AND remote.datname LIKE 'isolation\_node%'
          AND cardinality(pg_blocking_pids(remote.pid)) > 0
          AND session = (
              SELECT a.pid FROM pg_stat_activity a
              WHERE a.pid = ANY (others || session)
                AND a.query_start <= remote.query_start
              ORDER BY a.query_start DESC LIMIT 1));
END;
