# One snapshot of all servers: money goes to and fro between accounts on two
# nodes, a reference table and a local table, and whoever adds it up while it is
# under way always finds the same sum, however he asks.  With the setting off he
# does not, so the load is one that would show it.
# Takes 40 seconds, because wrong sums are a matter of chance.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Utils;
use TesseraCluster;
use Test::More;

my $cluster = TesseraCluster->new(nodes => 2);
my $coordinator = $cluster->coordinator;

$cluster->query(q{
	CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL);
	CREATE TABLE owners (id int, account int);
	CREATE TABLE purse (id int PRIMARY KEY, balance bigint NOT NULL);
	CREATE TABLE vault (id int PRIMARY KEY, balance bigint NOT NULL);
	SELECT tessera.create_distributed_table('accounts', 'id', shard_count => 6);
	SELECT tessera.create_distributed_table('owners', 'id', colocate_with => 'none', shard_count => 3);
	SELECT tessera.create_reference_table('vault');
	INSERT INTO accounts SELECT i, 100 FROM generate_series(1, 60) i;
	INSERT INTO owners SELECT 1000 - i, i FROM generate_series(1, 60) i;
	INSERT INTO purse SELECT i, 100 FROM generate_series(1, 20) i;
	INSERT INTO vault SELECT i, 100 FROM generate_series(1, 20) i;

	CREATE FUNCTION everything() RETURNS bigint LANGUAGE sql STABLE AS
		'SELECT ((SELECT sum(balance) FROM accounts) + (SELECT sum(balance) FROM purse)
			+ (SELECT sum(balance) FROM vault))::bigint';
	CREATE FUNCTION account_sum() RETURNS bigint LANGUAGE plpgsql STABLE AS
		'BEGIN RETURN (SELECT sum(balance) FROM accounts); END';
	CREATE FUNCTION one_by_one() RETURNS bigint LANGUAGE plpgsql AS $$
	DECLARE
		s bigint := 0;
		r record;
	BEGIN
		FOR r IN SELECT balance FROM accounts UNION ALL SELECT balance FROM purse
				UNION ALL SELECT balance FROM vault LOOP
			s := s + r.balance;
		END LOOP;
		RETURN s;
	END $$;
	CREATE FUNCTION by_cursor() RETURNS bigint LANGUAGE plpgsql AS $$
	DECLARE
		a CURSOR FOR SELECT balance, (SELECT sum(balance) FROM purse) p,
			(SELECT sum(balance) FROM vault) v FROM accounts;
		s bigint := 0;
		r record;
	BEGIN
		OPEN a;
		PERFORM account_sum();
		PERFORM balance FROM accounts WHERE id = 1;
		LOOP
			FETCH a INTO r;
			EXIT WHEN NOT FOUND;
			IF s = 0 THEN s := r.p + r.v; END IF;
			s := s + r.balance;
		END LOOP;
		RETURN s;
	END $$;});

# Rows are locked in the order of tables and ids: no deadlocks.
sub script
{
	my ($name, $sql) = @_;
	my $file = $coordinator->basedir . "/$name.sql";

	append_to_file($file, $sql);
	return $file;
}
my $draws = '\set a random(1, 30)' . "\n" . '\set b random(31, 60)' . "\n" .
	'\set c random(1, 20)' . "\n" . '\set v random(-9, 9)' . "\n";
my @loads = (
	script('nodes', $draws . <<'SQL'),
BEGIN;
UPDATE accounts SET balance = balance - :v WHERE id = :a;
UPDATE accounts SET balance = balance + :v WHERE id = :b;
COMMIT;
SQL
	script('purse', $draws . <<'SQL'),
BEGIN;
UPDATE accounts SET balance = balance - :v WHERE id = :a;
UPDATE purse SET balance = balance + :v WHERE id = :c;
COMMIT;
SQL
	script('vault', $draws . <<'SQL'));
BEGIN;
UPDATE accounts SET balance = balance - :v WHERE id = :b;
UPDATE vault SET balance = balance + :v WHERE id = :c;
COMMIT;
SQL

# Each gives 10000, unless it saw a part of a transfer.
my %readers = (
	'subselects' => 'SELECT everything()',
	'one statement' => q{
		SELECT sum(balance) FROM (SELECT balance FROM accounts UNION ALL SELECT balance FROM purse
			UNION ALL SELECT balance FROM vault) u},
	'a join that ships rows' => q{
		SELECT sum(a.balance) + (SELECT sum(balance) FROM purse) + (SELECT sum(balance) FROM vault)
		FROM owners o JOIN accounts a ON a.id = o.account},
	'a join with a local table' => q{
		SELECT sum(balance) FROM (
			SELECT a.balance + coalesce(p.balance, 0) + coalesce(v.balance, 0) AS balance
			FROM accounts a LEFT JOIN purse p USING (id) LEFT JOIN vault v USING (id)) u},
	'stable functions' => q{
		SELECT account_sum() + (SELECT sum(balance) FROM purse) + (SELECT sum(balance) FROM vault)
		FROM accounts LIMIT 1},
	'a loop of a function' => 'SELECT one_by_one()',
	'a cursor of a function' => 'SELECT by_cursor()',
	'a cursor' => q{
		BEGIN;
		DECLARE c CURSOR FOR SELECT sum(balance) FROM (SELECT balance FROM accounts
			UNION ALL SELECT balance FROM purse UNION ALL SELECT balance FROM vault) u;
		DO 'BEGIN PERFORM account_sum(); END';
		FETCH ALL FROM c;
		COMMIT},
	'a block' => q{
		BEGIN;
		UPDATE owners SET account = account WHERE id = 999;
		SAVEPOINT s;
		SELECT everything();
		COMMIT},
	'a statement that writes' => q{
		BEGIN;
		CREATE TEMP TABLE taken ON COMMIT DROP AS SELECT balance FROM accounts
			UNION ALL SELECT balance FROM purse UNION ALL SELECT balance FROM vault;
		SELECT sum(balance) FROM taken;
		COMMIT},
	'a prepared statement' => q{
		PREPARE p (int) AS SELECT sum(balance) FROM (SELECT balance FROM accounts WHERE id > $1
			UNION ALL SELECT balance FROM purse UNION ALL SELECT balance FROM vault) u;
		EXECUTE p (0);
		DEALLOCATE p},
	'COPY' => q{
		BEGIN;
		CREATE TEMP TABLE sums (s bigint) ON COMMIT DROP;
		COPY (SELECT everything()) TO STDOUT;
		COMMIT},
	'REPEATABLE READ' => q{
		BEGIN ISOLATION LEVEL REPEATABLE READ;
		SELECT sum(balance) AS v FROM vault \gset
		SELECT sum(balance) AS b FROM accounts WHERE id > 30 \gset
		SELECT sum(balance) AS p FROM purse \gset
		SELECT sum(balance) + :b + :p + :v FROM accounts WHERE id <= 30;
		COMMIT},
	'SERIALIZABLE, where it gets one' => q{
		SET client_min_messages = error;
		BEGIN ISOLATION LEVEL SERIALIZABLE;
		SELECT everything();
		COMMIT;
		RESET client_min_messages});

my ($out, $err) = ('', '');
my @clients = map { ('-f', $_) } @loads;
my $load = IPC::Run::start(
	[ 'pgbench', '--no-vacuum', '-T', 300, '-c', 6, @clients,
		'-h', $coordinator->host, '-p', $coordinator->port,
		$TesseraCluster::DATABASE ],
	'<', \undef, '>', \$out, '2>', \$err);
$cluster->wait_for(q{SELECT sum(abs(balance - 100)) > 50 FROM purse});

# What one session was told that asked so often; how often it was refused.
sub ask
{
	my ($mode, $sql, $times) = @_;
	my $client = $cluster->client;
	my $refused = 0;
	my %answers;

	$client->ask("SET tessera.snapshot = '$mode'");
	for (1 .. $times)
	{
		my $answer = $client->ask($sql);

		if ($sql =~ /SERIALIZABLE/ && $answer =~ /ERROR:  40001/)
		{
			$refused++;
			$client->ask('ROLLBACK');
		}
		else
		{
			$answers{$answer}++;
		}
	}
	$client->finish;
	return (\%answers, $refused);
}

for my $name (sort keys %readers)
{
	my ($answers, $refused) = ask('all', $readers{$name}, 40);

	is_deeply([ keys %$answers ], $refused < 40 ? ['10000'] : [],
		"the sum is right: $name");
}

my $wrong = 0;
for (1 .. 20)
{
	my ($answers) = ask('off', $readers{'one statement'}, 20);
	$wrong += $answers->{$_} for grep { $_ ne '10000' } keys %$answers;
	last if $wrong > 0;
}
cmp_ok($wrong, '>', 0, 'without snapshots, sums are wrong');

# A reference table is changed as a whole while others insert into it: the
# statement meets none that is between its commit here and on the nodes.
$cluster->query(q{
	CREATE TABLE visits (id bigserial PRIMARY KEY, n int NOT NULL);
	SELECT tessera.create_reference_table('visits');});
my $visit = script('visit', "INSERT INTO visits (n) VALUES (0);\n");
my $inserts = IPC::Run::start(
	[ 'pgbench', '--no-vacuum', '-T', 300, '-c', 6, '-f', $visit,
		'-h', $coordinator->host, '-p', $coordinator->port,
		$TesseraCluster::DATABASE ],
	'<', \undef, '>', \$out, '2>', \$err);
$cluster->wait_for('SELECT count(*) > 20 FROM visits');
for my $statement (
	'UPDATE visits SET n = n + 1',
	'UPDATE visits v SET n = n + 1 FROM purse p WHERE p.id = 1 AND random() < 2',
	'DELETE FROM visits WHERE id % 3 = 0')
{
	my $failures = 0;

	for (1 .. 20)
	{
		my $failure = $coordinator->failure($statement);
		diag $failure if $failure ne '';
		$failures++ if $failure ne '';
	}
	is($failures, 0, "all copies alike: $statement");
}
$inserts->kill_kill;
$load->kill_kill;
unlike($err, qr/ERROR|FATAL/, 'nobody who wrote failed');

my $copies = q{SELECT count(DISTINCT result) FROM tessera.run_on_nodes(
	'SELECT count(*) || '' '' || sum(n) || '' '' || sum(id * n) FROM public.visits')};
$cluster->query('SELECT tessera.recover_transactions()');
$cluster->gives($copies, '1', 'copies are equal in the end');

done_testing();
