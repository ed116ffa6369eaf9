"""The server definitions of the stack, each against the real program."""

from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from sqlalchemy import create_engine, text

from fieldpipe.local import process
from tests.servers import Postgres, Store

INTEGER = 4711


def _value(url: str) -> int:
    engine = create_engine(url)
    with engine.connect() as connection:
        found: int = connection.execute(text("SELECT n FROM t")).scalar_one()
    engine.dispose()
    return found


def _listens_on(pid: int) -> set[str]:
    server = psutil.Process(pid)
    sockets = [c for p in [server, *server.children()] for c in p.net_connections(kind="inet")]
    return {c.laddr.ip for c in sockets if c.status == "LISTEN"}


def test_databases_are_separate_and_empty(postgres: Postgres) -> None:
    first, second = postgres.create_database(), postgres.create_database()

    assert first != second


def test_committed_rows_survive_a_killed_postgres(postgres_factory: Callable[[Path], Postgres], tmp_path: Path) -> None:
    postgres = postgres_factory(tmp_path)
    url = postgres.create_database()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE TABLE t AS SELECT {INTEGER} AS n"))
    engine.dispose()

    postgres.kill()
    postgres.start()

    assert _value(url) == INTEGER


def test_postgres_never_runs_as_root(postgres: Postgres) -> None:
    assert psutil.Process(postgres.process.pid).uids().effective != 0


def test_postgres_opens_no_port(postgres: Postgres) -> None:
    assert _listens_on(postgres.process.pid) == set()


def test_objects_survive_a_killed_store(store_factory: Callable[[Path], Store], tmp_path: Path) -> None:
    store = store_factory(tmp_path)
    store.client.put("raw-data", "a/b.mcap", b"content")

    store.kill()
    store.start()

    assert store.client.get("raw-data", "a/b.mcap", limit=100)[0] == b"content"


def test_store_listens_on_loopback_only(store: Store) -> None:
    assert _listens_on(store.process.pid) == {"127.0.0.1"}


@pytest.mark.minio
def test_minio_listens_on_loopback_only_and_stores(minio_server: Callable[..., Store], tmp_path: Path) -> None:
    minio = minio_server(tmp_path)
    minio.client.put("raw-data", "a.mcap", b"content")

    assert _listens_on(minio.process.pid) <= {"127.0.0.1", "::1"}
    assert minio.client.get("raw-data", "a.mcap", limit=100)[0] == b"content"


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    class Broken:
        def prepare(self) -> None: ...

        def command(self) -> process.Command:
            return process.Command(("/bin/sh", "-c", "echo no such luck; exit 3"), tmp_path)

        def ready(self, since: float) -> bool:
            return False

    with pytest.raises(process.StartFailed, match=r"(?s)exit code 3.*no such luck"):
        process.start(Broken(), tmp_path / "log")
