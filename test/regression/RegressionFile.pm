# RegressionFile.pm - the statements of one of PostgreSQL's regression files,
# cut where psql would send them; a script that runs them after lines that mark
# them; what each of them gave.
package RegressionFile;

use strict;
use warnings;

# The pieces of a file, in order: { text, kind }.  kind is "query" (compared),
# "ddl" (run), "other" (run: settings, transactions, EXPLAIN ...) or "meta" (a
# command of psql).
sub statements_of
{
	my ($text) = @_;
	my (@statements, $buffer, $depth);

	$buffer = '';
	$depth = 0;
	for ($text)
	{
		while (!/\G\z/gc)
		{
			if (/\G--[^\n]*\n?/gc) { $buffer .= "\n" if $buffer =~ /\S/ }
			elsif (m{\G/\*.*?\*/}gcs) { $buffer .= ' ' }
			elsif (/\G[eE]'(?:[^'\\]|\\.|'')*'/gcs) { $buffer .= $& }
			elsif (/\G'(?:[^']|'')*'/gcs) { $buffer .= $& }
			elsif (/\G"(?:[^"]|"")*"/gcs) { $buffer .= $& }
			elsif (/\G\$(\w*)\$.*?\$\1\$/gcs) { $buffer .= $& }
			elsif (/\GBEGIN\s+ATOMIC\b.*?\bEND\b/gcsi) { $buffer .= $& }
			elsif (/\G\w+/gc) { $buffer .= $& }
			elsif (/\G\(/gc) { $buffer .= '('; $depth++ }
			elsif (/\G\)/gc) { $buffer .= ')'; $depth-- }
			elsif (/\G\\;/gc) { $buffer .= '\;' }
			elsif (/\G\\[^\n]*\n?/gc)
			{
				# alone, or at the end of what it sends
				push @statements, piece($buffer . $&);
				($buffer, $depth) = ('', 0);
			}
			elsif (/\G;/gc && $depth <= 0)
			{
				my $statement = "$buffer;";
				# the rows come with it
				$statement .= $& if $statement =~ /^\s*COPY\b.*\bFROM\s+STDIN\b/si
					&& /\G[^\n]*\n(?:.*?\n)?\\\.\n/gcs;
				push @statements, piece($statement);
				($buffer, $depth) = ('', 0);
			}
			else { /\G./gcs; $buffer .= $& }
		}
	}
	push @statements, piece("$buffer;") if $buffer =~ /\S/;
	return @statements;
}

sub piece
{
	my ($text) = @_;
	my $kind = 'other';

	$text =~ s/^\s+//;
	$text =~ s/\s+$//;
	if ($text =~ /^\\/)
	{
		$kind = 'meta';
	}
	# functions of the suite that return a plan
	elsif ($text =~ /\bexplain_\w+\(/i && $text !~ /^CREATE/i)
	{
		$kind = 'other';
	}
	elsif ($text =~ /^(?:SELECT|VALUES|WITH|TABLE|INSERT|UPDATE|DELETE|MERGE|EXECUTE|FETCH|COPY|\(|:)/i)
	{
		$kind = 'query';
	}
	elsif ($text =~ /^(?:CREATE|ALTER|DROP|TRUNCATE|GRANT|REVOKE|COMMENT|REINDEX|CLUSTER)\b/i)
	{
		$kind = 'ddl';
	}
	return { text => $text, kind => $kind };
}

# True if a table that is distributed has to be local for this.
sub is_table_ddl
{
	my ($text) = @_;

	return $text =~ /^(?:ALTER\s+TABLE|CREATE\s+UNIQUE|(?:CREATE|DROP)\s+(?:OR\s+REPLACE\s+)?(?:CONSTRAINT\s+)?(?:TRIGGER|RULE|POLICY))\b/i
	  || $text =~ /^CREATE\s+.*\b(?:INHERITS|REFERENCES|PARTITION\s+OF)\b/si;
}

# A script for psql.  help(statement) is a query to run before it, or undef, and
# after(statement) text to follow it; statements in skip, by number, are left out.
sub script
{
	my ($statements, $help, $skip, $after) = @_;
	my $script = "\\set ON_ERROR_ROLLBACK on\n\\set VERBOSITY verbose\n\\pset null '~'\n";

	for my $i (0 .. $#$statements)
	{
		my $statement = $statements->[$i];
		next if $skip->{$i} || $statement->{text} =~ /^\\d/;
		my $query = $help->($statement);
		$script .= "\\echo #### help\n$query;\n" if defined $query;
		$script .= "\\echo #### $i\n$statement->{text}\n";
		$script .= $after->($statement) if defined $after;
	}
	return $script . "\\echo #### end\n";
}

# What came out: ({ number => [lines] }, [notes of help]).  Notes about a
# statement's tables go to the key "touches".
sub outputs
{
	my ($text) = @_;
	my (%outputs, @notes, $current, $touches);

	for my $line (split /\n/, $text)
	{
		if ($line =~ /^#### (\w+)$/)
		{
			$current = $1;
			$outputs{$current} = [] unless $current eq 'help';
			$outputs{touches}{$current} = $touches if defined $touches && $current ne 'help';
			undef $touches if $current ne 'help';
			next;
		}
		next unless defined $current;
		if ($current eq 'help')
		{
			$touches = $1 if $line =~ /^@@ touches (\d+)/;
			push @notes, $1 if $line =~ /^@@ table (.*)/;
			push @notes, "help: $line" if $line =~ /ERROR:  (?!25P02)/;
			next;
		}
		next if $line =~ /^LOCATION: |^LINE \d+: |^\s*\^$/;
		push @{ $outputs{$current} }, $line =~ s/^psql:\S+ //r;
	}
	return (\%outputs, \@notes);
}

# SQLSTATE and message of the error in an output, or nothing.
sub error_of
{
	my ($lines) = @_;

	for my $line (@{ $lines // [] })
	{
		return ($1, $2) if $line =~ /^(?:ERROR|FATAL|PANIC):  (\w{5}): (.*)/;
		return ('lost', $line) if $line =~ /^(?:server closed the connection|connection to server was lost)/;
	}
	return;
}

# True if rows come in an order that the statement asks for.
sub is_ordered
{
	my ($text) = @_;

	$text =~ s/'(?:[^']|'')*'//g;
	1 while $text =~ s/\([^()]*\)//g;
	return $text =~ /\bORDER\s+BY\b/i;
}

# How the answers of a statement differ: '' (not), 'error', 'rows', 'order' (the
# same rows).  Floating point sums may differ in their last digits.
sub difference
{
	my ($text, $one, $other) = @_;
	my ($state) = error_of($one);
	my ($other_state) = error_of($other);

	if (defined $state || defined $other_state)
	{
		return ($state // '') eq ($other_state // '') ? '' : 'error';
	}
	my @one = map { rounded($_) } @{ $one // [] };
	my @other = map { rounded($_) } @{ $other // [] };
	return '' if join("\n", @one) eq join("\n", @other);
	return 'rows' if join("\n", sort @one) ne join("\n", sort @other);
	return is_ordered($text) ? 'order' : '';
}

sub rounded
{
	my ($line) = @_;

	$line =~ s/(?<![\w.])(-?\d+\.\d+(?:e[+-]?\d+)?)(?![\w.])/length($1) > 14 ? sprintf("%.12g", $1) : $1/ge;
	return $line;
}

1;
