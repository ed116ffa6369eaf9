"""What the sentinel's benchmarks run on: an etcd, databases, writers, and watchers as processes."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import pymysql

from fieldpipe.errors import PermanentError
from fieldpipe.local import marks, process
from fieldpipe.local.etcd import etcd_program
from fieldpipe.local.process import Child, Command
from tests import mariadb_servers
from tests.bench.progress import say
from tests.environments import PROJECT
from tests.etcd_servers import RunningEtcd, start_etcd
from tests.mariadb_servers import Mariadb, start_mariadb
from tests.memory import Peak

MARK = f"bench-sentinel-{os.getpid()}"
AS_IT_COMES = ("--innodb-flush-log-at-trx-commit=1", "--innodb-log-file-size=96M")  # each commit is synced
PATIENCE_SECONDS = 240.0
ORIGINAL = PROJECT / "tests" / "bench" / "peers" / "titaniadb_sentinel.py"


class Look(AbstractContextManager["Look"]):
    """A connection that looks at the mirror's tables while others write them."""

    def __init__(self, database: Database) -> None:
        self._sqlite = database.server is None
        self._connection: Any
        if database.server is None:
            self._connection = sqlite3.connect(database.file, isolation_level=None, timeout=30)
        else:
            self._connection = database.server.server.connect()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def revision(self) -> int:
        """The checkpoint: what was changed up to this revision stands in the tables. 0 before the first listing."""
        return int(self._one("SELECT revision FROM Sentinel.checkpoint") or 0)

    def version(self, pod: str) -> str | None:
        """The currentVersion of a pod's row."""
        found = self._one(f"SELECT currentVersion FROM Pod.pod WHERE podName = '{pod}'")
        return None if found is None else str(found)

    def rows(self) -> int:
        """Of both tables."""
        return sum(int(self._one(f"SELECT COUNT(*) FROM {table}") or 0) for table in ("Device.device", "Pod.pod"))

    def _one(self, statement: str) -> Any:
        """The first value; None: there is none, or no table yet."""
        if self._sqlite:
            for name in ("Device.", "Pod.", "Sentinel."):
                statement = statement.replace(name, "")
        try:
            with closing(self._connection.cursor()) as cursor:
                cursor.execute(statement)
                found = cursor.fetchone()
        except (sqlite3.Error, pymysql.MySQLError):
            return None
        return found[0] if found else None


@dataclass(frozen=True)
class Database:
    """Where a mirror is kept: a file, or a server."""

    name: str
    file: Path
    server: Mariadb | None = None

    @property
    def variables(self) -> dict[str, str]:
        """What leads a watcher to it."""
        return {"SENTINEL_URL": self.server.url if self.server else f"sqlite:///{self.file}"}

    def clear(self) -> None:
        """As if nobody had mirrored anything."""
        self.file.unlink(missing_ok=True)
        if self.server:
            self.server.clear()

    def cpu(self) -> float:
        """CPU seconds of the server."""
        return cpu(self.server.process.pid) if self.server else 0.0


class Watching(AbstractContextManager["Watching"]):
    """A watcher, ours or the original, from the start of its process to its end."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self._peak = Peak(child.pid)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.child.stop()

    def peak(self) -> int:
        """The most resident memory, in bytes; ends the watcher."""
        self.child.stop()
        return self._peak.most()

    def wait_for(self, true: Callable[[], bool], pause: float = 0.02) -> None:
        """Until something has come true. Raises PermanentError with the last lines of its log when it ends before."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not true():
            if self.child.exit_code() is not None or time.monotonic() > deadline:
                raise PermanentError("\n".join(["a watcher does not come to it", *process.tail(self.child.log, 20)]))
            time.sleep(pause)


@dataclass(frozen=True)
class Written:
    """What a writer has done: of each change its revision and when it was sent, in order of revisions."""

    revisions: list[int]
    sent: list[float]

    @property
    def rate(self) -> float:
        """Changes per second."""
        return len(self.sent) / (max(self.sent) - min(self.sent))


@dataclass
class Field:
    """An etcd of the benchmark's own, with a fleet of `keys` keys, and the databases that there are."""

    etcd: RunningEtcd
    databases: tuple[Database, ...]
    folder: Path
    keys: int
    changed: int = 0  # changes so far

    def refill(self, keys: int) -> Written:
        """Another fleet in the place of this one."""
        self.etcd.clear()
        self.keys, self.changed = keys, 0
        return self.written(self.start_writer(keys))

    def start_writer(self, count: int, rate: int = 0) -> Child:
        """The next changes of the fleet; `written` says what came of them."""
        numbers = (self.etcd.settings.port, self.keys, self.changed, count, rate)
        self.changed += count
        return self._start(("-m", "tests.bench.sentinel_writer", *map(str, numbers), str(self._changes)), {})

    def written(self, writer: Child) -> Written:
        """Wait for its end."""
        if writer.wait(PATIENCE_SECONDS) != 0:
            raise PermanentError("\n".join(["a writer has failed", *process.tail(writer.log, 20)]))
        lines = [line.split() for line in self._changes.read_text().splitlines()]
        return Written([int(revision) for revision, _ in lines], [float(sent) for _, sent in lines])

    def watch(self, database: Database) -> Watching:
        """Our watcher."""
        variables = {**database.variables, **self.etcd.environment}
        return Watching(self._start(("-m", "scripts.watch_sentinel"), variables))

    def original(self, database: Database, interval: int | None = None) -> Watching:
        """The original's way; it takes MariaDB. `interval`: seconds between its passes, else 30 and 5."""
        assert database.server
        variables = {**database.server.environment, **self.etcd.environment}
        if interval:
            variables |= dict.fromkeys(("DEVICE_INTERVAL", "POD_INTERVAL"), str(interval))
        return Watching(self._start((str(ORIGINAL),), variables))

    def audit(self, database: Database) -> tuple[float, int]:
        """Our audit, of a mirror that is right: seconds from the start of its process to its end, and peak memory."""
        variables = {**database.variables, **self.etcd.environment, "SENTINEL_HEARTBEAT_SECONDS": "1e9"}
        begin = time.monotonic()
        child = self._start(("-m", "scripts.audit_sentinel", "--print"), variables)
        peak = Peak(child.pid)
        if child.wait(PATIENCE_SECONDS) != 0:
            raise PermanentError("\n".join(["the audit says that tables and etcd differ", *process.tail(child.log, 5)]))
        return time.monotonic() - begin, peak.most()

    def _start(self, arguments: tuple[str, ...], variables: Mapping[str, str]) -> Child:
        environment = {**process.base_environment(MARK), **variables}
        return Child(Command((sys.executable, *arguments), PROJECT, environment), self.folder / "runs.log")

    @property
    def _changes(self) -> Path:
        return self.folder / "changes.txt"


def cpu(pid: int) -> float:
    """CPU seconds of a process so far."""
    return sum(psutil.Process(pid).cpu_times()[:2])


@contextmanager
def field(keys: int) -> Iterator[Field]:
    """MariaDB where it is installed, and SQLite; every commit of all three is synced to disk; ended in any case."""
    with ExitStack() as cleanup:
        folder = Path(tempfile.mkdtemp(prefix="fp-bench-"))  # a short path, for a socket
        folder.chmod(0o711)
        cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
        cleanup.callback(marks.sweep, MARK)
        etcd = start_etcd(folder / "etcd", MARK, etcd_program())
        cleanup.callback(etcd.stop)
        yield Field(etcd, tuple(_databases(folder, cleanup)), folder, keys)


def _databases(folder: Path, cleanup: ExitStack) -> Iterator[Database]:
    try:
        template = mariadb_servers.make_template(folder / "template")
        server = start_mariadb(folder / "mariadb", folder, MARK, template, AS_IT_COMES)
        cleanup.callback(server.stop)
        yield Database("MariaDB", folder / "nothing", server)
    except mariadb_servers.NotHere as missing:
        say(f"{missing}: SQLite only, and without the original")
    yield Database("SQLite", folder / "sentinel.db")
