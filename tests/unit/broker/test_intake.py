"""Readings that come in together share a flush, and its fate."""

import asyncio
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from fieldpipe.broker.intake import LOOK, MANY, Intake
from fieldpipe.broker.reading import accept
from fieldpipe.broker.spool import FILE, Packed, Spool, SpoolUnavailable


class CountingSpool(Spool):
    """And how many readings each flush was for."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, 1_000_000)
        self.flushes: list[int] = []

    def put(self, packed: Sequence[Packed]) -> None:
        super().put(packed)
        self.flushes.append(len(packed))


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[CountingSpool]:
    with closing(CountingSpool(tmp_path)) as spool:
        yield spool


@pytest.fixture
def intake(spool: Spool) -> Intake:
    return Intake(spool, lambda _: ["redis"])


async def take(intake: Intake, after: int = 0) -> None:
    """A reading that comes in so many turns of the loop later."""
    for _ in range(after):
        await asyncio.sleep(0)
    await intake.take(accept("webhook", "text/plain", "", b"one"))


def test_readings_that_come_shortly_after_one_another_share_a_flush(spool: CountingSpool, intake: Intake) -> None:
    async def many() -> None:
        await asyncio.gather(*(take(intake) for _ in range(MANY)))
        await asyncio.gather(*(take(intake, after) for after in range(MANY)))

    asyncio.run(many())

    assert spool.flushes == [MANY, MANY]


def test_readings_one_after_the_other_find_out_when_there_are_more(spool: CountingSpool, intake: Intake) -> None:
    many = 2 * MANY + 1  # of these it is now this, now that one which waits

    async def one_after_the_other_then_many() -> None:
        while len(spool.flushes) < LOOK:
            await take(intake)
        for _ in range(LOOK):
            await asyncio.gather(*(take(intake, after) for after in range(many)))

    asyncio.run(one_after_the_other_then_many())

    alone, later = spool.flushes[:LOOK], spool.flushes[LOOK:]
    assert {*alone} == {1}
    assert (later[0], later[-1]) == (1, many)


def test_when_the_disk_does_not_take_them_all_hear_of_it_and_the_next_go_on(
    spool: CountingSpool, intake: Intake, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / FILE)) as other:
        other.execute("ALTER TABLE queue RENAME TO hidden")

        async def two() -> list[BaseException | None]:
            return await asyncio.gather(take(intake), take(intake), return_exceptions=True)

        errors = asyncio.run(two())
        other.execute("ALTER TABLE hidden RENAME TO queue")

    assert [type(error) for error in errors] == [SpoolUnavailable] * 2
    assert spool.size == 0
    asyncio.run(take(intake))
    assert spool.flushes == [1]
    assert [each.reading and each.reading.payload for each in spool.first("redis", 10, 1000)] == [b"one"]
