# Differential.pm - runs the same statements in the schemas twin_local and
# twin_dist (test/differential) with psql, and compares what they give: rows in
# the order of a final ORDER BY, else as a multiset; command tags; SQLSTATE and
# message of errors.  What the distributed side refuses with 0A000 and a hint is
# counted, not wrong.
#
#   my $runner = Differential->new(sub { my ($script) = @_; ... output });
#   $runner->compare(\@statements);     # differences, as text
#   $runner->hits;                      # how many shared plans were found for that
package Differential;

use strict;
use warnings;

# run is called with a psql script, and returns its output, errors included, as
# psql -X -A -t -v ON_ERROR_STOP=0 writes them.
sub new
{
	my ($class, $run) = @_;
	return bless { run => $run, refused => {}, compared => 0, hits => 0 }, $class;
}

sub compared { return $_[0]->{compared}; }

# Statements of the last comparison that ran with a plan made for other constants.
sub hits { return $_[0]->{hits}; }

# What was refused: message => how often.
sub refused { return $_[0]->{refused}; }

# The statements of a file; each ends with ; at the end of a line.
sub statements_of
{
	my ($file) = @_;
	my (@statements, $text);

	open my $handle, '<', $file or die "$file: $!";
	while (my $line = <$handle>)
	{
		next if !defined $text && $line =~ /^\s*(--.*)?$/;
		$text = ($text // '') . $line;
		my $quotes = () = $text =~ /\$\$/g;
		next unless $line =~ /;\s*$/ && $quotes % 2 == 0;
		push @statements, $text =~ s/\s+$//r;
		undef $text;
	}
	close $handle;
	die "$file: the last statement does not end" if defined $text;
	return @statements;
}

# The statements, with every SELECT that compares something with numbers followed by
# one that has others there: the same ones for the same, so that what is bound to one
# shard stays so.
sub with_others
{
	return map {
		my $other = $_;
		/^\s*(SELECT|WITH)\b/ && !/\b(INSERT|UPDATE|DELETE|MERGE)\b/
		  && $other =~ s/((?:=|<>|<|>|<=|>=) )(\d+)\b(?!\.)/$1 . ($2 + 1)/ge ? ($_, $other) : ($_)
	} @_;
}

# The table that a statement changes, or undef.
sub target_of
{
	my ($sql) = @_;
	return undef if $sql =~ /^\s*(PREPARE|DECLARE|CREATE)/;
	return $1 if $sql =~ /\b(?:INSERT INTO|UPDATE|DELETE FROM|MERGE INTO|TRUNCATE|COPY)\s+(?:ONLY\s+)?(\w+)/
		&& $sql !~ /^\s*(SELECT|COPY.*TO STDOUT)/s;
	return undef;
}

# A psql script that runs statements in one twin, each after a line of its own,
# but for those to be skipped.
sub script
{
	my ($twin, $statements, $skip) = @_;
	my $script = "SET search_path = $twin, twin, public;\n\\set VERBOSITY verbose\n"
	  . "\\pset null '~'\nSET client_min_messages = warning;\n";

	for my $i (0 .. $#$statements)
	{
		my $target = target_of($statements->[$i]);
		next if $skip->{$i};
		$script .= "\\echo #### $i\n$statements->[$i]\n";
		$script .= "\\echo ## then $target holds\nTABLE $target;\n"
		  if defined $target && $target !~ /_users$/;
	}
	return $script . "\\echo #### end\n";
}

# The output of each statement, as a list of lines.
sub outputs
{
	my ($text) = @_;
	my @outputs;
	my $current;

	for my $line (split /\n/, $text)
	{
		if ($line =~ /^#### (\d+|end)$/)
		{
			return \@outputs if $1 eq 'end';
			$current = $outputs[$1] = [];
			next;
		}
		next unless defined $current;
		next if $line =~ /^LOCATION: |^LINE \d+: |^\s*\^$|^CONTEXT: |^(QUERY|STATEMENT): /;
		$line =~ s/^psql:\S+ //;
		# a node names types with their schema
		$line =~ s/\btwin\.// if $line =~ /^ERROR: /;
		$line =~ s/\btwin_(local|dist)\b/twin/g;
		push @$current, $line;
	}
	die "the session ended before its end: "
	  . join("\n", defined $current ? @$current : 'nothing came') . "\n";
}

sub is_ordered
{
	my ($sql) = @_;

	1 while $sql =~ s/\([^()]*\)//g;
	return $sql =~ /\bORDER BY\b/;
}

# One text to compare.
sub canonical
{
	my ($sql, $lines) = @_;
	my @parts = ([]);

	for my $line (@$lines)
	{
		push @parts, [] if $line =~ /^## /;
		push @{ $parts[-1] }, $line;
	}
	my $first = shift @parts;
	$first = [ sort @$first ] unless is_ordered($sql);
	# rows were asked for until the error came; details name columns otherwise
	my ($error) = grep { /^ERROR: / } @$first;
	# which row comes first may decide the value that an error names
	$error =~ s/"[^"]*"$/"..."/ if defined $error && $error =~ /^ERROR:  22/;
	$first = [$error] if defined $error;
	return join "\n", @$first, map { sort @$_ } @parts;
}

# True if a statement was refused, with a hint.  It is not run in the other
# twin, so that both stay the same.
sub refusal
{
	my ($self, $sql, $lines) = @_;
	my ($message) = map { /^ERROR:  0A000: (.*)/ ? $1 : () } @$lines;

	return 0 unless defined $message && grep { /^HINT: / } @$lines;
	push @{ $self->{refused}{ $message =~ s/"[^"]*"/"..."/gr } }, $sql;
	return 1;
}

# The differences, as text; '' if there are none.
sub compare
{
	my ($self, $statements) = @_;
	my @counted = (@$statements, 'SELECT hits FROM tessera.stat_plan_cache;');
	my $dist = outputs($self->{run}->(script('twin_dist', \@counted, {})));
	$self->{hits} = $dist->[-1][0];
	my %refused = map { $_ => $self->refusal($statements->[$_], $dist->[$_]) }
	  0 .. $#$statements;
	my $local = outputs($self->{run}->(script('twin_local', $statements, \%refused)));
	my $differences = '';

	for my $i (0 .. $#$statements)
	{
		my $sql = $statements->[$i];
		next if $refused{$i};
		my $here = canonical($sql, $local->[$i]);
		my $there = canonical($sql, $dist->[$i]);

		$self->{compared}++;
		next if $here eq $there;
		$differences .= "== $sql\n" . difference($here, $there) . "\n";
	}
	return $differences;
}

# Lines of only one side, at most 12 of each.
sub difference
{
	my ($here, $there) = @_;
	my (%here, %there, @lines);

	$here{$_}++ for split /\n/, $here;
	$there{$_}++ for split /\n/, $there;
	for my $line (sort keys %here)
	{
		push @lines, "- $line" if $here{$line} > ($there{$line} // 0);
	}
	splice @lines, 12 if @lines > 12;
	my @more = map { "+ $_" }
	  grep { $there{$_} > ($here{$_} // 0) } sort keys %there;
	splice @more, 12 if @more > 12;
	push @lines, @more;
	push @lines, '(another order)' unless @lines;
	return join "\n", @lines;
}

1;
