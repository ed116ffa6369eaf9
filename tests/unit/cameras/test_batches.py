from hypothesis import given
from hypothesis import strategies as st

from fieldpipe.cameras import batches
from fieldpipe.cameras.backup import ALL, Share
from fieldpipe.cameras.batches import Batch
from fieldpipe.cameras.frames import Objects
from fieldpipe.cameras.manifests import DeadRecord, Frame, Range, Stream

STREAM = Stream("front", 0, 1, "id")


def objects(offset: int, size: int = 1, *, dead: bool = False) -> Objects:
    if dead:
        return Objects(DeadRecord(offset, "a tombstone", "_dead/x.json"), {"_dead/x.json": bytes(size)})
    return Objects(Frame(offset, 0, 0, f"{offset}.jpg", size, "", None), {f"{offset}.jpg": bytes(size)})


@given(
    first=st.integers(0, 10**12),
    steps=st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=30),
    tail=st.integers(0, 5),
)
def test_every_offset_of_a_batch_is_covered_once(first: int, steps: list[tuple[int, bool]], tail: int) -> None:
    batch = Batch(STREAM, first)
    offset = first - 1
    for skipped, dead in steps:
        offset += skipped + 1
        batch.add(objects(offset, dead=dead))
    batch.reached += tail

    manifest = batch.manifest()

    covered = [each.offset for each in (*manifest.frames, *manifest.dead)]
    covered += [offset for hole in manifest.holes for offset in range(hole.first, hole.last + 1)]
    assert sorted(covered) == list(range(first, batch.reached))
    assert (manifest.first, manifest.last) == (first, batch.reached - 1)


def test_a_batch_is_full_when_it_has_enough_records() -> None:
    batch = Batch(STREAM, 0)
    for offset in range(batches.MAX_RECORDS - 1):
        batch.add(objects(offset))
    assert not batch.full
    batch.add(objects(batches.MAX_RECORDS))
    assert batch.full


def test_a_batch_is_full_when_it_has_enough_bytes() -> None:
    batch = Batch(STREAM, 0)
    batch.add(objects(0, batches.MAX_BYTES - 1))
    assert not batch.full
    batch.add(objects(1, 1))
    assert batch.full


def test_dead_records_and_holes_stand_in_the_manifest() -> None:
    batch = Batch(STREAM, 5)
    batch.add(objects(7))
    batch.add(objects(8, dead=True))
    batch.reached = 12

    assert batch.manifest().holes == (Range(5, 6), Range(9, 11))
    assert [record.offset for record in batch.manifest().dead] == [8]


@given(of=st.integers(1, 64), topic=st.text(min_size=1), partition=st.integers(0, 1000))
def test_every_partition_is_of_exactly_one_share(of: int, topic: str, partition: int) -> None:
    assert [Share(part, of).has(topic, partition) for part in range(1, of + 1)].count(True) == 1
    assert ALL.has(topic, partition)


@given(of=st.integers(1, 16), topic=st.text(min_size=1))
def test_partitions_of_a_topic_are_spread_evenly(of: int, topic: str) -> None:
    counts = [sum(Share(part, of).has(topic, partition) for partition in range(of * 3)) for part in range(1, of + 1)]
    assert counts == [3] * of
