# The same statements over local tables and over distributed ones, with the same
# rows, give the same: test/differential has the tables and the statements,
# test/perl/Differential.pm runs and compares them.
# Takes a minute: there are thousands of them.
use strict;
use warnings;
use FindBin;
use Differential;
use PostgreSQL::Test::Utils;
use SelectGenerator;
use StatementGenerator;
use TesseraCluster;
use Test::More;

my $folder = "$FindBin::Bin/../differential";
my $cluster = TesseraCluster->new(nodes => 2);

sub load_twins
{
	$cluster->query(<<"SQL");
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS twin_dist, twin_local, twin_shadow, twin CASCADE;
\\i $folder/shared.sql
SET search_path = twin_local, twin;
\\i $folder/tables.sql
SET search_path = twin_dist, twin;
\\i $folder/tables.sql
\\i $folder/distribute.sql
SQL
	return;
}

my $runner = Differential->new(
	sub {
		my ($script) = @_;
		my $file = "$PostgreSQL::Test::Utils::tmp_check/script.sql";
		my ($out, $err);

		PostgreSQL::Test::Utils::append_to_file($file, '');
		open my $handle, '>', $file or die "$file: $!";
		print $handle $script;
		close $handle;
		IPC::Run::run([ 'psql', '-X', '-A', '-t', '-v', 'ON_ERROR_STOP=0', '-f', $file,
			'-d', $cluster->coordinator->connstr($TesseraCluster::DATABASE) ],
			'>', \$out, '2>&1');
		return $out;
	});

# Each file begins with the same rows. Statements come with other constants too: plans
# that are shared by what should have plans of its own show as differences.
my $hits = 0;
for my $name ('select', 'fragments', 'application', 'session', 'more', 'keys', 'dml', 'changes', 'insert_select', 'trees', 'kinds')
{
	my @statements = $name eq 'keys' ? StatementGenerator::of_keys()
	  : Differential::statements_of("$folder/$name.sql");
	@statements = Differential::with_others(@statements);
	load_twins();
	my $differences = $runner->compare(\@statements);

	cmp_ok(scalar @statements, '>', 100, "$name: there are statements");
	is($differences, '', "$name: no differences");
	note sprintf('%s: %d hits', $name, $runner->hits);
	$hits += $runner->hits;
	for my $table ('categories', 'products')
	{
		$cluster->gives("SELECT count(DISTINCT result) FROM tessera.run_on_nodes("
			  . "'SELECT md5(string_agg(t::text, '','' ORDER BY t::text)) FROM twin_dist.$table t')",
			'1', "$name: copies of $table are alike");
	}
}

# Random ones: another seed is another test, TESS_SEED tries one.
my $seed = $ENV{TESS_SEED} // 1;
load_twins();
my @random = Differential::with_others(StatementGenerator->new($seed)->statements(1500));
is($runner->compare(\@random), '', "seed $seed: no differences");
note sprintf('%d hits', $runner->hits);
$hits += $runner->hits;
load_twins();
@random = Differential::with_others(SelectGenerator->new($seed)->statements(2500));
is($runner->compare(\@random), '', "seed $seed: no differences in SELECTs");
note sprintf('%d hits', $runner->hits);
$hits += $runner->hits;

cmp_ok($hits, '>', 50, 'plans were shared');

my $refused = $runner->refused;
for my $message (sort keys %$refused)
{
	note sprintf('refused %d times: %s', scalar @{ $refused->{$message} }, $message);
}
note sprintf('%d statements compared', $runner->compared);

done_testing();
