"""Real servers for tests: a handle that can be stopped, started again and killed, over the definitions of the stack."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar
from uuid import uuid4

import psutil
from pydantic import SecretStr

from fieldpipe.local import ports, process
from fieldpipe.local.objectstore import MINIO_PORTS, SEAWEED_PORTS, MinioServer, SeaweedServer
from fieldpipe.local.postgres import PostgresServer
from fieldpipe.local.process import Child, StartFailed
from fieldpipe.settings import StoreSettings
from fieldpipe.store import ObjectStore
from tests.waiting import alive, eventually

BUCKETS = ("raw-data", "processed-data")
START_ATTEMPTS = 3  # somebody else may take a port between our look and our start

AnyServer = TypeVar("AnyServer", bound=process.Server)


@dataclass
class Running(Generic[AnyServer]):
    """A server that runs now. `log` keeps its output over restarts."""

    server: AnyServer
    process: Child
    log: Path

    def stop(self) -> None:
        """Stop it politely."""
        self.process.stop()

    def kill(self) -> None:
        """End it as a crash would, with all it started: also what left its group, as PostgreSQL's backends do."""
        server = psutil.Process(self.process.pid)
        server.suspend()  # from now on it starts nothing
        children = server.children(recursive=True)
        self.process.kill()
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        eventually(lambda: not any(alive(child) for child in children))

    def start(self) -> None:
        """Start it again with the same data and address; returns when it serves."""
        self.process = process.start(self.server, self.log)


@dataclass
class Postgres(Running[PostgresServer]):
    """A PostgreSQL server. `url(name)` is the SQLAlchemy URL of a database."""

    def create_database(self) -> str:
        """A new, empty database; returns its SQLAlchemy URL."""
        name = f"test_{uuid4().hex[:12]}"
        self.server.ensure_database(name)
        return self.server.url(name)

    def url(self, name: str) -> str:
        """SQLAlchemy URL of a database of this server."""
        return self.server.url(name)


@dataclass
class Store(Running[SeaweedServer | MinioServer]):
    """An object store with the buckets raw-data and processed-data."""

    settings: StoreSettings = field(kw_only=True)
    client: ObjectStore = field(kw_only=True)

    @property
    def environment(self) -> dict[str, str]:
        """The MINIO_* variables that lead a process of ours to this store."""
        return {
            "MINIO_ENDPOINT": self.settings.endpoint,
            "MINIO_ACCESS_KEY": self.settings.access_key,
            "MINIO_SECRET_KEY": self.settings.secret_key.get_secret_value(),
            "MINIO_REGION": self.settings.region,
        }


def start_postgres(folder: Path, sockets: Path, mark: str) -> Postgres:
    """A new server with its data in `folder`, without fsync: tests kill processes, they do not cut the power."""
    server = PostgresServer(folder / "data", sockets, mark, durable=False)
    log = folder / "postgres.log"
    return Postgres(server, process.start(server, log), log)


def start_seaweed(folder: Path, sockets: Path, mark: str) -> Store:
    """A new SeaweedFS on free ports."""
    return _start_store(
        folder,
        SEAWEED_PORTS,
        lambda chosen, settings: SeaweedServer(folder, sockets, chosen, settings, BUCKETS, mark),
    )


def start_minio(folder: Path, mark: str, notify: Mapping[str, str]) -> Store:
    """A new MinIO on free ports; `notify` holds its MINIO_NOTIFY_WEBHOOK_* variables."""
    return _start_store(
        folder,
        MINIO_PORTS,
        lambda chosen, settings: MinioServer(folder, chosen, settings, BUCKETS, mark, notify),
    )


def _start_store(
    folder: Path,
    names: tuple[str, ...],
    define: Callable[[Mapping[str, int], StoreSettings], SeaweedServer | MinioServer],
) -> Store:
    log = folder / "store.log"
    for attempt in range(1, START_ATTEMPTS + 1):
        chosen = ports.choose(names, folder / f"ports-{attempt}.json")
        settings = _settings(chosen["store"])
        server = define(chosen, settings)
        try:
            child = process.start(server, log)
        except StartFailed:
            if attempt == START_ATTEMPTS:
                raise
        else:
            return Store(server, child, log, settings=settings, client=ObjectStore.connect(settings))
    raise AssertionError("unreachable")


def _settings(port: int) -> StoreSettings:
    return StoreSettings(
        endpoint=f"http://127.0.0.1:{port}",
        access_key="test-access-key",
        secret_key=SecretStr(f"secret-{uuid4().hex}"),
    )
