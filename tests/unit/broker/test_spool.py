"""What the spool keeps, and how it counts."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldpipe.broker import spoolfile
from fieldpipe.broker.reading import Reading, accept
from fieldpipe.broker.spool import FILE, RECENT_BYTES, Counts, Spool, SpoolFull
from fieldpipe.errors import ConfigurationError

ROOM = 10_000_000


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path, ROOM)
    yield spool
    spool.close()


def reading(number: int = 0, payload: bytes = b'{"a": 1}') -> Reading:
    return accept("webhook", "application/json", '{"device": "one"}', payload, clock=lambda: number)


def put(spool: Spool, reading: Reading, sinks: list[str]) -> None:
    spool.put([spool.pack(reading, sinks)])


def waiting(spool: Spool, sink: str, limit: int = 100) -> list[Reading | None]:
    return [each.reading for each in spool.first(sink, limit, ROOM)]


def test_a_reading_waits_for_each_of_its_sinks_until_that_one_has_it(spool: Spool) -> None:
    first, second = reading(1), reading(2)
    put(spool, first, ["redis", "slack"])
    put(spool, second, ["redis"])

    spool.settle("redis", [spool.first("redis", 1, ROOM)[0].position])

    assert (waiting(spool, "redis"), waiting(spool, "slack")) == ([second], [first])
    assert spool.counts() == {"redis": Counts(2, 1, 0, 1), "slack": Counts(1, 0, 0, 1)}


def test_what_was_put_is_there_after_the_next_start_and_what_was_settled_is_not(tmp_path: Path) -> None:
    spool = Spool(tmp_path, ROOM)
    readings = [reading(number) for number in range(3)]
    for each in readings:
        put(spool, each, ["redis"])
    spool.close()

    spool = Spool(tmp_path, ROOM)
    spool.settle("redis", [spool.first("redis", 1, ROOM)[0].position])
    spool.close()

    spool = Spool(tmp_path, ROOM)
    assert waiting(spool, "redis") == readings[1:]
    spool.close()


def test_a_full_spool_refuses_and_takes_again_when_a_sink_has_taken(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 2_500)
    put(spool, reading(1, bytes(1000)), ["redis"])
    put(spool, reading(2, bytes(1000)), ["redis"])

    with pytest.raises(SpoolFull, match="KRAKENB_SPOOL_BYTES"):
        put(spool, reading(3, bytes(1000)), ["redis"])
    spool.settle("redis", [spool.first("redis", 1, ROOM)[0].position])
    put(spool, reading(4, bytes(1000)), ["redis"])

    assert [each and each.received for each in waiting(spool, "redis")] == [2, 4]
    spool.close()


def test_dead_letters_are_kept_and_can_be_put_back(spool: Spool, tmp_path: Path) -> None:
    poison = reading(7)
    put(spool, poison, ["influxdb"])
    (queued,) = spool.first("influxdb", 1, ROOM)
    spool.bury("influxdb", queued.position, "field type conflict")
    assert spool.counts() == {"influxdb": Counts(1, 0, 1, 0)}

    with closing(spoolfile.connect(tmp_path / FILE)) as other:
        (letter,) = spoolfile.dead_letters(other)
        assert (letter.sink, letter.reason, letter.reading) == ("influxdb", "field type conflict", poison)
        assert spoolfile.retry(other, [("influxdb", letter.position), ("influxdb", 99)]) == 1

    assert waiting(spool, "influxdb") == [poison]
    assert spool.counts() == {"influxdb": Counts(1, 0, 0, 1)}


def test_what_waited_too_long_is_a_dead_letter(spool: Spool) -> None:
    for number in (1, 2, 3):
        put(spool, reading(number), ["redis"])

    assert spool.expire(3, "too old") == 2
    assert [each and each.received for each in waiting(spool, "redis")] == [3]
    assert spool.counts() == {"redis": Counts(3, 0, 2, 1)}


def test_a_reading_that_the_disk_did_not_keep_is_told_and_hides_no_other(tmp_path: Path) -> None:
    with closing(Spool(tmp_path, ROOM)) as spool:
        for number in (1, 2):
            put(spool, reading(number), ["redis"])
    with closing(sqlite3.connect(tmp_path / FILE)) as other, other:
        other.execute("UPDATE readings SET body = zeroblob(size) WHERE position = 1")

    with closing(Spool(tmp_path, ROOM)) as spool:
        assert [each and each.received for each in waiting(spool, "redis")] == [None, 2]


def test_what_came_last_is_in_memory_and_the_same_as_on_the_disk(spool: Spool, tmp_path: Path) -> None:
    size = RECENT_BYTES // 3
    readings = [reading(number, bytes(size)) for number in range(1, 6)]
    for each in readings:
        put(spool, each, ["redis"])
    with closing(spoolfile.connect(tmp_path / FILE)) as other:
        kept = spoolfile.first_queued(other, "redis", 100, ROOM)
        with other:
            other.execute("UPDATE readings SET body = zeroblob(size)")

    assert [each.reading for each in kept] == readings
    assert waiting(spool, "redis") == [None] * 5  # of the first ones only the disk knows
    spool.settle("redis", [each.position for each in kept[:3]])
    assert spool.first("redis", 100, ROOM) == kept[3:]
    assert len(spool.first("redis", 100, size)) == 1


def test_the_journal_is_emptied_while_readings_come_in(tmp_path: Path) -> None:
    size, puts = 100_000, 600
    with closing(Spool(tmp_path, 2 * size * puts)) as spool:
        for number in range(puts):
            put(spool, reading(number, bytes(size)), ["redis"])

        assert (tmp_path / f"{FILE}-wal").stat().st_size < size * puts / 2


def test_two_brokers_cannot_have_one_spool(spool: Spool, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="another broker uses"):
        Spool(tmp_path, ROOM)


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigurationError, match=r"KRAKENB_SPOOL.*file"):
        Spool(tmp_path / "file", ROOM)


def test_one_call_gets_no_more_bytes_than_it_can_carry_but_always_one_reading(spool: Spool) -> None:
    for number in (1, 2, 3):
        put(spool, reading(number, bytes(1000)), ["redis"])

    assert len(spool.first("redis", 10, 2_500)) == 2
    assert len(spool.first("redis", 10, 1)) == 1


def test_more_that_comes_wakes_who_waits(spool: Spool) -> None:
    seen = spool.wait(-1, 0)
    put(spool, reading(), ["redis"])

    assert spool.wait(seen, 10) != seen


@settings(max_examples=50)
@given(
    st.binary(max_size=300),
    st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.text(max_size=5), max_size=3),
    st.text(max_size=10),
)
def test_a_reading_comes_back_from_the_disk_as_it_went(payload: bytes, metadata: dict[str, object], word: str) -> None:
    before = Reading("id", 5, word or "x", word, metadata, payload, word, 1)

    assert spoolfile.decode(spoolfile.encode(before)) == before


def test_a_group_larger_than_a_statement_keeps_its_order_and_each_reading_its_own_sinks(spool: Spool) -> None:
    sizes = [10, 2_000_000, *([300] * 150)]
    anything = bytes(range(256)) * 8000
    readings = [reading(number, anything[:size]) for number, size in enumerate(sizes, start=1)]
    sinks = [("redis", "slack") if number % 3 else ("slack",) for number in range(len(readings))]

    spool.put([spool.pack(each, to) for each, to in zip(readings, sinks, strict=True)])

    assert waiting(spool, "slack", 1000) == readings
    assert waiting(spool, "redis", 1000) == [each for each, to in zip(readings, sinks, strict=True) if "redis" in to]
    assert spool.counts()["redis"].received == sum("redis" in to for to in sinks)


def test_what_became_too_old_while_a_sink_took_it_counts_once(spool: Spool) -> None:
    put(spool, reading(1), ["redis"])
    (queued,) = spool.first("redis", 1, ROOM)
    spool.expire(2, "too old")

    spool.settle("redis", [queued.position])

    assert spool.counts() == {"redis": Counts(1, 0, 1, 0)}


def test_how_much_waits_for_one_sink_does_not_slow_what_another_takes(tmp_path: Path) -> None:
    """By the plan, not by the clock: every table is searched by its key."""
    with closing(spoolfile.connect(tmp_path / FILE)) as connection:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {spoolfile.UNNEEDED}", ("[1]",))]

    assert {"SEARCH readings", "SEARCH queue", "SEARCH dead"} <= {" ".join(step.split()[:2]) for step in plan}
    assert not [step for step in plan if step.startswith(("SCAN readings", "SCAN queue", "SCAN dead"))]
