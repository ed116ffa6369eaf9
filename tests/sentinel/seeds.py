"""One seed of the randomised run: a few lives of a watcher in this process, an etcd that changes, and an audit."""

import random
import traceback
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import BigInteger, DateTime, Engine, Integer, String, Text, delete, insert, update

from fieldpipe.sentinel import mirror as mirror_module
from fieldpipe.sentinel.audit import Drift, audit
from fieldpipe.sentinel.etcd import Etcd
from fieldpipe.sentinel.mirror import STATUS, Deletes, Mirror
from fieldpipe.sentinel.rows import Name, rows_of
from fieldpipe.sentinel.tables import TABLES, device, primary_key
from fieldpipe.sentinel.watch import Watcher
from tests.etcd_servers import RunningEtcd
from tests.sentinel.models import tables
from tests.sentinel.worlds import Hasty, Killed, Trouble, World, check, fresh

STATEMENTS = 60  # and commits until there is trouble, at most
BY_HAND: dict[type, tuple[Any, ...]] = {
    String: ("by hand", ""),
    Integer: (7, None),
    BigInteger: (1, None),
    DateTime: (datetime(2001, 2, 3),),
    Text: ("{}", None),
}

Ending = Literal["killed at a statement", "killed between steps", "without its database", "stopped"]


def run(seeds: Iterable[int], engine: Engine, server: RunningEtcd) -> list[str]:
    """What went wrong with which seed. The watcher's crash points are ours for good: it never runs beside this."""
    trouble = Trouble(engine)
    mirror_module.reach = trouble.reach
    failures = []
    with Etcd(server.settings) as client:
        for number in seeds:
            try:
                Seed(number, engine, trouble, World(server, client, random.Random(number))).run()
            except Exception:  # noqa: BLE001 -- the others shall run
                server.clear()
                failures.append(f"FIELDPIPE_SEED={number} fails\n{traceback.format_exc()}")
    return failures


@dataclass
class Seed:
    """One run."""

    number: int
    engine: Engine
    trouble: Trouble
    world: World

    def run(self) -> None:
        fresh(self.engine)
        self.chance = random.Random(self.number)
        self.deletes: Deletes = self.chance.choice(get_args(Deletes))
        for _ in range(self.chance.randrange(3)):
            self.world.step()  # nobody watches
            self.live(self.chance.choice(get_args(Ending)), self.chance.randrange(6))
            for _ in range(self.chance.randrange(3)):
                self.world.step()
        self.live("stopped", 2)
        self.audit()
        self.world.clear()

    def live(self, ending: Ending, steps: int) -> None:
        """A watcher's life, with so many things that happen meanwhile."""
        mirror, stop, left = Mirror(self.engine, self.deletes), Hasty(), steps

        def alive() -> None:
            nonlocal left
            if self.trouble.is_within:  # a page of a listing has come
                if not stop.is_set() and self.chance.random() < 0.3:
                    self.world.step()
                return
            with self.trouble.suspended():
                check(self.engine, self.world, self.deletes)
                if left:
                    left -= 1
                    self.world.step()
                elif ending == "killed between steps":
                    raise Killed
                elif self.chance.random() < 0.05:  # another watcher is quicker
                    self.live("stopped", 0)
                elif (known := mirror.checkpoint()) and known.revision >= self.world.revision:
                    stop.set()

        if ending == "killed at a statement":
            self.trouble.begin(self.chance.randint(1, STATEMENTS), is_end=True)
        if ending == "without its database":
            self.trouble.begin(self.chance.randint(1, STATEMENTS), is_end=False)
        with suppress(Killed):
            Watcher(self.world.client, mirror, self.chance.choice((0, 3600)), alive).run(stop)
        self.trouble.end()
        check(self.engine, self.world, self.deletes)

    def audit(self) -> None:
        """What is done to the tables by hand is found, nothing else is, and it is put right."""
        corrupt = self.found()
        assert {each.found for each in corrupt} <= {"corrupt"}
        malformed = rows_of(self.world.state(self.world.revision))
        assert len(corrupt) == len(malformed.corrupt) + len(malformed.bad_keys)

        injected = self.inject(malformed.corrupt.keys())

        found = self.found()
        assert found == corrupt | injected
        Mirror(self.engine, self.deletes).repair([drift.name for drift in found if drift.found != "corrupt"])
        assert self.found() == corrupt
        check(self.engine, self.world, self.deletes)

    def found(self) -> set[Drift]:
        found = audit(self.engine, self.world.client, self.deletes, wait_seconds=5).drift
        assert len(set(found)) == len(found)
        return set(found)

    def inject(self, unknown: Collection[Name]) -> set[Drift]:
        """Rows are deleted, edited and added by hand."""
        live = rows_of(self.world.state(self.world.revision)).rows
        rows = {name: row for name, row in tables(self.engine).items() if name not in unknown}
        injected = set()
        with self.engine.begin() as connection:
            for name in self.chance.sample(sorted(rows), len(rows) // 2):
                table = TABLES[name.kind]
                is_it = table.c[primary_key(table)] == name.name
                if name in live and self.chance.random() < 0.4:
                    connection.execute(delete(table).where(is_it))
                    injected.add(Drift("missing", name))
                elif name in live or rows[name]["deletedAt"]:  # else it was kept, and nobody knows what it should say
                    column = self.chance.choice([each for each in table.c if not each.primary_key])
                    if name not in live:
                        column = table.c[STATUS[name.kind]]
                    value = self.chance.choice(BY_HAND[type(column.type)])
                    connection.execute(update(table).where(is_it).values({column: value}))
                    injected.add(Drift("stale", name, column.name))
            if self.chance.random() < 0.5:
                connection.execute(insert(device).values(deviceName="by hand", deviceIp="10.0.0.1"))
                injected |= {Drift("extra", Name("device", "by hand"))} if self.deletes != "keep" else set()
        return injected
