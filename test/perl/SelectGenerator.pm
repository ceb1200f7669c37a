# SelectGenerator.pm - random SELECTs over the twins of test/differential that are
# hard to split over shards, the same for the same seed: joins of all types on keys,
# on other columns and on columns of reference tables; subqueries of all kinds; grouping,
# windows, set operations and limits with and without the key; whole rows.
#
# Results never depend on the order of rows, and no expression fails: which rows an
# expression is evaluated for is the planner's choice.
#
#   my @statements = SelectGenerator->new($seed)->statements($count);
package SelectGenerator;

use strict;
use warnings;
use parent 'StatementGenerator';

# Colocated tables in each family, then what is joined to them across shards.
my @families = (
	[qw(users orders order_items orders users products)],
	[qw(users orders user_totals grown_users categories notes)],
	[qw(posts follows filled key_int posts products)],
	[qw(posts follows filled categories notes key_bigint)],
	[qw(users posts orders follows products notes)],
	[qw(events key_text users key_ci posts)]);

sub chance { return rand() < $_[0]; }
sub pick { return $_[ int rand @_ ]; }

sub ints { return grep { $_->[1] eq 'int' } @_; }
sub texts { return grep { $_->[1] eq 'text' } @_; }

sub int_constant
{
	my ($self) = @_;
	return pick('$1', '$2') if $self->{params} && chance(0.5);
	return pick(0 .. 12, 7, 7, 24, 'NULL::int');
}

# An expression that does not fail.  $scope is what may be named.
sub safe_int
{
	my ($self, $depth, @scope) = @_;
	my @columns = ints(@scope);

	return $self->int_constant if !@columns || chance(0.05);
	my $column = pick(@columns)->[0];
	return $column if $depth <= 0 || chance(0.5);
	my $other = pick(@columns)->[0];
	return pick("$column % 5", "$column / 2", "COALESCE($column, $other)", "COALESCE($column, -1)",
		"CASE WHEN $column > 5 THEN $other ELSE $column END", "NULLIF($column, $other)",
		"GREATEST($column, $other)", "LEAST($column, 9)", "${column}::numeric + $other", "slow_twice(($column % 100)::int)",
		"${column} + volatile_one()::numeric", "($column IS NULL)::int", "num_nulls($column, $other)",
		$self->aggregate_query($depth - 1, @scope), $self->aggregate_query($depth - 1, @scope));
}

# A scalar subquery, mostly correlated, by the key or by another column.
sub aggregate_query
{
	my ($self, $depth, @outer) = @_;
	my ($from, @inner) = $self->from_clause($depth > 0 && chance(0.3) ? 1 : 0);
	my @columns = ints(@inner);

	return '7' unless @columns;
	my $column = pick(@columns)->[0];
	my $list = pick("max($column)", "min($column)", "count(*)", "count($column)", "sum($column)", "count(*) + 1",
		"COALESCE(sum($column), -5)", "avg($column)::numeric(20,4)", "count(DISTINCT $column)",
		"max($column) - min($column)", "bool_or($column > 3)::int", "count(*) FILTER (WHERE $column > 3)",
		"array_length(array_agg($column), 1)", "my_sum(($column % 50)::int)");
	my $where = $self->correlation(\@inner, \@outer);
	return "cardinality(ARRAY(SELECT $column FROM $from WHERE $where))" if chance(0.08);
	return "(SELECT $list FROM $from WHERE $where)";
}

# Equalities of inner with outer columns, and conditions of the inner ones.
sub correlation
{
	my ($self, $inner, $outer) = @_;
	my @conditions;

	for (1 .. pick(0, 1, 1, 1, 1, 2))
	{
		my @pair = ($self->column($inner), $self->column($outer));
		push @conditions, join pick(' = ', ' = ', ' = ', ' = ', ' < ', ' IS NOT DISTINCT FROM '), @pair if $pair[0] && $pair[1];
	}
	push @conditions, $self->test(0, @$inner) if !@conditions || chance(0.3);
	push @conditions, $self->test(0, @$inner, @$outer) if chance(0.1);
	# one level deeper, maybe over both
	push @conditions, $self->subquery_test(0, @$inner, chance(0.5) ? @$outer : ()) if chance(0.08) && ints(@$inner);
	return join ' AND ', @conditions;
}

# An int column, mostly a key.
sub column
{
	my ($self, $scope) = @_;
	my @all = ints(@$scope);
	my @keys = grep { $_->[2] } @all;

	return undef unless @all;
	return (@keys && chance(0.65) ? pick(@keys) : pick(@all))->[0];
}

# A condition.
sub test
{
	my ($self, $depth, @scope) = @_;
	my @ints = ints(@scope);
	my @texts = texts(@scope);

	return 'true' unless @ints;
	return join pick(' AND ', ' AND ', ' OR '), $self->test($depth - 1, @scope), $self->test($depth - 1, @scope)
	  if $depth > 0 && chance(0.25);
	my $column = $self->column(\@scope);
	my $kind = int rand 20;
	return "$column = " . $self->int_constant if $kind < 2;
	return "$column > " . pick(0 .. 5) if $kind < 4;
	return "$column % 3 = " . pick(0 .. 2) if $kind < 6;
	return "$column IS " . pick('', 'NOT ') . 'NULL' if $kind == 6;
	return "$column IN (7, 8, 9, " . $self->int_constant . ')' if $kind == 7;
	return "$column = " . pick(@ints)->[0] if $kind == 8;
	return "$column <> " . pick(@ints)->[0] if $kind == 9;
	return "COALESCE($column, 7) = 7" if $kind == 10;
	return "is_even(($column % 10)::int) IS NOT FALSE" if $kind == 11;
	return pick(@texts)->[0] . pick(" LIKE '%1%'", ' IS NOT NULL', " > 'c'", " = 'b1'", " <> ''") if $kind < 14 && @texts;
	return $self->subquery_test($depth, @scope) if $depth > 0;
	return "$column < " . pick(5 .. 30);
}

# EXISTS, IN, ANY, ALL, and comparisons with an aggregate.
sub subquery_test
{
	my ($self, $depth, @scope) = @_;
	my ($from, @inner) = $self->from_clause($depth > 1 && chance(0.3) ? 1 : 0);
	my $result = $self->column(\@inner);
	my $column = $self->column(\@scope);
	my $where = chance(0.75) ? ' WHERE ' . $self->correlation(\@inner, chance(0.6) ? \@scope : []) : '';
	my $kind = int rand 10;

	return pick('', 'NOT ') . "EXISTS (SELECT FROM $from$where)" if !$result || $kind < 3;
	return "$column " . pick('IN', 'IN', 'NOT IN', '= ANY', '<> ALL', '> ALL', '< ANY') . " (SELECT $result FROM $from$where)" if $kind < 6;
	return "($column, " . $self->column(\@scope) . ') ' . pick('IN', 'NOT IN') . " (SELECT $result, "
	  . $self->column(\@inner) . " FROM $from$where)" if $kind == 6;
	return "$column IN (SELECT $result FROM $from$where " . pick("GROUP BY $result", "ORDER BY $result LIMIT 3",
		"UNION SELECT " . $self->int_constant) . ')' if $kind == 7;
	return "$column " . pick('=', '>=', '<', '<>') . ' ' . $self->aggregate_query($depth - 1, @scope);
}

# Two derived tables whose first columns become one, or all that have a name in
# common: only the join's own name is left.
sub merged_join
{
	my ($self, $depth) = @_;
	my ($join, $kind) = ($self->name('j'), pick('INNER', 'LEFT', 'RIGHT', 'FULL'));
	my $natural = chance(0.2);
	my (@sides, @types);

	for my $prefix ('l', 'r')
	{
		my ($text, @scope) = chance(0.6) ? $self->SUPER::from_item(0) : $self->from_clause($depth - 1);
		my @list = map { $self->column(\@scope) // '7' } 1 .. 2;
		($text, my @columns) = chance(0.7) ? ("SELECT $list[0], $list[1] FROM $text", 'int', 'int') : $self->query($depth - 1);
		# columns that are merged have to be comparable
		($text, @columns) = ('SELECT a, a FROM generate_series(5, 9) ' . $self->name('g') . '(a)', 'int', 'int') if $columns[0] ne 'int';
		my $n = 0;
		push @sides, "($text) " . $self->name('m') . '(' . join(', ', map { $n++ ? "$prefix$n" : 'c1' } @columns) . ')';
		push @types, @types ? @columns[ 1 .. $#columns ] : @columns;
	}
	my $n = 0;
	my @scope = map { [ "$join.c" . ++$n, $_, $n == 1 ] } @types;
	my $on = $natural ? '' : ' USING (c1)';
	return ("($sides[0] " . ($natural ? 'NATURAL ' : '') . "$kind JOIN $sides[1]$on) AS $join(" . join(', ', map { "c$_" } 1 .. $n) . ')', @scope);
}

# FROM: a table, or a derived one.
sub from_item
{
	my ($self, $depth, @lateral) = @_;
	my ($query, @columns);

	return $self->merged_join($depth) if $depth > 0 && chance(0.08);
	if ($self->{ctes} && @{ $self->{ctes} } && chance(0.4))
	{
		my ($name, @types) = @{ pick(@{ $self->{ctes} }) };
		my $alias = $self->name('w');
		my $n = 0;
		return ("$name $alias", map { [ "$alias.c" . ++$n, $_, 0 ] } @types);
	}
	return $self->SUPER::from_item(0) if $depth <= 0 || chance(0.65);
	my $alias = $self->name('d');
	if (@lateral && chance(0.5))
	{
		my ($from, @inner) = $self->from_clause(0);
		my @list = map { $self->column(\@inner) // '1' } 1 .. 2;
		my $tail = pick('', '', ' ORDER BY 1, 2 LIMIT 2', ' GROUP BY 1, 2', ' OFFSET 0');
		$query = "SELECT " . join(', ', @list) . " FROM $from WHERE " . $self->correlation(\@inner, \@lateral) . $tail;
		return ("LATERAL ($query) $alias(c1, c2)", [ "$alias.c1", 'int', 1 ], [ "$alias.c2", 'int', 0 ]);
	}
	($query, @columns) = $self->query($depth - 1);
	my $n = 0;
	my @scope = map { [ "$alias.c" . ++$n, $_, $n == 1 ] } @columns;
	return ("($query) $alias(" . join(', ', map { "c$_" } 1 .. $n) . ')', @scope);
}

sub join_condition
{
	my ($self, $kind, $left, $right) = @_;
	my @pair = ($self->column($left), $self->column($right));
	my @keys = map { my ($key) = grep { $_->[2] } texts(@$_); $key ? $key->[0] : () } $left, $right;

	@pair = @keys if @keys == 2 && chance(0.7);
	return 'true' unless $pair[0] && $pair[1];
	my $text = "$pair[0] = $pair[1]";
	return $text if $kind eq 'FULL' || chance(0.6);
	return pick("$text AND " . $self->test(0, @$left, @$right), "$text AND " . $self->test(0, @$left),
		"$text AND " . $self->test(0, @$right), "$text AND " . ($self->column($left) // 1) . ' = ' . ($self->column($right) // 1));
}

# Joins of 1 to 4 tables, from the left or from the right.
sub from_clause
{
	my ($self, $depth) = @_;
	my ($text, @scope) = $self->from_item($depth);
	my $cross = 0;

	for (1 .. pick(0, 0, 1, 1, 1, $depth > 0 ? (1, 2, 2, 3) : 1))
	{
		my $kind = pick('INNER', 'INNER', 'LEFT', 'LEFT', 'RIGHT', 'FULL', 'CROSS');
		my ($item, @more) = $self->from_item($depth - 1, $kind =~ /INNER|LEFT/ ? @scope : ());

		$kind = 'INNER' if $kind eq 'CROSS' && $cross++;
		if ($kind eq 'CROSS')
		{
			# one side is small
			$item = "(VALUES (7), (8), (NULL)) " . (my $alias = $self->name('v')) . '(a)';
			@more = ([ "$alias.a", 'int', 0 ]);
			$text = "($text CROSS JOIN $item)";
		}
		elsif (chance(0.15) && $item !~ /^LATERAL/)
		{
			$text = "($item $kind JOIN $text ON " . $self->join_condition($kind, \@more, \@scope) . ')';
		}
		else
		{
			$text = "($text $kind JOIN $item ON " . $self->join_condition($kind, \@scope, \@more) . ')';
		}
		@scope = (@scope, @more);
	}
	return ($text, @scope);
}

sub where
{
	my ($self, $depth, @scope) = @_;
	return chance(0.6) ? ' WHERE ' . $self->test($depth, @scope) : '';
}

# A query, and the types of its columns.
sub query
{
	my ($self, $depth) = @_;
	my $kind = rand;

	return $self->set_operation($depth) if $kind < 0.12 && $depth > 0;
	return $self->grouped_query($depth) if $kind < 0.40;
	return $self->window_query($depth) if $kind < 0.52;
	return $self->distinct_on($depth) if $kind < 0.57;
	return $self->set_returning($depth) if $kind < 0.62;
	return $self->plain_query($depth);
}

# The end of a query, of which the order of rows may depend.
sub tail
{
	my ($self, $columns) = @_;
	my $all = join ', ', map { $_ . pick('', '', ' DESC', ' NULLS FIRST', ' DESC NULLS LAST') } 1 .. $columns;

	return '' if chance(0.65);
	return " ORDER BY $all" . pick('', ' LIMIT 5', ' LIMIT 20', ' LIMIT 3 OFFSET 2', ' OFFSET 4', ' FETCH FIRST 4 ROWS WITH TIES');
}

sub plain_query
{
	my ($self, $depth) = @_;
	my ($from, @scope) = $self->from_clause($depth);
	my @types = map { texts(@scope) && chance(0.25) ? 'text' : 'int' } 1 .. 1 + int rand 3;
	my @list = map { $_ eq 'int' ? $self->safe_int($depth, @scope) : pick(texts(@scope))->[0] } @types;

	$list[0] = $self->column(\@scope) if $types[0] eq 'int' && ints(@scope);
	return ('SELECT ' . (chance(0.2) ? 'DISTINCT ' : '') . join(', ', @list) . " FROM $from"
		  . $self->where($depth, @scope) . $self->tail(scalar @list), @types);
}

sub aggregate
{
	my ($self, @scope) = @_;
	my $column = $self->column(\@scope) // '1';
	my @texts = texts(@scope);
	my $filter = chance(0.2) ? ' FILTER (WHERE ' . $self->test(0, @scope) . ')' : '';

	return "string_agg(" . pick(@texts)->[0] . q{, ',' ORDER BY } . pick(@texts)->[0] . q{ COLLATE "C")} . '::text' if @texts == 1 && chance(0.1);
	return pick('count(*)', 'count(*)', "count($column)", "sum($column)", "min($column)", "max($column)",
		"avg($column)", "count(DISTINCT $column)", "sum(DISTINCT $column)", "bool_and($column > 2)",
		"array_agg($column ORDER BY $column)", "string_agg($column\::text, ',' ORDER BY $column\::text)",
		"my_sum(($column % 50)::int)", "bit_or(($column % 100)::int)", "variance(($column % 20)::int)",
		"percentile_disc(0.5) WITHIN GROUP (ORDER BY $column)", "jsonb_agg($column ORDER BY $column)",
		"every($column IS NOT NULL)", "array_agg(DISTINCT $column)") . $filter;
}

# As an int, for who takes it for one.
sub int_aggregate
{
	my ($self, @scope) = @_;
	my $column = $self->column(\@scope) // '1';
	my $filter = chance(0.2) ? ' FILTER (WHERE ' . $self->test(0, @scope) . ')' : '';

	# an aggregate of this level inside of a subquery
	return "(SELECT " . pick("max($column)", "count($column)", "sum($column) + min(y.category_id) * 0", "sum($column)") . " FROM categories y WHERE y.category_id = 2)"
	  if chance(0.08);
	return pick('count(*)', "count($column)", "sum($column)", "min($column)", "max($column)", "avg($column)",
		"count(DISTINCT $column)", "my_sum(($column % 50)::int)") . $filter;
}

sub grouped_query
{
	my ($self, $depth) = @_;
	my ($from, @scope) = $self->from_clause($depth);
	my $where = $self->where($depth, @scope);
	my @keys = ints(@scope) ? map { $self->column(\@scope) } 1 .. pick(0, 1, 1, 1, 2, 2) : ();
	my @values = map { $self->int_aggregate(@scope) } 1 .. pick(1, 1, 2);
	my @list = (@keys, @values);

	@keys = map { chance(0.15) ? "COALESCE($_, 7)" : chance(0.15) ? "$_ % 4" : $_ } @keys;
	@list = (@keys, @values);
	# a subquery for each group
	my @plain = map { [ $_, 'int', 1 ] } grep { /^[\w.]+$/ } @keys;
	push @list, $self->aggregate_query(0, @plain) if @plain && chance(0.15);
	my $text = 'SELECT ' . (chance(0.1) ? 'DISTINCT ' : '');
	my $by = join ', ', @keys;
	if (@keys && chance(0.25))
	{
		push @list, "grouping($by)";
		$by = pick("ROLLUP ($by)", "CUBE ($by)", 'GROUPING SETS ((' . join('), (', @keys) . '), ())', "GROUPING SETS (($by), ($by), ())");
	}
	$text .= join(', ', @list) . " FROM $from$where" . (@keys ? " GROUP BY $by" : '');
	$text .= ' HAVING ' . pick('count(*) > 1', 'true', 'sum(1) < 20', 'NOT count(*) FILTER (WHERE ' . $self->test(0, @scope) . ') > 2',
		@keys ? "$keys[0] > 3" : 'false', $self->int_aggregate(@scope) . ' IS NOT NULL') if chance(0.35);
	# core does not give one row WITH TIES of a minimum, nor sort by a second column
	# that equals the first, though a set may leave out one of them
	return ($text . (!@keys || $by =~ /\(.*,/ ? '' : $self->tail(scalar @list)), map { 'int' } @list);
}

sub window_query
{
	my ($self, $depth) = @_;
	my ($from, @scope) = $self->from_clause($depth);
	my ($part, $value) = map { $self->column(\@scope) // '1' } 1 .. 2;
	my $where = $self->where($depth, @scope);
	my $over = pick("PARTITION BY $part", "PARTITION BY $part ORDER BY $value", "ORDER BY $value", '',
		"PARTITION BY $part, $value", "PARTITION BY $part ORDER BY $value DESC RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
		"PARTITION BY $part ORDER BY $value ROWS 2 PRECEDING");
	my $call = pick("count(*)", "sum($value)", "rank()", "dense_rank()", "max($value)", "lag($value)", "count(*) FILTER (WHERE $value > 3)");

	# what depends on the order of equal rows is only shown with what they are equal in
	$over = "PARTITION BY $part ORDER BY $value" if $call =~ /lag/;
	my $text = "SELECT $part, $value, $call OVER ($over) FROM $from$where";
	return ($text . $self->tail(3), 'int', 'int', 'int') if chance(0.7);
	return ("SELECT $part, sum(count(*)) OVER (" . pick("ORDER BY $part", '') . "), rank() OVER (ORDER BY count(*), $part) FROM $from$where GROUP BY $part"
		  . $self->tail(3), 'int', 'int', 'int');
}

sub distinct_on
{
	my ($self, $depth) = @_;
	my ($from, @scope) = $self->from_clause($depth);
	my ($one, $two) = map { $self->column(\@scope) // '1' } 1 .. 2;

	return ("SELECT DISTINCT ON ($one) $one, $two FROM $from" . $self->where($depth, @scope)
		  . " ORDER BY $one, $two" . pick('', ' DESC') . pick('', ' LIMIT 6'), 'int', 'int');
}

sub set_returning
{
	my ($self, $depth) = @_;
	my ($from, @scope) = $self->from_clause($depth);
	my ($one, $two) = map { $self->column(\@scope) // '1' } 1 .. 2;

	return pick(["SELECT $one, generate_series(1, ($two % 3)::int) FROM $from" . $self->where(0, @scope), 'int', 'int'],
		["SELECT $one, unnest(ARRAY[$two, 7]) FROM $from" . $self->where(0, @scope) . ' ORDER BY 1, 2 LIMIT 9', 'int', 'int'],
		["SELECT DISTINCT $one, generate_series(1, 2) FROM $from", 'int', 'int'],
		["SELECT $one, generate_series(1, 2), count(*) FROM $from GROUP BY $one", 'int', 'int', 'int'],
		["SELECT generate_series(1, 2), count(*) FROM $from GROUP BY 1", 'int', 'int'],
		["SELECT count(*), generate_series(1, 2) FROM $from", 'int', 'int'])->@*;
}

sub set_operation
{
	my ($self, $depth) = @_;
	my $columns = pick(1, 2, 2);
	my @arms = map {
		my ($from, @scope) = $self->from_clause($depth - 1);
		my @list = map { ($self->column(\@scope) // '7') . '::numeric' } 1 .. $columns;
		s/::numeric// for grep { chance(0.7) } @list;
		my $arm = 'SELECT ' . (chance(0.1) ? 'DISTINCT ' : '') . join(', ', @list) . " FROM $from" . $self->where($depth - 1, @scope);
		chance(0.1) ? "($arm ORDER BY " . join(', ', 1 .. $columns) . ' LIMIT 7)' : $arm
	} 1 .. pick(2, 2, 2, 3);
	my $text = shift @arms;
	$text .= ' ' . pick('UNION', 'UNION ALL', 'UNION ALL', 'INTERSECT', 'INTERSECT ALL', 'EXCEPT', 'EXCEPT ALL') . " $_" for @arms;
	return ($text . $self->tail($columns), map { 'int' } 1 .. $columns);
}

# Aggregates that are combined beside those that see values, in groups and grouping
# sets, mostly of what is one fragment.
sub split_query
{
	my ($self, $depth) = @_;
	my ($from, @scope) = chance(0.5) ? $self->SUPER::from_item(0) : $self->from_clause($depth);
	my @ints = ints(@scope) or return "SELECT count(*) FROM $from";
	my @keys = map { pick(map { $_->[0] } @scope) } 1 .. pick(0, 1, 2, 2, 3);
	my @list = map {
		my $column = chance(0.5) ? $self->column(\@scope) : pick(@ints)->[0];
		my $filter = chance(0.2) ? ' FILTER (WHERE ' . $self->test(0, @scope) . ')' : '';
		pick('count(*)', "count($column)", "sum($column)", "avg($column)", "max($column)", "variance(($column % 20)::int)",
			"my_sum(($column % 50)::int)", "bool_or($column > 7)", "count(DISTINCT $column)", "sum(DISTINCT $column)",
			"count(DISTINCT $column % 3)", "array_agg(DISTINCT $column)", "count(DISTINCT " . pick(map { $_->[0] } @scope) . ')') . $filter;
	} 1 .. pick(1, 2, 3, 4);

	@keys = map { my $key = $_; chance(0.2) && (grep { $_->[0] eq $key } @ints) ? "$key % 3" : $key } @keys;
	my $all = join ', ', @keys;
	my $by = $all;
	if (@keys && chance(0.6))
	{
		push @list, "grouping($all)", chance(0.3) ? $keys[0] : ();
		$by = pick("ROLLUP ($all)", "CUBE ($all)", 'GROUPING SETS ((' . join('), (', @keys) . "), ($all), ())",
			"ROLLUP ($keys[0]), CUBE ($all)", "GROUPING SETS ($keys[0], ($all))", "GROUPING SETS (ROLLUP ($all), ())");
	}
	my $having = chance(0.3) ? ' HAVING ' . pick('count(*) > 1', "count(DISTINCT $ints[0]->[0]) < 5", "sum($ints[0]->[0]) > 20") : '';
	return 'SELECT ' . join(', ', @keys, @list) . " FROM $from" . $self->where($depth, @scope)
	  . (@keys ? " GROUP BY $by" : '') . $having;
}

# Chains of joins by a key of one name, of which the joins make one column.
sub using_query
{
	my ($self) = @_;
	my $n = 0;
	my ($from, @values);

	for (1 .. pick(2, 2, 3, 4))
	{
		my $filter = chance(0.3) ? 'user_id > ' . pick(3, 7, 15) : chance(0.3) ? 'user_id % 3 < 2' : 'true';
		my $table = pick(map { "(SELECT user_id, $_->[1] AS v" . ++$n . " FROM $_->[0] WHERE $filter) u$n" }
			['users', 'age'], ['users', 'age'], ['orders', 'order_id'], ['order_items', 'line'], ['order_items', 'order_id'],
			['user_totals', 'orders'], ['grown_users', 'age']);

		$table =~ /AS (v\d+)/ and push @values, $1;
		my $kind = pick(qw(INNER LEFT RIGHT FULL FULL FULL));
		$from = !defined $from ? $table : chance(0.2) ? "$table $kind JOIN ($from) USING (user_id)" : "$from $kind JOIN $table USING (user_id)";
	}
	my $value = pick(@values);
	my $where = chance(0.3) ? ' WHERE ' . pick('user_id = 7', 'user_id > 5', "$value > 3 OR user_id IS NULL",
		'EXISTS (SELECT FROM orders o WHERE o.user_id = user_id)', 'user_id IN (SELECT q.user_id FROM orders q WHERE q.order_id > 9)') : '';
	return pick("SELECT user_id, count(*), count($value), sum($value) FROM $from$where GROUP BY user_id",
		"SELECT DISTINCT user_id, $value FROM $from$where", "SELECT * FROM $from$where",
		"SELECT user_id, $value, count(*) OVER (PARTITION BY user_id), sum($value) OVER (PARTITION BY user_id) FROM $from$where",
		"SELECT q.*, o.total FROM (SELECT user_id, max($value) FROM $from$where GROUP BY user_id) q " . pick('', 'LEFT ') . "JOIN orders o USING (user_id)",
		"SELECT user_id FROM $from$where EXCEPT SELECT user_id FROM users WHERE age > 30");
}

# Rows as values: their fields and names must be the same.
sub whole_rows
{
	my ($self) = @_;
	my ($from, @scope) = $self->from_clause(1);
	my %aliases = map { $_->[0] =~ /^(\w+)\./ ? ($1 => 1) : () } @scope;
	# of a function of one column, an alias is its value
	my $alias = pick(grep { !/^g/ } sort keys %aliases) // return 'SELECT 1';
	my $column = $self->column(\@scope) // '1';

	return pick("SELECT row_to_json($alias) FROM $from" . $self->where(1, @scope),
		"SELECT $alias IS NULL, count($alias), count(*) FROM $from GROUP BY 1",
		"SELECT to_jsonb($alias), $column FROM $from" . $self->where(1, @scope),
		"SELECT $column, jsonb_agg($alias ORDER BY $alias\::text) FROM $from GROUP BY 1",
		"SELECT row_to_json(x) FROM (SELECT $column AS c, count(*) AS n FROM $from GROUP BY 1) x",
		"SELECT ROW($alias, $column)::text FROM $from" . $self->where(1, @scope));
}

# The outermost level: what only the client sees.
sub select_statement
{
	my ($self) = @_;
	my $kind = rand;
	my $depth = pick(0, 1, 1, 2, 2);

	$self->{ctes} = [];
	return $self->whole_rows if $kind < 0.07;
	if ($kind < 0.17)
	{
		my ($from, @scope) = $self->from_clause($depth);
		my @keys = map { $self->column(\@scope) // '1' } 1 .. pick(0, 1, 1, 2);
		my @list = (@keys, map { $self->aggregate(@scope) } 1 .. 3);
		return 'SELECT ' . join(', ', @list) . " FROM $from" . $self->where($depth, @scope)
		  . (@keys ? ' GROUP BY ' . join(', ', 1 .. @keys) : '');
	}
	return $self->split_query($depth) if $kind < 0.25;
	return $self->using_query if $kind < 0.29;
	return ($self->query($depth))[0] unless $kind < 0.47;
	my @with;
	for my $name (map { "cte$_" } 1 .. pick(1, 1, 2))
	{
		my ($query, @types) = $self->query(1);
		my $names = join ', ', map { "c$_" } 1 .. @types;
		push @with, "$name($names) AS " . pick('', '', 'MATERIALIZED ', 'NOT MATERIALIZED ') . "($query)";
		push @{ $self->{ctes} }, [ $name, @types ];
	}
	my ($text) = $self->query($depth);
	return 'WITH ' . join(', ', @with) . " $text";
}

# One, or one that is prepared and executed.
sub group
{
	my ($self) = @_;

	$self->{family} = pick(@families);
	$self->{params} = chance(0.06);
	my $statement = $self->select_statement . ';';
	return $statement unless $self->{params};
	my $name = $self->name('p');
	return ('SET plan_cache_mode = ' . pick('force_generic_plan', 'force_custom_plan') . ';',
		"PREPARE $name(int, int) AS $statement", (map { "EXECUTE $name($_);" } '7, 7', '8, 3', 'NULL, 7'), "DEALLOCATE $name;");
}

sub statements
{
	my ($self, $count) = @_;
	my @statements;

	while (@statements < $count)
	{
		push @statements, 'SET ' . pick(map { "enable_$_" } qw(hashjoin mergejoin nestloop material memoize hashagg sort))
		  . ' = ' . pick('on', 'on', 'off') . ';' if chance(0.02);
		# rows that are joined on nodes come in many loads, or in one
		push @statements, 'SET tessera.ship_limit = ' . pick(q{'1kB'}, q{'1kB'}, 'DEFAULT') . ';' if chance(0.02);
		push @statements, $self->group;
	}
	return @statements;
}

1;
