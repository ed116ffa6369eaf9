"""The watcher as a process of its own: real etcd, real databases; killed, cut off, overtaken."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, delete, insert, select
from sqlalchemy.exc import OperationalError

from fieldpipe.crashpoints import VARIABLE
from fieldpipe.sentinel.etcd import Etcd
from fieldpipe.sentinel.keys import Entry
from fieldpipe.sentinel.rows import rows_of
from fieldpipe.sentinel.schema import connect, migrate
from fieldpipe.sentinel.tables import TABLES, checkpoint, entries, history
from fieldpipe.settings import EtcdSettings, MysqlSettings, SentinelSettings
from tests.etcd_servers import RunningEtcd
from tests.mariadb_servers import Mariadb
from tests.sentinel.models import device_key, device_value, expected, pod_key, pod_value, tables
from tests.waiting import eventually

POINTS = ("sentinel.written", "sentinel.applied", "sentinel.relisted")
ROOT = Path(__file__).parents[2]


class Watching:
    """A process of `scripts.watch_sentinel`."""

    def __init__(self, url: str, folder: Path) -> None:
        self._environment = {**os.environ, "SENTINEL_URL": url, "SENTINEL_DELETES": "remove", "POD_INTERVAL": "3600"}
        self._environment["DEVICE_INTERVAL"] = "3600"
        self._log = folder / "watch.log"
        self.alive = folder / "alive"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, etcd: RunningEtcd, **variables: str) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "scripts.watch_sentinel", "--alive", str(self.alive)],
                cwd=ROOT,
                env={**self._environment, **etcd.environment, **variables},
                stderr=log,
            )

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()

    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""


@pytest.fixture
def watching(sql_url: str, tmp_path: Path) -> Iterator[Watching]:
    watching = Watching(sql_url, tmp_path)
    yield watching
    if watching.process and watching.process.poll() is None:
        watching.kill()


def listed(settings: EtcdSettings) -> list[Entry]:
    with Etcd(settings) as etcd:
        return [entry for page in etcd.snapshot().pages for entry in page]


def await_equal(engine: Engine, etcd: RunningEtcd, log: Callable[[], str], seconds: float = 30.0) -> None:
    """The tables say what etcd says; of rows whose newest value is malformed nobody knows what they should say."""
    entries = listed(etcd.settings)
    wanted, unknown = expected(entries), rows_of(entries).corrupt
    eventually(lambda: {k: row for k, row in tables(engine).items() if k not in unknown} == wanted, seconds, log)


def write(etcd: RunningEtcd, seed: int, count: int) -> None:
    """Random puts, moves and deletions of a few devices and pods, some of them in one transaction."""
    chance = random.Random(seed)
    with Etcd(etcd.settings) as client:
        for number in range(count):
            puts: dict[bytes, bytes] = {}
            deletes: set[bytes] = set()
            for _ in range(chance.choice((1, 1, 3))):
                name, status = chance.choice("abcde"), chance.choice("01")
                device = device_key(name, status), device_value(name, os=f"{seed}.{number}")
                pod = pod_key(name, chance.choice("ab"), status), pod_value(name, currentVersion=f"{seed}.{number}")
                key, value = chance.choice((device, pod))
                if chance.random() < 0.35:
                    deletes.add(key)
                elif chance.random() < 0.05:
                    puts[key] = b"{malformed"
                else:
                    puts[key] = value
            client.transaction(puts, deletes - puts.keys())


def test_rows_follow_etcd(watching: Watching, engine: Engine, etcd: RunningEtcd) -> None:
    etcd.put("/Device/before/0", device_value("before"))
    watching.start(etcd)
    await_equal(engine, etcd, watching.log)

    write(etcd, seed=1, count=150)

    await_equal(engine, etcd, watching.log)
    assert watching.alive.exists()


def test_entries_that_were_lost_are_noticed_and_listed_again(
    watching: Watching, engine: Engine, etcd: RunningEtcd
) -> None:
    etcd.put("/Device/edge/0", device_value("edge"))
    watching.start(etcd, POD_INTERVAL="0.1")
    await_equal(engine, etcd, watching.log)

    with engine.begin() as connection:
        connection.execute(delete(entries))
        connection.execute(delete(TABLES["device"]))

    await_equal(engine, etcd, watching.log)
    assert "sentinel_lists_again" in watching.log()


def test_it_ends_when_it_is_told_to(watching: Watching, engine: Engine, etcd: RunningEtcd) -> None:
    watching.start(etcd)
    eventually(lambda: "sentinel_watches" in watching.log(), 30, watching.log)
    assert watching.process

    watching.process.send_signal(signal.SIGTERM)

    assert watching.process.wait(20) == 0


@pytest.mark.fault
def test_history_that_is_too_old_goes_while_the_rest_stays(
    watching: Watching, engine: Engine, etcd: RunningEtcd
) -> None:
    now = datetime.now(UTC).replace(tzinfo=None)
    rows = [{"key": b"k", "revision": days, "at": now - timedelta(days=days)} for days in (1, 3) for _ in range(1200)]
    with engine.begin() as connection:
        connection.execute(insert(history), rows)

    def left() -> list[int]:
        with engine.begin() as connection:
            return sorted(connection.scalars(select(history.c.revision).where(history.c.key == b"k")))

    watching.start(etcd, SENTINEL_HISTORY_DAYS="2")

    eventually(lambda: write(etcd, seed=15, count=1) or left() == [1] * 1200, 30, watching.log)


@pytest.mark.fault
@pytest.mark.parametrize("place", POINTS)
def test_killed_at_any_step_the_next_start_puts_it_right(
    watching: Watching, engine: Engine, etcd: RunningEtcd, place: str
) -> None:
    write(etcd, seed=2, count=20)
    if place == "sentinel.applied":
        watching.start(etcd)
        await_equal(engine, etcd, watching.log)
        watching.kill()
        write(etcd, seed=3, count=20)
    watching.start(etcd, **{VARIABLE: place})
    assert watching.process
    assert watching.process.wait(30) == -signal.SIGKILL

    write(etcd, seed=4, count=20)
    watching.start(etcd)

    await_equal(engine, etcd, watching.log)


@pytest.mark.fault
def test_what_was_compacted_while_nobody_watched_is_found_by_listing(
    watching: Watching, engine: Engine, etcd: RunningEtcd
) -> None:
    write(etcd, seed=5, count=30)
    watching.start(etcd)
    await_equal(engine, etcd, watching.log)
    watching.kill()
    write(etcd, seed=6, count=30)
    etcd.compact(etcd.revision())

    watching.start(etcd)

    await_equal(engine, etcd, watching.log)
    assert "sentinel_lists_again" in watching.log()


@pytest.mark.fault
def test_an_etcd_that_was_restored_from_a_backup_wins_over_what_came_after_it(
    watching: Watching, engine: Engine, etcd_factory: Callable[[Path], RunningEtcd], tmp_path: Path
) -> None:
    etcd = etcd_factory(tmp_path)
    write(etcd, seed=7, count=20)
    etcd.snapshot(tmp_path / "backup.db")
    watching.start(etcd)
    write(etcd, seed=8, count=40)
    await_equal(engine, etcd, watching.log)

    etcd.kill()
    etcd.restore(tmp_path / "backup.db")

    await_equal(engine, etcd, watching.log, 60)


@pytest.mark.fault
def test_two_watchers_write_everything_once(
    watching: Watching, engine: Engine, etcd: RunningEtcd, sql_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    other = Watching(sql_url, folder)
    watching.start(etcd)
    other.start(etcd)
    try:
        write(etcd, seed=9, count=100)
        await_equal(engine, etcd, watching.log, 60)
        assert watching.process
        sleeper = psutil.Process(watching.process.pid)
        suspend_outside_a_transaction(sleeper, sql_url)
        write(etcd, seed=10, count=50)
        await_equal(engine, etcd, other.log, 60)
        sleeper.resume()
        write(etcd, seed=11, count=50)
        await_equal(engine, etcd, other.log, 60)
    finally:
        other.kill()


def suspend_outside_a_transaction(process: psutil.Process, url: str) -> None:
    """Else everybody would wait for the lock of one that sleeps."""
    probe = connect(SentinelSettings(url=SecretStr(url.replace("timeout=60", "timeout=1"))), MysqlSettings())

    def is_suspended() -> bool:
        process.suspend()
        try:
            with probe.begin() as connection:
                connection.execute(select(checkpoint).with_for_update(nowait=True))
        except OperationalError:  # somebody has the lock, and it may be this one
            process.resume()
            return False
        return True

    try:
        eventually(is_suspended, 60)
    finally:
        probe.dispose()


@pytest.mark.fault
@pytest.mark.mariadb
def test_without_its_database_it_waits_and_goes_on(
    mariadb_factory: Callable[[Path], Mariadb], etcd: RunningEtcd, tmp_path: Path
) -> None:
    mariadb = mariadb_factory(tmp_path)
    watching = Watching(mariadb.url, tmp_path)
    engine = connect(SentinelSettings(url=SecretStr(mariadb.url)), MysqlSettings())
    migrate(engine)
    try:
        watching.start(etcd)
        write(etcd, seed=12, count=20)
        await_equal(engine, etcd, watching.log)

        mariadb.kill()
        write(etcd, seed=13, count=20)
        eventually(lambda: "sentinel_waits" in watching.log(), 30, watching.log)
        mariadb.start()

        await_equal(engine, etcd, watching.log, 60)
    finally:
        watching.kill()
        engine.dispose()


def test_the_checkpoint_moves_with_etcd(watching: Watching, engine: Engine, etcd: RunningEtcd) -> None:
    watching.start(etcd)
    eventually(lambda: "sentinel_watches" in watching.log(), 30, watching.log)
    revision = etcd.put("/Device/edge/0", device_value("edge"))
    etcd.delete("/Device/edge/0")

    def reached() -> bool:
        with engine.begin() as connection:
            return connection.execute(select(checkpoint.c.revision)).scalar_one() >= revision

    eventually(reached, 30, watching.log)
