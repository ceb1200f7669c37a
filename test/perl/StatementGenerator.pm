# StatementGenerator.pm - random statements over the twins of test/differential,
# the same for the same seed.  They are valid, and their results do not depend on
# the order in which rows come: an ORDER BY that LIMIT follows names all columns,
# and an UPDATE never takes values from one of several rows that match.
#
#   my @statements = StatementGenerator->new($seed)->statements($count);
package StatementGenerator;

use strict;
use warnings;

# table => [ [columns of ints], [columns of texts], the key or '' ]
my %tables = (
	users => [ [qw(user_id age)], [qw(name)], 'user_id' ],
	orders => [ [qw(user_id order_id)], [qw(status note)], 'user_id' ],
	order_items => [ [qw(user_id order_id line product_id quantity)], [], 'user_id' ],
	posts => [ [qw(author post_id likes reply_to)], [qw(body)], 'author' ],
	follows => [ [qw(follower followee)], [], 'follower' ],
	filled => [ [qw(k v doubled)], [qw(w)], 'k' ],
	key_int => [ [qw(k v)], [qw(s)], 'k' ],
	key_bigint => [ [qw(k v)], [qw(s)], 'k' ],
	key_text => [ [qw(v)], [qw(k s)], 'k' ],
	key_ci => [ [qw(v)], [qw(s)], '' ],
	events => [ [qw(event_id)], [qw(tenant)], 'tenant' ],
	products => [ [qw(product_id category_id)], [qw(sku)], '' ],
	categories => [ [qw(category_id parent_id)], [qw(name)], '' ],
	notes => [ [qw(note_id user_id k)], [qw(body)], '' ],
	grown_users => [ [qw(user_id age)], [qw(name)], 'user_id' ],
	user_totals => [ [qw(user_id orders)], [qw(name)], 'user_id' ],
	guarded_users => [ [qw(user_id age)], [qw(name)], 'user_id' ]);

# Those that are often joined: colocated ones come in families.
my @families = (
	[qw(users orders order_items grown_users user_totals products)],
	[qw(posts follows filled key_int categories)],
	[qw(posts key_bigint users notes)],
	[ sort keys %tables ]);

# table => columns that may be set, and the columns of its unique key
my %changeable = (
	posts => [ [qw(likes reply_to)], [qw(author post_id)] ],
	follows => [ [], [qw(follower followee)] ],
	key_int => [ [], [qw(k v)] ],
	key_bigint => [ ['v'], undef ],
	filled => [ ['v'], undef ],
	notes => [ [qw(user_id k)], ['note_id'] ],
	orders => [ [], [qw(user_id order_id)] ],
	users => [ ['age'], ['user_id'] ]);

sub new
{
	my ($class, $seed) = @_;
	srand $seed;
	return bless { names => 0, pinned => 0, params => 0, family => $families[0] }, $class;
}

sub chance { return rand() < $_[0]; }
sub pick { return $_[ int rand @_ ]; }

sub name
{
	my ($self, $letter) = @_;
	return $letter . ++$self->{names};
}

# Expressions.  A scope is a list of columns: [text, 'int' or 'text', is key].
sub columns_of
{
	my ($type, @scope) = @_;
	return grep { $_->[1] eq $type } @scope;
}

sub int_constant
{
	my ($self) = @_;
	return pick('$1', '$2') if $self->{params} && chance(0.5);
	return 7 if chance($self->{pinned} ? 0.8 : 0.3);
	return pick(0 .. 12, -1, 24, 'NULL::int');
}

sub text_constant { return pick("'b1'", "'s1'", "'new'", "'user 7'", "''", "'acme'", "'bolt'", "'note 1'"); }

sub int_expression
{
	my ($self, $depth, @scope) = @_;
	my @columns = columns_of('int', @scope);

	return $self->int_constant if !@columns || chance(0.1);
	my $column = pick(@columns)->[0];
	return $column if $depth <= 0 || chance(0.6);
	my $inner = $self->int_expression($depth - 1, @scope);
	return pick(
		"$column + 1", "$inner - $column", "COALESCE($column, $inner)",
		"CASE WHEN $column > 5 THEN $inner ELSE $column END", "NULLIF($column, $inner)",
		"abs($column)", "GREATEST($column, $inner)", "slow_twice(${column}::int)",
		"$column + volatile_one()", "$column + stable_one()",
		chance(0.5) ? $self->scalar_query($depth - 1, @scope) : $column);
}

sub scalar_query
{
	my ($self, $depth, @scope) = @_;
	my ($from, @inner) = $self->from_item($depth);
	my ($column) = columns_of('int', @inner);

	return '7' unless $column;
	return sprintf '(SELECT %s(%s) FROM %s WHERE %s)', pick('max', 'min', 'count', 'sum'),
	  $column->[0], $from, $self->condition($depth - 1, \@inner, \@scope);
}

# A condition over the columns of scope; those of outer may be named too.
sub condition
{
	my ($self, $depth, $scope, $outer) = @_;
	my @all = (@$scope, chance(0.4) ? @{ $outer // [] } : ());
	my @keys = grep { $_->[2] && $_->[1] eq 'int' } @$scope;
	my @conditions;

	push @conditions, map { "$_->[0] = 7" } grep { chance(0.6) } @keys if $self->{pinned};
	if (@{ $outer // [] } && chance(0.6))
	{
		my @outer_keys = grep { $_->[1] eq 'int' && ($_->[2] || chance(0.3)) } @$outer;
		push @conditions, pick(@keys)->[0] . ' = ' . pick(@outer_keys)->[0] if @keys && @outer_keys;
	}
	push @conditions, $self->simple_condition($depth, @all) if !@conditions || chance(0.4);
	my $text = join ' AND ', @conditions;
	return $text if $depth <= 0 || chance(0.7);
	return pick("($text OR " . $self->condition($depth - 1, $scope, $outer) . ')', "NOT ($text)",
		"($text) IS NOT TRUE", "($text) IS TRUE");
}

sub simple_condition
{
	my ($self, $depth, @scope) = @_;
	my @ints = columns_of('int', @scope);
	my @texts = columns_of('text', @scope);

	return text_constant() . ' = ' . text_constant() unless @ints || @texts;
	if (@texts && (!@ints || chance(0.2)))
	{
		my $column = pick(@texts)->[0];
		return pick("$column = " . text_constant(), "$column LIKE '%1%'", "$column IS NULL",
			"$column <> " . text_constant(), "$column IN (" . text_constant() . ', ' . text_constant() . ')',
			"length($column) > 2", "$column || 'x' > 'n'");
	}
	my $column = pick(@ints)->[0];
	my ($one, $two) = map { $self->int_constant } 1 .. 2;
	my $kind = int rand 16;
	return "$column = $one" if $kind < 3;
	return "$column IN ($one, $two)" if $kind == 3;
	return "$column NOT IN ($one, $two)" if $kind == 4;
	return "$column BETWEEN $one AND $two + 5" if $kind == 5;
	return "$column IS NULL" if $kind == 6;
	return "$column = ANY (ARRAY[$one, $two])" if $kind == 7;
	return "$column IS NOT DISTINCT FROM $one" if $kind == 8;
	return "$column = " . $self->int_expression($depth, @scope) if $kind == 9;
	return "$column < " . $self->int_expression($depth, @scope) if $kind == 10;
	return 'is_even(' . $column . '::int)' if $kind == 11;
	return "($column, $one) = ($two, " . pick(@ints)->[0] . ')' if $kind == 12;
	return $self->subquery_condition($depth, $column, @scope) if $depth > 0;
	return "$column > $one";
}

sub subquery_condition
{
	my ($self, $depth, $column, @scope) = @_;
	my ($from, @inner) = $self->from_clause($depth - 1);
	my $where = $self->condition($depth - 1, \@inner, \@scope);
	my ($result) = columns_of('int', @inner);

	return pick('', 'NOT ') . "EXISTS (SELECT FROM $from WHERE $where)" if !$result || chance(0.5);
	return "$column " . pick('IN', 'NOT IN', '> ALL', '= ANY') . " (SELECT $result->[0] FROM $from WHERE $where)";
}

# FROM.  Each returns the text, and the columns it has.
sub from_item
{
	my ($self, $depth, @lateral) = @_;
	my $alias;

	if ($depth > 0 && chance(0.25))
	{
		$alias = $self->name('s');
		my $lateral = @lateral && chance(0.3);
		my ($query, @types) = $self->query($depth - 1, $lateral ? @lateral : ());
		my $n = 0;
		my @columns = map { [ "$alias.c" . ++$n, $_, $_ eq 'int' && chance(0.4) ] } @types;
		my $names = join ', ', map { "c$_" } 1 .. $n;
		return (($lateral ? 'LATERAL ' : '') . "($query) $alias($names)", @columns);
	}
	if (chance(0.05))
	{
		$alias = $self->name('v');
		return ("(VALUES (7, 'b1'), (8, NULL), (NULL, 's1')) $alias(a, b)", [ "$alias.a", 'int', 0 ], [ "$alias.b", 'text', 0 ]);
	}
	if (chance(0.05))
	{
		$alias = $self->name('g');
		return ("generate_series(5, 9) $alias(a)", [ "$alias.a", 'int', 0 ]);
	}
	my $table = pick(@{ $self->{family} });
	my ($ints, $texts, $key) = @{ $tables{$table} };
	$alias = $self->name('t');
	return ("$table $alias",
		(map { [ "$alias.$_", 'int', $_ eq $key ] } @$ints),
		(map { [ "$alias.$_", 'text', $_ eq $key ] } @$texts));
}

sub join_condition
{
	my ($self, $kind, $left, $right) = @_;
	my @left = columns_of('int', @$left);
	my @right = columns_of('int', @$right);

	return 'true' unless @left && @right;
	my @left_keys = grep { $_->[2] } @left;
	my @right_keys = grep { $_->[2] } @right;
	my $l = @left_keys && chance(0.8) ? pick(@left_keys) : pick(@left);
	my $r = @right_keys && chance(0.8) ? pick(@right_keys) : pick(@right);
	my $text = "$l->[0] = $r->[0]";
	return $text if $kind eq 'FULL' || chance(0.6);
	return "$text AND " . $self->condition(0, chance(0.5) ? $left : $right);
}

sub from_clause
{
	my ($self, $depth) = @_;
	my ($text, @scope) = $self->from_item($depth);
	my $joins = pick(0, 0, 1, 1, 1, 2, $depth > 0 ? 3 : 1);

	for (1 .. $joins)
	{
		my $kind = pick('INNER', 'INNER', 'LEFT', 'LEFT', 'RIGHT', 'FULL', ',');
		my ($item, @more) =
		  $self->from_item($depth - 1, $kind eq 'INNER' || $kind eq 'LEFT' ? @scope : ());
		if ($kind eq ',')
		{
			$text = "$text CROSS JOIN $item";
		}
		else
		{
			$text = "($text $kind JOIN $item ON " . $self->join_condition($kind, \@scope, \@more) . ')';
		}
		@scope = (@scope, @more);
	}
	return ($text, @scope);
}

# SELECT.  Returns the text, and the types of its columns.
sub query
{
	my ($self, $depth, @lateral) = @_;

	return $self->set_operation($depth) if $depth > 0 && !@lateral && chance(0.12);
	my ($from, @scope) = $self->from_clause($depth);
	my $where = chance(0.8) ? ' WHERE ' . $self->condition($depth, \@scope, \@lateral) : '';

	return $self->grouped($from, $where, @scope) if chance(0.25);
	my @types = map { @scope && columns_of('text', @scope) && chance(0.25) ? 'text' : 'int' } 1 .. 1 + int rand 3;
	my @list = map { $_ eq 'int' ? $self->int_expression($depth, @scope) : pick(columns_of('text', @scope))->[0] } @types;
	push @list, $self->window(@scope) and push @types, 'int' if chance(0.1);
	my $all = join ', ', 1 .. @list;
	my $distinct = chance(0.15) ? 'DISTINCT ' : '';
	my $text = 'SELECT ' . $distinct . join(', ', @list) . " FROM $from$where";
	$text .= " ORDER BY $all" . pick('', ' LIMIT 5', ' LIMIT 3 OFFSET 1') if chance(0.2);
	return ($text, @types);
}

sub window
{
	my ($self, @scope) = @_;
	my @ints = columns_of('int', @scope);

	return 'count(*) OVER ()' unless @ints;
	my ($part, $value) = (pick(@ints)->[0], pick(@ints)->[0]);
	return pick("count(*) OVER (PARTITION BY $part)", "sum($value) OVER (PARTITION BY $part)",
		"rank() OVER (ORDER BY $part)", "max($value) OVER (PARTITION BY $part ORDER BY $value)");
}

sub grouped
{
	my ($self, $from, $where, @scope) = @_;
	my @ints = columns_of('int', @scope);

	return ("SELECT count(*) FROM $from$where", 'int') unless @ints;
	my @keys = map { pick(@ints)->[0] } 1 .. pick(0, 1, 1, 2);
	my $value = pick(@ints)->[0];
	my $aggregate = pick('count(*)', "sum($value)", "min($value)", "count(DISTINCT $value)",
		"max($value) FILTER (WHERE $value < 20)", "my_sum(${value}::int)", "count($value)");
	my $text = 'SELECT ' . join(', ', @keys, $aggregate) . " FROM $from$where";
	my $by = @keys == 2 && chance(0.3) ? 'ROLLUP (' . join(', ', @keys) . ')' : join ', ', @keys;
	$text .= " GROUP BY $by" if @keys;
	$text .= ' HAVING count(*) > 1' if @keys && chance(0.3);
	return ($text, map { 'int' } @keys, 1);
}

sub set_operation
{
	my ($self, $depth) = @_;
	my @arms = map { my ($from, @scope) = $self->from_clause($depth - 1);
		'SELECT ' . $self->int_expression(0, @scope) . '::bigint' . " FROM $from WHERE "
		  . $self->condition($depth - 1, \@scope) } 1 .. 2;
	return (join(' ' . pick('UNION', 'UNION ALL', 'INTERSECT', 'EXCEPT', 'EXCEPT ALL') . ' ', @arms), 'int');
}

sub select_statement
{
	my ($self) = @_;
	my ($text) = $self->query(pick(0, 1, 1, 2));

	return $text unless chance(0.12);
	my ($first, @types) = $self->query(1);
	my $names = join ', ', map { "c$_" } 1 .. @types;
	my $hint = pick('', 'MATERIALIZED ', 'NOT MATERIALIZED ');
	return "WITH w($names) AS $hint($first) SELECT * FROM w JOIN ($text) x(d1) ON c1::text = d1::text";
}

# Changes.
sub change
{
	my ($self) = @_;
	my $kind = pick('UPDATE', 'UPDATE', 'DELETE', 'INSERT');
	my @choice = grep { my $table = $_; $changeable{$table} && grep { $table eq $_ } @{ $self->{family} } }
	  sort keys %changeable;
	my $table = pick(@choice);
	my ($set, $unique) = @{ $changeable{$table} };

	return $self->insert($table) if $kind eq 'INSERT' && $table =~ /^(posts|follows|key_int|key_bigint|notes)$/;
	$kind = 'DELETE' if !@$set || $kind eq 'INSERT';
	my ($ints, $texts, $key) = @{ $tables{$table} };
	my @scope = ((map { [ "$table.$_", 'int', $_ eq $key ] } @$ints), (map { [ "$table.$_", 'text', 0 ] } @$texts));
	my ($from, @more) = chance(0.4) ? $self->from_clause(pick(0, 0, 1)) : ();
	my $where = $self->condition(pick(0, 1, 1), [ @scope, @more ]);
	$where .= ' AND ' . $self->join_condition('FULL', \@scope, \@more) if $from && chance(0.8);
	my $returning = chance(0.4) ? ' RETURNING ' . join(', ', map { $_->[0] } @scope) : '';

	if ($kind eq 'DELETE')
	{
		return "DELETE FROM $table" . ($from ? " USING $from" : '') . " WHERE $where$returning";
	}
	my $assign = join ', ', map { "$_ = (" . $self->int_expression(pick(0, 1, 1), @scope) . ')::int % 1000' } @$set;
	return "UPDATE $table SET $assign" . ($from ? " FROM $from" : '') . " WHERE $where$returning";
}

sub insert
{
	my ($self, $table) = @_;
	my ($key, $other) = @{ { posts => [qw(author post_id)], follows => [qw(follower followee)], key_int => [qw(k v)],
			key_bigint => [qw(k v)], notes => [qw(k note_id)] }->{$table} };
	my ($query, @types) = $self->query(1);
	my $offset = pick(0, 0, 5000);
	my $source = "SELECT COALESCE((c1 % 1000)::int, 1), " . ($table eq 'notes' ? "row_number() OVER (ORDER BY c1)" :
		"COALESCE((c1 % 1000)::int, 1)") . " + $offset FROM ($query) s(c1)";
	my $conflict = $table eq 'key_bigint' ? '' : pick('', ' ON CONFLICT DO NOTHING');

	$conflict = " ON CONFLICT (author, post_id) DO UPDATE SET likes = 77, body = EXCLUDED.author || 'c' WHERE posts.likes < 6"
	  if $table eq 'posts' && chance(0.5);
	$conflict = pick(
		" ON CONFLICT (author, post_id) DO UPDATE SET likes = (SELECT count(*) FROM follows f WHERE f.follower < posts.author), body = EXCLUDED.author || (SELECT max(p.body) FROM posts p WHERE p.author = EXCLUDED.author)",
		" ON CONFLICT (author, post_id) DO UPDATE SET likes = posts.likes + volatile_one() WHERE posts.author IN (SELECT k FROM notes)",
		" ON CONFLICT (author, post_id) DO UPDATE SET (likes, body) = (SELECT max(note_id), min(body) || EXCLUDED.post_id FROM notes WHERE k = posts.author) WHERE EXISTS (SELECT FROM follows WHERE follower = EXCLUDED.author)")
	  if $table eq 'posts' && chance(0.4);
	$conflict = ' ON CONFLICT (follower, followee) DO UPDATE SET since = (SELECT max(posted) FROM posts WHERE author = follows.follower AND likes > volatile_one())'
	  if $table eq 'follows' && chance(0.4);
	$source =~ s/^SELECT/SELECT DISTINCT/ if $conflict && $table ne 'notes';
	return $self->select_statement if $types[0] eq 'text';
	return "INSERT INTO $table ($key, $other) $source$conflict RETURNING $key, $other";
}

# Some statements that belong together.
sub group
{
	my ($self) = @_;

	$self->{family} = pick(@families);
	$self->{pinned} = chance(0.5);
	$self->{params} = 0;
	my $kind = rand;
	if ($kind < 0.55)
	{
		return $self->select_statement . ';';
	}
	if ($kind < 0.75)
	{
		return ('BEGIN;', $self->change . ';', 'ROLLBACK;');
	}
	if ($kind < 0.92)
	{
		$self->{params} = 1;
		my $statement = chance(0.7) ? $self->select_statement : $self->change;
		my $name = $self->name('p');
		return ("SET plan_cache_mode = " . pick('force_generic_plan', 'force_custom_plan') . ';',
			"PREPARE $name(int, int) AS $statement;", 'BEGIN;',
			(map { ('SAVEPOINT s;', "EXECUTE $name($_);", 'ROLLBACK TO s;') } '7, 7', '7, 8', pick('NULL, 7', '8, 8')),
			'ROLLBACK;', "DEALLOCATE $name;");
	}
	my $select = $self->select_statement;
	return ('BEGIN;', "DECLARE c CURSOR FOR $select;", 'SAVEPOINT s;', $self->change . ';',
		'ROLLBACK TO s;', 'UPDATE posts SET likes = 99 WHERE author IN (7, 8);', 'DELETE FROM order_items WHERE user_id = 7;',
		'FETCH ALL FROM c;', 'ROLLBACK;');
}

sub statements
{
	my ($self, $count) = @_;
	my @statements;

	while (@statements < $count)
	{
		if (chance(0.02))
		{
			push @statements, 'SET ' . pick(map { "enable_$_" } qw(hashjoin mergejoin nestloop material memoize hashagg sort)) . ' = ' . pick('on', 'off') . ';';
		}
		push @statements, $self->group;
	}
	return @statements;
}

# Every table of test/differential whose key is of another type, with values of
# the key as they may be written, some of them equal to each other.
my %keys = (
	key_int => [ 1, 7, 0, -1, 2147483647, 99 ],
	key_smallint => [ 1, 7, 32767, 99 ],
	key_bigint => [ 1, 7, '9223372036854775807', '4294967297' ],
	key_text => [ "'b'", "'b '", "'A'", "''", "'é'", "'01'" ],
	key_ci => [ "'a'", "'A'", "'bx'", "'É'", "''" ],
	key_c => [ "'b'", "'b '", "'A'", "''" ],
	key_varchar => [ "'b'", "'b '", "'A'", "''", "'toolongforit'" ],
	key_bpchar => [ "'b'", "'b   '", "'A'", "''", "'bbbb'", "'bbbbb'" ],
	key_numeric => [ '1', '1.0', '1.000', "'NaN'", '-0.5', "'Infinity'", '1e2' ],
	key_float => [ '1', '0', "'-0'", "'NaN'", '0.1', "'Infinity'", '1e300' ],
	key_uuid => [ "'c4ca4238a0b923820dcc509a6f75849b'", "'C4CA4238-A0B9-2382-0DCC-509A6F75849B'" ],
	key_timestamptz => [ "'2024-03-31 00:30+00'", "'2024-03-31 02:30+02'", "'infinity'", "'2023-12-31 19:00+00'" ],
	key_date => [ "'2024-03-31'", "'-infinity'", "'2024-02-29'" ],
	key_interval => [ "'1 day'", "'24:00'", "'30 days'", "'1 month'" ],
	key_enum => [ "'ok'", "'sad'" ],
	key_domain => [ 1, 2 ],
	key_code => [ "'a'", "'A'", "''" ],
	key_pair => [ "ROW(1, 'a')::pair", 'ROW(1, NULL)::pair', 'ROW(NULL, NULL)::pair' ],
	key_array => [ "'{}'", "'{1,NULL}'", "'[0:1]={1,2}'", "'{1,2}'" ],
	key_bytea => [ "''", "'\\x00'", "'\\xff'" ],
	key_bool => [ 'true', "'f'" ],
	key_range => [ "'[1,3)'", "'[1,2]'", "'empty'", "'(,)'" ],
	key_jsonb => [ "'1'", "'1.00'", "'{\"b\": 2, \"a\": 1}'", "'null'" ],
	key_inet => [ "'10.0.0.1'", "'10.0.0.1/32'", "'::1'" ]);

# Statements for each of them: T is the table, V and W are values.
my @of_values = (
	'SELECT * FROM T WHERE k = V;',
	'SELECT count(*), sum(v) FROM T WHERE V = k;',
	'SELECT * FROM T WHERE k IN (V, W, NULL);',
	'SELECT * FROM T WHERE k IS NOT DISTINCT FROM V;',
	'SELECT v FROM T WHERE k <> V;',
	'SELECT a.v, b.v FROM T a JOIN T b ON a.k = b.k WHERE a.k = V AND a.v <> b.v;',
	'SELECT a.v, b.v FROM T a LEFT JOIN T b ON a.k = b.k AND b.k = V;',
	"UPDATE T SET s = s || '+' WHERE k = V RETURNING v, s;",
	"WITH u AS (UPDATE T SET s = s || '!' WHERE k = V RETURNING v) INSERT INTO T VALUES (V, 300, 'i') RETURNING v, s, (SELECT count(*) FROM u);",
	'INSERT INTO T SELECT k, v + 400, s FROM T WHERE k = V AND v < 5;',
	"MERGE INTO T USING (VALUES (V, 500)) n(k, v) ON T.k = n.k AND T.v = n.v WHEN MATCHED THEN UPDATE SET s = 'm' WHEN NOT MATCHED THEN INSERT VALUES (n.k, n.v, 'n');",
	"MERGE INTO T USING (SELECT DISTINCT v + 600 AS v FROM T WHERE k = V AND v < 10) n ON T.k = V AND T.v = n.v WHEN NOT MATCHED THEN INSERT VALUES (V, n.v, 'n');",
	'WITH d AS (DELETE FROM T WHERE k = V AND v >= 300 RETURNING k, v) SELECT count(*), sum(v) FROM d;');
my @of_tables = (
	'SELECT * FROM T WHERE k IS NULL;',
	'SELECT k, count(*) FROM T GROUP BY k HAVING count(*) > 0;',
	'SELECT DISTINCT k FROM T;',
	'SELECT a.v, b.v FROM T a JOIN T b ON a.k = b.k AND a.v < b.v;',
	'SELECT a.v, b.v FROM T a FULL JOIN T b ON a.k = b.k AND a.s < b.s;',
	'SELECT v FROM T WHERE k NOT IN (SELECT k FROM T WHERE v > 5);',
	'SELECT v FROM T WHERE k IN (SELECT k FROM T WHERE v < 4);',
	'SELECT k FROM T UNION SELECT k FROM T;',
	'SELECT t, t.k FROM T t;',
	'SELECT k::text, to_jsonb(k), array_agg(k) FROM T GROUP BY k;',
	'INSERT INTO T SELECT k, v + 50, s FROM T WHERE v < 6;',
	'INSERT INTO T (v) VALUES (70) RETURNING *;',
	"UPDATE T SET v = v + 1 WHERE s = 's1' RETURNING k;",
	'UPDATE T a SET v = b.v FROM T b WHERE a.k = b.k AND b.v = a.v + 50;',
	'DELETE FROM T WHERE k IN (SELECT k FROM T WHERE v > 60);',
	'DELETE FROM T WHERE k IS NULL RETURNING v;',
	'DELETE FROM T a USING T b WHERE a.k = b.k AND b.v > a.v;');

# Statements for all kinds of keys; none of them is random.
sub of_keys
{
	my @statements;

	for my $table (sort keys %keys)
	{
		my @values = @{ $keys{$table} };
		for my $i (0 .. $#values)
		{
			push @statements, map { s/\bV\b/$values[$i]/gr =~ s/\bW\b/$values[$i - 1]/gr } @of_values;
		}
		push @statements, @of_tables;
		s/\bT\b/$table/g for @statements;
	}
	return @statements;
}

1;
