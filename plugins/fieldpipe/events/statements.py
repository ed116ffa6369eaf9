"""The SQL behind ledger.py. Parameters: `owner` and `lease` (seconds) of the dispatcher, `delay` in seconds.

Guards: whatever changes a run asks for its lease in the same statement. `:delay * interval '1 second'` keeps all times
on the database's clock.
"""

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

_RUN_COLUMNS = """run_id, route, dag_id, conf, state, failures,
    COALESCE(EXTRACT(EPOCH FROM now() - sent_at), 0)::float AS age"""

DEMAND = text(
    """
    SELECT
        EXISTS (SELECT FROM objects WHERE route = :route AND state = 'received' AND due_at <= now()) AS waiting,
        EXISTS (SELECT FROM objects WHERE route = :route AND state = 'unresolved') AS unresolved,
        (SELECT count(*) FROM runs WHERE route = :route AND state <> 'closed') AS runs
    """
)

# Counting runs and adding one must not interleave with another dispatcher's. 0x6670 keeps our locks apart from others.
ADMISSION_LOCK = text("SELECT pg_advisory_xact_lock(26224, hashtext(:route))")
OPEN_RUNS = text("SELECT count(*) FROM runs WHERE route = :route AND state <> 'closed'")
DUE_ROWS = text(
    """
    SELECT id, bucket, key, etag, version_id, size, alone, attempt + 1 AS attempt, received_at
    FROM objects WHERE route = :route AND state = 'received' AND due_at <= now()
    ORDER BY due_at, id LIMIT :limit FOR UPDATE SKIP LOCKED
    """
)
INSERT_RUN = text(
    f"""
    INSERT INTO runs (run_id, route, dag_id, conf, state, lease_owner, lease_until)
    VALUES (:run_id, :route, :dag_id, :conf, 'claimed', :owner, now() + :lease * interval '1 second')
    RETURNING {_RUN_COLUMNS}
    """  # noqa: S608 -- built from constants of this file, as below
).bindparams(bindparam("conf", type_=JSONB))
INSERT_MEMBERS = text("INSERT INTO run_members (run_id, object_id, attempt) VALUES (:run_id, :object_id, :attempt)")
CLAIM_ROWS = text(
    """
    UPDATE objects SET state = 'claimed', attempt = attempt + 1, run_id = :run_id, seen_again = false, reason = ''
    WHERE id = ANY (:ids)
    """
)

LEASE = text(
    f"""
    UPDATE runs SET lease_owner = :owner, lease_until = now() + :lease * interval '1 second'
    WHERE run_id IN (
        SELECT run_id FROM runs
        WHERE state <> 'closed' AND due_at <= now()
          AND (lease_owner IS NULL OR lease_owner = :owner OR lease_until < now())
        ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED
    )
    RETURNING {_RUN_COLUMNS}
    """  # noqa: S608
)
MARK_RUN = text(
    """
    UPDATE runs SET state = 'dispatched', sends = sends + 1, failures = 0, sent_at = COALESCE(sent_at, now()),
        lease_owner = NULL, due_at = now() + :delay * interval '1 second'
    WHERE run_id = :run_id AND lease_owner = :owner AND state = 'claimed'
    """
)
MARK_ROWS = text(
    """
    UPDATE objects SET state = 'dispatched' WHERE run_id = :run_id AND state = 'claimed'
      AND id IN (SELECT object_id FROM run_members WHERE run_id = :run_id)
    """
)
POSTPONE = text(
    """
    UPDATE runs SET lease_owner = NULL, due_at = now() + :delay * interval '1 second',
        failures = CASE WHEN :failed THEN failures + 1 ELSE 0 END
    WHERE run_id = :run_id AND lease_owner = :owner AND state <> 'closed'
    """
)
SEND_AGAIN = text(
    """
    UPDATE runs SET state = 'claimed', lease_owner = NULL, due_at = now()
    WHERE run_id = :run_id AND lease_owner = :owner AND state = 'dispatched'
    """
)
ABANDON_RUN = text(
    """
    UPDATE runs SET state = 'closed', airflow_state = 'taken', closed_at = now(), lease_owner = NULL
    WHERE run_id = :run_id AND lease_owner = :owner AND state = 'claimed'
    """
)
ABANDON_ROWS = text(
    """
    UPDATE objects SET state = 'received', reason = :reason, due_at = now() WHERE run_id = :run_id AND state = 'claimed'
      AND id IN (SELECT object_id FROM run_members WHERE run_id = :run_id)
    """
)
RELEASE = text("UPDATE runs SET lease_owner = NULL WHERE lease_owner = :owner AND state <> 'closed'")
NEXT_DUE = text(
    """
    SELECT EXTRACT(EPOCH FROM min(CASE WHEN lease_owner IS NULL THEN due_at ELSE lease_until END) - now())
    FROM runs WHERE state <> 'closed'
    """
)

CLOSE_RUN = text(
    """
    UPDATE runs SET state = 'closed', airflow_state = :airflow_state, closed_at = now(), lease_owner = NULL
    WHERE run_id = :run_id AND lease_owner = :owner AND state = 'dispatched'
    """
)
MEMBERS = text(
    """
    SELECT o.id, o.attempt, o.crashes, o.seen_again,
        COALESCE(EXTRACT(EPOCH FROM now() - o.transient_since), 0)::float
    FROM objects o JOIN run_members m ON m.object_id = o.id AND m.run_id = :run_id
    WHERE o.run_id = :run_id AND o.state = 'dispatched'
    ORDER BY o.id FOR UPDATE OF o
    """
)
SETTLE = text(
    """
    UPDATE objects SET
        state = :state, reason = :reason, result = COALESCE(:result, result), seen_again = false,
        due_at = now() + :delay * interval '1 second',
        crashes = crashes + CAST(:crashed AS integer), alone = alone OR :crashed,
        transient_since = CASE WHEN :transient THEN COALESCE(transient_since, now())
                               WHEN :crashed THEN transient_since END,
        audit_due_at = now()
    WHERE id = :id
    """
)

HOLD = text(
    """
    INSERT INTO route_status (route, held_reason, held_since)
    VALUES (:route, :reason, CASE WHEN :reason IS NOT NULL THEN now() END)
    ON CONFLICT (route) DO UPDATE SET
        held_reason = EXCLUDED.held_reason,
        held_since = CASE WHEN EXCLUDED.held_reason IS NULL THEN NULL
                          ELSE COALESCE(route_status.held_since, now()) END,
        checked_at = now()
    """
)

UNRESOLVED = text(
    "SELECT id, bucket, key FROM objects WHERE route = :route AND state = 'unresolved' ORDER BY id LIMIT :limit"
)
RESOLVE_GONE = text("UPDATE objects SET state = 'gone', reason = :reason WHERE id = :id AND state = 'unresolved'")
KNOWN_VERSION = text(
    """
    SELECT o.id, o.state FROM objects o JOIN objects u ON (o.route, o.bucket, o.key) = (u.route, u.bucket, u.key)
    WHERE u.id = :id AND u.state = 'unresolved' AND o.etag = :etag FOR UPDATE
    """
)
RESOLVE_MERGE = text("DELETE FROM objects WHERE id = :id AND state = 'unresolved'")
REVIVE = text(
    """
    UPDATE objects SET state = 'received', reason = 'seen again', due_at = now()
    WHERE id = :id AND state IN ('gone', 'superseded')
    """
)
RESOLVE = text(
    """
    UPDATE objects SET state = 'received', etag = :etag, size = :size, due_at = now()
    WHERE id = :id AND state = 'unresolved'
    """
)
