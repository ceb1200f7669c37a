# Posts and users, kept together by their key: a trigger on posts keeps the number of
# posts, and the date of the last one, of each user right, while eight sessions write,
# roll back and delete, and nodes and sessions are killed.
# Takes 8 seconds, because it is the number of kills that counts.
# allow in server logs: was terminated by signal 9
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Utils;
use TesseraCluster;
use Test::More;
use Time::HiRes qw(time usleep);

my $cluster = TesseraCluster->new(
	nodes => 2,
	conf => "restart_after_crash = on\ntessera.recover_interval = 1s\nlog_statement = none\nmax_connections = 60\n",
	node_conf => "log_statement = none\nmax_connections = 60\nmax_prepared_transactions = 50\n");
my $coordinator = $cluster->coordinator;

$cluster->query(q{
	CREATE TABLE users (user_id bigint PRIMARY KEY, post_count int NOT NULL DEFAULT 0, last_post_date timestamptz);
	CREATE TABLE posts (user_id bigint REFERENCES users, post_id bigint, posted timestamptz DEFAULT now(), PRIMARY KEY (user_id, post_id));
	CREATE FUNCTION count_posts() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		IF TG_OP = 'INSERT' THEN
			UPDATE users SET post_count = post_count + 1, last_post_date = greatest(last_post_date, NEW.posted) WHERE user_id = NEW.user_id;
		ELSE
			UPDATE users SET post_count = post_count - 1 WHERE user_id = OLD.user_id;
		END IF;
		RETURN NULL;
	END $$;
	CREATE TRIGGER count_posts AFTER INSERT OR DELETE ON posts FOR EACH ROW EXECUTE FUNCTION count_posts();
	SELECT tessera.create_distributed_table('users', 'user_id', shard_count => 6);
	SELECT tessera.create_distributed_table('posts', 'user_id', colocate_with => 'users');
	INSERT INTO users SELECT i FROM generate_series(1, 20) i;});

# Users are taken in the order of their ids: no deadlocks.
my $file = $coordinator->basedir . '/post.sql';
append_to_file($file, <<'SQL');
\set a random(1, 10)
\set b random(11, 20)
\set id random(1, 1000000000)
\set what random(1, 5)
\if :what = 1
INSERT INTO posts VALUES (:a, :id);
\elif :what = 2
BEGIN;
INSERT INTO posts VALUES (:a, :id);
INSERT INTO posts VALUES (:b, :id);
COMMIT;
\elif :what = 3
BEGIN;
INSERT INTO posts VALUES (:a, :id);
SAVEPOINT s;
INSERT INTO posts VALUES (:b, :id);
ROLLBACK TO s;
COMMIT;
\elif :what = 4
BEGIN;
INSERT INTO posts VALUES (:a, :id), (:b, :id);
ROLLBACK;
\else
DELETE FROM posts WHERE user_id = :b AND post_id = (SELECT max(post_id) FROM posts WHERE user_id = :b);
\endif
SQL

my $going = $coordinator->basedir . '/going';
my $out = "$file.out";
append_to_file($going, '');
append_to_file($out, '');
my $load = IPC::Run::start([ 'sh', '-c', sprintf q{while [ -e '%s' ]; do pgbench --no-vacuum -T 2 -c 8 -f '%s' -h '%s' -p %d %s >>'%s' || sleep 0.1; done},
	  $going, $file, $coordinator->host, $coordinator->port, $TesseraCluster::DATABASE, $out ], '<', \undef, '2>', '/dev/null');

my @kills = (
	sub {
		my $pid = eval { $cluster->query(q{SELECT pid FROM pg_stat_activity
			WHERE application_name = 'pgbench' ORDER BY random() LIMIT 1}) };
		kill 'KILL', $pid if $pid;
	},
	sub { $cluster->node(1)->stop('immediate'); usleep(300_000); $cluster->node(1)->start; },
	sub {
		eval { $cluster->node_query(2, q{SELECT count(pg_terminate_backend(pid))
			FROM pg_stat_activity WHERE application_name = 'tessera'}) };
	},
	sub { $cluster->node(2)->stop('immediate'); $cluster->node(2)->start; });
foreach my $kill (@kills)
{
	usleep(1_200_000);
	$kill->();
}
usleep(2_500_000);    # a run without a kill at its end
unlink $going;
$load->finish;

$cluster->wait_for('SELECT true');
$cluster->gives(q{SELECT count(*) FROM users u WHERE
		post_count <> (SELECT count(*) FROM posts p WHERE p.user_id = u.user_id) OR
		last_post_date < (SELECT max(posted) FROM posts p WHERE p.user_id = u.user_id)},
	'0', 'each user has the count and the date of his posts');
like(slurp_file($out), qr/transactions actually processed: [1-9]/, 'posts were written');
for my $n (1 .. 2)
{
	ok( $cluster->node($n)->poll_query_until($TesseraCluster::DATABASE,
			'SELECT count(*) = 0 FROM pg_prepared_xacts'),
		"nothing stays prepared on node $n");
}

# DDL and its rollback, and a node that is away: nothing half done
my $triggers = q{SELECT count(*) FROM tessera.run_on_shards('posts', $$SELECT tgname FROM pg_trigger WHERE tgrelid = '%s'::regclass AND NOT tgisinternal$$) WHERE result <> ''};
$cluster->gives($triggers, '6', 'the trigger is in each shard');
$cluster->query('BEGIN; DROP TRIGGER count_posts ON posts; DROP FUNCTION count_posts; ROLLBACK');
$cluster->gives($triggers, '6', 'and there again after a rollback');
$cluster->node(2)->stop('immediate');
my ($result, $stdout, $stderr) = $coordinator->psql($TesseraCluster::DATABASE, 'DROP TRIGGER count_posts ON posts');
isnt($result, 0, 'it is not dropped while a node is away');
$cluster->node(2)->start;
$cluster->wait_for("SELECT ($triggers) = 6");
$cluster->gives($triggers, '6', 'it is there');
$cluster->query('INSERT INTO posts SELECT user_id, 0 FROM users');
$cluster->gives('SELECT sum(post_count) = (SELECT count(*) FROM posts) FROM users', 't', 'and works');

done_testing();
