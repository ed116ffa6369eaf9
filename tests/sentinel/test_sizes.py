"""A hundred thousand keys, and values of a megabyte: the watcher takes them a part at a time."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine

from fieldpipe.sentinel.etcd import Etcd
from fieldpipe.sentinel.schema import connect, migrate
from fieldpipe.settings import MysqlSettings, SentinelSettings
from tests.etcd_servers import RunningEtcd
from tests.memory import Peak
from tests.sentinel.models import device_key, device_value, pod_key, pod_value
from tests.sentinel.test_watch import Watching
from tests.sentinel.witness import Witness
from tests.waiting import eventually

KEYS = 100_000
AT_ONCE = 10_000  # keys of one transaction
LARGE = 150  # values, of a megabyte
MEGABYTE = 1_000_000
MOST = 350 * MEGABYTE  # of memory
LIMIT_SECONDS = 200

pytestmark = [pytest.mark.fault, pytest.mark.timeout(3 * LIMIT_SECONDS)]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = connect(
        SentinelSettings(url=SecretStr(f"sqlite:///{tmp_path / 'sentinel.db'}?timeout=60")), MysqlSettings()
    )
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def watching(engine: Engine, tmp_path: Path) -> Iterator[Watching]:
    watching = Watching(engine.url.render_as_string(), tmp_path)
    yield watching
    if watching.process and watching.process.poll() is None:
        watching.kill()


def begin(watching: Watching, etcd: RunningEtcd) -> Peak:
    """Until the first listing is written; how much memory it takes is watched."""
    watching.start(etcd)
    assert watching.process
    peak = Peak(watching.process.pid)
    eventually(lambda: "sentinel_watches" in watching.log(), LIMIT_SECONDS, lambda: watching.log()[-2000:])
    return peak


def test_a_hundred_thousand_keys_are_listed_and_removed_again(
    watching: Watching, engine: Engine, etcd: RunningEtcd
) -> None:
    names = [f"n{number}" for number in range(KEYS // 2)]
    puts = {device_key(name): device_value(name) for name in names}
    puts |= {pod_key(name): pod_value(name) for name in names}
    keys = sorted(puts)
    parts = [keys[start : start + AT_ONCE] for start in range(0, KEYS, AT_ONCE)]
    with Etcd(etcd.settings) as client:
        for part in parts:
            client.transaction({key: puts[key] for key in part})
    peak = begin(watching, etcd)
    witness = Witness(engine, etcd.settings)
    assert witness.look() >= etcd.revision()

    with Etcd(etcd.settings) as client:
        for part in parts:
            client.transaction({}, part)
    etcd.put("/Device/last/0", device_value("last"))

    eventually(lambda: '"last"' in watching.log(), LIMIT_SECONDS, lambda: watching.log()[-2000:])
    witness.await_all(watching.log)
    watching.kill()
    print(f"{KEYS} keys: {peak.most() // 1_000_000} MB at most")
    assert peak.most() < MOST


def test_values_of_a_megabyte_are_taken_a_few_at_a_time(watching: Watching, engine: Engine, etcd: RunningEtcd) -> None:
    with Etcd(etcd.settings) as client:
        for number in range(LARGE):
            client.put(device_key(f"n{number}"), device_value(f"n{number}", photo="x" * MEGABYTE))
        peak = begin(watching, etcd)
        for number in range(0, LARGE, 2):
            client.put(device_key(f"n{number}"), device_value(f"n{number}", photo="y" * MEGABYTE))
    etcd.put("/Device/last/0", device_value("last"))

    eventually(lambda: '"last"' in watching.log(), LIMIT_SECONDS, lambda: watching.log()[-2000:])
    Witness(engine, etcd.settings).await_all(watching.log)
    watching.kill()
    print(f"{LARGE} values of 1 MB: {peak.most() // 1_000_000} MB at most")
    assert peak.most() < MOST
