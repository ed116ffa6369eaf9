"""What etcd does to those who watch it: it forgets, hangs, changes its leader, or comes back from a backup."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from pydantic import SecretStr
from pyetcd import etcdrpc
from sqlalchemy import Engine

from fieldpipe.crashpoints import VARIABLE
from fieldpipe.local.etcd import TOKEN
from fieldpipe.sentinel.etcd import Etcd
from fieldpipe.sentinel.schema import connect, migrate
from fieldpipe.settings import MysqlSettings, SentinelSettings
from tests.broker.proxy import Wire
from tests.etcd_servers import RunningEtcd
from tests.sentinel.models import device_key, device_value, pod_key, pod_value
from tests.sentinel.test_watch import Watching, await_equal, listed, write
from tests.sentinel.witness import Witness
from tests.waiting import eventually

EDGE = device_key("edge").decode()
LEASED = 10_000  # keys of one lease
LARGE = 2000  # keys of one transaction, half of them devices and half pods

pytestmark = pytest.mark.fault


@pytest.fixture
def watching(sql_url: str, tmp_path: Path) -> Iterator[Watching]:
    watching = Watching(sql_url, tmp_path)
    yield watching
    if watching.process and watching.process.poll() is None:
        watching.kill()


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Iterator[tuple[Watching, Engine]]:
    """For what does not depend on the database."""
    url = f"sqlite:///{tmp_path / 'sentinel.db'}?timeout=60"
    engine = connect(SentinelSettings(url=SecretStr(url)), MysqlSettings())
    migrate(engine)
    watching = Watching(url, tmp_path)
    yield watching, engine
    if watching.process and watching.process.poll() is None:
        watching.kill()
    engine.dispose()


def large_transaction(etcd: RunningEtcd, version: str) -> int:
    names = [f"n{number}" for number in range(LARGE // 2)]
    puts = {device_key(name): device_value(name, os=version) for name in names}
    puts |= {pod_key(name): pod_value(name, currentVersion=version) for name in names}
    with Etcd(etcd.settings) as client:
        return client.transaction(puts)


def test_of_a_large_transaction_all_is_there_or_nothing_whenever_the_watcher_is_killed(
    watching: Watching, engine: Engine, etcd: RunningEtcd
) -> None:
    witness = Witness(engine, etcd.settings)
    large_transaction(etcd, "1")
    watching.start(etcd)
    witness.await_all(watching.log)
    watching.kill()
    revision = large_transaction(etcd, "2")

    for place, is_there in (("sentinel.written", False), ("sentinel.applied", True)):
        watching.start(etcd, **{VARIABLE: place})
        assert watching.process
        assert watching.process.wait(60) == -signal.SIGKILL
        assert (witness.look() >= revision) is is_there

    watching.start(etcd)
    witness.await_all(watching.log)
    assert not witness.was_written_twice()


def test_compaction_up_to_the_checkpoint_costs_nothing(on_sqlite: tuple[Watching, Engine], etcd: RunningEtcd) -> None:
    watching, engine = on_sqlite
    witness = Witness(engine, etcd.settings)
    write(etcd, seed=31, count=30)
    watching.start(etcd)
    witness.await_all(watching.log)
    watching.kill()

    etcd.compact(witness.look())
    write(etcd, seed=32, count=30)
    watching.start(etcd)

    witness.await_all(watching.log)
    assert "sentinel_lists_again" not in watching.log()


def test_a_deletion_that_was_compacted_right_behind_the_checkpoint_is_found(
    on_sqlite: tuple[Watching, Engine], etcd: RunningEtcd
) -> None:
    watching, engine = on_sqlite
    witness = Witness(engine, etcd.settings)
    etcd.put(EDGE, device_value("edge"))
    watching.start(etcd)
    witness.await_all(watching.log)
    watching.kill()
    assert etcd.delete(EDGE) == witness.look() + 1

    etcd.compact(etcd.revision())
    watching.start(etcd)

    witness.await_all(watching.log)
    assert "sentinel_lists_again" in watching.log()


def test_compactions_while_the_watcher_lives_and_is_slow_lose_nothing(
    on_sqlite: tuple[Watching, Engine], etcd: RunningEtcd
) -> None:
    watching, engine = on_sqlite
    witness = Witness(engine, etcd.settings)
    watching.start(etcd)
    witness.await_all(watching.log)
    assert watching.process

    for seed in range(33, 38):
        watching.process.send_signal(signal.SIGSTOP)
        write(etcd, seed, count=100)
        etcd.compact(etcd.revision())
        watching.process.send_signal(signal.SIGCONT)
        write(etcd, seed + 10, count=10)
        witness.look()

    witness.await_all(watching.log)


def test_a_connection_that_hangs_is_given_up(on_sqlite: tuple[Watching, Engine], etcd: RunningEtcd) -> None:
    watching, engine = on_sqlite
    witness = Witness(engine, etcd.settings)
    wire = Wire(etcd.server.ports["etcd"])
    try:
        etcd.put(EDGE, device_value("edge"))
        watching.start(etcd, MY_ETCD_PORT=str(wire.port), MY_ETCD_SILENCE_SECONDS="2")
        witness.await_all(watching.log)
        eventually(lambda: "sentinel_watches" in watching.log(), 30, watching.log)

        wire.lose(b"", hang=True)
        assert wire.was_answered()
        write(etcd, seed=41, count=30)

        eventually(lambda: "silent for 2 s" in watching.log(), 30, watching.log)
        witness.look()
        witness.await_all(watching.log)
    finally:
        wire.close()


def test_an_etcd_that_passes_the_checkpoint_again_after_a_backup_is_found_out(
    on_sqlite: tuple[Watching, Engine], etcd_factory: Callable[[Path], RunningEtcd], tmp_path: Path
) -> None:
    watching, engine = on_sqlite
    etcd = etcd_factory(tmp_path)
    etcd.put(EDGE, device_value("edge", os="before"))
    etcd.snapshot(tmp_path / "backup.db")
    revision = etcd.put(EDGE, device_value("edge", os="lost"))
    watching.start(etcd)
    await_equal(engine, etcd, watching.log)
    watching.kill()

    etcd.restore(tmp_path / "backup.db", TOKEN)
    assert etcd.put(EDGE, device_value("edge", os="after")) == revision
    write(etcd, seed=42, count=20)
    watching.start(etcd, POD_INTERVAL="0.5")

    await_equal(engine, etcd, watching.log)
    Witness(engine, etcd.settings).await_all(watching.log)


def test_leases_that_end_in_one_moment_are_deletions(watching: Watching, engine: Engine, etcd: RunningEtcd) -> None:
    witness = Witness(engine, etcd.settings)
    etcd.put(EDGE, device_value("edge"))
    leases = [etcd.grant(3600) for _ in range(2)]
    for number, lease in enumerate(leases):
        put_leased(etcd, lease, [device_key(f"{number}-{each}") for each in range(LEASED)])
    watching.start(etcd)
    witness.await_all(watching.log, 120)

    for lease in leases:
        etcd.revoke(lease)  # each is one revision

    witness.await_all(watching.log, 120)
    assert [entry.key for entry in listed(etcd.settings)] == [EDGE.encode()]


def put_leased(etcd: RunningEtcd, lease: int, keys: list[bytes]) -> None:
    """All of them in one transaction."""
    value = device_value("any", deviceName=None)
    puts = [etcdrpc.RequestOp(request_put=etcdrpc.PutRequest(key=key, value=value, lease=lease)) for key in keys]
    with grpc.insecure_channel(f"127.0.0.1:{etcd.settings.port}") as channel:
        etcdrpc.KVStub(channel).Txn(etcdrpc.TxnRequest(success=puts), timeout=60)
