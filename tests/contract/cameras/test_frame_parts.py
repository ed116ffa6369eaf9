"""Batches become parts of tables: a row for each frame, checked against its image."""

import hashlib

import pytest

from fieldpipe.cameras.hours import Hour
from fieldpipe.cameras.manifests import Manifest, Range
from fieldpipe.cameras.message import Record
from fieldpipe.errors import EXIT_PERMANENT
from fieldpipe.handover import Outcome, Report, WorkItem
from tests.camera_frames import SEVEN, picture, record
from tests.frame_room import Room


def test_a_manifest_becomes_a_part_with_a_row_for_each_frame(room: Room) -> None:
    dark, bright = picture(10, (640, 480)), picture(250, (64, 48), "PNG")
    item = room.camera.back_up([record(0, payload=dark), record(3, seconds=1.5, payload=bright)], holes=(Range(1, 1),))

    assert room.index(item) == 0

    key = f"{room.hour.parts}1+0+{0:020d}.csv"
    assert room.report(item) == Report(Outcome.CONVERTED, manifest=key)
    first, hole, last = room.rows(key)
    stem = f"{room.hour.images}cam+0+"
    start = SEVEN * 1_000_000
    assert first == {
        "kind": "frame",
        "epoch": "1",
        "partition": "0",
        "offset": "0",
        "offsets": "1",
        "capture_ns": str(start),
        "time_source": "camera",
        "record_ns": str(start + 5_000_000),
        "size": str(len(dark)),
        "sha256": hashlib.sha256(dark).hexdigest(),
        "width": "640",
        "height": "480",
        "brightness": "10.0",
        "reason": "",
        "image": f"{stem}0000000000.jpg",
        "gap_ns": "",
        "missing": "",
    }
    assert (hole["kind"], hole["offset"], hole["offsets"]) == ("hole", "1", "1")
    assert {name: last[name] for name in ("offset", "gap_ns", "missing", "width", "brightness")} == {
        "offset": "3",
        "gap_ns": "1500000000",
        "missing": "1",  # 1 is a hole, 2 is missing
        "width": "64",
        "brightness": "250.0",
    }


def test_indexing_again_changes_nothing_and_reads_no_image(room: Room) -> None:
    item = room.camera.back_up([record(0), record(1)])
    room.index(item)
    before = {key: room.get(key) for key in room.keys("")}
    for info in list(room.store.list(room.camera.name, "topics/")):
        room.store.delete(room.camera.name, info.key)

    assert room.index(item) == 0

    assert room.report(item).reason == "its parts were there already"
    assert {key: room.get(key) for key in room.keys("") if not key.startswith("_runs/")} == {
        key: content for key, content in before.items() if not key.startswith("_runs/")
    }


def test_a_batch_over_the_full_hour_gives_a_part_to_each(room: Room) -> None:
    item = room.camera.back_up([record(0, seconds=3599), Record(1, SEVEN, None), record(2, seconds=3601)])

    room.index(item)

    seven, eight = (room.rows(Hour("cam", 2023, 11, 15, hour).parts + f"1+0+{0:020d}.csv") for hour in (7, 8))
    assert [(row["kind"], row["offset"]) for row in seven] == [("frame", "0"), ("dead", "1")]
    assert [(row["kind"], row["offset"], row["gap_ns"]) for row in eight] == [("frame", "2", "")]


def test_what_is_no_picture_has_a_reason_and_no_measures(room: Room) -> None:
    payloads = [b'{"temperature": 21.5}', picture(9, (640, 480))[:-200], b"\x1f\x8b\x08damaged"]
    item = room.camera.back_up([record(offset, payload=each) for offset, each in enumerate(payloads)])

    room.index(item)

    rows = room.rows(f"{room.hour.parts}1+0+{0:020d}.csv")
    assert [row["reason"].partition(":")[0] for row in rows] == [
        "no picture",
        "a damaged picture",
        "its payload is damaged gzip",
    ]
    assert {row[name] for row in rows for name in ("width", "height", "brightness")} == {""}


def test_a_frame_without_a_time_has_that_of_its_record_and_says_so(room: Room) -> None:
    room.index(room.camera.back_up([record(0, timed=False)]))

    (row,) = room.rows(f"{room.hour.parts}1+0+{0:020d}.csv")

    assert (row["capture_ns"], row["time_source"]) == (str((SEVEN + 5) * 1_000_000), "record")


@pytest.mark.parametrize("content", [None, b"another", b"another one that is longer than it" * 99])
def test_an_image_that_is_missing_or_another_is_named(room: Room, content: bytes | None) -> None:
    item = room.camera.back_up([record(0), record(1)])
    image = f"{room.hour.images}cam+0+0000000001.jpg"
    if content is None:
        room.store.delete(room.camera.name, image)
    else:
        room.store.put(room.camera.name, image, content)

    assert room.index(item) == EXIT_PERMANENT

    report = room.report(item)
    assert (report.outcome, image in report.reason) == (Outcome.REJECTED, True)
    assert room.keys(room.hour.parts) == []


def test_a_gap_belongs_to_the_hour_in_which_it_was_found(room: Room) -> None:
    item = room.camera.commit(Manifest(room.camera.stream(), 5, 9, "gap"))

    assert room.index(item) == 0

    (row,) = room.rows(room.report(item).manifest or "")
    assert (row["kind"], row["offset"], row["offsets"]) == ("gap", "5", "5")


def test_a_run_by_hand_needs_no_etag(room: Room) -> None:
    item = room.camera.back_up([record(0)])

    assert room.index(WorkItem(item.bucket, item.key)) == 0

    assert len(room.keys(room.hour.parts)) == 1
