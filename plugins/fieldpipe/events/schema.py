"""The ledger's tables, as SQLAlchemy Core sees them. The migrations create them; a test holds the two together."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

CHANNEL = "fieldpipe_events"  # NOTIFY: something may be due

metadata = MetaData()
_moment = DateTime(timezone=True)
_now = func.now()

objects = Table(  # one row per object version and route
    "objects",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("route", Text, nullable=False),
    Column("bucket", Text, nullable=False),
    Column("key", Text(collation="C"), nullable=False),
    Column("etag", Text, nullable=False),  # empty: unresolved
    Column("version_id", Text),
    Column("size", BigInteger),
    Column("sequencer", Text),  # of the last event about this version
    Column("event_name", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    Column("attempt", Integer, nullable=False, server_default="0"),  # claims so far
    Column("crashes", Integer, nullable=False, server_default="0"),  # runs that ended without a report
    Column("alone", Boolean, nullable=False, server_default=text("false")),
    Column("generation", Integer, nullable=False, server_default="1"),  # raised by reprocess
    Column("due_at", _moment, nullable=False, server_default=_now),
    Column("transient_since", _moment),
    Column("seen_again", Boolean, nullable=False, server_default=text("false")),
    Column("run_id", Text),  # the last run
    Column("result", Text),  # key of the manifest
    Column("received_at", _moment, nullable=False, server_default=_now),
    Column("state_at", _moment, nullable=False, server_default=_now),
    Column("audit_due_at", _moment, nullable=False, server_default=_now),
    Column("unlisted_since", _moment),
    Column("result_missing_since", _moment),
    UniqueConstraint("bucket", "key", "etag", "route", name="objects_identity"),
)
Index("objects_due", objects.c.route, objects.c.due_at, objects.c.id, postgresql_where=text("state = 'received'"))
Index(
    "objects_open",
    objects.c.route,
    objects.c.state,
    postgresql_where=text("state IN ('unresolved', 'claimed', 'dispatched', 'dead')"),
)
Index(
    "objects_audit",
    objects.c.audit_due_at,
    postgresql_where=text("state IN ('done', 'dead', 'gone', 'superseded')"),
)
Index("objects_unlisted", objects.c.unlisted_since, postgresql_where=text("unlisted_since IS NOT NULL"))
Index("objects_missing", objects.c.id, postgresql_where=text("result_missing_since IS NOT NULL"))

runs = Table(  # what was, or is about to be, sent to Airflow; conf and members never change
    "runs",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("route", Text, nullable=False),
    Column("dag_id", Text, nullable=False),
    Column("conf", JSONB, nullable=False),
    Column("state", Text, nullable=False),
    Column("lease_owner", Text),
    Column("lease_until", _moment),
    Column("sends", Integer, nullable=False, server_default="0"),
    Column("failures", Integer, nullable=False, server_default="0"),  # in a row
    Column("due_at", _moment, nullable=False, server_default=_now),
    Column("airflow_state", Text),
    Column("created_at", _moment, nullable=False, server_default=_now),
    Column("sent_at", _moment),
    Column("closed_at", _moment),
)
Index("runs_open", runs.c.route, runs.c.due_at, postgresql_where=text("state <> 'closed'"))
Index("runs_closed", runs.c.closed_at, postgresql_where=text("state = 'closed'"))

run_members = Table(
    "run_members",
    metadata,
    Column("run_id", Text, ForeignKey("runs.run_id", ondelete="CASCADE"), primary_key=True),
    Column("object_id", BigInteger, primary_key=True),
    Column("attempt", Integer, nullable=False),
)

history = Table(  # filled by a trigger; `objects.received_at` stands for the first state
    "history",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("object_id", BigInteger, nullable=False),
    Column("at", _moment, nullable=False, server_default=_now),
    Column("from_state", Text, nullable=False),
    Column("to_state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("run_id", Text),
)
Index("history_object", history.c.object_id)
Index("history_at", history.c.at, postgresql_using="brin")

rejected = Table(  # bodies that can never become rows, shown as `dead`
    "rejected",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),  # its first 64 KiB
    Column("first_at", _moment, nullable=False, server_default=_now),
    Column("last_at", _moment, nullable=False, server_default=_now),
    Column("count", BigInteger, nullable=False, server_default="1"),
)

route_status = Table(  # what the dispatchers know about a route
    "route_status",
    metadata,
    Column("route", Text, primary_key=True),
    Column("held_reason", Text),
    Column("held_since", _moment),
    Column("checked_at", _moment, nullable=False, server_default=_now),
)
