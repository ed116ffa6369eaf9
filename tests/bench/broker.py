"""Benchmarks of the broker, with the goals they are held against.

    python -m tests.bench.broker             # all: four minutes; takes redis-server
    python -m tests.bench.broker --quick     # less of everything: a look, not a measurement

Readings are acknowledged when they are on the disk, and go to a Redis meanwhile, all on the same cores as who sends
them; in turns with a service in the same language that does nothing but answer. Then a backlog, one to a call and many.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import grpc
import psutil
from pydantic import SecretStr

from fieldpipe import errors
from fieldpipe.broker.delivery import Delivery
from fieldpipe.broker.reading import accept
from fieldpipe.broker.sinks.redis import RedisSettings, RedisSink
from fieldpipe.broker.spool import Spool
from fieldpipe.errors import ConfigurationError
from fieldpipe.local.ports import free_port
from fieldpipe.local.process import Child, Command, base_environment
from tests.bench.broker_load import PAYLOAD, WARM_UP
from tests.bench.convert_page import table
from tests.bench.progress import say
from tests.bench.table import Figure, Machine, render, rows
from tests.broker.broker_process import HOST, PROJECT, BrokerProcess
from tests.broker.collectors import call
from tests.broker.database_servers import PASSWORD, USER, RunningRedis, start_redis
from tests.waiting import eventually

PACKAGES = ("grpcio", "redis")
CONCURRENT = 64
PACE = 1000  # readings a second that leave the cores time for others
MARK = f"bench-{os.getpid()}"
MEGABYTE = 1024 * 1024


@dataclass
class Rounds:
    """What was seen of one service, a value for each round."""

    rates: list[float] = field(default_factory=list)
    p99s: list[float] = field(default_factory=list)
    per_core: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)  # ms until 99 % of the readings were in Redis

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)


def main() -> int:
    """Measure and print the table. Exit code 0 whatever the figures are: they are for people to judge."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.broker", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="less of everything")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that what was started is stopped
    rounds, seconds, backlog = (1, 3.0, 2000) if arguments.quick else (5, 7.0, 10_000)
    machine = Machine.now()
    print(machine.describe(PACKAGES), flush=True)
    with tempfile.TemporaryDirectory(prefix="fp-bench-") as name, _redis(Path(name)) as redis:
        figures = _idle(Path(name)) + _side_by_side(Path(name), redis, rounds, seconds)
        figures += _backlogs(Path(name), redis, backlog)
    print(f"\n{render(figures, machine, PACKAGES)}\n\n{table(rows(figures))}")
    return 0


def _idle(folder: Path) -> list[Figure]:
    """From nothing to the first answer, and what it takes while nothing happens."""
    begin = time.monotonic()
    broker = BrokerProcess(folder / "idle", {"KRAKENB_WEBHOOK_URL": "http://127.0.0.1:9"})
    broker.start()
    seconds = time.monotonic() - begin
    memory = psutil.Process(broker.child.pid).memory_info().rss / MEGABYTE
    broker.child.stop()
    return [
        Figure("from start to the first answer", f"{seconds:.1f} s", "<= 2 s", seconds <= 2),
        Figure("memory while idle", f"{memory:.0f} MB", "<= 80 MB", memory <= 80),
    ]


def _side_by_side(folder: Path, redis: RunningRedis, rounds: int, seconds: float) -> list[Figure]:
    """In turns: a plain service, the broker; then the broker at a pace, without and with a sink that never answers."""
    plain, ours, steady, beside, one = Rounds(), Rounds(), Rounds(), Rounds(), Rounds()
    with _silent_server() as url:
        for number in range(rounds):
            with _plain(folder / f"plain-{number}") as (address, pid):
                _measure(plain, address, pid, seconds)
            say(f"answered only: {plain.rates[-1]:.0f}/s")
            _measure_broker(ours, folder / f"ours-{number}", redis, seconds)
            say(f"on the disk, and to Redis: {ours.rates[-1]:.0f}/s, there after {ours.delays[-1]:.1f} ms (p99)")
            _measure_broker(steady, folder / f"steady-{number}", redis, seconds, pace=PACE)
            say(f"{steady.rates[-1]:.0f}/s: there after {steady.delays[-1]:.1f} ms (p99)")
            hangs = {"KRAKENB_WEBHOOK_URL": url}
            _measure_broker(beside, folder / f"beside-{number}", redis, seconds, hangs, pace=PACE)
            say(f"{beside.rates[-1]:.0f}/s beside a sink that hangs: there after {beside.delays[-1]:.1f} ms (p99)")
    _measure_broker(one, folder / "one", redis, seconds, at_once=1)
    share, per_core = ours.rate / plain.rate, statistics.median(ours.per_core)
    fast, alone, hanging = (statistics.median(each.delays) for each in (ours, steady, beside))
    return [
        Figure(
            f"acknowledged per second, {CONCURRENT} at once, of what a plain service answers",
            f"{share:.0%} ({ours.rate:.0f} / {plain.rate:.0f})",
            ">= 60 %",
            share >= 0.6,
        ),
        Figure(
            "  per second of the broker's processor time, the plain service's",
            f"{per_core:.0f}, {statistics.median(plain.per_core):.0f}",
            ">= 2000",
            per_core >= 2000,
        ),
        Figure(
            "  p99, the plain service's",
            " ms, ".join(f"{statistics.median(e.p99s):.0f}" for e in (ours, plain)) + " ms",
        ),
        Figure("  in Redis after (p99)", f"{fast:.0f} ms"),
        Figure(
            f"in Redis after (p99), {PACE} a second, the same beside a sink that hangs",
            f"{alone:.1f} ms, {hanging:.1f} ms",
            "<= 5 % more",
            hanging <= 1.05 * alone,
        ),
        Figure("one after the other", f"{one.rate:.0f}/s, p99 {one.p99s[0]:.1f} ms"),
    ]


def _measure_broker(
    rounds: Rounds,
    folder: Path,
    redis: RunningRedis,
    seconds: float,
    variables: Mapping[str, str] = MappingProxyType({}),
    at_once: int = CONCURRENT,
    pace: int = 0,
) -> None:
    with redis.client() as client:
        client.flushall()
    broker = BrokerProcess(folder, {**_variables(redis), **variables})
    try:
        broker.start()
        _measure(rounds, broker.address, broker.child.pid, seconds, at_once, pace)
    finally:
        broker.child.kill()  # it would wait for the sink that hangs
    with redis.client() as client:
        delays = sorted(int(at.partition("-")[0]) - int(one["received"]) / 1e6 for at, one in client.xrange("kraken"))
    rounds.delays.append(delays[int(len(delays) * 0.99)])


@contextmanager
def _silent_server() -> Iterator[str]:
    """The address of one that takes connections and says nothing."""
    with socket.create_server((HOST, 0)) as server:
        yield f"http://{HOST}:{server.getsockname()[1]}/"


def _backlogs(folder: Path, redis: RunningRedis, readings: int) -> list[Figure]:
    """How fast the sink takes what has waited: as many to a call as it likes, and one."""
    rates = {}
    for at_once in (RedisSink.at_once, 1):
        spool = Spool(folder / f"backlog-{at_once}", 100 * readings * len(PAYLOAD))
        many = (accept("webhook", "application/json", "{}", PAYLOAD) for _ in range(readings))
        spool.put([spool.pack(reading, ["redis"]) for reading in many])
        sink = RedisSink(RedisSettings(host=HOST, port=redis.port, user=USER, password=SecretStr(PASSWORD)))
        sink.at_once = at_once
        stop = threading.Event()
        delivery, begin = Delivery(sink, spool, stop), time.monotonic()
        delivery.start()
        eventually(lambda spool=spool: spool.counts()["redis"].delivered == readings, 300)  # type: ignore[misc]
        rates[at_once] = readings / (time.monotonic() - begin)
        say(f"a backlog, {at_once} to a call: {rates[at_once]:.0f}/s")
        stop.set()
        spool.wake()
        delivery.join(10)
        spool.close()
    by_many, by_one = rates.values()
    return [
        Figure(
            f"a backlog of {readings:,} into Redis, {RedisSink.at_once} to a call, and 1",
            f"{by_many:.0f}/s, {by_one:.0f}/s",
        )
    ]


def _measure(rounds: Rounds, address: str, pid: int, seconds: float, at_once: int = CONCURRENT, pace: int = 0) -> None:
    command = (sys.executable, "-m", "tests.bench.broker_load", address, *map(str, (seconds, at_once, pace)))
    process = psutil.Process(pid)
    before = sum(process.cpu_times()[:2])
    seen = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=PROJECT).stdout)
    spent = sum(process.cpu_times()[:2]) - before
    rounds.rates.append(seen["rate"])
    rounds.p99s.append(seen["p99"])
    rounds.per_core.append(seen["rate"] * (seconds + WARM_UP) / spent)  # as fast while it warmed up, more or less


@contextmanager
def _plain(folder: Path) -> Iterator[tuple[str, int]]:
    address = f"{HOST}:{free_port(set())}"
    command = (sys.executable, "-m", "tests.bench.peers.plain_grpc", address)
    child = Child(Command(command, PROJECT, base_environment(MARK)), folder / "plain.log")

    def answers() -> bool:
        with grpc.insecure_channel(address) as channel, suppress(grpc.RpcError):
            return bool(call(channel, "/grpc.health.v1.Health/Check", b"", seconds=1))
        return False

    try:
        eventually(answers, 30)
        yield address, child.pid
    finally:
        child.stop()


@contextmanager
def _redis(folder: Path) -> Iterator[RunningRedis]:
    if shutil.which("redis-server") is None:
        raise ConfigurationError("this takes redis-server, which is not on PATH: apt install redis-server")
    server = start_redis(folder / "redis", MARK)
    try:
        yield server
    finally:
        server.stop()


def _variables(redis: RunningRedis) -> dict[str, str]:
    return {
        "KRAKENB_REDIS_HOST": HOST,
        "KRAKENB_REDIS_PORT": str(redis.port),
        "KRAKENB_REDIS_USER": USER,
        "KRAKENB_REDIS_PASSWORD": PASSWORD,
    }


if __name__ == "__main__":
    errors.run(main)
