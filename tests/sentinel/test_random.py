"""Whatever happens, in whatever order: the tables say what etcd says, and the audit finds what was done to them.

A thousand seeds, each a few lives of a watcher in this process, whose steps alternate with etcd's. It is killed (an
exception that nothing catches) before any statement, before and behind a commit, or between two steps; or its database
refuses a statement. After every step and every life the tables are held against what etcd held at the checkpoint. One
seed alone: FIELDPIPE_SEED=123 python -m pytest tests/sentinel/test_random.py
"""

import os
import random
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine

from fieldpipe.sentinel.schema import connect, migrate
from fieldpipe.settings import MysqlSettings, SentinelSettings
from tests.etcd_servers import RunningEtcd, start_etcd
from tests.mariadb_servers import Mariadb
from tests.sentinel.seeds import run
from tests.sentinel.test_watch import Watching, write
from tests.sentinel.witness import Witness
from tests.waiting import eventually

ALONE = os.environ.get("FIELDPIPE_SEED")
SEEDS = 1000
TOGETHER = 50
ON_MARIADB = range(1000, 1040)
KILLED = range(2000, 2002)
LIVES = 4
WRITES = 600  # transactions of a life
PROCESSES = 7  # each with an etcd of its own, whose answers they wait for most of the time
LIMIT_SECONDS = 900  # on a machine that is busy with other things; alone it takes a tenth of that

pytestmark = [pytest.mark.fault, pytest.mark.timeout(LIMIT_SECONDS)]


def work(folder: Path, mark: str, seeds: range) -> list[str]:
    """Some seeds, in a process of their own."""
    server = start_etcd(folder / f"etcd-{seeds.start}", mark)
    try:
        return run(seeds, begun("sqlite://"), server)
    finally:
        server.stop()


def begun(url: str) -> Engine:
    engine = connect(SentinelSettings(url=SecretStr(url)), MysqlSettings())
    migrate(engine)
    return engine


def test_whatever_happens_the_tables_say_what_etcd_says(tmp_path: Path, mark: str) -> None:
    first, last = (int(ALONE), int(ALONE)) if ALONE else (0, SEEDS - 1)
    parts = [range(start, min(start + TOGETHER, last + 1)) for start in range(first, last + 1, TOGETHER)]
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as processes:
        running = [processes.submit(work, tmp_path, mark, seeds) for seeds in parts]
        failures = [failure for each in running for failure in each.result()]

    assert not failures, "\n".join(failures)


@pytest.mark.mariadb
def test_it_is_the_same_on_mariadb(mariadb: Mariadb, etcd: RunningEtcd) -> None:
    failures = run(ON_MARIADB, begun(mariadb.url), etcd)

    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("seed", KILLED)
def test_a_process_that_is_killed_again_and_again_loses_nothing(
    seed: int, sql_url: str, engine: Engine, etcd: RunningEtcd, tmp_path: Path
) -> None:
    chance = random.Random(seed)
    watching, witness = Watching(sql_url, tmp_path), Witness(engine, etcd.settings)
    for life in range(LIVES):
        live_and_die(watching, witness, etcd, chance, 10 * seed + life)
        witness.look()
        if chance.random() < 0.5:
            etcd.compact(etcd.revision())
    watching.start(etcd)
    try:
        witness.await_all(watching.log)
    finally:
        watching.kill()
    assert not witness.was_written_twice()


def live_and_die(watching: Watching, witness: Witness, etcd: RunningEtcd, chance: random.Random, seed: int) -> None:
    """It is killed while it writes."""
    before = watching.log().count("sentinel_watches")
    watching.start(etcd)
    try:
        eventually(lambda: watching.log().count("sentinel_watches") > before, 60, watching.log)
        reached = etcd.revision() + chance.randrange(WRITES // 2)
        with ThreadPoolExecutor(1) as aside:
            writing = aside.submit(write, etcd, seed, WRITES)
            eventually(lambda: witness.look() >= reached, 60, watching.log)
            watching.kill()
            writing.result()
    finally:
        watching.kill()
