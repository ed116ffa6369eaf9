"""A broker that is killed under load: what it acknowledged is delivered, and to a sink that knows ids, once."""

from __future__ import annotations

import random
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import grpc
import pytest

from tests.broker.broker_process import BrokerProcess, emptied
from tests.broker.collectors import PROCESS, call, request_v2
from tests.broker.database_servers import HOST, PASSWORD, USER, RunningRedis, start_redis
from tests.waiting import eventually

pytestmark = pytest.mark.fault

POINTS = ("broker.storing", "broker.stored", "broker.delivered")
SENDERS = 4


@pytest.fixture(scope="module")
def redis(redis_on_path: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRedis]:
    server = start_redis(tmp_path_factory.mktemp("redis"), "broker-kills")
    yield server
    server.stop()


class Load:
    """Threads that send readings, each with a number of its own, until they are told to end."""

    def __init__(self, broker: BrokerProcess) -> None:
        self.acknowledged: list[str] = []
        self._broker = broker
        self._numbers = count()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send, daemon=True) for _ in range(SENDERS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def more(self, readings: int) -> None:
        """Wait until so many more were acknowledged."""
        goal = len(self.acknowledged) + readings
        eventually(lambda: len(self.acknowledged) >= goal, 60)

    def _send(self) -> None:
        with self._broker.channel() as channel:
            while not self._stop.is_set():
                number = str(next(self._numbers))
                try:
                    call(channel, PROCESS, request_v2("serial", "text/plain", "{}", number.encode()), seconds=5)
                except grpc.RpcError:
                    self._stop.wait(0.05)
                else:
                    self.acknowledged.append(number)


@pytest.fixture
def broker(redis: RunningRedis, tmp_path: Path) -> Iterator[BrokerProcess]:
    with redis.client() as client:
        client.flushall()
    broker = BrokerProcess(
        tmp_path,
        {
            "KRAKENB_REDIS_HOST": HOST,
            "KRAKENB_REDIS_PORT": str(redis.port),
            "KRAKENB_REDIS_USER": USER,
            "KRAKENB_REDIS_PASSWORD": PASSWORD,
        },
    )
    yield broker
    broker.child.kill()


def check(broker: BrokerProcess, redis: RunningRedis, acknowledged: list[str]) -> None:
    """Everything that was acknowledged is there, nothing twice, and the counters say so."""
    metrics = eventually(lambda: emptied(broker.metrics(), "redis"), 60)
    with redis.client() as client:
        there = Counter(entry["payload"] for _, entry in client.xrange("kraken"))
    assert set(acknowledged) - there.keys() == set()
    assert [number for number, times in there.items() if times > 1] == []
    assert (
        metrics['broker_received_total{sink="redis"}'] == metrics['broker_delivered_total{sink="redis"}'] == len(there)
    )
    assert (metrics['broker_dead{sink="redis"}'], metrics["broker_spool_bytes"]) == (0, 0)


@pytest.mark.parametrize("point", POINTS)
def test_a_broker_that_was_killed_at_any_step_loses_and_doubles_nothing(
    broker: BrokerProcess, redis: RunningRedis, point: str
) -> None:
    broker.start(f"{point}:20")
    with Load(broker) as load:
        eventually(lambda: broker.child.exit_code() == -signal.SIGKILL, 60)
        broker.start()
        load.more(50)
    check(broker, redis, load.acknowledged)


def test_a_broker_that_is_killed_again_and_again_keeps_its_books(broker: BrokerProcess, redis: RunningRedis) -> None:
    chance = random.Random(7)
    scraped: list[dict[str, float]] = []
    broker.start()
    with Load(broker) as load:
        for _ in range(4):
            for _ in range(chance.randint(1, 3)):
                load.more(chance.randint(1, 40))
                scraped.append(broker.metrics())
            broker.child.kill()
            broker.start()
        load.more(100)
    check(broker, redis, load.acknowledged)

    received, delivered, dead, queued = (
        [each.get(f'broker_{name}{{sink="redis"}}', 0) for each in scraped]
        for name in ("received_total", "delivered_total", "dead", "queued")
    )
    assert received == [sum(parts) for parts in zip(delivered, dead, queued, strict=True)]
