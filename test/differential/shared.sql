-- What the twins share: types, collations, functions.  The schemas twin_local
-- and twin_dist then get the same tables (tables.sql), with the same rows; those
-- of twin_dist are distributed (distribute.sql).
CREATE SCHEMA twin;
CREATE SCHEMA twin_local;
CREATE SCHEMA twin_dist;
SET search_path = twin;

CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE colour AS ENUM ('red', 'green', 'blue');
CREATE DOMAIN posint AS int CHECK (VALUE > 0);
CREATE DOMAIN code AS text CHECK (VALUE <> 'bad');
CREATE TYPE pair AS (a int, b text);
CREATE TYPE nested AS (p pair, l int[], c colour);
CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE COLLATION num (provider = icu, locale = 'und-u-kn-true');

-- functions of all kinds, inlined and not
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CREATE FUNCTION slow_twice(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN i * 2; END';
CREATE FUNCTION stable_one() RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN 1; END';
CREATE FUNCTION volatile_one() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION strict_len(text) RETURNS int LANGUAGE sql STRICT IMMUTABLE AS 'SELECT length($1)';
CREATE FUNCTION is_even(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 % 2 = 0';
CREATE FUNCTION make_pair(int, text) RETURNS pair LANGUAGE sql IMMUTABLE AS 'SELECT ROW($1, $2)::twin.pair';
CREATE AGGREGATE my_sum(int) (sfunc = int4pl, stype = int, initcond = '0');
CREATE FUNCTION never_mind(text, int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT length($1) > $2';
CREATE OPERATOR ~~> (leftarg = text, rightarg = int, function = never_mind);

-- of the names of built-in ones, found first by whoever puts this schema first
CREATE SCHEMA twin_shadow;
CREATE FUNCTION twin_shadow.lower(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT ''shadow''';
CREATE FUNCTION twin_shadow.int_eq(int, int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 <> $2';
CREATE OPERATOR twin_shadow.= (leftarg = int, rightarg = int, function = twin_shadow.int_eq);
CREATE FUNCTION twin_shadow.now() RETURNS timestamptz LANGUAGE sql IMMUTABLE AS 'SELECT timestamptz ''2020-01-01 00:00+00''';
RESET search_path;
