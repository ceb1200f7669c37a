# What it costs to plan a join of five colocated tables, with 4, 32 and 128
# shards, beside PostgreSQL's planning of the same join of plain tables.  Rounds
# alternate between all of them, so that other work of the machine hits each.
# "make bench" runs it.
use strict;
use warnings;
use TesseraCluster;
use Test::More;

my $rounds = 5;
my $plans = 200;
my $cluster = TesseraCluster->new(nodes => 2, conf => "autovacuum = off\n");
my %shards = (plain => 0, map { ("shards_$_" => $_) } 4, 32, 128);
my @tables = qw(users orders items payments events);
my %queries = (
	'rows by the key of all' => <<'SQL',
SELECT u.name, o.v, i.v, p.v, e.v FROM users u JOIN orders o USING (k) JOIN items i USING (k) JOIN payments p USING (k) JOIN events e USING (k)
WHERE u.v > 10 AND e.v < 100
SQL
	'groups' => <<'SQL',
SELECT u.name, count(*), sum(i.v), max(e.v) FROM users u JOIN orders o ON o.k = u.k JOIN items i ON i.k = o.k AND i.id = o.id
LEFT JOIN payments p ON p.k = o.k JOIN events e ON e.k = u.k WHERE o.v BETWEEN 3 AND 90 AND p.v IS NOT NULL GROUP BY u.name ORDER BY 2 DESC LIMIT 10
SQL
);

for my $schema (sort keys %shards)
{
	my $sql = "SET client_min_messages = warning;\nCREATE SCHEMA $schema;\nSET search_path = $schema;\n";

	for my $table (@tables)
	{
		$sql .= "CREATE TABLE $table (k int, id int, v int, name text, PRIMARY KEY (k, id));\n"
		  . "CREATE INDEX ON $table (v);\n";
		$sql .= "SELECT tessera.create_distributed_table('$table', 'k', "
		  . ($table eq 'users' ? "shard_count => $shards{$schema}, colocate_with => 'none'" : "colocate_with => 'users'")
		  . ");\n"
		  if $shards{$schema} > 0;
		$sql .= "INSERT INTO $table SELECT i / 5, i % 5, i % 120, 'n' || i % 50 FROM generate_series(1, 5000) i;\n";
	}
	$cluster->query($sql);
	$cluster->query("VACUUM (ANALYZE) " . join ', ', map { "$schema.$_" } @tables);
}

# What a plan takes by EXPLAIN, in ms: that of many which only a tenth stay below,
# so that what delays some of them is left out.
sub planning
{
	my ($schema, $query) = @_;
	return $cluster->query(<<"SQL");
SET search_path = $schema;
CREATE FUNCTION pg_temp.planning() RETURNS float8 LANGUAGE plpgsql AS \$\$
DECLARE
	plan json;
	times float8[];
BEGIN
	FOR i IN 1..$plans LOOP
		EXECUTE \$query\$EXPLAIN (SUMMARY, FORMAT JSON) $query\$query\$ INTO plan;
		times := times || (plan->0->>'Planning Time')::float8;
	END LOOP;
	RETURN (SELECT percentile_cont(0.1) WITHIN GROUP (ORDER BY t) FROM unnest(times) t);
END \$\$;
SELECT pg_temp.planning();
SQL
}

for my $name (sort keys %queries)
{
	my %sum;

	for my $round (1 .. $rounds)
	{
		$sum{$_} += planning($_, $queries{$name}) for keys %shards;
	}
	note sprintf "time: %s: ms a plan: %s", $name,
	  join ', ', map { sprintf '%s %.2f (%.2f times)', $_, $sum{$_} / $rounds, $sum{$_} / $sum{plain} } 'plain',
	  map { "shards_$_" } 4, 32, 128;
	like($cluster->query("SET search_path = shards_32; EXPLAIN $queries{$name}"), qr/Shards: 32 of 32/, "$name: all shards are asked");
}

done_testing();
