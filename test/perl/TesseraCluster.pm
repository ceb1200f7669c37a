
# TesseraCluster.pm - a coordinator and nodes for TAP tests, each a server of
# its own on the loopback.  What servers can do (start, stop, psql, safe_psql,
# background_psql, append_conf ...) is PostgreSQL::Test::Cluster's.
#
#   my $cluster = TesseraCluster->new(nodes => 3);
#   $cluster->query('SELECT ...');               # on the coordinator
#   $cluster->refused('SELECT 1/0', '22012', qr/division/, 'what it shows');
#   $cluster->node(1)->stop('immediate');
package TesseraCluster;

use strict;
use warnings;
use LoopbackProxy;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use TesseraClient;
use Test::More;

# The database that tests use, on the coordinator and on each node.
our $DATABASE = 'shop';

# new(nodes => N, conf => TEXT, node_conf => TEXT, add => 0, network => 1) -
# starts the coordinator and N nodes named node1 ... nodeN, creates the extension,
# and adds the nodes unless add is 0; with network, they are reached through a
# network that can be slowed down, silenced and cut (LoopbackProxy).
sub new
{
	my ($class, %params) = @_;
	my $self = bless { nodes => [] }, $class;

	$self->{coordinator} = TesseraServer->make('coordinator', $params{conf});
	for my $n (1 .. $params{nodes} // 2)
	{
		push @{ $self->{nodes} },
		  TesseraServer->make("node$n", $params{node_conf});
	}
	$self->{network} = LoopbackProxy->new(map { $_->port } @{ $self->{nodes} })
	  if $params{network};
	$self->query('CREATE EXTENSION tessera');
	if ($params{add} // 1)
	{
		$self->add_node($_) for 1 .. @{ $self->{nodes} };
	}
	return $self;
}

sub coordinator { return $_[0]->{coordinator}; }

# Node N, counted from 1.
sub node { return $_[0]->{nodes}[ $_[1] - 1 ]; }

# What lies between the coordinator and the nodes: a LoopbackProxy, or undef.
sub network { return $_[0]->{network}; }

sub add_node
{
	my ($self, $n) = @_;
	my $port = $self->network ? $self->network->port($n) : $self->node($n)->port;
	return $self->query(sprintf "SELECT tessera.add_node('%s', '%s', %d, '%s')",
		"node$n", $self->node($n)->loopback, $port, $DATABASE);
}

# The output of SQL on the coordinator; dies if a statement fails.  role => NAME
# connects as that role.
sub query
{
	my ($self, $sql, %params) = @_;
	return $self->{coordinator}->query($sql, %params);
}

# The same on node N.
sub node_query
{
	my ($self, $n, $sql, %params) = @_;
	return $self->node($n)->query($sql, %params);
}

# Locks what node N has of a table (in schema public), in a mode, until unlock_node.
# A prepared transaction keeps its locks without a session.
sub lock_node
{
	my ($self, $n, $table, $mode) = @_;

	$self->node_query($n, qq{
		BEGIN;
		SELECT format('LOCK TABLE %s IN $mode MODE', c.oid::regclass)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relname = '$table' AND n.nspname ~ '^public_[0-9]+\$' \\gexec
		PREPARE TRANSACTION 'holder';});
	return;
}

sub unlock_node
{
	my ($self, $n) = @_;
	return $self->node_query($n, "ROLLBACK PREPARED 'holder'");
}

# A psql on the coordinator that stays connected: see TesseraClient.
sub client
{
	my ($self, %params) = @_;
	return TesseraClient->new($self->{coordinator}->connstr($params{database} // $DATABASE));
}

# One test: SQL on the coordinator gives this output.
sub gives
{
	my ($self, $sql, $expected, $name, %params) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($self->query($sql, %params), $expected, $name);
}

# One test: SQL on the coordinator fails with this SQLSTATE, and its message
# (with detail and hint) matches.
sub refused
{
	my ($self, $sql, $sqlstate, $pattern, $name, %params) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $message = $self->{coordinator}->failure($sql, %params);
	return like($message, qr/^(psql:[^ ]* )?(ERROR|FATAL):  $sqlstate: .*$pattern/ms, $name);
}

# Waits until SQL on the coordinator answers 't'.
sub wait_for
{
	my ($self, $sql) = @_;
	return $self->{coordinator}->poll_query_until($DATABASE, $sql)
	  || die "never became true: $sql";
}

package TesseraServer;

use strict;
use warnings;
use parent -norequire, 'PostgreSQL::Test::Cluster';
use IPC::Run;
use PostgreSQL::Test::RecursiveCopy;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

# A started server with the database.
sub make
{
	my ($class, $name, $conf) = @_;
	my $self = $class->new($name);
	$self->init;
	$self->append_conf('postgresql.conf', $conf) if defined $conf;
	$self->start;
	$self->safe_psql('postgres', "CREATE DATABASE $TesseraCluster::DATABASE");
	return $self;
}

# In place of initdb: the data folder that the runner made.
sub init
{
	my ($self) = @_;
	my $template = $ENV{TESS_TEMPLATE}
	  or die "TESS_TEMPLATE is not set: use \"make test-tap\"";

	$ENV{PGUSER} = 'postgres';    # the template's superuser
	mkdir $self->backup_dir;
	mkdir $self->archive_dir;
	PostgreSQL::Test::RecursiveCopy::copypath($template, $self->data_dir);
	chmod 0700, $self->data_dir or die "chmod: $!";
	$self->append_conf('postgresql.conf', sprintf <<'CONF', $self->port, $self->host);
port = %d
unix_socket_directories = '%s'
fsync = off
restart_after_crash = off
log_statement = all
shared_buffers = 32MB
CONF
	return;
}

# Nodes are reached by TCP, as in real life.
sub loopback { return '127.0.0.1'; }

sub _connection
{
	my ($self, %params) = @_;
	my $connection = $self->connstr($params{database} // $TesseraCluster::DATABASE);
	$connection .= " user='$params{role}'" if defined $params{role};
	return $connection;
}

# The output of SQL; dies if a statement fails.
sub query
{
	my ($self, $sql, %params) = @_;
	return $self->safe_psql(undef, $sql, connstr => $self->_connection(%params));
}

# As the one that is inherited, but a server that is away when psql connects is no error:
# nothing is written to a psql that may have ended.
sub poll_query_until
{
	my ($self, $database, $sql, $expected) = @_;
	my $last = '';

	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		my ($out, $err) = ('', '');

		IPC::Run::run([ 'psql', '-XAt', '-d', $self->connstr($database), '-c', $sql ],
			'<', \undef, '>', \$out, '2>', \$err);
		chomp $out;
		return 1 if $out eq ($expected // 't') && $err eq '';
		$last = "$out\n$err";
		usleep(100_000);
	}
	diag "never became so: $sql\nlast: $last";
	return 0;
}

# The messages of SQL that fails, with SQLSTATEs; '' if it does not fail.
sub failure
{
	my ($self, $sql, %params) = @_;
	my ($status, $out, $err) = $self->psql(
		undef,
		"\\set VERBOSITY verbose\n$sql",
		connstr => $self->_connection(%params));
	return $status == 0 ? '' : $err;
}

1;
