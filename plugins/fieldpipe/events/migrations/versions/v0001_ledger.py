"""The ledger: objects, runs, history, rejected bodies, the state of routes."""

from alembic import op

revision = "0001"
down_revision = None

_TABLES = """
CREATE TABLE objects (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    route text NOT NULL,
    bucket text NOT NULL,
    key text COLLATE "C" NOT NULL,
    etag text NOT NULL,
    version_id text,
    size bigint,
    sequencer text,
    event_name text NOT NULL,
    source text NOT NULL,
    state text NOT NULL CHECK (state IN
        ('unresolved', 'received', 'claimed', 'dispatched', 'done', 'dead', 'gone', 'superseded')),
    reason text NOT NULL DEFAULT '',
    attempt integer NOT NULL DEFAULT 0,
    crashes integer NOT NULL DEFAULT 0,
    alone boolean NOT NULL DEFAULT false,
    generation integer NOT NULL DEFAULT 1,
    due_at timestamptz NOT NULL DEFAULT now(),
    transient_since timestamptz,
    seen_again boolean NOT NULL DEFAULT false,
    run_id text,
    result text,
    received_at timestamptz NOT NULL DEFAULT now(),
    state_at timestamptz NOT NULL DEFAULT now(),
    audited_at timestamptz,
    unlisted_since timestamptz,
    result_missing_since timestamptz,
    CONSTRAINT objects_identity UNIQUE (bucket, key, etag, route)
);
CREATE INDEX objects_due ON objects (route, due_at, id) WHERE state = 'received';
CREATE INDEX objects_open ON objects (route, state)
    WHERE state IN ('unresolved', 'claimed', 'dispatched', 'dead');
CREATE INDEX objects_audit ON objects (audited_at) WHERE state IN ('done', 'dead', 'gone', 'superseded');
CREATE INDEX objects_missing ON objects (id) WHERE result_missing_since IS NOT NULL;

CREATE TABLE runs (
    run_id text PRIMARY KEY,
    route text NOT NULL,
    dag_id text NOT NULL,
    conf jsonb NOT NULL,
    state text NOT NULL CHECK (state IN ('claimed', 'dispatched', 'closed')),
    lease_owner text,
    lease_until timestamptz,
    sends integer NOT NULL DEFAULT 0,
    failures integer NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT now(),
    airflow_state text,
    created_at timestamptz NOT NULL DEFAULT now(),
    sent_at timestamptz,
    closed_at timestamptz
);
CREATE INDEX runs_open ON runs (route, due_at) WHERE state <> 'closed';
CREATE INDEX runs_closed ON runs (closed_at) WHERE state = 'closed';

CREATE TABLE run_members (
    run_id text NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    object_id bigint NOT NULL,
    attempt integer NOT NULL,
    PRIMARY KEY (run_id, object_id)
);

CREATE TABLE history (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    object_id bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    from_state text NOT NULL,
    to_state text NOT NULL,
    reason text NOT NULL,
    run_id text
);
CREATE INDEX history_object ON history (object_id);
CREATE INDEX history_at ON history USING brin (at);

CREATE TABLE rejected (
    sha256 text PRIMARY KEY,
    reason text NOT NULL,
    size bigint NOT NULL,
    body bytea NOT NULL,
    first_at timestamptz NOT NULL DEFAULT now(),
    last_at timestamptz NOT NULL DEFAULT now(),
    count bigint NOT NULL DEFAULT 1
);

CREATE TABLE route_status (
    route text PRIMARY KEY,
    held_reason text,
    held_since timestamptz,
    checked_at timestamptz NOT NULL DEFAULT now()
);
"""

# Ids make run ids, and Airflow and the bucket remember those longer than a ledger may live. So a new ledger does not
# count from 1: it starts at the milliseconds since 2026.
_FIRST_ID = """
SELECT setval(pg_get_serial_sequence('objects', 'id'),
              (EXTRACT(EPOCH FROM now() - timestamptz '2026-01-01 00:00:00+00') * 1000)::bigint)
"""

# The state machine where nobody can forget it: other moves fail, every move gets its time and a line of history.
_STATE_MACHINE = """
CREATE FUNCTION objects_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.state || '>' || NEW.state) NOT IN (
        'unresolved>received', 'unresolved>gone',
        'received>claimed',
        'claimed>dispatched', 'claimed>received',
        'dispatched>done', 'dispatched>dead', 'dispatched>gone', 'dispatched>superseded', 'dispatched>received',
        'gone>received', 'gone>unresolved',
        'superseded>received',
        'dead>received',
        'done>received'
    ) THEN
        RAISE EXCEPTION 'object % cannot go from % to %', OLD.id, OLD.state, NEW.state;
    END IF;
    NEW.state_at := now();
    INSERT INTO history (object_id, from_state, to_state, reason, run_id)
    VALUES (NEW.id, OLD.state, NEW.state, NEW.reason, NEW.run_id);
    RETURN NEW;
END
$$;
CREATE TRIGGER objects_move BEFORE UPDATE OF state ON objects
FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION objects_move();
"""


def upgrade() -> None:
    op.execute(_TABLES)
    op.execute(_FIRST_ID)
    op.execute(_STATE_MACHINE)
