-- exec/: what a coordinator's plans call on a node.  Aggregates over a part of
-- the rows: their results are transition states, which the coordinator's plan
-- combines.  Safe for anyone to call: see partial_state.c.

CREATE FUNCTION tessera_internal.partial_state_add(internal, text)
RETURNS internal LANGUAGE c IMMUTABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'tess_partial_state_add';
COMMENT ON FUNCTION tessera_internal.partial_state_add(internal, text) IS
'transition function of tessera_internal.partial_state';

CREATE FUNCTION tessera_internal.partial_state_add(internal, text, VARIADIC "any")
RETURNS internal LANGUAGE c IMMUTABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'tess_partial_state_add';
COMMENT ON FUNCTION tessera_internal.partial_state_add(internal, text, "any") IS
'transition function of tessera_internal.partial_state';

CREATE FUNCTION tessera_internal.partial_state_finish(internal)
RETURNS bytea LANGUAGE c IMMUTABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'tess_partial_state_finish';
COMMENT ON FUNCTION tessera_internal.partial_state_finish(internal) IS
'final function of tessera_internal.partial_state';

CREATE AGGREGATE tessera_internal.partial_state(text) (
	SFUNC = tessera_internal.partial_state_add, STYPE = internal,
	FINALFUNC = tessera_internal.partial_state_finish, PARALLEL = RESTRICTED);
COMMENT ON AGGREGATE tessera_internal.partial_state(text) IS
'serialized transition state of the named aggregate of no arguments';

CREATE AGGREGATE tessera_internal.partial_state(text, VARIADIC "any") (
	SFUNC = tessera_internal.partial_state_add, STYPE = internal,
	FINALFUNC = tessera_internal.partial_state_finish, PARALLEL = RESTRICTED);
COMMENT ON AGGREGATE tessera_internal.partial_state(text, "any") IS
'serialized transition state of the named aggregate over these arguments';

CREATE FUNCTION tessera_internal.partial_value_add(internal, text, anyelement)
RETURNS internal LANGUAGE c IMMUTABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'tess_partial_value_add';
COMMENT ON FUNCTION tessera_internal.partial_value_add(internal, text, anyelement) IS
'transition function of tessera_internal.partial_value';

CREATE FUNCTION tessera_internal.partial_value_add(internal, text, anyelement, VARIADIC "any")
RETURNS internal LANGUAGE c IMMUTABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'tess_partial_value_add';
COMMENT ON FUNCTION tessera_internal.partial_value_add(internal, text, anyelement, "any") IS
'transition function of tessera_internal.partial_value';

CREATE FUNCTION tessera_internal.partial_value_finish(internal, text, anyelement)
RETURNS anyelement LANGUAGE c IMMUTABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'tess_partial_value_finish';
COMMENT ON FUNCTION tessera_internal.partial_value_finish(internal, text, anyelement) IS
'final function of tessera_internal.partial_value';

CREATE FUNCTION tessera_internal.partial_value_finish(internal, text, anyelement, VARIADIC "any")
RETURNS anyelement LANGUAGE c IMMUTABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'tess_partial_value_finish';
COMMENT ON FUNCTION tessera_internal.partial_value_finish(internal, text, anyelement, "any") IS
'final function of tessera_internal.partial_value';

CREATE AGGREGATE tessera_internal.partial_value(text, anyelement) (
	SFUNC = tessera_internal.partial_value_add, STYPE = internal,
	FINALFUNC = tessera_internal.partial_value_finish, FINALFUNC_EXTRA,
	PARALLEL = RESTRICTED);
COMMENT ON AGGREGATE tessera_internal.partial_value(text, anyelement) IS
'transition state, of the type of the second argument, of the named aggregate of no arguments';

CREATE AGGREGATE tessera_internal.partial_value(text, anyelement, VARIADIC "any") (
	SFUNC = tessera_internal.partial_value_add, STYPE = internal,
	FINALFUNC = tessera_internal.partial_value_finish, FINALFUNC_EXTRA,
	PARALLEL = RESTRICTED);
COMMENT ON AGGREGATE tessera_internal.partial_value(text, anyelement, "any") IS
'transition state, of the type of the second argument, of the named aggregate over the other arguments';

-- combines such states, in plans that TesseraCombine stands on; fails in all others
CREATE FUNCTION tessera_internal.combine_add(internal, anyelement)
RETURNS internal LANGUAGE c IMMUTABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'tess_combine_add';
COMMENT ON FUNCTION tessera_internal.combine_add(internal, anyelement) IS
'transition function of tessera_internal.combine';

CREATE FUNCTION tessera_internal.combine_finish(internal, anyelement)
RETURNS anyelement LANGUAGE c IMMUTABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'tess_combine_finish';
COMMENT ON FUNCTION tessera_internal.combine_finish(internal, anyelement) IS
'final function of tessera_internal.combine';

CREATE AGGREGATE tessera_internal.combine(anyelement) (
	SFUNC = tessera_internal.combine_add, STYPE = internal,
	FINALFUNC = tessera_internal.combine_finish, FINALFUNC_EXTRA,
	PARALLEL = RESTRICTED);
COMMENT ON AGGREGATE tessera_internal.combine(anyelement) IS
'result of an aggregate from its transition states; in plans only';

-- PostgreSQL asks the aggregates' owner for the rights to these.
REVOKE ALL ON FUNCTION tessera_internal.partial_state_add(internal, text),
	tessera_internal.partial_state_add(internal, text, "any"),
	tessera_internal.partial_state_finish(internal),
	tessera_internal.partial_value_add(internal, text, anyelement),
	tessera_internal.partial_value_add(internal, text, anyelement, "any"),
	tessera_internal.partial_value_finish(internal, text, anyelement),
	tessera_internal.partial_value_finish(internal, text, anyelement, "any"),
	tessera_internal.combine_add(internal, anyelement),
	tessera_internal.combine_finish(internal, anyelement) FROM PUBLIC;


/* exec: what a node does with rows that another server has changed */
CREATE FUNCTION tessera_internal.run_for_rows(statements text[], types regtype[], rows text[]) RETURNS bigint
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'tess_run_for_rows';
COMMENT ON FUNCTION tessera_internal.run_for_rows(text[], regtype[], text[])
	IS 'runs for each row, the number of an INSERT, UPDATE or DELETE and values of its parameters, that statement, as if all of it were one; the number of rows changed';

/* exec: plans of nodes in EXPLAIN */
CREATE FUNCTION tessera_internal.generic_plan(statement text, parameter_types oid[])
RETURNS text LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'tess_generic_plan_explain';
COMMENT ON FUNCTION tessera_internal.generic_plan(text, oid[]) IS
'output of an EXPLAIN of a statement whose parameters have no values; executes nothing';

-- rows that go to another shard
CREATE FUNCTION tessera_internal.delete_moved(row_of anyelement, rows tid[]) RETURNS bigint
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'tess_rows_delete_moved';
COMMENT ON FUNCTION tessera_internal.delete_moved(anyelement, tid[])
	IS 'deletes rows of a shard by ctid, as moved: statements that wait for them fail instead of passing them by';

-- views WITH CHECK OPTION
CREATE FUNCTION tessera_internal.violates_check_option(view text, relation oid, changed int2vector, new_row record) RETURNS boolean
	LANGUAGE c VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'tess_check_option_violated';
COMMENT ON FUNCTION tessera_internal.violates_check_option(text, oid, int2vector, record)
	IS 'the error of a row of a table, some columns of which were changed, that violates the check option of a view';

-- rows that another server has computed, to be joined with those of shards
CREATE FUNCTION tessera_internal.shipped_rows_support(internal) RETURNS internal
	LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'tess_shipped_rows_support';
COMMENT ON FUNCTION tessera_internal.shipped_rows_support(internal)
	IS 'planner support of tessera_internal.shipped_rows';
CREATE FUNCTION tessera_internal.shipped_rows(stash bigint, estimates real[], VARIADIC columns "any")
	RETURNS SETOF record LANGUAGE c STABLE PARALLEL RESTRICTED
	SUPPORT tessera_internal.shipped_rows_support AS 'MODULE_PATHNAME', 'tess_shipped_rows';
COMMENT ON FUNCTION tessera_internal.shipped_rows(bigint, real[], "any")
	IS 'rows from arrays, one a column, and from a stash, which is gone then; NULL: no stash; expected are so many rows, and values of each column';
CREATE FUNCTION tessera_internal.stash_rows(stash bigint, VARIADIC columns "any") RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'tess_stash_rows';
COMMENT ON FUNCTION tessera_internal.stash_rows(bigint, "any")
	IS 'keeps rows from arrays, one a column, for tessera_internal.shipped_rows, until the transaction ends';

CREATE FUNCTION tessera_internal.runs_in_process(OUT direct bigint, OUT nested bigint)
RETURNS record LANGUAGE c VOLATILE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'tess_runs_in_process';
COMMENT ON FUNCTION tessera_internal.runs_in_process() IS
'how many statements of shards this session has run in the place of its own ones, and within them';
