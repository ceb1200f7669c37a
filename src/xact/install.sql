
/* xact: what is in doubt, and how it ends */
CREATE FUNCTION tessera_internal.transactions_in_doubt(OUT node name, OUT gid text, OUT prepared_at timestamptz,
		OUT owner text, OUT age_us bigint, OUT decision text)
	RETURNS SETOF record LANGUAGE c PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'tess_transactions_in_doubt';
COMMENT ON FUNCTION tessera_internal.transactions_in_doubt()
	IS 'prepared transactions on the nodes with names of the form Tessera gives; asks all nodes';

CREATE VIEW tessera.in_doubt AS
	SELECT d.node, d.gid, d.prepared_at, d.owner, d.age_us * interval '1 microsecond' AS age, d.decision
	FROM tessera_internal.transactions_in_doubt() d;
COMMENT ON VIEW tessera.in_doubt
	IS 'prepared transactions on the nodes: decision is commit, rollback, in progress, unknown (of a coordinator whose decisions are not all here), or foreign (of another cluster)';

CREATE FUNCTION tessera.recover_transactions()
	RETURNS int LANGUAGE c PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'tess_transactions_recover';
COMMENT ON FUNCTION tessera.recover_transactions()
	IS 'ends now what sessions that are gone have left prepared on the nodes; returns how many';

/* The function asks who may look. */
GRANT SELECT ON tessera.in_doubt TO PUBLIC;

/* xact: who waits for whom, for the coordinator that looks for deadlocks */
CREATE FUNCTION tessera_internal.wait_edges(OUT server text, OUT waiter text, OUT waiter_pid int, OUT since bigint,
		OUT lock text, OUT holder text, OUT holder_pid int, OUT holder_transaction xid)
	RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 100 AS 'MODULE_PATHNAME', 'tess_wait_edges';
COMMENT ON FUNCTION tessera_internal.wait_edges()
	IS 'who waits for a lock and for whom, on this server, by names that hold on all servers';

-- what a coordinator has its statements on this node read under
CREATE FUNCTION tessera_internal.take_snapshot(number bigint, oldest bigint)
	RETURNS void LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'tess_snapshot_take';
COMMENT ON FUNCTION tessera_internal.take_snapshot(bigint, bigint)
	IS 'takes a snapshot that the next statements of the transaction read under; releases those numbered below oldest';

CREATE FUNCTION tessera_internal.use_snapshot(number bigint, oldest bigint)
	RETURNS void LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'tess_snapshot_use';
COMMENT ON FUNCTION tessera_internal.use_snapshot(bigint, bigint)
	IS 'the next statements of the transaction read under a snapshot taken before, or, with 0, under their own';

/* On a node: what became of a transaction. */
CREATE FUNCTION tessera_internal.transaction_outcome(mark text)
	RETURNS text LANGUAGE c STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'tess_transaction_outcome';
COMMENT ON FUNCTION tessera_internal.transaction_outcome(text)
	IS 'committed (and rows of its last statement), aborted, or NULL if unknown; ends the session that the transaction was to be in';

CREATE FUNCTION tessera_internal.await_transaction(id xid)
	RETURNS void LANGUAGE c STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'tess_transaction_await';
COMMENT ON FUNCTION tessera_internal.await_transaction(xid)
	IS 'waits until a transaction of this server, prepared or not, has ended';

/* xact: whom the nodes serve */
CREATE FUNCTION tessera.take_over(has_all_decisions boolean DEFAULT false)
	RETURNS int LANGUAGE c PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'tess_coordinator_take_over';
COMMENT ON FUNCTION tessera.take_over(boolean)
	IS 'makes this server the only coordinator that the nodes serve; has_all_decisions: nothing that the one before it decided is missing here';
