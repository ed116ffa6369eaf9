"""The state machine in the database is the one in the code, and the migrations make the tables of the code."""

from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from pydantic import SecretStr
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError

from fieldpipe.events import database, migrations
from fieldpipe.events.schema import metadata
from fieldpipe.events.states import TRANSITIONS, State
from fieldpipe.settings import LedgerSettings
from tests.contract.events.world import LedgerWorld, event

WAYS = {  # to a state, from received
    State.RECEIVED: (),
    State.CLAIMED: ("claimed",),
    State.DISPATCHED: ("claimed", "dispatched"),
    State.DONE: ("claimed", "dispatched", "done"),
    State.DEAD: ("claimed", "dispatched", "dead"),
    State.GONE: ("claimed", "dispatched", "gone"),
    State.SUPERSEDED: ("claimed", "dispatched", "superseded"),
    State.UNRESOLVED: ("claimed", "dispatched", "gone", "unresolved"),
}


def move(ledger: LedgerWorld, *states: str) -> None:
    for state in states:
        ledger.execute("UPDATE objects SET state = :state, reason = 'test'", state=state)


def test_database_allows_exactly_the_moves_of_the_code(ledger):
    allowed = set()
    for start, end in product(State, State):
        ledger.execute("TRUNCATE objects")
        ledger.record(event("a.mcap"))
        move(ledger, *WAYS[start])
        try:
            move(ledger, end)
        except DBAPIError:
            continue
        if start is not end:
            allowed.add((start, end))
    assert allowed == {(start, end) for start, ends in TRANSITIONS.items() for end in ends}


def test_every_move_leaves_a_line_of_history_with_its_time(ledger):
    ledger.record(event("a.mcap"))
    move(ledger, "claimed", "dispatched", "done", "received")
    lines = ledger.rows("SELECT * FROM history ORDER BY id")
    assert [(line["from_state"], line["to_state"], line["reason"]) for line in lines] == [
        ("received", "claimed", "test"),
        ("claimed", "dispatched", "test"),
        ("dispatched", "done", "test"),
        ("done", "received", "test"),
    ]
    (row,) = ledger.rows()
    assert row["state_at"] == lines[-1]["at"] > row["received_at"]


def test_change_that_is_no_move_leaves_no_history(ledger):
    ledger.record(event("a.mcap"))
    move(ledger, "received")
    assert ledger.rows("SELECT * FROM history") == []


def test_tables_of_the_migrations_are_those_of_the_code(ledger):
    with ledger.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_head_is_the_last_revision():
    assert ScriptDirectory(str(Path(migrations.__file__).parent)).get_current_head() == migrations.HEAD


@pytest.mark.parametrize("processes", [4])
def test_several_may_migrate_at_once_and_again(postgres, processes):
    url = postgres.create_database()
    engines = [database.connect(LedgerSettings(url=SecretStr(url)), process="test") for _ in range(processes)]
    with engines[0].begin() as connection:
        assert not migrations.is_migrated(connection)
    with ThreadPoolExecutor(processes) as pool:
        list(pool.map(migrations.migrate, engines))
    with engines[0].begin() as connection:
        assert migrations.is_migrated(connection)
    for engine in engines:
        engine.dispose()


@pytest.mark.parametrize(
    "question",
    [
        "SELECT count(*) FROM objects WHERE route = 'recordings' AND state = 'received'",
        "SELECT count(*) FROM objects WHERE state IN ('unresolved', 'claimed', 'dispatched', 'dead')",
        "SELECT id FROM objects WHERE state IN ('done', 'dead', 'gone', 'superseded') AND audit_due_at <= now()"
        " ORDER BY audit_due_at LIMIT 500",
        "SELECT id FROM objects WHERE unlisted_since < now() - interval '30 days'",
        "SELECT count(*) FROM objects WHERE result_missing_since IS NOT NULL",
    ],
)
def test_years_of_finished_rows_slow_nothing_down(ledger, question):
    ledger.execute(
        """
        INSERT INTO objects (route, bucket, key, etag, event_name, source, state, audit_due_at)
        SELECT 'recordings', 'raw-data', n || '.mcap', 'e', 'x', 'minio', 'done', now() + interval '1 hour'
        FROM generate_series(1, 5000) n
        """
    )
    ledger.execute("ANALYZE objects")
    assert "Seq Scan" not in str(ledger.rows(f"EXPLAIN {question}"))


def test_unreachable_database_is_ours_to_name():
    engine = create_engine("postgresql+psycopg2://nobody@/none?host=/nonexistent")
    with pytest.raises(database.LedgerUnavailable, match="No such file"), database.transaction(engine):
        pass
