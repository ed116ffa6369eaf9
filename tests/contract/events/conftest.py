"""Fixtures of the events room: a migrated ledger, the stub of Airflow, the webhook under gunicorn."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from fieldpipe.events import database, migrations
from fieldpipe.settings import LedgerSettings
from tests.contract.events.stub_airflow import StubAirflow
from tests.contract.events.world import DispatchWorld, LedgerWorld, WebhookProcess
from tests.servers import Postgres, Store


@pytest.fixture(scope="session")
def session_ledger(postgres: Postgres) -> Iterator[LedgerWorld]:
    url = postgres.create_database()
    engine = database.connect(LedgerSettings(url=SecretStr(url)), process="test", connections=20)
    migrations.migrate(engine)
    yield LedgerWorld(engine, url)
    engine.dispose()


@pytest.fixture
def ledger(session_ledger: LedgerWorld) -> LedgerWorld:
    """An empty, migrated ledger."""
    session_ledger.execute("TRUNCATE objects, runs, run_members, history, rejected, route_status")
    return session_ledger


@pytest.fixture
def airflow() -> Iterator[StubAirflow]:
    stub = StubAirflow()
    yield stub
    stub.stop()


@pytest.fixture
def world(ledger: LedgerWorld, store: Store, airflow: StubAirflow) -> DispatchWorld:
    """A ledger, the session's store and the stub of Airflow, ready for dispatchers."""
    return DispatchWorld(ledger, store.client, airflow)


@pytest.fixture
def start_webhook(tmp_path: Path, mark: str) -> Iterator[Callable[..., WebhookProcess]]:
    """`start_webhook(ledger_url, NAME="value")`: the webhook under gunicorn."""
    started: list[WebhookProcess] = []

    def start(ledger_url: str, **environment: str) -> WebhookProcess:
        folder = tmp_path / f"webhook-{len(started)}"
        started.append(WebhookProcess(folder, ledger_url, mark, **environment))
        return started[-1].start()

    yield start
    for webhook in started:
        webhook.stop()
