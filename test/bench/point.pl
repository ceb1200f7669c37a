# What a statement on one key costs: CPU of all server processes, statements a
# second and latency, beside plain PostgreSQL, the node's shard asked straight,
# partitions over postgres_fdw, shards on the coordinator itself, and a floor: what
# plain PostgreSQL spends, and one bare round trip to the node's shard
# (round_trip.c).  All in turn within a round, so that other work of the machine
# hits all of them.  "make bench" runs it:
#   ONLY=REGEX     cells whose name "workload protocol clients" matches
#   QUICK=1        one round, one client, no extended protocol
#   COUNT=10000    transactions of a measurement (those of several statements, and
#                  over postgres_fdw, are fewer)
#   ROUNDS=3
# What is measured lies between two barriers, at which all clients wait: what
# sessions do once (connecting, the first plans for each shard) is before, and
# their end is behind.  CPU is what the scheduler says of each process, in
# nanoseconds.
#
# Prints a table, with the goal of each ratio beside it, the round trips of a
# transaction as a network counts them that delays all by 2 ms, and one line of JSON for
# each cell.
use strict;
use warnings;
use CpuTime qw(median nanoseconds_of);
use File::Basename;
use IPC::Run;
use JSON::PP;
use List::Util qw(max sum);
use LoopbackProxy;
use PostgreSQL::Test::Utils;
use TesseraClient;
use TesseraCluster;
use Test::More;
use Time::HiRes qw(time usleep);

my $only = $ENV{TESS_POINT_ONLY} || '.';
my $quick = $ENV{TESS_POINT_QUICK};
my $count = $ENV{TESS_POINT_COUNT} || 10_000;
my $rounds = $ENV{TESS_POINT_ROUNDS} || ($quick ? 1 : 3);
# transactions of each client before the first barrier: a dozen for each shard
my $warm = 400;
my $delay_ms = 2;
my $rows = $ENV{TESS_POINT_ROWS} // 100_000;
my $branches = 100;
my $idle_sessions = 200;
my $transfer_keys = 100;
my $largest = 9_000_000_000_000_000_000;

my $conf = <<'CONF';
autovacuum = off
checkpoint_timeout = 1h
jit = off
log_statement = none
max_connections = 500
max_parallel_workers_per_gather = 0
max_prepared_transactions = 500
max_wal_size = 10GB
shared_buffers = 128MB
tessera.max_node_connections = 400
CONF
my $without = "$conf\nshared_preload_libraries = ''\n";

my $cluster = TesseraCluster->new(nodes => 2, conf => $conf, node_conf => $conf);
my %server = (
	coordinator => $cluster->coordinator,
	node1 => $cluster->node(1),
	node2 => $cluster->node(2),
	plain => TesseraServer->make('plain', $without),
	fdw => TesseraServer->make('fdw', $without),
	alone => TesseraServer->make('alone', $conf),
);

# Who is asked, and whose CPU counts.
my %peer = (
	plain => { at => 'plain', servers => ['plain'] },
	straight => { servers => [ 'node1', 'node2' ] },
	fdw => { at => 'fdw', servers => [ 'fdw', 'node1', 'node2' ] },
	tessera => { at => 'coordinator', servers => [ 'coordinator', 'node1', 'node2' ] },
	alone => { at => 'alone', servers => ['alone'] },
);
my @peers = qw(plain straight fdw tessera alone);

# Tables: name, columns, key.
my @tables = (
	[ a => 'id int PRIMARY KEY, v int NOT NULL, t text', 'id' ],
	[ b => 'id int, n int, w int, PRIMARY KEY (id, n)', 'id' ],
	[ i => 'id bigint PRIMARY KEY, v int, t text', 'id' ],
	[ accounts => 'bid int, aid int, abalance int NOT NULL, filler char(84), PRIMARY KEY (bid, aid)', 'bid' ],
	[ tellers => 'bid int, tid int, tbalance int NOT NULL, filler char(84), PRIMARY KEY (bid, tid)', 'bid' ],
	[ branches => 'bid int PRIMARY KEY, bbalance int NOT NULL, filler char(88)', 'bid' ],
	[ history => 'bid int, tid int, aid int, delta int, mtime timestamp, filler char(22)', 'bid' ],
);
my $fill = <<"SQL";
INSERT INTO a SELECT x, 0, repeat('x', 50) FROM generate_series(1, $rows) x;
INSERT INTO b SELECT x, 1, x FROM generate_series(1, $rows) x;
INSERT INTO accounts SELECT x % $branches + 1, x, 0, '' FROM generate_series(1, $rows) x;
INSERT INTO tellers SELECT x % $branches + 1, x, 0, '' FROM generate_series(1, 10 * $branches) x;
INSERT INTO branches SELECT x, 0, '' FROM generate_series(1, $branches) x;
SQL

sub create_tables
{
	return join '', map { "CREATE TABLE $_->[0] ($_->[1]);\n" } @tables;
}

# pgbench's transaction as a procedure.
my $procedure = <<'SQL';
CREATE PROCEDURE tpcb(b int, a int, t int, d int) LANGUAGE plpgsql AS $$
BEGIN
	UPDATE accounts SET abalance = abalance + d WHERE bid = b AND aid = a;
	PERFORM abalance FROM accounts WHERE bid = b AND aid = a;
	UPDATE tellers SET tbalance = tbalance + d WHERE bid = b AND tid = t;
	UPDATE branches SET bbalance = bbalance + d WHERE bid = b;
	INSERT INTO history (bid, tid, aid, delta, mtime) VALUES (b, t, a, d, CURRENT_TIMESTAMP);
END $$;
SQL
my $distribute_procedure = "SELECT tessera.create_distributed_function('tpcb', 'b', 'accounts');\n";

sub distribute_tables
{
	return join '', map { "SELECT tessera.create_distributed_table('$_->[0]', '$_->[2]');\n" } @tables;
}

# All in one shard, but for table i, whose key has another type.
sub distribute_to_one_shard
{
	return join '', map {
		my $with = $_->[0] =~ /^[ai]$/ ? q('none', shard_count => 1) : q('a');
		"SELECT tessera.create_distributed_table('$_->[0]', '$_->[2]', colocate_with => $with);\n"
	} @tables;
}

# The tables as partitions of which every other one is on each node.
sub partition_tables
{
	my $sql = '';

	for my $n (1, 2)
	{
		my $node = $cluster->node($n);
		my $there = "CREATE SCHEMA parts;\nSET search_path = parts;\n";

		$sql .= sprintf "CREATE SERVER n$n FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '%s', port '%d', dbname '%s', batch_size '1000');\n"
		  . "CREATE USER MAPPING FOR CURRENT_USER SERVER n$n OPTIONS (user 'postgres');\n",
		  $node->loopback, $node->port, $TesseraCluster::DATABASE;
		for my $table (@tables)
		{
			$there .= "CREATE TABLE $table->[0]_$_ ($table->[1]);\n" for grep { $_ % 2 == $n % 2 } 0 .. 3;
		}
		$cluster->node_query($n, $there);
	}
	for my $table (@tables)
	{
		my ($name, $columns, $key) = @$table;

		$columns =~ s/,? ?PRIMARY KEY( \(.*\))?//;
		$sql .= "CREATE TABLE $name ($columns) PARTITION BY HASH ($key);\n";
		for my $part (0 .. 3)
		{
			$sql .= sprintf "CREATE FOREIGN TABLE ${name}_$part PARTITION OF $name FOR VALUES WITH (MODULUS 4, REMAINDER $part)"
			  . " SERVER n%d OPTIONS (schema_name 'parts', table_name '${name}_$part');\n", $part % 2 ? 1 : 2;
		}
	}
	return "CREATE EXTENSION postgres_fdw;\n$sql";
}

sub fill_all
{
	my $quiet = "SET client_min_messages = warning;\n";

	$server{plain}->query(create_tables() . $procedure . $fill . 'VACUUM ANALYZE');
	$server{alone}->query($quiet . 'CREATE EXTENSION tessera;' . create_tables() . distribute_tables()
		  . $procedure . $distribute_procedure . $fill);
	$server{alone}->query('VACUUM ANALYZE');
	$cluster->query($quiet . create_tables() . distribute_tables() . $procedure . $distribute_procedure . $fill);
	# the same rows in shards that can be asked straight
	$cluster->query($quiet . 'CREATE SCHEMA one; SET search_path = one;' . create_tables()
		  . distribute_to_one_shard() . $procedure . $distribute_procedure . $fill);
	$cluster->query('VACUUM ANALYZE');
	$server{fdw}->query(partition_tables() . $procedure . $fill);
	$cluster->node_query($_, 'VACUUM ANALYZE') for 1, 2;
	return;
}
fill_all();

# Where the shards of schema one are: table => [node, schema].
my %one = map { my ($table, @place) = split /\|/; ($table => \@place) } split /\n/,
  $cluster->query(q{SELECT relation::text, node, split_part(shard_relation, '.', 1)
	FROM tessera.placements WHERE relation::text LIKE 'one.%'});

# Keys of which one is on each node.
sub keys_of_node
{
	my ($node) = @_;
	return $cluster->query("SELECT x FROM generate_series(1, $rows) x, tessera.shard_of('a', x) s "
		  . "WHERE s.node = '$node' LIMIT $transfer_keys");
}

# A variable of pgbench with one of these values, at random.
sub choose
{
	my ($name, @values) = @_;
	my $n = 0;
	return sprintf "\\set r random(1, %d)\n\\set $name case %s else 0 end\n", scalar @values,
	  join ' ', map { $n++; "when :r = $n then $_" } @values;
}

my $id = "\\set id random(1, $rows)\n";
my $tpcb_keys = <<"SCRIPT";
\\set bid random(1, $branches)
\\set aid random(1, $rows / $branches - 1) * $branches + :bid - 1
\\set tid random(1, 9) * $branches + :bid - 1
\\set delta random(-5000, 5000)
SCRIPT
my $transfer = choose('x', split /\n/, keys_of_node('node1')) . choose('y', split /\n/, keys_of_node('node2'));

# script: of pgbench; statement and params: of round_trip; lacks: a peer that cannot;
# goal: of times the CPU of plain PostgreSQL, for those without a floor; share: of the
# COUNT of transactions, for those that cost more
my %workload = (
	select => {
		script => "${id}SELECT v, t FROM a WHERE id = :id;\n",
		statement => 'SELECT v, t FROM a WHERE id = $1',
		params => ["int4:1:$rows"],
		table => 'a',
	},
	update => {
		script => "${id}UPDATE a SET v = v + 1 WHERE id = :id;\n",
		statement => 'UPDATE a SET v = v + 1 WHERE id = $1',
		params => ["int4:1:$rows"],
		table => 'a',
		changes => 'SELECT sum(v) FROM a',
	},
	insert => {
		script => "\\set id random(1, $largest)\nINSERT INTO i (id, v, t) VALUES (:id, 1, 'a text of some length');\n",
		statement => 'INSERT INTO i (id, v, t) VALUES ($1, 1, \'a text of some length\')',
		params => ["int8:1:$largest"],
		table => 'i',
		changes => 'SELECT count(*) FROM i',
	},
	upsert => {
		script => "${id}INSERT INTO a (id, v, t) VALUES (:id, 1, 'x') ON CONFLICT (id) DO UPDATE SET v = a.v + 1;\n",
		statement => 'INSERT INTO a (id, v, t) VALUES ($1, 1, \'x\') ON CONFLICT (id) DO UPDATE SET v = a.v + 1',
		params => ["int4:1:$rows"],
		table => 'a',
		changes => 'SELECT sum(v) FROM a',
		lacks => 'fdw',
	},
	join => {
		script => "${id}SELECT a.v, b.w FROM a JOIN b ON b.id = a.id WHERE a.id = :id;\n",
		statement => 'SELECT a.v, b.w FROM a JOIN b ON b.id = a.id WHERE a.id = $1',
		params => ["int4:1:$rows"],
		table => 'a',
	},
	procedure => {
		goal => 1.7,
		share => 0.4,
		script => "${tpcb_keys}CALL tpcb(:bid, :aid, :tid, :delta);\n",
		table => 'accounts',
		changes => 'SELECT count(*) FROM history',
	},
	tpcb => {
		goal => 2.2,
		share => 0.2,
		script => <<"SCRIPT",
${tpcb_keys}BEGIN;
UPDATE accounts SET abalance = abalance + :delta WHERE bid = :bid AND aid = :aid;
SELECT abalance FROM accounts WHERE bid = :bid AND aid = :aid;
UPDATE tellers SET tbalance = tbalance + :delta WHERE bid = :bid AND tid = :tid;
UPDATE branches SET bbalance = bbalance + :delta WHERE bid = :bid;
INSERT INTO history (bid, tid, aid, delta, mtime) VALUES (:bid, :tid, :aid, :delta, CURRENT_TIMESTAMP);
END;
SCRIPT
		table => 'accounts',
		changes => 'SELECT count(*) FROM history',
	},
	transfer => {
		goal => 3.5,
		share => 0.4,
		script => "${transfer}BEGIN;\nUPDATE a SET v = v - 1 WHERE id = :x;\nUPDATE a SET v = v + 1 WHERE id = :y;\nEND;\n",
		table => 'a',
		lacks => 'straight',
	},
);
my @cells;
for my $name (qw(select update insert upsert join tpcb procedure transfer))
{
	for my $protocol (qw(simple extended prepared))
	{
		push @cells, { workload => $name, protocol => $protocol, clients => $_, idle => 0 } for 1, 8;
	}
}
for my $name (qw(select update))
{
	push @cells, { workload => $name, protocol => 'prepared', clients => $_, idle => $idle_sessions } for 1, 8;
}
for my $cell (@cells)
{
	$cell->{name} = "$cell->{workload} $cell->{protocol} $cell->{clients}";
	$cell->{name} .= " beside $cell->{idle}" if $cell->{idle};
}
@cells = grep { $_->{name} =~ /$only/ && !($quick && ($_->{clients} > 1 || $_->{protocol} eq 'extended')) } @cells;
die "no cell matches \"$only\"" unless @cells;

my $folder = $PostgreSQL::Test::Utils::tmp_check;
my $round_trip = "$folder/round_trip";
{
	my %config = map { /^(\w+) = (.*)$/ ? ($1 => $2) : () } split /\n/, qx($ENV{PG_CONFIG});
	system_or_bail('cc', '-O2', "-I$config{INCLUDEDIR}", '-o', $round_trip,
		dirname(__FILE__) . '/round_trip.c', "-L$config{LIBDIR}", "-Wl,-rpath,$config{LIBDIR}", '-lpq');
}
# Each client waits at the barriers, whose numbers pgbench is told.
my $barrier = <<'SCRIPT';
\set n :n + 1
\if :n = :first or :n = :last
SELECT pg_advisory_lock_shared(:n);
\endif
SCRIPT
append_to_file("$folder/$_.sql", $barrier . $workload{$_}{script}) for keys %workload;

# The node that has a workload's tables in schemas of shards, and a connection
# to it that finds them.
sub straight_to
{
	my ($workload) = @_;
	my ($node, $schema) = @{ $one{"one.$workload->{table}"} };
	return ($node, conninfo($node) . " options='-c search_path=$schema'");
}

# CPU that each of these servers used between two readings of their processes, in
# microseconds.
sub cpu_between
{
	my ($names, $before, $after) = @_;
	my %used = map { $_ => 0 } @$names;

	$used{ $names->[ $after->{$_}{server} ] } += ($after->{$_}{ns} - ($before->{$_} ? $before->{$_}{ns} : 0)) / 1000
	  for keys %$after;
	return \%used;
}

sub clients_wait
{
	my ($control, $key) = @_;
	return $control->ask("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = $key AND NOT granted");
}

# Runs clients that wait at two barriers, which are locks of the server that they
# are connected to: what is read when all have come to the first one, and to the second;
# then the output.
sub between_barriers
{
	my ($connection, $clients, $barriers, $read, @command) = @_;
	my $control = TesseraClient->new($connection);
	my ($out, $err) = ('', '');
	my (@readings, $run);

	$control->ask("SELECT pg_advisory_lock($_)") for @$barriers;
	$run = IPC::Run::start(\@command, '<', \undef, '>', \$out, '2>', \$err);
	for my $key (@$barriers)
	{
		while (clients_wait($control, $key) < $clients)
		{
			$run->pump_nb if $run->pumpable;
			$run->pumpable or die "@command: $err";
			usleep(5_000);
		}
		push @readings, $read->($control->pid);
		$control->ask("SELECT pg_advisory_unlock($key)");
	}
	$run->finish or die "@command: $err";
	$control->finish;
	return (@readings, $out);
}

# The same, with what the servers used in between and the seconds that it took.
sub cpu_of
{
	my ($names, @what) = @_;
	my ($before, $after, $out) = between_barriers(@what[ 0 .. 2 ], sub {
		my ($control) = @_;
		return { time => time, processes => nanoseconds_of([ @server{@$names} ], $control) };
	}, @what[ 3 .. $#what ]);

	return (cpu_between($names, $before->{processes}, $after->{processes}), $after->{time} - $before->{time}, $out);
}

sub conninfo
{
	my ($name) = @_;
	return sprintf 'host=127.0.0.1 port=%d user=postgres dbname=%s',
	  $server{$name}->port, $TesseraCluster::DATABASE;
}

# Transactions of each client between the barriers.
sub count_of
{
	my ($cell, $name) = @_;
	my $all = $count * ($workload{ $cell->{workload} }{share} // 1);

	$all /= 4 if $name eq 'fdw';
	return max(1, int($all / $cell->{clients}));
}

# The numbers of the transactions that begin with a barrier.
sub barriers_of
{
	my ($between) = @_;
	return [ $warm + 1, $warm + $between + 1 ];
}

sub pgbench
{
	my ($conninfo, $cell, $barriers) = @_;
	my ($first, $last) = @$barriers;

	return ('pgbench', '--no-vacuum', '-M', $cell->{protocol}, '-t', $last, '-c', $cell->{clients},
		'-j', $cell->{clients} > 1 ? 2 : 1, '-D', 'n=0', '-D', "first=$first", '-D', "last=$last",
		'-f', "$folder/$cell->{workload}.sql", $conninfo);
}

# One measurement: tps, latency in ms, and microseconds of CPU.
sub measure
{
	my ($cell, $name) = @_;
	my $workload = $workload{ $cell->{workload} };
	my $conninfo = $name eq 'straight' ? (straight_to($workload))[1] : conninfo($peer{$name}{at});
	my $done = count_of($cell, $name) * $cell->{clients};
	my $barriers = barriers_of(count_of($cell, $name));
	my ($cpu, $seconds) = cpu_of($peer{$name}{servers}, $conninfo, $cell->{clients}, $barriers,
		pgbench($conninfo, $cell, $barriers));

	$workload->{done}{$name} += $barriers->[1] * $cell->{clients};
	my $result = { tps => $done / $seconds, latency_ms => 1000 * $cell->{clients} * $seconds / $done,
		cpu_us => sum(values %$cpu) / $done };
	# of this, the server's that the client is connected to
	$result->{own_us} = $cpu->{ $peer{$name}{at} } / $done if $peer{$name}{at};
	return $result;
}

# The bare round trip: CPU of its client and of the node.
sub measure_trip
{
	my ($cell) = @_;
	my $workload = $workload{ $cell->{workload} };
	my ($node, $conninfo) = straight_to($workload);
	my $count = count_of($cell, 'trip');
	my $done = $count * $cell->{clients};
	my ($cpu, undef, $out) = cpu_of([$node], $conninfo, $cell->{clients}, barriers_of($count),
		$round_trip, 'run', $conninfo, $cell->{clients}, $warm, $count, $workload->{statement}, @{ $workload->{params} });
	return { cpu_us => ($cpu->{$node} + $out) / $done, own_us => $out / $done };
}

sub peers_of
{
	my ($cell) = @_;
	my $lacks = $workload{ $cell->{workload} }{lacks} // '';
	return grep { $_ ne $lacks && (!$cell->{idle} || /plain|tessera|alone/) } @peers;
}

# Sessions that do nothing, of those servers that are asked beside them; what
# ends them.
sub start_idle
{
	my @held;
	for my $name (map { $peer{$_}{at} } qw(plain tessera alone))
	{
		my ($in, $out) = ('', '');
		my $handle = IPC::Run::start([ $round_trip, 'idle', conninfo($name), $idle_sessions, 'SELECT v FROM a WHERE id = 1' ],
			'<', \$in, '>', \$out);
		$handle->pump until $out =~ /ready/;
		push @held, $handle;
	}
	return @held;
}

sub run_cell
{
	my ($cell) = @_;
	my $round = {};

	$round->{$_} = measure($cell, $_) for peers_of($cell);
	if ($workload{ $cell->{workload} }{statement} && !$cell->{idle})
	{
		$round->{trip} = measure_trip($cell);
		$round->{floor} = { cpu_us => $round->{plain}{cpu_us} + $round->{trip}{cpu_us} };
	}
	push @{ $cell->{rounds} }, $round;
	return;
}

for my $round (1 .. $rounds)
{
	my @beside = grep { $_->{idle} } @cells;
	my @held;

	run_cell($_) for grep { !$_->{idle} } @cells;
	next unless @beside;
	@held = start_idle();
	run_cell($_) for @beside;
	$_->finish for @held;
}

# Round trips of a transaction in a row, as a network counts them that delays all
# that goes to nodes.
sub count_rounds
{
	my $network = LoopbackProxy->new(map { $server{$_}->port } qw(node1 node2));
	my $conninfo = conninfo('coordinator');
	my $between = 20;
	my $barriers = barriers_of($between);

	$cluster->query(sprintf "SELECT tessera.update_node('node%d', '%s', %d)", $_, $cluster->node($_)->loopback, $network->port($_))
	  for 1, 2;
	$network->delay($_, $delay_ms) for 1, 2;
	for my $cell (grep { $_->{clients} == 1 && !$_->{idle} } @cells)
	{
		my ($before, $after) = between_barriers($conninfo, 1, $barriers, sub { return $network->rounds },
			pgbench($conninfo, $cell, $barriers));

		$cell->{round_trips} = ($after - $before) / $between;
		$workload{ $cell->{workload} }{done}{tessera} += $barriers->[1];
	}
	return;
}
count_rounds();

# What the ratios of a cell are to be at most.
sub goals_of
{
	my ($cell) = @_;
	my $goal = $workload{ $cell->{workload} }{goal};
	return { alone_to_plain => 1.25, $goal ? (tessera_to_plain => $goal) : (tessera_to_floor => 1.2) };
}

# A cell's medians over rounds; ratios are of what was measured in the same round.
sub summary
{
	my ($cell) = @_;
	my %sum = map { $_ => $cell->{$_} } qw(workload protocol clients idle);
	my %seen = map { %$_ } @{ $cell->{rounds} };

	for my $name (sort keys %seen)
	{
		for my $figure (qw(tps latency_ms cpu_us own_us))
		{
			my $value = median(map { $seen{$name} ? $_->{$name}{$figure} : undef } @{ $cell->{rounds} });

			$sum{peers}{$name}{$figure} = 0 + sprintf '%.3f', $value if defined $value;
		}
	}
	for my $pair ([qw(tessera plain)], [qw(tessera floor)], [qw(straight plain)], [qw(fdw plain)], [qw(alone plain)])
	{
		my ($of, $to) = @$pair;
		next unless $seen{$of} && $seen{$to};
		$sum{ratios}{"${of}_to_$to"} = 0 + sprintf '%.2f', median(
			map { $_->{$to}{cpu_us} > 0 ? $_->{$of}{cpu_us} / $_->{$to}{cpu_us} : undef } @{ $cell->{rounds} });
	}
	$sum{round_trips} = $cell->{round_trips} if defined $cell->{round_trips};
	$sum{goals} = goals_of($cell);
	delete @{ $sum{goals} }{ grep { !defined $sum{ratios}{$_} } keys %{ $sum{goals} } };
	return \%sum;
}

sub shown
{
	my ($format, $value) = @_;
	return defined $value ? sprintf($format, $value) : sprintf('%9s', '-');
}

# A ratio, and its goal: "!" where it is missed.
sub ratio_shown
{
	my ($sum, $name) = @_;
	my ($ratio, $goal) = ($sum->{ratios}{$name}, $sum->{goals}{$name});

	return shown('%9.2f', $ratio) . ' ' x 7 unless defined $ratio && defined $goal;
	return sprintf '%9.2f%s<%-5s', $ratio, $ratio > $goal ? '!' : ' ', $goal;
}

# What the figures are figures of.
sub about
{
	return { server => $cluster->query('SELECT version()'), assertions => $cluster->query('SHOW debug_assertions'),
		count => $count, warm => $warm, rounds => $rounds, rows => $rows, load => (split ' ', slurp_file('/proc/loadavg'))[1] };
}

sub report
{
	my (@summaries) = @_;
	my @columns = (@peers, 'trip', 'floor');
	my @ratios = qw(tessera_to_plain tessera_to_floor alone_to_plain);
	my $json = JSON::PP->new->canonical;
	my @lines = map { $json->encode($_) } about(), @summaries;

	note 'time: CPU of all server processes, microseconds a transaction: medians';
	note sprintf "time: %-34s" . '%9s' x @columns . '%9s' . '%9s       ' x 3 . '%9s', '', @columns,
	  't/here', 't/plain', 't/floor', 'a/plain', 'trips';
	for my $i (0 .. $#summaries)
	{
		my $sum = $summaries[$i];
		note sprintf "time: %-34s%s%s%s%s", $cells[$i]{name},
		  join('', map { shown('%9.1f', $sum->{peers}{$_}{cpu_us}) } @columns),
		  shown('%9.1f', $sum->{peers}{tessera}{own_us}),
		  join('', map { ratio_shown($sum, $_) } @ratios),
		  shown('%9.1f', $sum->{round_trips});
	}
	note 'time: transactions a second, and latency in ms: medians';
	note sprintf "time: %-34s" . '%16s' x @peers, '', @peers;
	for my $i (0 .. $#summaries)
	{
		note sprintf "time: %-34s%s", $cells[$i]{name},
		  join '', map { my $p = $summaries[$i]{peers}{$_};
			  $p->{tps} ? sprintf('%9.0f%7.3f', $p->{tps}, $p->{latency_ms}) : sprintf('%16s', '-') } @peers;
	}
	note "time: $_" for @lines;
	return;
}

report(map { summary($_) } @cells);

# Nothing was lost: each transaction has left its trace in each peer.
for my $query (sort { $a cmp $b } keys %{ { map { $_->{changes} ? ($_->{changes} => 1) : () } values %workload } })
{
	my @writers = grep { ($_->{changes} // '') eq $query } values %workload;

	for my $name (qw(plain tessera alone))
	{
		my $expected = sum(0, map { $_->{done}{$name} // 0 } @writers);
		is($server{ $peer{$name}{at} }->query($query), $expected, "$name: $query");
	}
}

done_testing();
