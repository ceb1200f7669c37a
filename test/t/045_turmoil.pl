
# Sessions that are cancelled and killed at any moment while they move money
# between nodes: none is lost, nothing is left on the nodes.  And a snapshot that
# is older than a table's shards.
# Takes 20 seconds, because what goes wrong here does so seldom.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Utils;
use TesseraCluster;
use Test::More;

my $cluster = TesseraCluster->new(nodes => 2);
my $coordinator = $cluster->coordinator;

$cluster->query(q{
	CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL DEFAULT 1000);
	CREATE TABLE moves (id int, amount int);
	CREATE TABLE visits (id int PRIMARY KEY, n int NOT NULL);
	CREATE TABLE here (n int);
	INSERT INTO accounts SELECT generate_series(1, 500);
	INSERT INTO visits VALUES (1, 0);
	SELECT tessera.create_distributed_table('accounts', 'id', shard_count => 4);
	SELECT tessera.create_distributed_table('moves', 'id', colocate_with => 'accounts');
	SELECT tessera.create_reference_table('visits');});

# Accounts are locked by id: pgbench would lose the clients that are victims of
# deadlocks.
my $transfer = $coordinator->basedir . '/transfer.sql';
append_to_file($transfer, <<'SQL');
\set a random(1, 250)
\set b random(251, 500)
BEGIN;
UPDATE accounts SET balance = balance - 5 WHERE id = :a;
INSERT INTO moves VALUES (:a, -5);
SAVEPOINT s;
UPDATE accounts SET balance = balance + 5 WHERE id = :b;
INSERT INTO moves VALUES (:b, 5);
COMMIT;
SQL

# this server, and all copies of a reference table
my $visit = $coordinator->basedir . '/visit.sql';
append_to_file($visit, <<'SQL');
BEGIN;
UPDATE visits SET n = n + 1;
INSERT INTO here VALUES (1);
COMMIT;
SQL

# a subtransaction that is undone for each row, and a cursor left half read
my $undone = $coordinator->basedir . '/undone.sql';
append_to_file($undone, <<'SQL');
DO $$
BEGIN
	FOR i IN 1 .. 4 LOOP
		BEGIN
			UPDATE accounts SET balance = 0 WHERE id = i;
			PERFORM 1 / 0;
		EXCEPTION WHEN division_by_zero THEN NULL;
		END;
	END LOOP;
END $$;
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM moves;
FETCH 1 FROM c;
COMMIT;
SQL

for my $mode ('simple', 'extended', 'prepared')
{
	my ($out, $err);
	local $ENV{PGAPPNAME} = 'pgbench';
	my $run = IPC::Run::start(
		[ 'pgbench', '--no-vacuum', '-T', 5, '-c', 6, '-M', $mode,
			'-f', "$transfer\@6", '-f', "$visit\@1", '-f', "$undone\@2",
			'-h', $coordinator->host, '-p', $coordinator->port,
			$TesseraCluster::DATABASE ],
		'<', \undef, '>', \$out, '2>', \$err);
	$ENV{PGAPPNAME} = 'turmoil';
	$cluster->wait_for(q{SELECT count(*) = 6 FROM pg_stat_activity
		WHERE application_name = 'pgbench'});

	# pgbench goes on without the clients that lose their session
	$cluster->query(q{
		SELECT pg_sleep(0.1), CASE WHEN i % 5 = 0 THEN pg_terminate_backend(pid)
			ELSE pg_cancel_backend(pid) END
		FROM generate_series(1, 25) i, LATERAL (SELECT pid FROM pg_stat_get_activity(NULL)
			WHERE application_name = 'pgbench' AND i = i ORDER BY random() LIMIT 1) s});
	$run->finish;

	$cluster->gives(q{SELECT sum(balance), (SELECT sum(amount) FROM moves) FROM accounts},
		'500000|0', "-M $mode: no money is lost");
	$cluster->gives(q{SELECT count(*) FROM accounts a WHERE balance <>
			1000 + coalesce((SELECT sum(amount) FROM moves m WHERE m.id = a.id), 0)},
		'0', 'and each account has its own');
	$cluster->gives('SELECT n - (SELECT count(*) FROM here) FROM visits',
		'0', 'the reference table agrees with a local one');
	my $n = $cluster->query('SELECT n FROM visits');
	cmp_ok($cluster->query('SELECT count(*) FROM moves'), '>', 0, 'some was moved');
	for my $node (1, 2)
	{
		is($cluster->node_query($node, 'SELECT n FROM visits'), $n,
			"and with its copy on node $node");
		ok( $cluster->node($node)->poll_query_until($TesseraCluster::DATABASE,
				q{SELECT count(*) = 0 FROM pg_stat_activity
					WHERE application_name = 'tessera' AND xact_start IS NOT NULL}),
			'where no transaction is open');
		ok( $cluster->node($node)->poll_query_until($TesseraCluster::DATABASE,
				'SELECT count(*) = 0 FROM pg_prepared_xacts'),
			'or prepared');
	}
}

like(slurp_file($coordinator->logfile),
	qr/terminating connection due to administrator.*canceling statement due to user/s,
	'sessions were killed and cancelled');

# What PostgreSQL warns of when something is not given back.
for my $server ($coordinator, $cluster->node(1), $cluster->node(2))
{
	unlike(slurp_file($server->logfile), qr/WARNING:.* leak/,
		$server->name . ': nothing leaks');
}

# Without nodes the shards are here, and empty to who looked before they were
# made: he gets an error.
my $alone = TesseraServer->make('alone');
$alone->query('CREATE EXTENSION tessera;
	CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 10)');
my $psql = sprintf q{\! psql -qAtX -d "%s" -c "SET client_min_messages = error" -c},
  $alone->connstr($TesseraCluster::DATABASE);
like( $alone->failure(
		qq{BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1;\n} .
		qq{$psql "SELECT tessera.create_distributed_table('t', 'id')"\n} .
		q{SELECT count(*) FROM t}),
	qr/ERROR:  40001: table "t" was distributed after/,
	'a snapshot that is older than the shards of this server');
is( $alone->query(
		qq{BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 'begun';\n} .
		qq{$psql "SELECT tessera.undistribute_table('t')"\n} .
		q{SELECT count(*) FROM t; COMMIT}),
	"begun\n\n10", 'one that is older than the end of the shards finds the rows');

done_testing();
