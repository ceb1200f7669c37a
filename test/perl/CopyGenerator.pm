# CopyGenerator.pm - random inputs of COPY FROM, the same for the same seed: rows in text
# or csv with options, written in all the ways the format has, and some of them damaged in
# one place.
#
#   my $case = CopyGenerator->new($seed)->case;
#   # $case->{table}, {columns}, {options} (SQL), {input} (bytes), {damaged}
package CopyGenerator;

use strict;
use warnings;

# Tables, by name: columns, and how a value of each is made.  The distribution key is k.
our %TABLES = (
	plain => { definition => 'k int PRIMARY KEY, a text, at timestamptz, n numeric(8, 2)', columns => [qw(k a at n)] },
	late => { definition => q{a text, d date CHECK (d > '1900-01-01'), k text NOT NULL, twice text GENERATED ALWAYS AS (k || k) STORED, b bool DEFAULT true},
		columns => [qw(a d k)] },
	single => { definition => 'k varchar(12)', columns => ['k'] },
	documents => { definition => 'j jsonb, l int[], k bigint, t time', columns => [qw(j l k t)] });

my @words = ('', 'x', 'now', 'tomorrow', 'a b', "tab\there", "new\nline", "cr\rlf\r\n", 'back\\slash', '\\.', '\\N', 'N',
	'"', '""', q{'}, q{''}, ',', ',,', '|', 'é', '漢字', "\x01", 'null', ' ', 'end\\', '"quoted"', "\\\n", "it's");

my @formats = (
	{ options => '' },
	{ options => q{(DELIMITER '|', NULL '')}, delimiter => '|', null => '' },
	{ options => q{(NULL 'null', HEADER)}, null => 'null', header => 1 },
	{ options => '(HEADER match)', header => 1 },
	{ options => '(FORMAT csv)', csv => 1 },
	{ options => '(FORMAT csv, HEADER match)', csv => 1, header => 1 },
	{ options => q{(FORMAT csv, QUOTE '''', ESCAPE '\\', DELIMITER '|')}, csv => 1, quote => q{'}, escape => '\\', delimiter => '|' },
	{ options => q{(FORMAT csv, ESCAPE '\\', NULL 'null')}, csv => 1, escape => '\\', null => 'null' },
	{ options => q{(FORMAT csv, FORCE_NULL (%s), NULL 'x')}, csv => 1, null => 'x', first => 1 },
	{ options => q{(FORMAT csv, FORCE_NOT_NULL (%s))}, csv => 1, first => 1 });

sub new
{
	my ($class, $seed) = @_;
	return bless { state => $seed }, $class;
}

# A number below a limit; the same on every machine.
sub below
{
	my ($self, $limit) = @_;
	$self->{state} = ($self->{state} * 1103515245 + 12345) & 0x7fffffff;
	return int(($self->{state} >> 8) % $limit);
}

sub one_of { my ($self, @choices) = @_; return $choices[ $self->below(scalar @choices) ]; }

my %value_of = (
	a => sub { $_[0]->below(12) ? $_[0]->one_of(@words) . ($_[0]->below(3) ? '' : $_[0]->one_of(@words)) : undef },
	at => sub { $_[0]->one_of(undef, '2024-02-03 04:05:06+00', '2024-02-03 04:05:06', 'infinity', '-infinity', 'today',
		'Feb 3 2024 10:00 Europe/Paris', '2024-02-03T04:05:06Z', '2024-02-03 10:00 PST') },
	d => sub { $_[0]->one_of(undef, '2024-02-03', '20240203', '3 Feb 2024', '02/03/2024', 'tomorrow', 'infinity') },
	t => sub { $_[0]->one_of(undef, '10:00', '10:00:00.5', 'allballs', '10:00 PM') },
	n => sub { $_[0]->one_of(undef, '1.5', '100', '-3e2', 'NaN') },
	j => sub { $_[0]->one_of(undef, '{"a": "b\\nc", "d": [1, 2]}', '[]', '"now"', '{"quo\\"te": null}') },
	l => sub { $_[0]->one_of(undef, '{1,2}', '{}', '{NULL,3}') });

sub value
{
	my ($self, $table, $column, $row) = @_;

	return $value_of{$column}->($self) if $column ne 'k';
	return $row if $table eq 'plain' || $table eq 'documents';
	return substr($self->one_of(@words, 'key'), 0, 4) . $row if $table eq 'late';
	return $self->below(9) ? substr($self->one_of(@words), 0, 3) . $row : undef;
}

my %escapes = ("\n" => '\\n', "\r" => '\\r', "\t" => '\\t', '\\' => '\\\\');

sub text_field
{
	my ($self, $format, $value) = @_;
	my $delimiter = $format->{delimiter} // "\t";
	my $null = $format->{null} // '\\N';

	return $null unless defined $value;
	# the one NULL that is written without a backslash
	return $null eq '' ? '\\x78' : '\\' . $value if $value eq $null && $null ne '\\N';
	my $written = '';
	for my $c (split //, $value)
	{
		if ($c eq $delimiter && $c ne "\t") { $written .= "\\$c"; }
		elsif ($escapes{$c} && ($c ne "\n" || $self->below(2))) { $written .= $escapes{$c}; }
		elsif ($c eq "\n") { $written .= "\\\n"; }
		elsif ($c =~ /[A-Z ]/ && !$self->below(20)) { $written .= sprintf '\\%03o', ord $c; }
		else { $written .= $c; }
	}
	return $written;
}

sub csv_field
{
	my ($self, $format, $value) = @_;
	my $delimiter = $format->{delimiter} // ',';
	my $quote = $format->{quote} // '"';
	my $escape = $format->{escape} // $quote;
	my $null = $format->{null} // '';

	return $null unless defined $value;
	if ($value ne $null && $value !~ /[\r\n\Q$delimiter$quote$escape\E]/ && $value !~ /^\\/ && $self->below(2))
	{
		# quotes may be anywhere
		return $value if $self->below(6) || length $value < 2;
		return substr($value, 0, 1) . $quote . substr($value, 1) . $quote;
	}
	$value =~ s/([\Q$quote$escape\E])/$escape$1/g;
	return "$quote$value$quote";
}

sub case
{
	my ($self, $rows) = @_;
	my $table = $self->one_of(sort keys %TABLES);
	my @columns = @{ $TABLES{$table}{columns} };
	my $format = $self->one_of(@formats);
	my $end = $self->one_of("\n", "\n", "\n", "\r\n", "\r");
	my $write = $format->{csv} ? \&csv_field : \&text_field;
	my $delimiter = $format->{delimiter} // ($format->{csv} ? ',' : "\t");
	my @lines;

	push @lines, join $delimiter, @columns if $format->{header};
	for my $row (1 .. $self->below($rows) + 1)
	{
		push @lines, join $delimiter, map { $write->($self, $format, $self->value($table, $_, $row)) } @columns;
	}
	# what is a newline after a backslash in text is no end of a line
	tr/\n/ / for $end eq "\n" || $format->{csv} ? () : @lines;
	my $input = join '', map { $_ . $end } @lines;
	$input =~ s/\Q$end\E\z// unless $self->below(4);
	$input .= "\\.$end" unless $self->below(8);
	my $damaged = $self->below(2);
	$self->damage(\$input, $delimiter) if $damaged;
	return {
		table => $table,
		columns => join(', ', @columns),
		options => $format->{options} =~ s/%s/$columns[0]/r,
		input => $input,
		damaged => $damaged };
}

# Takes, puts or changes some bytes in one place.
sub damage
{
	my ($self, $input, $delimiter) = @_;
	my $at = $self->below(length $$input);
	my $taken = $self->below(3) ? 0 : 1 + $self->below(3);
	my $put = $self->one_of('', 'x', $delimiter, "\n", "\r", "\r\n", '\\', '"', q{'}, "\0", "\xff", "\xc3", '\\.', "\n\\.\n",
		'"x', "$delimiter$delimiter", "\n\n", '9');

	substr($$input, $at, $taken) = $put;
	return;
}

1;
