
# What a transaction costs in round trips, counted as flushes that wait: those
# of two nodes overlap, so over two nodes a round trip counts two.
use strict;
use warnings;
use TesseraCluster;
use Test::More;

my $cluster = TesseraCluster->new(nodes => 2);
my $coordinator = $cluster->coordinator;

$cluster->query(q{
	CREATE TABLE t (k int PRIMARY KEY, v int NOT NULL DEFAULT 0,
		CONSTRAINT positive CHECK (v >= 0));
	SELECT tessera.create_distributed_table('t', 'k', shard_count => 4);
	INSERT INTO t SELECT i FROM generate_series(1, 100) i;
	CREATE TABLE counted (n bigint);
	CREATE TABLE deferred (k int, v int);
	SELECT tessera.create_distributed_table('deferred', 'k', colocate_with => 't');
	SELECT count(*) FROM tessera.run_on_shards('deferred',
		'ALTER TABLE %s ADD UNIQUE (k, v) DEFERRABLE INITIALLY DEFERRED')});

# Two keys of each node.
my ($a, $b) = split /\n/, $cluster->query(q{SELECT k FROM t WHERE (tessera.shard_of('t', k)).node = 'node1' ORDER BY k LIMIT 2});
my ($c, $d) = split /\n/, $cluster->query(q{SELECT k FROM t WHERE (tessera.shard_of('t', k)).node = 'node2' ORDER BY k LIMIT 2});

# One test: how far SQL moves a counter, in a session that has its connections.
sub counts
{
	my ($counter, $sql, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $out = $cluster->query(
		"SELECT count(*) FROM t WHERE v < -1;\n"
		  . "SELECT tessera_internal.reset_net_counters() \\g /dev/null\n"
		  . "$sql\n"
		  . "\\echo counted\nSELECT $counter FROM tessera_internal.net_counters();");
	$out =~ s/.*counted\n//s;
	return is($out, $expected, $name);
}

sub costs
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return counts('round_trips', @_);
}

# One statement that is the transaction.
costs("UPDATE t SET v = v + 1 WHERE k = $a;", 1, 'a write of one shard');
costs("DELETE FROM t WHERE k = $a;", 1, 'a DELETE of one shard');
costs("INSERT INTO t VALUES ($a, 1);", 1, 'an INSERT of a row');
costs("INSERT INTO t VALUES ($a, 1) ON CONFLICT (k) DO UPDATE SET v = t.v + 1;", 1, 'an INSERT with ON CONFLICT');
costs("SELECT v FROM t WHERE k = $a;", 1, 'a read of one shard');
costs('SELECT count(*) FROM t;', 2, 'a read of two nodes: one each');
costs('SELECT (SELECT count(*) FROM t), (SELECT sum(v) FROM t);', 8, 'two scans of two nodes: the snapshot, both, and the end');
costs('SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM counted);', 6, 'one scan, and a table of this server');
costs('UPDATE t SET v = v + 1;', 4, 'a write of two nodes: two each');
costs('UPDATE t SET v = v + 1 RETURNING v;', 4, 'and with RETURNING');
costs('INSERT INTO t SELECT i FROM generate_series(201, 220) i;', 4, 'rows for two nodes: two each');

# RETURNING: the node commits at once where its rows cannot fail here any more.
$cluster->query(q{
	CREATE TABLE returned (k int PRIMARY KEY, n numeric(8, 2), s varchar(20), a int[], at timestamptz, j jsonb, b text);
	SELECT tessera.create_distributed_table('returned', 'k', colocate_with => 't');
	CREATE FUNCTION bump(int) RETURNS int LANGUAGE sql AS 'UPDATE t SET v = v + 1 WHERE k = $1 RETURNING v'});
my $insert = "INSERT INTO returned VALUES ($a, 1.5, 'x', '{1}', now(), '{}')";
my $returned = 'RETURNING k, n, s, a, at';
costs("UPDATE t SET v = v + 1 WHERE k = $a RETURNING *;", 1, 'RETURNING');
costs("DELETE FROM t WHERE k = $a RETURNING v + 1;", 1, 'RETURNING what the node computes');
costs("INSERT INTO t VALUES ($a, 1), ($a, 2) ON CONFLICT DO NOTHING RETURNING *;", 1, 'rows of one shard, RETURNING');
costs("INSERT INTO t VALUES ($a, 1) ON CONFLICT (k) DO UPDATE SET v = t.v + 1 RETURNING v;", 1, 'an upsert, RETURNING');
costs("$insert $returned;", 1, 'types whose values can always be read and written');
costs("UPDATE returned SET n = 2 WHERE k = $a RETURNING j;", 2, 'not what may be nested too deeply');
costs("UPDATE returned SET n = 2 WHERE k = $a RETURNING returned;", 2, 'nor rows');
costs("UPDATE returned SET b = repeat('x', 40000) WHERE k = $a RETURNING k;", 1, 'a large row');
costs("UPDATE returned SET n = 2 WHERE k = $a RETURNING b;", 2, 'if it is returned the node waits for COMMIT');
costs("SET client_encoding = 'latin1'; UPDATE t SET v = v + 1 WHERE k = $a RETURNING v;", 2, 'a client that may not be able to read them');
costs("SET work_mem = '64kB'; UPDATE t SET v = v + 1 WHERE k = $a RETURNING v;", 2, 'and a session that has no memory for them');
costs("WITH x AS (UPDATE t SET v = v + 1 WHERE k = $a RETURNING v) SELECT * FROM x;", 2, 'a part of WITH');
costs("SELECT bump($a);", 2, 'a function');
costs("BEGIN; UPDATE t SET v = v + 1 WHERE k = $a RETURNING v; COMMIT;", 2, 'a block');
$cluster->refused("INSERT INTO deferred VALUES ($a, 1), ($a, 1) RETURNING k", '23505', qr/duplicate key/, 'a node that refuses to commit');
is($cluster->client->ask("INSERT INTO deferred VALUES ($a, 1), ($a, 1) RETURNING 'returned'") =~ /^returned/m, '', 'shows no row');
$cluster->gives('SELECT count(*) FROM deferred', '0', 'and keeps none');

# What the node needs beside the statement goes along with it.
counts('statements', "UPDATE t SET v = v + 1 WHERE k = $a;", 1, 'a write that is the transaction is one statement');
counts('statements', "INSERT INTO t VALUES ($a, 1) ON CONFLICT (k) DO UPDATE SET v = t.v + 1;", 1, 'so is an upsert');
counts('statements', "SELECT v FROM t WHERE k = $a;", 1, 'and a read');
counts('statements', "BEGIN; UPDATE t SET v = v + 1 WHERE k = $a; COMMIT;", 3, 'in a block, BEGIN and COMMIT are two more');

# Transactions of several statements.
costs("BEGIN; UPDATE t SET v = 1 WHERE k = $a; UPDATE t SET v = 2 WHERE k = $b; SELECT v FROM t WHERE k = $a; COMMIT;",
	4, 'three statements on a node, and COMMIT');
costs("BEGIN; UPDATE t SET v = 1 WHERE k = $a; SAVEPOINT s; UPDATE t SET v = 2 WHERE k = $b; RELEASE s; COMMIT;",
	3, 'savepoints ride with statements');
costs("BEGIN; UPDATE t SET v = 1 WHERE k = $a; UPDATE t SET v = 2 WHERE k = $c; COMMIT;",
	6, 'a statement on each of two nodes: three each');
costs('BEGIN; UPDATE t SET v = 1; UPDATE t SET v = 2; COMMIT;', 8, 'two statements on both: four each');

# Several statements of one message are one transaction, whatever the last does.
$cluster->refused("UPDATE t SET v = 77 WHERE k = $a\\; SELECT 1 / 0;", '22012', qr/division/, 'a message with a statement that fails');
$cluster->gives("SELECT v FROM t WHERE k = $a", '2', 'does nothing');

# The same with bound statements: a Sync is behind them, or not.
sub bound_costs
{
	my ($script, $expected, $name) = @_;
	my $file = $coordinator->basedir . '/script.sql';
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	open my $handle, '>', $file or die "$file: $!";
	print $handle "SELECT count(*) FROM t WHERE v < -1;\n"
	  . "SELECT tessera_internal.reset_net_counters();\n$script\n"
	  . "INSERT INTO counted SELECT round_trips FROM tessera_internal.net_counters();\n";
	close $handle;
	for my $mode ('extended', 'prepared')
	{
		$cluster->query('TRUNCATE counted');
		PostgreSQL::Test::Utils::run_log([ 'pgbench', '--no-vacuum', '-t', 1, '-M', $mode,
				'-f', $file, '-h', $coordinator->host, '-p', $coordinator->port,
				$TesseraCluster::DATABASE ], '>', '/dev/null', '2>', '/dev/null');
		$cluster->gives('SELECT n FROM counted', $expected, "$name, $mode");
	}
	return;
}
bound_costs("UPDATE t SET v = v + 1 WHERE k = $a;", 1, 'a bound write of one shard');
bound_costs("INSERT INTO t VALUES ($a, 1) ON CONFLICT (k) DO NOTHING;", 1, 'a bound INSERT');
bound_costs("UPDATE t SET v = v + 1 WHERE k = $a RETURNING v;", 1, 'a bound write, RETURNING');
bound_costs("\\startpipeline\nUPDATE t SET v = v + 1 WHERE k = $a RETURNING v;\nSELECT 1;\n\\endpipeline",
	2, 'one in a pipeline with others is not the last');
bound_costs("\\startpipeline\nUPDATE t SET v = v + 1 WHERE k = $a;\nUPDATE t SET v = v + 1 WHERE k = $b;\n\\endpipeline",
	3, 'two in a pipeline are one transaction');

# A function in the shard of its key: all of its statements in one round trip.
$cluster->query(q{
	CREATE PROCEDURE twice(key int) LANGUAGE plpgsql AS
		'BEGIN UPDATE t SET v = v + 1 WHERE k = key; UPDATE t SET v = v + 1 WHERE k = key; END';
	CREATE PROCEDURE twice_of(key int, OUT sum int, OUT label text) LANGUAGE plpgsql AS
		'BEGIN UPDATE t SET v = v + 1 WHERE k = key RETURNING v, ''is '' || v INTO sum, label; END';
	CREATE PROCEDURE sum_of(key int, INOUT more int) LANGUAGE plpgsql AS
		'BEGIN UPDATE t SET v = v + more WHERE k = key RETURNING v INTO more; END';
	CREATE FUNCTION raise(key int) RETURNS int LANGUAGE plpgsql AS
		'BEGIN UPDATE t SET v = v + 1 WHERE k = key; RETURN (SELECT v FROM t WHERE k = key); END';
	CREATE FUNCTION rows_of(key int, n int) RETURNS SETOF text LANGUAGE sql AS
		'UPDATE t SET v = v + 1 WHERE k = key; SELECT repeat(''x'', 1000) FROM generate_series(1, n)';
	CREATE FUNCTION nothing(key int) RETURNS void LANGUAGE sql AS 'UPDATE t SET v = v + 1 WHERE k = key';
	CREATE FUNCTION look(key int) RETURNS int STABLE LANGUAGE sql AS 'SELECT v FROM t WHERE k = key';
	SELECT tessera.create_distributed_function(f, 'key', 't')
		FROM unnest('{twice,twice_of,sum_of,raise,rows_of,nothing,look}'::text[]) f});
costs("CALL twice($a);", 1, 'CALL');
costs("CALL sum_of($a, 1);", 1, 'CALL with a number that comes out');
costs("CALL twice_of($a, NULL, NULL);", 2, 'a text might be too long: the node waits for COMMIT');
costs("SELECT raise($a);", 1, 'a function that writes');
costs("SELECT * FROM raise($a);", 1, 'the same in FROM');
costs("SELECT nothing($a);", 1, 'one that returns nothing');
costs("SELECT look($a);", 1, 'one that reads');
costs("SELECT rows_of($a, 10);", 1, 'one that returns rows');
costs("SELECT rows_of($a, 100);", 2, 'many of them wait for COMMIT');
costs("BEGIN; CALL twice($a); CALL twice($b); COMMIT;", 3, 'in a transaction of one node');
costs("BEGIN; CALL twice($a); CALL twice($c); COMMIT;", 6, 'and of two, three each');
costs("SELECT raise($a) + 1;", 3, 'inside of an expression each statement has its own');
counts('statements', "CALL twice($a);", 1, 'CALL is one statement');
bound_costs("CALL twice($a);", 1, 'a bound CALL');
bound_costs("SELECT raise($a);", 1, 'a bound call of a function');

# Whatever is not the last act commits at the end.
$cluster->refused("DO \$\$ BEGIN UPDATE t SET v = 88 WHERE k = $a; PERFORM 1 / 0; END \$\$", '22012', qr/division/, 'a block that fails');
$cluster->gives("SELECT count(*) FROM t WHERE v = 88", '0', 'takes its write back');
$cluster->refused("BEGIN; UPDATE t SET v = 89 WHERE k = $a; ROLLBACK; SELECT 1 / 0", '22012', qr/division/, 'a rollback');
$cluster->gives("SELECT count(*) FROM t WHERE v = 89", '0', 'is one');

# Keys of a sequence: nextval logs now and then, and gives the transaction an id,
# which is no reason for two phases.
$cluster->query(q{
	CREATE TABLE numbered (id bigserial PRIMARY KEY, v float DEFAULT random(), at timestamptz DEFAULT clock_timestamp());
	CREATE TABLE identified (k int, id bigint GENERATED ALWAYS AS IDENTITY);
	SELECT tessera.create_distributed_table('numbered', 'id', colocate_with => 'none', shard_count => 4);
	SELECT tessera.create_distributed_table('identified', 'k', colocate_with => 't');
	CREATE TABLE noted (n int);
	CREATE FUNCTION note(bigint) RETURNS bigint LANGUAGE plpgsql AS
		'BEGIN INSERT INTO noted VALUES ($1); RETURN $1; END'});

# As costs(); and how many transactions were decided by a record here.
sub decides
{
	my ($records, @costs) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $before = $cluster->query('SELECT count(*) FROM tessera.commit_record');

	costs(@costs);
	return $cluster->gives("SELECT count(*) - $before FROM tessera.commit_record", $records,
		"$costs[2]: $records in two phases");
}
my $rows = "($a), ($a), ($a)";
decides(0, "INSERT INTO numbered DEFAULT VALUES;\n" x 100, 100, 'a hundred rows with serial keys');
decides(0, "INSERT INTO identified VALUES $rows;\n" x 40, 40, 'rows of a shard with an identity column');
decides(0, "INSERT INTO identified VALUES ($a) RETURNING id;\n" x 40, 40, 'RETURNING what was given');
decides(0, "INSERT INTO identified VALUES ($a) RETURNING id + 1;\n" x 40, 80, 'what is computed from it here may fail');
decides(40, "INSERT INTO identified VALUES ($a), ($c);\n" x 40, 160, 'rows for two nodes');
decides(3, "INSERT INTO identified VALUES ($a) RETURNING note(id);\n" x 3,
	9, 'a function that writes here');
$cluster->gives('SELECT count(*), count(DISTINCT id) FROM identified', '283|283', 'each has its own');

# What the node says at its own end of the transaction is an error of ours.
$cluster->refused("INSERT INTO deferred VALUES ($a, 1), ($a, 1)", '23505', qr/duplicate key/, 'a constraint that is checked when the node commits');
$cluster->gives('SELECT count(*) FROM deferred', '0', 'fails the statement');
$cluster->refused("INSERT INTO t VALUES ($c, -1)", '23514', qr/positive/, 'and one that is checked at once');
$cluster->refused("INSERT INTO deferred VALUES ($a, 1), ($a, 1), ($c, 1)", '23505', qr/duplicate key/, 'the same over two nodes, at PREPARE');
$cluster->gives('SELECT count(*) FROM deferred', '0', 'leaves nothing');
for my $n (1, 2)
{
	is($cluster->node_query($n, 'SELECT count(*) FROM pg_prepared_xacts'), '0', "node $n: nothing stays prepared");
}

done_testing();
