"""A cluster of three: its leader goes to sleep and another takes over, or the watcher's own member is cut off."""

import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from fieldpipe.local import ports, process
from fieldpipe.local.etcd import PORTS, EtcdServer, etcd_program
from fieldpipe.sentinel.etcd import Etcd, EtcdUnavailable
from fieldpipe.sentinel.schema import connect, migrate
from fieldpipe.settings import MysqlSettings, SentinelSettings
from tests.etcd_servers import OPTIONS, RunningEtcd
from tests.sentinel.models import device_key, device_value
from tests.sentinel.test_watch import Watching
from tests.sentinel.witness import Witness
from tests.waiting import eventually

CALM = (*OPTIONS, "--unsafe-no-fsync", "--heartbeat-interval=100", "--election-timeout=1000")  # on a busy machine too
ROUNDS = 4
WRITES = 40  # of a round

pytestmark = pytest.mark.fault


@pytest.fixture
def cluster(tmp_path: Path, mark: str) -> Iterator[list[RunningEtcd]]:
    """Its members. None of them is ready before the others are there."""
    folders = [tmp_path / f"member-{number}" for number in range(3)]
    names = [{name: f"{name}-{number}" for name in PORTS} for number in range(3)]
    ports_of = ports.choose(tuple(each for member in names for each in member.values()), tmp_path / "ports.json")
    chosen = [{name: ports_of[each] for name, each in member.items()} for member in names]
    peers = ",".join(f"m{n}=http://127.0.0.1:{each['etcd-peer']}" for n, each in enumerate(chosen))
    servers = [
        EtcdServer(
            folder, each, mark, etcd_program(), options=(*CALM, f"--name=m{number}", f"--initial-cluster={peers}")
        )
        for number, (folder, each) in enumerate(zip(folders, chosen, strict=True))
    ]
    with ThreadPoolExecutor(3) as together:
        logs = [folder / "etcd.log" for folder in folders]
        children = list(together.map(process.start, servers, logs))
    members = [RunningEtcd(*each) for each in zip(servers, children, logs, strict=True)]
    yield members
    for member in members:
        member.kill()


def leader_of(cluster: list[RunningEtcd]) -> RunningEtcd | None:
    """None: they are electing one."""
    return next(filter(is_leader, cluster), None)


def is_leader(member: RunningEtcd) -> bool:
    (status,) = json.loads(member.ctl("endpoint", "status", "-w", "json"))
    found = status["Status"]
    return bool(found["header"]["member_id"] == found.get("leader"))


def put_somehow(client: Etcd, key: bytes, value: bytes) -> bool:
    """False while there is no leader."""
    try:
        client.put(key, value)
    except EtcdUnavailable:
        return False
    return True


@pytest.mark.parametrize("victim", ["the leader", "the watcher's member"])
def test_whoever_of_a_cluster_is_away_the_mirror_never_goes_back(
    victim: str, cluster: list[RunningEtcd], tmp_path: Path
) -> None:
    chance = random.Random(51)
    url = f"sqlite:///{tmp_path / 'sentinel.db'}?timeout=60"
    engine = connect(SentinelSettings(url=SecretStr(url)), MysqlSettings())
    migrate(engine)
    watching = Watching(url, tmp_path)
    watching.start(cluster[0], MY_ETCD_SILENCE_SECONDS="1", POD_INTERVAL="0.5")
    reached = [0]
    try:
        Witness(engine, cluster[1].settings).await_all(watching.log)
        for _ in range(ROUNDS):
            waited = watching.log().count("sentinel_waits")
            away = eventually(lambda: leader_of(cluster), 30) if victim == "the leader" else cluster[0]
            others = [member for member in cluster if member is not away]
            witness = Witness(engine, others[0].settings)
            with away.suspended(), Etcd(others[1].settings.model_copy(update={"silence_seconds": 2.0})) as client:
                for _ in range(WRITES):
                    name = chance.choice("abcde")
                    value = device_value(name, os=str(chance.random()))
                    eventually(lambda: put_somehow(client, device_key(name), value), 30)  # noqa: B023 -- at once
                if away is cluster[0]:
                    eventually(lambda: watching.log().count("sentinel_waits") > waited, 30, watching.log)  # noqa: B023
                reached.append(witness.look())
            witness.await_all(watching.log)
            reached.append(witness.look())
    finally:
        watching.kill()
        engine.dispose()

    assert reached == sorted(reached)
    assert reached[-1] > ROUNDS * WRITES
