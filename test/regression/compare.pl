# compare.pl [--permanent] FILE... - runs files of PostgreSQL's regression
# suite (names without .sql) over distributed tables, and compares each answer with
# plain PostgreSQL's.  Called by "compare", which starts the servers: what it needs
# is in the environment.  Writes FILE.differences and FILE.tables.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use RegressionFile;

my ($source, $out) = @ENV{qw(REGRESSION_SOURCE REGRESSION_OUT)};
my @ports = split ' ', $ENV{REGRESSION_PORTS};    # the coordinator, then the nodes
my $permanent = @ARGV && $ARGV[0] eq '--permanent' && shift @ARGV;
my @SETUP = qw(test_setup create_index create_aggregate create_misc);
my @CLASSES = qw(same undetermined different refused errors);
my (%total, %messages);

# What pg_regress sets.
$ENV{PGTZ} = 'PST8PDT';
$ENV{PGDATESTYLE} = 'Postgres, MDY';
$ENV{PG_ABS_SRCDIR} = $source;
my $OPTIONS = '-c intervalstyle=postgres_verbose -c statement_timeout=60s -c tessera.shard_count=4';

# psql's output, messages and rows in their order.
sub psql
{
	my ($port, $database, $script, $options) = @_;
	my $file = "$out/script.sql";

	open my $handle, '>', $file or die "$file: $!\n";
	print $handle $script;
	close $handle;
	local $ENV{PGOPTIONS} = "$OPTIONS " . ($options // '');
	return scalar `psql -X -A -t -h 127.0.0.1 -p $port -U postgres -d $database -f $file 2>&1 </dev/null`;
}

sub must
{
	my ($port, $database, $script) = @_;
	my $output;

	# a server that has crashed comes back
	for (1 .. 300)
	{
		$output = psql($port, $database, "\\set ON_ERROR_STOP on\n$script");
		last unless $output =~ /FATAL:  the database system is|Connection refused|server closed the connection/;
		select undef, undef, undef, 0.1;
	}
	die "$output\n" if $output =~ /(?:ERROR|FATAL):|error:/;
	return $output;
}

sub read_source
{
	my ($name) = @_;
	my $file = "$source/sql/$name.sql";

	open my $handle, '<', $file or die "$file: $!\n";
	local $/;
	return scalar <$handle>;
}

# The tables that all files use.
sub make_template
{
	must($ports[0], 'postgres', <<'SQL');
CREATE DATABASE regression_template TEMPLATE template0;
ALTER DATABASE regression_template SET bytea_output = 'hex';
ALTER DATABASE regression_template SET timezone_abbreviations = 'Default';
SQL
	psql($ports[0], 'regression_template', join "\n", map { read_source($_) } @SETUP);
	must($ports[0], 'regression_template', "\\i $FindBin::Bin/judge.sql\nVACUUM ANALYZE;\n");

	return;
}

# A new database, and no roles of another side; for "dist" also on the nodes.
sub make_database
{
	my ($side) = @_;

	for my $port ($side eq 'dist' ? @ports : $ports[0])
	{
		my $template = $port == $ports[0] ? 'regression_template' : 'template0';
		must($port, 'postgres', <<"SQL");
DROP DATABASE IF EXISTS plain WITH (FORCE);
DROP DATABASE IF EXISTS shuffled WITH (FORCE);
DROP DATABASE IF EXISTS dist WITH (FORCE);
SELECT format('DROP ROLE %I', rolname) FROM pg_roles WHERE rolname LIKE 'regress%' \\gexec
CREATE DATABASE $side TEMPLATE $template;
ALTER DATABASE $side SET bytea_output = 'hex';
\\c $side
GRANT ALL ON SCHEMA public TO public;
SQL
	}
	return unless $side eq 'dist';
	must($ports[0], 'dist', join "\n", 'CREATE EXTENSION tessera;',
		map { "SELECT tessera.add_node('node$_', '127.0.0.1', $ports[$_], 'dist');" } 1 .. $#ports);
	return;
}

# The outputs of one side, by statement, and the notes of its help: "plain", "dist",
# or "shuffled" with a salt.
sub run_side
{
	my ($side, $statements, $skip, $salt) = @_;
	my %help = (
		plain => sub { return; },
		shuffled => sub { return $_[0]{kind} eq 'query' ? help_query('shuffle', $_[0], ", '$salt'") : undef; },
		dist => sub {
			return help_query('distribute', $_[0]) if $_[0]{kind} eq 'query';
			return RegressionFile::is_table_ddl($_[0]{text}) ? help_query('withdraw', $_[0]) : undef;
		});
	my $options = $side eq 'shuffled' ? '-c enable_hashagg=off -c enable_hashjoin=off -c enable_indexscan=off' : '';

	make_database($side);
	return RegressionFile::outputs(
		psql($ports[0], $side, RegressionFile::script($statements, $help{$side}, $skip, $side eq 'dist' ? \&on_nodes : undef), $options));
}

# Roles are made on each server, as users of a cluster do; nothing else is.
sub on_nodes
{
	my ($statement) = @_;

	return '' unless $statement->{text} =~ /^(?:CREATE|ALTER|DROP)\s+(?:USER|ROLE|GROUP)\b[^'\\]*$/i;
	return join '', map { <<"END" } @ports[1 .. $#ports];
\\! psql -X -h 127.0.0.1 -p $_ -U postgres -d dist -c '$statement->{text}' >>'$out/nodes' 2>&1
END
}

sub help_query
{
	my ($function, $statement, $more) = @_;
	return sprintf 'SELECT judge.%s($judge$%s$judge$%s)', $function, $statement->{text}, $more // '';
}

# The class of each query that is not in class already: it ran on both sides.  Rows
# are shuffled until no difference is left, or all ways are tried.
sub classify
{
	my ($statements, $class, $plain, $dist) = @_;
	my %skip = %$class;
	my %different;

	for my $i (grep { !$skip{$_} && $statements->[$_]{kind} eq 'query' } 0 .. $#$statements)
	{
		my $difference = RegressionFile::difference($statements->[$i]{text}, $plain->{$i}, $dist->{$i});
		my ($state) = RegressionFile::error_of($dist->{$i});

		$class->{$i} = $difference eq '' ? 'same' : ($state // '') eq '0A000' ? 'refused' : 'different';
		$different{$i} = 1 if $class->{$i} eq 'different';
	}
	for my $salt ('reverse', 1 .. 7)
	{
		last unless %different;
		my ($shuffled) = run_side('shuffled', $statements, \%skip, $salt);
		for my $i (keys %different)
		{
			next if RegressionFile::difference($statements->[$i]{text}, $plain->{$i}, $shuffled->{$i}) eq '';
			$class->{$i} = 'undetermined';
			delete $different{$i};
		}
	}
	return;
}

sub compare
{
	my ($name) = @_;
	my $text = read_source($name);

	# a temporary table would stay local
	$text =~ s/\b(CREATE)\s+(?:LOCAL\s+)?TEMP(?:ORARY)?\b(?![^;]*\bON COMMIT\b)/$1/gi if $permanent;
	my @statements = RegressionFile::statements_of($text);
	my ($plain) = run_side('plain', \@statements, {});
	my ($dist, $notes) = run_side('dist', \@statements, {});

	# What failed there alone has changed nothing there, and is left out here.
	my %class;
	for my $i (0 .. $#statements)
	{
		my ($state) = RegressionFile::error_of($dist->{$i});
		next unless defined $state && !RegressionFile::error_of($plain->{$i});
		$class{$i} = $state eq '0A000' ? 'refused' : 'errors';
	}
	my %skip = %class;
	($plain) = run_side('plain', \@statements, \%skip) if %skip;
	classify(\@statements, \%class, $plain, $dist);

	my %report = map { $_ => '' } @CLASSES;
	for my $i (sort { $a <=> $b } keys %class)
	{
		$report{ $class{$i} } .= sprintf "==== %s, statement %d\n%s\n%s-- distributed\n%s\n",
		  $class{$i}, $i, $statements[$i]{text},
		  $skip{$i} ? '' : "-- plain\n" . lines($plain->{$i}), lines($dist->{$i});
		my ($state, $message) = RegressionFile::error_of($dist->{$i});
		$messages{ "$state $message" =~ s/"[^"]*"/"..."/gr }++ if $class{$i} =~ /refused|errors/;
	}
	write_file("$out/$name.differences", join '', @report{qw(different errors refused undetermined)});
	write_file("$out/$name.tables", join '', map { "$_\n" } changes($notes));
	return count($name, \@statements, \%class, $dist->{touches});
}

sub lines { return join '', map { "$_\n" } @{ $_[0] // ['nothing came'] }; }

# What is said again of the same table is left out.
sub changes
{
	my ($notes) = @_;
	my %last;

	return grep {
		my ($table) = /^(\S+)/;
		my $new = ($last{$table} // '') ne $_;
		$last{$table} = $_;
		$new;
	} @$notes;
}

sub count
{
	my ($name, $statements, $class, $touches) = @_;
	my %n = map { $_ => 0 } @CLASSES, 'statements', qw(statements touching touching_same others);

	for my $i (0 .. $#$statements)
	{
		$n{others}++ if defined $class->{$i} && $statements->[$i]{kind} ne 'query';
		next unless $statements->[$i]{kind} eq 'query';
		$n{statements}++;
		$n{ $class->{$i} }++;
		next unless $touches->{$i};
		$n{touching}++;
		$n{touching_same}++ if $class->{$i} eq 'same' || $class->{$i} eq 'undetermined';
	}
	$total{$_} += $n{$_} for keys %n;
	return line($name, \%n);
}

sub percent { return $_[1] ? sprintf '%.1f%%', 100 * $_[0] / $_[1] : '-'; }

sub line
{
	my ($name, $n) = @_;

	printf "%-16s%10d%10d%13d%10d%9d%8d%8s%10d%8s%8d\n", $name, @$n{ 'statements', @CLASSES },
	  percent($n->{same} + $n->{undetermined}, $n->{statements}),
	  $n->{touching}, percent($n->{touching_same}, $n->{touching}), $n->{others};
	return;
}

sub write_file
{
	my ($file, $text) = @_;

	open my $handle, '>', $file or die "$file: $!\n";
	print $handle $text;
	close $handle;
	return;
}

$| = 1;
make_template();
printf "%-16s%10s%10s%13s%10s%9s%8s%8s%10s%8s%8s\n", 'file', 'statements', @CLASSES, 'right', 'touching', 'right', 'others';
compare($_) for @ARGV;
line('all', \%total);
print "\nnot run:\n" if %messages;
printf "%6d %s\n", $messages{$_}, $_ for sort { $messages{$b} <=> $messages{$a} || $a cmp $b } keys %messages;
