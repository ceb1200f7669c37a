# COPY TO of a distributed table gives the bytes that it gives of a local one, in any
# order, for all formats, options, settings and types; where nodes can write them, what they
# write is passed on (the fault point copy_out is hit then). One snapshot, bounded
# memory, and nothing left behind by errors, cancels, clients and nodes that are gone.
# allow in server logs: was terminated by signal 9
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use TesseraCluster;
use Test::More;

my $cluster = TesseraCluster->new(nodes => 2);
my $folder = $PostgreSQL::Test::Utils::tmp_check;

# The records of a COPY's output, in order: lines, or rows of the binary format behind
# its header, whose parts are what only counts once.
sub records
{
	my ($bytes, $binary) = @_;
	return sort split /^/m, $bytes unless $binary;
	my ($header, $rest) = unpack 'a19 a*', $bytes;
	my @rows;
	while (length $rest)
	{
		my ($count) = unpack 'n', $rest;
		my $length = 2;
		for (1 .. ($count == 65535 ? 0 : $count))
		{
			my ($bytes_of_field) = unpack 'N', substr($rest, $length);
			$length += 4 + ($bytes_of_field == 4294967295 ? 0 : $bytes_of_field);
		}
		push @rows, unpack('H*', substr $rest, 0, $length, '');
	}
	return (unpack('H*', $header), pop @rows, sort @rows);
}

sub bytes_of
{
	my ($table, $options, $settings) = @_;
	$cluster->query("$settings; COPY $table TO '$folder/out' $options");
	return slurp_file("$folder/out");
}

$cluster->query(<<'SQL');
CREATE TYPE mood AS ENUM ('sad', 'glad, "very"');
CREATE TYPE pair AS (a int, b timestamptz);
CREATE DOMAIN short AS varchar(30);
CREATE SCHEMA here;
CREATE TABLE here.t (k bigint, gone int, v text, "At" timestamptz, d date, i interval, f float8, r real, b bytea, n numeric(12, 2),
	j jsonb, a int[], ts timestamp[], m mood, p pair, s short, span tstzrange, u uuid, o boolean, double bigint GENERATED ALWAYS AS (k * 2) STORED);
ALTER TABLE here.t DROP gone;
CREATE TABLE t (LIKE here.t INCLUDING ALL);
INSERT INTO here.t (k, v, "At", d, i, f, r, b, n, j, a, ts, m, p, s, span, u, o) SELECT i,
	CASE i % 6 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN E'tab\t, "quote" \\back' WHEN 3 THEN E'two\nlines' WHEN 4 THEN '\.' ELSE 'caf' || chr(233) END,
	'2024-03-01 12:00:00.5+00'::timestamptz + i * interval '31 hours', date '2024-01-31' + i, i * interval '1 month 25:30:01.5', i / 3.0, 1e20 / i,
	decode(md5(i::text), 'hex'), i * 1.5, jsonb_build_object('i', i), ARRAY[i, NULL, -i], ARRAY[timestamp '2024-02-01 10:00' + i * interval '1 day'],
	CASE WHEN i % 2 = 0 THEN 'sad' ELSE 'glad, "very"' END::mood, ROW(i, '2024-01-02 03:04:05+00')::pair, 's' || i,
	tstzrange('2024-01-02+00', '2024-01-03+00'), md5(i::text)::uuid, i % 3 = 0
	FROM generate_series(1, 60) i;
SELECT tessera.create_distributed_table('t', 'k', shard_count => 6);
INSERT INTO t (k, v, "At", d, i, f, r, b, n, j, a, ts, m, p, s, span, u, o) SELECT k, v, "At", d, i, f, r, b, n, j, a, ts, m, p, s, span, u, o FROM here.t;
CREATE TABLE here.empty (k int, v text);
CREATE TABLE empty (k int, v text);
SELECT tessera.create_distributed_table('empty', 'k', shard_count => 6);
SQL

# Types that are sent by the OIDs of the types they are made of are not passed on in binary.
my @builtin = '(k, v, "At", d, i, f, r, b, n, j, a, ts, m, s, span, u, o)';
my @cases = (
	[ 't', '', 1 ],
	[ 't ("At", k, v)', '(NULL \'nil\', DELIMITER \'|\')', 1 ],
	[ 't (v)', '(HEADER)', 1 ],
	[ 't', '(FORMAT csv)', 1 ],
	[ 't (k, "At", v)', '(FORMAT csv, HEADER, FORCE_QUOTE *)', 1 ],
	[ 't (v, "At")', '(FORMAT csv, FORCE_QUOTE ("At"), QUOTE \'\'\'\', ESCAPE \'!\', NULL \'nu"ll\', DELIMITER E\'\\t\')', 1 ],
	[ 't (v)', 'WITH CSV HEADER QUOTE AS \'$\'', 1 ],
	[ 't', '(ENCODING \'LATIN1\')', 1 ],
	[ 't', '(FORMAT csv, ENCODING \'UTF8\')', 1 ],
	[ "t @builtin", '(FORMAT binary)', 1 ],
	[ 't', '(FORMAT binary)', 0 ],
	[ 'empty', '', 1 ],
	[ 'empty', '(FORMAT csv, HEADER)', 1 ],
	[ 'empty', '(FORMAT binary)', 1 ]);
my @settings = (
	"SET datestyle = 'ISO, DMY'",
	"SET datestyle = 'German'; SET intervalstyle = 'iso_8601'; SET bytea_output = 'escape'; SET extra_float_digits = -3; SET timezone = 'Asia/Kathmandu'",
	"SET datestyle = 'SQL, DMY'; SET intervalstyle = 'sql_standard'; SET extra_float_digits = 0",
	"SET datestyle = 'Postgres'; SET intervalstyle = 'postgres_verbose'; SET client_encoding = 'LATIN1'");
for my $case (@cases)
{
	my ($table, $options, $is_raw) = @$case;
	my $binary = $options =~ /binary/;

	for my $setting (@settings)
	{
		my @expected = records(bytes_of("here.$table", $options, $setting), $binary);
		my @got = records(bytes_of($table, $options, $setting), $binary);
		is_deeply(\@got, \@expected, "COPY $table TO $options, $setting");
		next if $binary && $setting =~ /LATIN1/;
		my ($status) = $cluster->coordinator->psql($TesseraCluster::DATABASE,
			"$setting; SET tessera.fault_points = 'copy_out:error'; COPY $table TO '/dev/null' $options", on_error_stop => 1);
		is($status != 0, !!$is_raw, 'is passed on, or not') if $is_raw || $binary;
	}
}

# The first line is the header, and to the client goes the same, with its number.
like(bytes_of('t (k)', '(FORMAT csv, HEADER)', 'BEGIN'), qr/\Ak\n\d+\n/, 'the header comes first');
my @lines = split /\n/, $cluster->query(q{COPY t (k, i) TO STDOUT});
is_deeply([ sort @lines ], [ sort split /\n/, $cluster->query(q{COPY here.t (k, i) TO STDOUT}) ], 'to the client');
$cluster->query(qq{COPY t (k) TO PROGRAM 'sort -n >$folder/out'});
is(slurp_file("$folder/out"), join('', map { "$_\n" } 1 .. 60), 'to a program');

# Types that not all servers write alike are written here.
$cluster->query(q{CREATE TABLE odd (k int, c regclass, w money); SELECT tessera.create_distributed_table('odd', 'k');
	INSERT INTO odd VALUES (1, 'pg_class', 5)});
$cluster->gives(q{SET tessera.fault_points = 'copy_out:error'; COPY odd TO STDOUT}, "1\tpg_class\t\$5.00", 'names of objects');

# What is refused. PostgreSQL says the same of a local table, and says it first.
for my $refused ([ q{COPY %s TO 'relative'}, '42602' ], [ q{COPY %s TO '/'}, '42809' ], [ qq{COPY %s TO '$folder/none/out'}, '58P01' ],
	[ q{COPY %s (none) TO STDOUT}, '42703' ], [ q{COPY %s (double) TO STDOUT}, '42P10' ], [ q{COPY %s (k) TO STDOUT (FORMAT csv, FORCE_QUOTE (v))}, '42P10' ],
	[ q{COPY %s TO STDOUT (FORMAT csv, HEADER match)}, '0A000' ], [ q{COPY %s TO STDOUT (FORMAT text, QUOTE '"')}, '0A000' ],
	[ q{COPY %s TO PROGRAM 'exit 3'}, '38000' ], [ q{COPY %s (v) TO STDOUT (ENCODING 'WIN1251')}, '22P05' ])
{
	my ($statement, $sqlstate) = @$refused;

	$cluster->refused(sprintf($statement, 'here.t'), $sqlstate, qr/./, "$statement fails");
	$cluster->refused(sprintf($statement, 't'), $sqlstate, qr/./, 'so it does of shards');
}
$cluster->query('CREATE ROLE alice LOGIN; GRANT SELECT (k, v) ON t TO alice');
$cluster->node_query($_, 'ALTER ROLE alice LOGIN') for 1, 2;
$cluster->refused('COPY t TO STDOUT', '42501', qr/table t/, 'columns need a right', role => 'alice');
$cluster->refused("COPY t (k) TO '$folder/alice'", '42501', qr/pg_write_server_files/, 'so does a file', role => 'alice');
is(scalar(split /\n/, $cluster->query('COPY t (k) TO STDOUT', role => 'alice')), 60, 'of what may be read all rows come');

# Inside of transactions: what they have written, and what was there when they began.
my $client = $cluster->client;
$client->ask(q{BEGIN; DELETE FROM t WHERE k > 2; UPDATE t SET s = 'changed' WHERE k = 2});
is(join(' ', sort split /\n/, $client->ask('COPY t (k, s) TO STDOUT;')), "1\ts1 2\tchanged", 'its own writes');
$client->ask(q{SAVEPOINT s; SET LOCAL datestyle = 'German'});
like($client->ask(q{COPY t TO PROGRAM 'exit 3';}), qr/38000/, 'an error');
$client->ask('ROLLBACK TO s');
is($client->ask(q{SELECT count(*) FROM t}), '2', 'ends with its savepoint');
$client->ask('ROLLBACK; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t');
$cluster->query('UPDATE t SET r = 7');
unlike($client->ask('COPY t (r) TO STDOUT;'), qr/^7$/m, 'the snapshot of the transaction');
$client->ask('COMMIT; BEGIN; DECLARE open CURSOR FOR SELECT k FROM t; FETCH 1 FROM open');
is(scalar(split /\n/, $client->ask('COPY t (k) TO STDOUT;')), 60, 'beside a cursor');
is(scalar(split /\n/, $client->ask('FETCH ALL FROM open')), 59, 'which goes on');
$client->ask('COMMIT');

# One snapshot of all nodes: no money comes or goes while nodes write.
my $holder = $cluster->client;
$cluster->query(q{CREATE TABLE money (k int PRIMARY KEY, amount int); SELECT tessera.create_distributed_table('money', 'k', shard_count => 8);
	INSERT INTO money SELECT i, 100 FROM generate_series(1, 40) i});
$holder->ask('SELECT pg_advisory_lock(81)');
$client->ask(q{SET tessera.fault_points = 'copy_out:lock:81'});
$client->send(qq{COPY money TO '$folder/money';});
$cluster->wait_for(q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted});
$cluster->gives(q{SELECT relid::regclass, command, type FROM pg_stat_progress_copy}, 'money|COPY TO|FILE', 'progress is told');
$cluster->query("UPDATE money SET amount = amount + CASE WHEN k % 2 = 0 THEN 50 ELSE -50 END; DELETE FROM money WHERE k = 1");
$holder->ask('SELECT pg_advisory_unlock(81)');
$client->answer;
my @amounts = map { (split)[1] } split /\n/, slurp_file("$folder/money");
is("@amounts", join(' ', (100) x 40), 'all nodes wrote what was there at one moment');
$cluster->gives(q{SELECT count(*) FROM pg_stat_progress_copy}, '0', 'progress has ended');

# A cancel, a program that stops reading, a node that is gone, a client that is gone.
$cluster->query(q{CREATE TABLE big (k int, v text); SELECT tessera.create_distributed_table('big', 'k', shard_count => 8);
	INSERT INTO big SELECT i, repeat('x', 1000) FROM generate_series(1, 20000) i});
$client->ask(q{SET tessera.fault_points = 'copy_out:wait:4'; BEGIN; SAVEPOINT s});
$client->send(q{COPY big TO '/dev/null';});
$cluster->wait_for(q{SELECT count(*) = 1 FROM pg_stat_progress_copy WHERE tuples_processed >= 1000 AND bytes_processed > 1000000});
$cluster->query('SELECT pg_cancel_backend(' . $client->pid . ')');
like($client->answer, qr/57014/, 'a COPY is cancelled');
$client->ask('ROLLBACK TO s; RESET tessera.fault_points');
is($client->ask('SELECT count(*) FROM big'), '20000', 'and the session goes on');
$client->ask('COMMIT');
like($client->ask(q{COPY big TO PROGRAM 'head -c 1000 >/dev/null; exit 0';}), qr/ERROR:  38000/, 'a program may stop reading');
is($client->ask('SELECT count(*) FROM big'), '20000', 'and again the session goes on');

$holder->ask('SELECT pg_advisory_lock(82)');
$client->ask(q{SET tessera.fault_points = 'copy_out:lock:82'});
$client->send(q{COPY big TO '/dev/null';});
$cluster->wait_for(q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted});
$cluster->node(2)->stop('immediate');
$holder->ask('SELECT pg_advisory_unlock(82)');
like($client->answer, qr/ERROR:  08006/, 'COPY fails when a node is gone');
$cluster->node(2)->start;
$client->ask('RESET tessera.fault_points');
is($client->ask('SELECT count(*) FROM big'), '20000', 'and works when it is back');

$client->ask(q{SET tessera.fault_points = 'copy_out:wait:4'});
$client->send(q{COPY big TO '/dev/null';});
$cluster->wait_for(q{SELECT count(*) = 1 FROM pg_stat_progress_copy WHERE tuples_processed >= 1000});
$cluster->query('SELECT pg_terminate_backend(' . $client->pid . ')');
$cluster->wait_for(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = } . $client->pid);
$cluster->wait_for(q{SELECT sum(result::int) = 0 FROM tessera.run_on_nodes('SELECT count(*) FROM pg_stat_activity WHERE state = ''active'' AND query ~ ''^COPY''')});
pass('nodes write no more for a session that ends');
$holder->finish;

done_testing();
