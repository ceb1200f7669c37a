
# Deadlocks that no server sees for itself: one session, the youngest, gets
# 40P01, whatever it waits in, and the others go on.
# Takes half a minute, because each waits for deadlock_timeout.
use strict;
use warnings;
use Deadlocks;
use IPC::Run;
use PostgreSQL::Test::Utils;
use TesseraCluster;
use Test::More;

my $cluster = TesseraCluster->new(nodes => 2, conf => "log_min_messages = debug1\n");
my $coordinator = $cluster->coordinator;
my $deadlocks = Deadlocks->new($cluster);

$cluster->query(q{
	CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL);
	SELECT tessera.create_distributed_table('account', 'id', shard_count => 4);
	INSERT INTO account SELECT i, 0 FROM generate_series(1, 100) i;
	CREATE TABLE rate (id int PRIMARY KEY, value int);
	SELECT tessera.create_reference_table('rate');
	INSERT INTO rate VALUES (1, 0), (2, 0);
	CREATE TABLE here (id int PRIMARY KEY, value int);
	INSERT INTO here SELECT i, 0 FROM generate_series(1, 10) i;
	CREATE TABLE deposit (id int PRIMARY KEY REFERENCES account DEFERRABLE INITIALLY DEFERRED);
	SELECT tessera.create_distributed_table('deposit', 'id', colocate_with => 'account');});

# Ids of accounts, those of node 1 and those of node 2.
my @on = map {
	[ split /\n/, $cluster->query("SELECT id FROM account
		WHERE (tessera.shard_of('account', id)).node = 'node$_' ORDER BY id") ]
} 1, 2;
my ($one, $two) = ($on[0][0], $on[1][0]);

sub take { return "UPDATE account SET balance = balance + 1 WHERE id = $_[0]"; }
sub take_here { return "UPDATE here SET value = value + 1 WHERE id = $_[0]"; }
sub take_rate { return "UPDATE rate SET value = value + 1 WHERE id = $_[0]"; }

sub sessions { return $deadlocks->sessions(@_); }
sub waits { return $deadlocks->waits(@_); }
sub all_but_last { return $deadlocks->all_but_last(@_); }

sub searches
{
	return scalar(() = slurp_file($coordinator->logfile) =~
		  /starting background worker process "tessera deadlock search"/g);
}

# How often deadlocks were looked for from when the session's wait had lasted for
# deadlock_timeout until it was the victim: in time for twice that.  Looks are a quarter of deadlock_timeout apart at least.
sub looks_until_found
{
	my ($pid) = @_;
	my ($since) = slurp_file($coordinator->logfile) =~
	  /.*\[$pid\][^\n]*waiting for nodes for long\n(.*?)\[$pid\][^\n]* \[40P01\] ERROR/s;
	return scalar(() = ($since // '') =~ /looking for deadlocks\n/g);
}

# Nobody has waited yet.
is(searches(), 0, 'nothing looks for deadlocks while nobody waits');

# Two sessions, two nodes.
{
	my @clients = sessions(take($one), take($two));
	my @pids = map { $_->pid } @clients;
	my $told = all_but_last('two', \@clients, [ take($two), take($one) ]);
	like($told, qr/DETAIL:  Process $pids[1] waits for ShareLock on transaction \d+ on node "node1"; blocked by process $pids[0]\.
Process $pids[0] waits for ShareLock on transaction \d+ on node "node2"; blocked by process $pids[1]\.
HINT:  See server log for query details\./, 'who waits for whom and where');
	like(slurp_file($coordinator->logfile),
		qr/\n\tProcess $pids[1]: UPDATE account .* WHERE id = $one\s.*\n\tProcess $pids[0]: UPDATE account .* WHERE id = $two\s/s,
		'the log has the statements');
	cmp_ok(looks_until_found($pids[1]), '<=', 2, 'found at once');
}

# It does not matter who closes the cycle: here the oldest does.  Anybody may
# ask a node who waits there.
{
	my ($old, $young) = sessions(take($one), take($two));
	my @pids = ($old->pid, $young->pid);
	$young->send(take($one));
	waits($young);
	$cluster->node_query(1, 'CREATE ROLE anybody LOGIN');
	like($cluster->node_query(1, q{SELECT waiter, holder, lock FROM tessera_internal.wait_edges()},
			role => 'anybody'),
		qr/^\d+:$pids[1]:\d+\|\d+:$pids[0]:\d+\|ShareLock on transaction \d+$/,
		'a node tells who waits for whom, by their names here');
	$old->send(take($two));
	like($young->answer, qr/40P01: deadlock detected/, 'the youngest is the victim, not the last');
	is($old->answer, '', 'and the other goes on');
	$_->finish for $old, $young;
}

# Three, and ten: each holds one row and waits for that of the next.
for my $size (3, 10)
{
	my @ids = map { $on[ $_ % 2 ][$_] } 0 .. $size - 1;
	my @clients = sessions(map { take($_) } @ids);
	my $pid = $clients[-1]->pid;
	my $told = all_but_last($size, \@clients, [ map { take($ids[ ($_ + 1) % $size ]) } 0 .. $size - 1 ]);
	is(scalar(() = $told =~ /waits for/g), $size, 'all of them are named');
	cmp_ok(looks_until_found($pid), '<=', 2, 'found at once');
}

# A row of this server in the cycle: the victim waits for a node, or for the row.
for my $table ('here', 'rate')
{
	my $take_local = $table eq 'here' ? \&take_here : \&take_rate;
	all_but_last("$table, waiting for a node",
		[ sessions($take_local->(1), take($two)) ], [ take($two), $take_local->(1) ]);
	all_but_last("$table, waiting for the row",
		[ sessions(take($two), $take_local->(1)) ], [ $take_local->(1), take($two) ]);
}

# A session that uses no node is the victim: it is told the same.
{
	my @clients = sessions(take_here(1) . ';' . take($one), take($two) . ';' . take_here(2), take_here(3));
	like(all_but_last('three, one without nodes', \@clients,
			[ take($two), take_here(3), take_here(1) ]),
		qr/CONTEXT:  while updating tuple/, 'with the context of a wait for a row');
}

# The victim waits for a lock of a table before its statement is even planned.
{
	my @clients = sessions('LOCK TABLE here', take($two));
	all_but_last('lock on a table', \@clients, [ take($two), 'SELECT count(*) FROM here' ]);
}

# One waits in PREPARE on node 2, the other for what is prepared on node 1.
for my $victim ('who waits for what is prepared', 'who prepares')
{
	my $deposits = "INSERT INTO deposit VALUES ($one), ($two)";
	my $closes = "DELETE FROM account WHERE id = $two";
	my ($preparing, $closing) = $victim eq 'who prepares'
	  ? reverse sessions($closes, $deposits) : sessions($deposits, $closes);
	$preparing->send('COMMIT');
	waits($preparing);
	$closing->send("INSERT INTO deposit VALUES ($one)");
	my ($young, $old) = $victim eq 'who prepares' ? ($preparing, $closing) : ($closing, $preparing);
	like($young->answer, qr/ERROR:  40P01: deadlock detected/, "prepared: $victim is the youngest");
	is($old->answer, '', 'the other goes on');
	$_->ask('ROLLBACK') && $_->finish for $young, $old;
	$cluster->gives('SELECT count(*) FROM deposit', $victim eq 'who prepares' ? 0 : 2, 'as it should');
	$cluster->query('DELETE FROM deposit');
}
# The victim waits in the COMMIT of the only node that it wrote on.
{
	my ($old, $young) = sessions("DELETE FROM account WHERE id = $two",
		"SELECT FROM account WHERE id = $one FOR UPDATE; INSERT INTO deposit VALUES ($two)");
	$young->send('COMMIT');
	waits($young);
	$old->send(take($one));
	like($young->answer, qr/ERROR:  40P01: deadlock detected/, 'one phase: the youngest is the victim');
	is($old->answer, '', 'the other goes on');
	$_->ask('ROLLBACK') && $_->finish for $young, $old;
	$cluster->gives('SELECT count(*) FROM deposit', 0, 'and it is rolled back');
}
$cluster->gives('SELECT count(*) FROM tessera.in_doubt', 0, 'nothing is in doubt');

# Caught by PL/pgSQL, or undone to a savepoint, the transaction goes on.
{
	my ($old, $young) = sessions(take($one) . '; ' . take_here(1), take($two));
	for my $wanted (take($one), take_here(1))
	{
		$old->ask('SAVEPOINT s');
		$young->send("DO \$\$ BEGIN $wanted; EXCEPTION WHEN deadlock_detected THEN RAISE NOTICE 'caught'; END \$\$");
		waits($young);
		$old->send(take($two));
		like($young->answer, qr/NOTICE:  00000: caught/, 'PL/pgSQL catches it');
		waits($old);
		$young->ask('COMMIT; BEGIN; SELECT 1');
		is($old->answer, '', 'the other goes on');
		$old->ask('ROLLBACK TO s');
		$young->ask(take($two));
	}
	$young->ask('SAVEPOINT s');
	$young->send(take($one));
	waits($young);
	$old->send(take($two));
	like($young->answer, qr/40P01/, 'in a savepoint');
	$young->ask('ROLLBACK TO s');
	is($young->ask('SELECT count(*) FROM account; COMMIT'), '100', 'which the transaction survives');
	is($old->answer, '', 'the other goes on');
	$_->finish for $old, $young;
}

# A cycle inside one node is found there: it has one victim.
{
	my $other = $on[0][1];
	my @clients = sessions(take($one), take($other));
	$clients[0]->send(take($other));
	waits($clients[0]);
	$clients[1]->send(take($one));
	my @told = map { $_->answer } @clients;
	is(scalar(grep { /40P01: deadlock detected/ } @told), 1, 'one node: one victim');
	is(scalar(grep { $_ eq '' } @told), 1, 'and one goes on');
	$_->finish for @clients;
}

# The searcher goes when nobody waits any more.
$cluster->wait_for(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'tessera deadlock search'});
cmp_ok(searches(), '>', 0, 'it was there');

sub pgbench
{
	my ($script, @arguments) = @_;
	my ($out, $err);
	my $file = $coordinator->basedir . '/script.sql';

	unlink $file;
	append_to_file($file, $script);
	IPC::Run::run([ 'pgbench', '--no-vacuum', '-f', $file, @arguments,
			'-h', $coordinator->host, '-p', $coordinator->port, $TesseraCluster::DATABASE ],
		'<', \undef, '>', \$out, '2>', \$err);
	return ($out, $err);
}

# Hot rows, always taken in the same order, and a searcher that never rests:
# everybody waits for everybody, and nobody is a victim.
{
	for my $server ($coordinator, $cluster->node(1), $cluster->node(2))
	{
		$server->append_conf('postgresql.conf', "deadlock_timeout = 10ms\n");
		$server->reload;
	}
	my $before = searches();
	my ($out, $err) = pgbench("BEGIN;\n" . join(";\n", take($one), take_here(1), take($two), take_rate(1))
		  . ";\nSELECT pg_sleep(0.01);\nCOMMIT;\n", '-c', 8, '-T', $ENV{TESS_SOAK} ? 600 : 6);
	unlike($err, qr/error|deadlock/i, 'hot rows: no false victims');
	like($out, qr/number of failed transactions: 0 /, 'and all transactions succeed');
	cmp_ok(searches(), '>', $before, 'while deadlocks were looked for');
}

# What a foreign key of a reference table changes along, or looks at, is locked here before
# the nodes hear of it: who has that row here goes on to the nodes alone. The first one waits
# on node 2 for a session there, when it has done its part on node 1; then the second one comes.
$cluster->query(q{CREATE TABLE tariff (id int PRIMARY KEY,
		rate int REFERENCES rate ON DELETE CASCADE ON UPDATE CASCADE, value int);
	SELECT tessera.create_reference_table('tariff');
	INSERT INTO rate SELECT i, 0 FROM generate_series(3, 16) i;
	INSERT INTO tariff SELECT i, i, 0 FROM generate_series(1, 15) i;});
for my $way (
	[ 'deleted along', 'DELETE FROM rate WHERE id = 10', 'UPDATE tariff SET value = 1 WHERE id = 10', 10 ],
	[ 'deleted along, row by row', 'DELETE FROM rate WHERE id = 11 + (0 * random())::int',
		'UPDATE tariff SET value = 1 WHERE id = 11', 11 ],
	[ 'key changed along', 'UPDATE rate SET id = 112 WHERE id = 12 RETURNING id', 'DELETE FROM tariff WHERE id = 12', 12 ],
	[ 'inserted', 'INSERT INTO tariff VALUES (16, 16, 0)', 'DELETE FROM rate WHERE id = 16', 16 ])
{
	my ($name, $first_sql, $second_sql, $id) = @$way;
	my $on_node = TesseraClient->new($cluster->node(2)->connstr($TesseraCluster::DATABASE));
	my ($first, $second) = sessions('SELECT 1', 'SELECT 1');

	$on_node->ask("BEGIN; SELECT FROM rate WHERE id = $id FOR UPDATE");
	$first->send($first_sql);
	waits($first);
	$second->send($second_sql);
	waits($second);
	$on_node->ask('COMMIT');
	unlike($first->answer, qr/ERROR/, "$name: the first goes on");
	$first->ask('COMMIT');
	unlike($second->answer, qr/ERROR/, 'then the second');
	$second->ask('COMMIT');
	$_->finish for $first, $second, $on_node;
}

# All copies of rows of reference tables, changed in every way, row by row or in the
# rows' order: who has the row here goes on to the nodes alone, so nobody is a victim.
{
	my @ways = (
		take_rate(':a'),
		'UPDATE tariff SET value = value + 1 + (0 * random())::int WHERE id = :a',
		'INSERT INTO rate VALUES (:a, 1) ON CONFLICT (id) DO UPDATE SET value = rate.value + 1',
		'DELETE FROM tariff WHERE id = :a',
		'DELETE FROM rate WHERE id = :a',
		'BEGIN; ' . take_rate(':a') . '; ' . take_rate(':a + 1') . '; COMMIT',
		'BEGIN; ' . take_rate(':a') . '; UPDATE tariff SET value = value + 1 WHERE id = :a; COMMIT');
	my ($out, $err) = pgbench("\\set way random(1, 7)\n\\set a random(1, 6)\n"
		  . join('', map { ($_ ? '\elif' : '\if') . " :way = $_ + 1\n$ways[$_];\n" } 0 .. $#ways) . "\\endif\n",
		'-c', 6, '-t', 40);
	unlike($err, qr/error|deadlock/i, 'copies of reference tables: no victims');
	like($out, qr/number of transactions actually processed: 240\//, 'all is done');
	for my $table ('rate', 'tariff')
	{
		$cluster->gives("SELECT count(DISTINCT result) FROM tessera.run_on_nodes(
			'SELECT string_agg(r::text, '' '' ORDER BY id) FROM public.$table r')", '1', "$table: the copies are alike");
	}
}

# Rows in any order, and all rows at once: deadlocks everywhere, and in the end
# everything is done, once.
{
	my $start = $cluster->query('SELECT sum(balance) FROM account');
	my ($out, $err) = pgbench("\\set a random(1, 6)\n\\set b random(1, 6)\nBEGIN;\n"
		  . take(':a') . ";\n" . take(':b') . ";\n"
		  . "UPDATE account SET balance = balance + 1 WHERE id <= 6;\nCOMMIT;\n",
		'-c', 5, '-t', $ENV{TESS_SOAK} ? 200 : 20, '--max-tries', 1000);
	my $transactions = $ENV{TESS_SOAK} ? 1000 : 100;
	like($out, qr/number of transactions actually processed: $transactions\//, 'in any order: all are done');
	like($out, qr/number of transactions retried: [1-9]/, 'though some were victims');
	$cluster->gives("SELECT sum(balance) - $start FROM account", $transactions * 8, 'each was done once');
}

done_testing();
