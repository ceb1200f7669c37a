
# pgbench, unmodified, over distributed tables: no error, and the books balance.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use TesseraCluster;
use Test::More;

my $SCALE = 10;
my $TRANSACTIONS = 25;    # of each of 8 clients
my $cluster = TesseraCluster->new(nodes => 3);
my $coordinator = $cluster->coordinator;

sub pgbench
{
	my ($name, @arguments) = @_;
	my ($out, $err) = run_command([ 'pgbench', '-h', $coordinator->host,
			'-p', $coordinator->port, @arguments, $TesseraCluster::DATABASE ]);
	my $wanted = $name =~ /^initial/ ? qr/^done in/m : qr/processed: 200\/200/;
	like("$out\n$err", $wanted, "$name: all done");
	unlike($err, qr/error|abort|fatal/i, "$name: no error");
}

pgbench('initialization', '-i', '-q', '-s', $SCALE);
$cluster->query(<<'SQL');
SELECT tessera.create_distributed_table('pgbench_accounts', 'aid');
SELECT tessera.create_distributed_table('pgbench_tellers', 'tid');
SELECT tessera.create_distributed_table('pgbench_branches', 'bid');
SELECT tessera.create_distributed_table('pgbench_history', 'tid');
SQL
$cluster->gives('SELECT count(*) FROM pgbench_accounts', $SCALE * 100000, 'accounts keep their rows');

# The first run begins with VACUUM and TRUNCATE, as pgbench does by itself;
# later ones keep the history.
my @keep;
for my $mode (qw(simple extended prepared))
{
	pgbench("tpcb-like, $mode", '-b', 'tpcb-like', '-M', $mode, '-c', 8, '-t', $TRANSACTIONS, @keep);
	@keep = ('-n');
	pgbench("select-only, $mode", '-b', 'select-only', '-M', $mode, '-c', 8, '-t', $TRANSACTIONS, @keep);
}
$cluster->gives(<<'SQL', '600|t|t|t', 'the books balance');
SELECT count(*), sum(delta) = (SELECT sum(abalance) FROM pgbench_accounts),
       sum(delta) = (SELECT sum(tbalance) FROM pgbench_tellers),
       sum(delta) = (SELECT sum(bbalance) FROM pgbench_branches)
FROM pgbench_history
SQL

# simple-update leaves tellers and branches alone.
for my $mode (qw(simple extended prepared))
{
	pgbench("simple-update, $mode", '-b', 'simple-update', '-M', $mode, '-c', 8, '-t', $TRANSACTIONS, '-n');
}
$cluster->gives(<<'SQL', '1200|t', 'the accounts balance');
SELECT count(*), sum(delta) = (SELECT sum(abalance) FROM pgbench_accounts) FROM pgbench_history
SQL

my $in_doubt = join ',', map { $_->query('SELECT count(*) FROM pg_prepared_xacts') }
  ($coordinator, map { $cluster->node($_) } 1 .. 3);
is($in_doubt, '0,0,0,0', 'no transaction stays prepared');

done_testing();
