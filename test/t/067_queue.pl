
# Several workers take rows from one queue, in each spelling: none of them fails,
# no row is taken twice, and none is left.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use TesseraCluster;
use Test::More;

my $CLIENTS = 6;
my $POPS = 10;    # of each client
my $ROWS = 3;     # of each pop
my $cluster = TesseraCluster->new(nodes => 2);
my $coordinator = $cluster->coordinator;
$cluster->query(<<'SQL');
CREATE TABLE jobs (id int PRIMARY KEY, rank int NOT NULL, state text NOT NULL DEFAULT 'new');
SELECT tessera.create_distributed_table('jobs', 'id', shard_count => 8);
CREATE TABLE taken (id int, client int);
SELECT tessera.create_distributed_table('taken', 'id', shard_count => 8);
CREATE TABLE here (id int, client int);
SQL

my $candidates = "SELECT id FROM jobs WHERE state = 'new' ORDER BY rank LIMIT $ROWS FOR UPDATE SKIP LOCKED";
my %spellings = (
	'USING a part of WITH' =>
	  "WITH j AS ($candidates), d AS (DELETE FROM jobs USING j WHERE jobs.id = j.id RETURNING jobs.id)
	   INSERT INTO taken SELECT id, :client_id FROM d",
	'IN' =>
	  "WITH d AS (DELETE FROM jobs WHERE id IN ($candidates) RETURNING id)
	   INSERT INTO here SELECT id, :client_id FROM d",
	'ANY of an array' =>
	  "WITH d AS (DELETE FROM jobs WHERE id = ANY (ARRAY($candidates)) RETURNING id)
	   INSERT INTO taken SELECT id, :client_id FROM d",
	'UPDATE ... FROM' =>
	  "WITH j AS ($candidates), u AS (UPDATE jobs SET state = 'taken' FROM j WHERE jobs.id = j.id RETURNING jobs.id)
	   INSERT INTO here SELECT id, :client_id FROM u",
	'a statement each' =>
	  "BEGIN;
	   SELECT quote_literal(coalesce(array_agg(id), '{}')) AS ids FROM ($candidates) j \\gset
	   DELETE FROM jobs WHERE id = ANY (:ids);
	   INSERT INTO taken SELECT id, :client_id FROM unnest(:ids::int[]) id;
	   COMMIT");

for my $spelling (sort keys %spellings)
{
	my $total = $CLIENTS * $POPS * $ROWS;
	my $script = PostgreSQL::Test::Utils::tempdir() . '/pop.sql';
	append_to_file("$script.new", $spellings{$spelling} . ";\n");
	rename "$script.new", $script or die $!;
	$cluster->query("TRUNCATE jobs, taken; TRUNCATE here");
	$cluster->query("INSERT INTO jobs SELECT i, i * 7919 % $total FROM generate_series(1, $total) i");
	my ($out, $err) = run_command([ 'pgbench', '-h', $coordinator->host, '-p', $coordinator->port,
			'-n', '-f', $script, '-c', $CLIENTS, '-t', $POPS, $TesseraCluster::DATABASE ]);
	like("$out\n$err", qr/processed: (\d+)\/\1/, "$spelling: all pops are done");
	unlike($err, qr/error|abort|fatal/i, "$spelling: no worker fails");
	$cluster->gives(<<"SQL", "$total|$total|0", "$spelling: each row is taken once, and none is left");
SELECT count(*), count(DISTINCT id), (SELECT count(*) FROM jobs WHERE state = 'new')
FROM (SELECT id FROM taken UNION ALL SELECT id FROM here) t
SQL
}

done_testing();
