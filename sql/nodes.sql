-- nodes join, change and leave; what is refused leaves nothing behind
\getenv host1 TESS_NODE1_HOST
\getenv port1 TESS_NODE1_PORT
\getenv db1 TESS_NODE1_DB
SET client_min_messages = warning;
SELECT current_database() AS main, current_setting('port') AS port \gset
CREATE DATABASE nodes_extra TEMPLATE template0;
CREATE DATABASE nodes_other TEMPLATE template0;
CREATE DATABASE nodes_third TEMPLATE template0;

-- options of servers and user mappings are libpq's, each in its place
CREATE SERVER nodes_s FOREIGN DATA WRAPPER tessera OPTIONS (host '127.0.0.1', sslmode 'disable');
CREATE USER MAPPING FOR CURRENT_USER SERVER nodes_s OPTIONS (user 'x', password 'y', password_required 'false');
\set VERBOSITY sqlstate
ALTER SERVER nodes_s OPTIONS (ADD nonsense 'x');
ALTER SERVER nodes_s OPTIONS (ADD password 'x');
ALTER SERVER nodes_s OPTIONS (ADD client_encoding 'UTF8');
ALTER SERVER nodes_s OPTIONS (ADD port '0');
ALTER USER MAPPING FOR CURRENT_USER SERVER nodes_s OPTIONS (ADD host 'x');
ALTER FOREIGN DATA WRAPPER tessera OPTIONS (ADD host 'x');
\set VERBOSITY default
ALTER USER MAPPING FOR CURRENT_USER SERVER nodes_s OPTIONS (ADD host 'x');
-- and they are of use for nodes alone
CREATE FOREIGN TABLE nodes_f (a int) SERVER nodes_s;
DROP SERVER nodes_s CASCADE;

-- wrong arguments
SELECT tessera.add_node(NULL, '127.0.0.1');
SELECT tessera.add_node('nodes_x', '127.0.0.1', NULL);
SELECT tessera.add_node('nodes_x', '127.0.0.1', 5432, NULL);
SELECT tessera.add_node('nodes_x', '127.0.0.1', holds_shards => NULL);
SELECT tessera.add_node('', '127.0.0.1');
SELECT tessera.add_node(repeat('x', 64), '127.0.0.1');
SELECT tessera.add_node('nodes_x', '127.0.0.1', 65536);
SELECT tessera.add_node('nodes_x');
SELECT tessera.update_node('nodes_x', zone => 'a');
SELECT tessera.update_node(NULL, zone => 'a');
SELECT tessera.remove_node('nodes_x');
SELECT tessera.remove_node(NULL);

-- a node that cannot be reached
\set VERBOSITY sqlstate
SELECT tessera.add_node('nodes_x', '127.0.0.1', 1);
SELECT tessera.add_node('nodes_x', '127.0.0.1', :port, 'nodes_nothing');
\set VERBOSITY default
SELECT srvname FROM pg_foreign_server WHERE srvname LIKE 'nodes%';
SELECT name FROM tessera.nodes WHERE name LIKE 'nodes%';

-- the same name, address or database twice
SELECT tessera.add_node('node1', :'host1', :'port1', :'db1');
SELECT tessera.add_node('nodes_x', :'host1', :'port1', :'db1');
SELECT tessera.add_node('nodes_x', 'localhost', :'port1', :'db1');

-- a role without rights
CREATE ROLE regress_nodes;
SET ROLE regress_nodes;
SELECT tessera.add_node('nodes_x', '127.0.0.1');
SELECT tessera.update_node('node1', zone => 'a');
SELECT tessera.remove_node('node1');
SELECT * FROM tessera.check_nodes();
SELECT * FROM tessera.run_on_nodes('SELECT 1');
RESET ROLE;
-- which a superuser lets run one command
CREATE FUNCTION public.nodes_answers() RETURNS bool LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog
	AS $$ SELECT bool_and(success) FROM tessera.run_on_nodes('SELECT 1') $$;
SET ROLE regress_nodes;
SELECT public.nodes_answers();
SELECT name FROM tessera.nodes WHERE name LIKE 'node_' ORDER BY 1;
RESET ROLE;
DROP FUNCTION public.nodes_answers();
DROP OWNED BY regress_nodes;
DROP ROLE regress_nodes;

-- rolled back: nothing is left here or there
BEGIN;
SELECT tessera.add_node('nodes "Ü x', '127.0.0.1', :port, 'nodes_extra') > 0 AS added;
ROLLBACK;
SELECT srvname FROM pg_foreign_server WHERE srvname LIKE 'nodes%';
\c nodes_extra
SELECT count(*) FROM pg_extension WHERE extname = 'tessera';
\c :main
SET client_min_messages = warning;

-- by CREATE SERVER; quotes and spaces in the name
CREATE SERVER "nodes ""Ü x" FOREIGN DATA WRAPPER tessera OPTIONS (host '127.0.0.1', port :'port', dbname 'nodes_extra');
SELECT tessera.add_node('nodes "Ü x', '127.0.0.1');
SELECT tessera.add_node('nodes "Ü x', holds_shards => false, zone => 'attic') > 0 AS added;
SELECT name, host, dbname, role, holds_shards, zone, active, shards, bytes FROM tessera.nodes WHERE name LIKE 'nodes%';
SELECT node, success, result FROM tessera.run_on_nodes('SELECT node_name FROM tessera_internal.membership')
	WHERE node LIKE 'nodes%';

-- one database, one cluster
\c nodes_other
SET client_min_messages = warning;
CREATE EXTENSION tessera;
SELECT tessera.add_node('x', '127.0.0.1', :port, 'nodes_extra');
SELECT count(*) FROM tessera.nodes;
\c nodes_extra
SELECT tessera.add_node('x', '127.0.0.1', :port, 'nodes_other');
\c :main

-- a savepoint: the node forgets with this server
SET client_min_messages = warning;
BEGIN;
SAVEPOINT a;
SELECT tessera.remove_node('nodes "Ü x');
ROLLBACK TO a;
SELECT name FROM tessera.nodes WHERE name LIKE 'nodes%';
COMMIT;
SELECT node, reachable, problem FROM tessera.check_nodes() WHERE node LIKE 'nodes%';

-- the server of a node stays
DROP SERVER "nodes ""Ü x" CASCADE;
ALTER SERVER "nodes ""Ü x" RENAME TO nodes_y;

-- changes
SELECT tessera.update_node('nodes "Ü x', host => 'localhost', zone => 'cellar');
SELECT host, zone FROM tessera.nodes WHERE name LIKE 'nodes%';
SELECT tessera.update_node('nodes "Ü x', dbname => 'nodes_other');
SELECT tessera.update_node('coordinator', host => 'localhost');
SELECT host, dbname FROM tessera.nodes WHERE name LIKE 'nodes%';

-- this server as a node of its own, and back
SET client_min_messages = notice;
BEGIN;
SELECT tessera.add_node('nodes_self', 'localhost', :port, :'main') > 0 AS added;
SELECT tessera.add_node('nodes_again', '127.0.0.1', :port, :'main');
ROLLBACK;
SELECT name, holds_shards FROM tessera.nodes WHERE role = 'coordinator';
SET client_min_messages = warning;

-- commands on all nodes: each succeeds or fails by itself
SELECT node, success, result FROM tessera.run_on_nodes('SELECT 1 / (current_database() <> ''nodes_extra'')::int') ORDER BY node;
SELECT node, success, result FROM tessera.run_on_nodes('CREATE TABLE IF NOT EXISTS pg_temp.t (a int)') ORDER BY node;
SELECT tessera.run_on_nodes(NULL);

-- what this transaction does on a node is not waited for by itself
BEGIN;
SELECT tessera.remove_node('nodes "Ü x');
SELECT tessera.add_node('nodes_y', '127.0.0.1', :port, 'nodes_extra');
ROLLBACK;
BEGIN;
SELECT tessera.add_node('nodes_y', '127.0.0.1', :port, 'nodes_third') > 0 AS added;
SELECT * FROM tessera.run_on_nodes('SELECT 1');
ROLLBACK;

-- PREPARE TRANSACTION is not for transactions over nodes
BEGIN;
SELECT tessera.remove_node('nodes "Ü x');
PREPARE TRANSACTION 'nodes';

-- nothing is written in a read-only transaction
BEGIN READ ONLY;
SELECT tessera.remove_node('nodes "Ü x');
ROLLBACK;

-- this server stays what it is
SELECT name AS me FROM tessera.nodes n WHERE n.port = :port AND n.dbname = :'main' \gset
BEGIN;
SET LOCAL client_min_messages = notice;
SELECT tessera.update_node(:'me', holds_shards => true);
SELECT tessera.remove_node(:'me');
SELECT holds_shards FROM tessera.nodes WHERE name = :'me';
ROLLBACK;

-- it leaves; no prepared transaction stays
SELECT tessera.remove_node('nodes "Ü x');
SELECT name FROM tessera.nodes WHERE name LIKE 'nodes%';
SELECT srvname FROM pg_foreign_server WHERE srvname LIKE 'nodes%';
-- and no session keeps a connection to it
DO $$
BEGIN
	FOR i IN 1 .. 500 LOOP
		PERFORM pg_stat_clear_snapshot();
		EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = 'nodes_extra' AND application_name = 'tessera');
		PERFORM pg_sleep(0.01);
	END LOOP;
END $$;
SELECT count(*) FROM pg_stat_activity WHERE datname = 'nodes_extra' AND application_name = 'tessera';
\c nodes_extra
SELECT count(*) FROM tessera_internal.membership;
SELECT count(*) FROM pg_prepared_xacts WHERE database LIKE 'nodes%';
\c :main
DROP DATABASE nodes_extra WITH (FORCE);
DROP DATABASE nodes_other WITH (FORCE);
DROP DATABASE nodes_third WITH (FORCE);
