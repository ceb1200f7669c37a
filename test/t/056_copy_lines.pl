# COPY FROM of text and csv gives what it gives for a local table: the same rows, or the
# same error with the same context. Inputs are random and often damaged (CopyGenerator); a
# table of one shard has the first of several errors as its error, as a local one has.
# TESS_SEED tries another seed, TESS_COPIES another number of inputs.
use strict;
use warnings;
use CopyGenerator;
use PostgreSQL::Test::Utils;
use TesseraCluster;
use Test::More;

my $cluster = TesseraCluster->new(nodes => 2);
my $folder = $PostgreSQL::Test::Utils::tmp_check;
my @twins = ('here', 'one', 'many');

for my $twin (@twins)
{
	my $count = $twin eq 'one' ? 1 : 5;

	$cluster->query("CREATE SCHEMA $twin");
	for my $table (sort keys %CopyGenerator::TABLES)
	{
		$cluster->query("CREATE TABLE $twin.$table ($CopyGenerator::TABLES{$table}{definition})");
		$cluster->query("SELECT tessera.create_distributed_table('$twin.$table', 'k', shard_count => $count)")
		  if $twin ne 'here';
	}
}

# What psql says to the script, without what only nodes say.
sub output
{
	my ($script) = @_;
	my ($out, $err);
	my $file = "$folder/script.sql";

	open my $handle, '>', $file or die "$file: $!";
	print $handle $script;
	close $handle;
	IPC::Run::run([ 'psql', '-XqAt', '-v', 'VERBOSITY=verbose', '-f', $file, '-d',
			$cluster->coordinator->connstr($TesseraCluster::DATABASE) ], '>', \$out, '2>&1');
	# schemas of twins and shards have other names
	$out =~ s/^(?:LOCATION|SCHEMA NAME): .*\n//mg;
	$out =~ s/\non node "node\d"$//mg;
	$out =~ s/^psql:\S*: //mg;
	return $out;
}

# The copies in a transaction each, as each twin has them.
sub script
{
	my ($twin, $cases, $from) = @_;
	my $script = "SET search_path = $twin;\n";

	for my $number (0 .. $#$cases)
	{
		my $case = $cases->[$number];
		my $source = sprintf $from, "$folder/copy$number";

		$script .= "\\echo == $number\nBEGIN;\n"
		  . ($source =~ /^\\/ ? '\\copy' : 'COPY')
		  . " $case->{table} ($case->{columns}) FROM " . ($source =~ s/^\\//r) . " $case->{options}"
		  . ($source =~ /^\\/ ? "\n" : ";\n")
		  . "SELECT '<' || t::text || '>' FROM $case->{table} t ORDER BY t::text COLLATE \"C\";\nROLLBACK;\n"
		  . "SELECT count(*) FROM $case->{table};\n";
	}
	return $script;
}

sub answers
{
	my ($twin, $cases, $from) = @_;
	my (undef, @answers) = split /^== \d+\n/m, output(script($twin, $cases, $from));
	return @answers;
}

# The line that an error is about; '' if there is none.
sub line { return $_[0] =~ /^(?:CONTEXT:  )?COPY \w+, line (\d+)/m ? $1 : ''; }

my ($succeeded, $failed, $other) = (0, 0, 0);

sub compare
{
	my ($name, $cases, $from) = @_;
	my @differences;

	for my $number (0 .. $#$cases)
	{
		my $file = "$folder/copy$number";
		open my $handle, '>:raw', $file or die "$file: $!";
		print $handle $cases->[$number]{input};
		close $handle;
	}
	my %answers = map { $_ => [ answers($_, $cases, $from) ] } @twins;
	for my $number (0 .. $#$cases)
	{
		my ($here, $one, $many) = map { $answers{$_}[$number] } @twins;
		my $fails = $here =~ /^ERROR:/m;

		$fails ? $failed++ : $succeeded++;
		push @differences, "$cases->[$number]{table} $cases->[$number]{options}\n-- input\n$cases->[$number]{input}\n-- here\n$here\n-- one\n$one"
		  if $here ne $one;
		if ($fails && $many =~ /^ERROR:/m && line($many) ne line($here))
		{
			# several lines are wrong
			$other++;
			next;
		}
		push @differences, "$cases->[$number]{table} $cases->[$number]{options}\n-- input\n$cases->[$number]{input}\n-- here\n$here\n-- many\n$many"
		  if $here ne $many;
	}
	is(scalar @differences, 0, "$name: no differences");
	diag(substr join("\n=====\n", @differences[ 0 .. ($#differences > 2 ? 2 : $#differences) ]), 0, 6000) if @differences;
	return;
}

my $seed = $ENV{TESS_SEED} // 1;
my $copies = $ENV{TESS_COPIES} // 160;
my $generator = CopyGenerator->new($seed);

compare("seed $seed, files", [ map { $generator->case(12) } 1 .. $copies ], q{'%s'});
compare("seed $seed, the client", [ map { $generator->case(12) } 1 .. $copies / 2 ], q{\\'%s'});
# larger than the buffer that an input is read into
compare("seed $seed, long files", [ map { $generator->case(6000) } 1 .. $copies / 20 ], q{'%s'});
compare("seed $seed, a program", [ map { $generator->case(6000) } 1 .. $copies / 50 ], q{PROGRAM 'cat %s'});

# What has a meaning of its own where it stands: a backslash that nothing follows, and a
# NULL that is written as a date is.
my @ends = map { my $input = $_; map { { %$_, input => "$_->{first}$input" } } (
		{ table => 'single', columns => 'k', options => '', first => "first\n" },
		{ table => 'single', columns => 'k', options => q{(NULL 'a')}, first => '' },
		{ table => 'late', columns => 'd, k', options => '', first => "today\tx\n\\N\t" }) }
	('\\', 'a\\', 'a\\\\', "a\\\n", 'a\\\\\\');
push @ends, map { { table => 'plain', columns => 'k, at', options => "(NULL '$_')", input => "1\tInfinity\n2\tinfinity\n3\t-INFINITY\n" } }
  ('infinity', '-infinity');
compare('ends and NULLs', \@ends, q{'%s'});

# Rows in binary: those of the local twin, and the same with a byte or two that are others.
my @binary;
for my $table ('plain', 'documents')
{
	my $values = { plain => q{i, 'row ' || i, now() + i * interval '1 h', i * 0.25},
		documents => q{jsonb_build_object('n', i), ARRAY[i, NULL], i, '10:00'} }->{$table};
	my $file = "$folder/$table.binary";

	$cluster->query("BEGIN; INSERT INTO here.$table SELECT $values FROM generate_series(1, 3000) i; COPY here.$table TO '$file' (FORMAT binary); ROLLBACK");
	my $rows = PostgreSQL::Test::Utils::slurp_file($file);
	for my $number (0 .. $copies / 20)
	{
		my $input = substr($rows, 0, $number % 2 ? 400 : length $rows);
		my $at = $generator->below(length $input);

		substr($input, -200) = substr($rows, -2) if $number % 2 == 0 && $generator->below(2);
		substr($input, $at, 1) = chr $generator->below(256) if $number > 0;
		push @binary, { table => $table, columns => join(', ', @{ $CopyGenerator::TABLES{$table}{columns} }), options => '(FORMAT binary)', input => $input };
	}
}
# an error of a row that is found on a node, before one of the next row's key
{
	my $file = "$folder/late.binary";

	$cluster->query("COPY (VALUES ('a', date '1800-01-01', 'x1', true), ('b', '2024-01-01', 'x2', true)) TO '$file' (FORMAT binary)");
	my $rows = PostgreSQL::Test::Utils::slurp_file($file);
	$rows =~ s/x2/\xff2/;
	push @binary, { table => 'late', columns => 'a, d, k, b', options => '(FORMAT binary)', input => $rows };
}
compare("seed $seed, binary", \@binary, q{'%s'});

note "$succeeded succeeded, $failed failed, of which $other with another line of several";
cmp_ok($succeeded, '>', 0.3 * $copies, 'many succeeded');
cmp_ok($failed, '>', 0.3 * $copies, 'and many failed');
cmp_ok($other, '<', 0.2 * $failed, 'mostly with the same line');

done_testing();
