"""Frames become tables: manifests and what Kafka Connect wrote in, parts and closed hours out; on real stores."""

import csv
import hashlib
import io
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from PIL import Image

from fieldpipe.cameras.closing import Buckets, Closer
from fieldpipe.cameras.hours import MARKS, Hour
from fieldpipe.cameras.index import index_batch
from fieldpipe.cameras.manifests import Manifest, Range
from fieldpipe.cameras.message import Record
from fieldpipe.errors import EXIT_PERMANENT, EXIT_TRANSIENT
from fieldpipe.handover import Outcome, Report, WorkItem, report_key
from fieldpipe.work import Run
from tests.camera_frames import SEVEN, ZONE, CameraBucket, empty, picture, record
from tests.servers import Store

ROOT = Path(__file__).parents[3]
LIMIT = 64 * 1024 * 1024
EIGHT = datetime.fromtimestamp(SEVEN / 1000 + 3600, UTC)
SETTLED = EIGHT + timedelta(minutes=10)


class Room:
    """A camera's bucket, a bucket of results, and what is done between them."""

    def __init__(self, server: Store) -> None:
        self.server = server
        self.store = server.client
        self.camera = CameraBucket(server.client, "frame-tables-cameras")
        self.results = "frame-tables-results"
        empty(self.store, self.results)
        self.run = Run(self.store, self.results, f"fp.frames.{uuid4().hex[:8]}", 1)
        self.hour = Hour(self.camera.topic, 2023, 11, 15, 7)

    def index(self, *items: WorkItem) -> int:
        return index_batch(list(items), self.run, ZONE)

    def close(self, now: datetime = SETTLED, topics: tuple[str, ...] = (), *, running: bool = False) -> int:
        with ThreadPoolExecutor(4) as reads:
            closer = Closer(self.store, Buckets(self.camera.name, self.results), ZONE, reads, now)
            return closer.close_all(topics, running=running)

    def report(self, item: WorkItem) -> Report:
        return Report.from_json(self.get(report_key(self.run.run_id, item.id, 1)))

    def get(self, key: str) -> bytes:
        return self.store.get(self.results, key, limit=LIMIT)[0]

    def keys(self, prefix: str) -> list[str]:
        return [found.key for found in self.store.list(self.results, prefix)]

    def rows(self, key: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.get(key).decode())))

    def manifests(self) -> list[str]:
        return [key for key in self.keys(self.hour.tables) if key.endswith("/manifest.json")]

    def latest(self) -> tuple[dict, list[dict[str, str]]]:
        """The newest manifest of the hour, and its table."""
        key = json.loads(self.get(self.hour.latest))["manifest"]
        return json.loads(self.get(key)), self.rows(key.replace("manifest.json", "index.csv"))


@pytest.fixture
def room(store: Store) -> Room:
    return Room(store)


@pytest.fixture(params=["seaweedfs", pytest.param("minio", marks=pytest.mark.minio)])
def room_of_each_store(request: pytest.FixtureRequest) -> Room:
    """For what leans on the order of listings and on conditional writes."""
    return Room(request.getfixturevalue("store" if request.param == "seaweedfs" else "minio_store"))


# Parts


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


# Hours


def test_an_hour_is_closed_ten_minutes_after_its_end(room: Room) -> None:
    items = [room.camera.back_up([record(o) for o in range(n, n + 5)]) for n in (0, 5)]
    room.index(*items)

    assert room.close(SETTLED - timedelta(seconds=1)) == 0
    assert room.manifests() == []
    assert room.close() == 0

    manifest, rows = room.latest()
    assert [row["offset"] for row in rows] == [str(n) for n in range(10)]
    assert [row["gap_ns"] for row in rows] == ["", *["1000000000"] * 9]
    assert rows[3]["capture_time"] == "2023-11-14T22:00:03.000000Z"
    assert {name: manifest[name] for name in ("topic", "hour", "rows", "first", "last", "missing", "gaps", "dead")} == {
        "topic": "cam",
        "hour": "2023-11-15T07",
        "rows": 10,
        "missing": 0,
        "gaps": [],
        "first": "2023-11-14T22:00:00.000000Z",
        "last": "2023-11-14T22:00:09.000000Z",
        "dead": {"records": 0, "first": []},
    }
    (folder,) = (key.removesuffix("manifest.json") for key in room.manifests())
    for output in manifest["outputs"]:
        content = room.get(folder + output["name"])
        assert (output["bytes"], output["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert Image.open(io.BytesIO(room.get(f"{folder}contact-sheet.png"))).format == "PNG"
    assert room.keys(MARKS) == []


def test_an_hour_is_closed_once(room: Room) -> None:
    room.index(room.camera.back_up([record(0)]))
    room.close()
    before = {info.key: info.etag for info in room.store.list(room.results)}

    room.close(topics=("cam",))

    assert {info.key: info.etag for info in room.store.list(room.results)} == before


def test_a_part_that_comes_later_gives_a_second_table_beside_the_first(room_of_each_store: Room) -> None:
    room = room_of_each_store
    room.index(room.camera.back_up([record(0)]))
    room.close()
    (first,) = room.manifests()

    room.index(room.camera.back_up([record(1)]))
    room.close(SETTLED + timedelta(days=9))

    assert len(room.manifests()) == 2
    assert [row["offset"] for row in room.latest()[1]] == ["0", "1"]
    assert [row["offset"] for row in room.rows(first.replace("manifest.json", "index.csv"))] == ["0"]


def test_a_running_hour_can_be_closed_and_is_closed_again_when_it_is_over(room: Room) -> None:
    room.index(room.camera.back_up([record(0)]))
    now = datetime.fromtimestamp(SEVEN / 1000 + 60, UTC)
    room.close(now, running=True)
    assert len(room.latest()[1]) == 1

    room.index(room.camera.back_up([record(1)]))
    room.close()

    assert len(room.latest()[1]) == 2


@pytest.mark.parametrize("content", [b"", b"[]", b'{"parts": null, "manifest": ""}'])
def test_a_broken_latest_is_replaced(room: Room, content: bytes) -> None:
    room.store.put(room.results, room.hour.latest, content)
    room.index(room.camera.back_up([record(0)]))

    room.close()

    assert len(room.latest()[1]) == 1


def test_a_running_hour_that_is_closed_stays_announced(room: Room) -> None:
    room.index(room.camera.back_up([record(0)]))
    room.close(datetime.fromtimestamp(SEVEN / 1000 + 60, UTC), running=True)
    before = room.manifests()

    assert room.keys(MARKS) != []
    room.close()

    assert room.keys(MARKS) == []
    assert room.manifests() == before


def test_an_hour_waits_for_a_part_that_is_announced_for_a_day_at_most(room: Room) -> None:
    room.index(room.camera.back_up([record(0)]))
    room.store.put(room.results, f"{room.hour.marks}1+0+{1:020d}.csv", b"")  # whoever put it died

    room.close()
    assert room.manifests() == []
    room.close(EIGHT + timedelta(days=1))
    assert len(room.manifests()) == 1

    room.index(room.camera.back_up([record(1)]))
    room.close(EIGHT + timedelta(days=9))
    assert len(room.latest()[1]) == 2
    assert room.keys(MARKS) == []


def test_without_its_bucket_the_command_says_so_and_may_be_tried_again(room: Room) -> None:
    environment = {**os.environ, **room.server.environment, "CAMERA_BUCKET": "not-there", "CAMERA_TOPICS": "cam"}

    ended = subprocess.run(
        [sys.executable, "-m", "scripts.close_frame_hours"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ended.returncode, "there is no bucket not-there" in ended.stderr) == (EXIT_TRANSIENT, True)


def test_gaps_dead_records_and_repeats_are_told_in_the_manifest(room: Room) -> None:
    same = record(1, seconds=1, payload=picture(7))
    items = [
        room.camera.back_up([record(0), same, same._replace(offset=2)]),
        room.camera.back_up([Record(3, SEVEN, b"not a message of SINETStream"), record(6, payload=b"{}")]),
    ]
    room.index(*items)

    room.close()

    manifest, rows = room.latest()
    assert [(row["offset"], row["repeat"], row["missing"]) for row in rows] == [
        *[("0", "False", ""), ("1", "False", "0"), ("2", "True", "0"), ("6", "False", "2")]
    ]
    dead = f"_dead/cam/1/0/{3:020d}.json"
    assert [manifest["dead"]["records"], manifest["dead"]["first"][0]["key"]] == [1, dead]
    assert (manifest["repeats"], manifest["missing"], manifest["not_measured"]) == (1, 2, 1)


def test_an_hour_with_nothing_but_a_gap_is_closed_and_tells_of_it(room: Room) -> None:
    item = room.camera.commit(Manifest(room.camera.stream(), 5, 9, "gap"))
    room.index(item)

    room.close(datetime.now(UTC) + timedelta(hours=2))

    (key,) = (key for key in room.keys("frames/") if key.endswith("/manifest.json"))
    manifest = json.loads(room.get(key))
    assert manifest["gaps"] == [{"epoch": 1, "partition": 0, "first": 5, "offsets": 5}]
    assert (manifest["rows"], [output["name"] for output in manifest["outputs"]]) == (0, ["index.csv"])


def test_a_second_life_of_the_topic_stands_beside_the_first(room: Room) -> None:
    again = room.camera.stream(epoch=2)
    room.index(room.camera.back_up([record(0)]), room.camera.back_up([record(0, seconds=9)], again))

    room.close()

    assert [(row["epoch"], row["offset"], row["gap_ns"]) for row in room.latest()[1]] == [
        ("1", "0", ""),
        ("2", "0", ""),
    ]


# Kafka Connect


def test_frames_that_kafka_connect_wrote_are_found(room_of_each_store: Room) -> None:
    room = room_of_each_store
    room.camera.put([record(0), record(1, timed=False), *(record(n, seconds=n) for n in range(2, 5))])

    assert room.close(topics=("cam",)) == 0

    _, rows = room.latest()
    assert [row["offset"] for row in rows if row["time_source"] == "camera"] == ["0", "2", "3", "4"]
    assert [(row["offset"], row["record_ns"]) for row in rows if row["time_source"] == "object"] == [("1", "")]
    assert (rows[0]["capture_ns"], rows[0]["width"]) == (str(SEVEN * 1_000_000), "64")
    before = {info.key: info.etag for info in room.store.list(room.results)}
    room.close(topics=("cam",))
    assert {info.key: info.etag for info in room.store.list(room.results)} == before


def test_frames_that_kafka_connect_wrote_late_give_a_second_table(room: Room) -> None:
    room.camera.put([record(0)])
    room.close(topics=("cam",))
    room.camera.put([record(1)])

    room.close(SETTLED + timedelta(hours=40), topics=("cam",))

    assert [row["offset"] for row in room.latest()[1]] == ["0", "1"]


def test_frames_from_before_the_backup_are_kafka_connects(room_of_each_store: Room) -> None:
    room = room_of_each_store
    room.camera.put([record(0), record(1)])
    room.index(room.camera.back_up([record(2)]))

    room.close()

    assert [row["offset"] for row in room.latest()[1]] == ["0", "1", "2"]


@pytest.mark.parametrize("committed", [True, False])
def test_an_hour_waits_for_frames_that_the_backup_has_put(room: Room, committed: bool) -> None:
    room.index(room.camera.back_up([record(0)]))
    if committed:
        room.camera.back_up([record(1)])
    else:
        room.camera.put([record(1)])

    room.close()
    assert room.manifests() == []
    room.index(room.camera.back_up([record(1)]))
    room.close()

    assert [row["record_ns"] != "" for row in room.latest()[1]] == [True, True]


def test_an_hour_waits_for_a_day_at_most_and_its_frames_stand_in_it_once(room: Room) -> None:
    room.index(room.camera.back_up([record(0)]))
    late = room.camera.back_up([record(1)])
    room.close(EIGHT + timedelta(days=1))
    assert [(row["offset"], row["record_ns"] == "") for row in room.latest()[1]] == [("0", False), ("1", True)]

    room.index(late)
    room.close(EIGHT + timedelta(days=2))

    assert [(row["offset"], row["record_ns"] == "") for row in room.latest()[1]] == [("0", False), ("1", False)]


def test_an_hour_that_fails_does_not_stop_the_others(room: Room) -> None:
    room.index(room.camera.back_up([record(0)]), room.camera.back_up([record(1, seconds=3601)]))
    room.store.put(room.results, f"{room.hour.parts}1+0+9.csv", b"x" * 10)  # no part of ours

    assert room.close(SETTLED + timedelta(hours=1)) == EXIT_PERMANENT

    assert room.manifests() == []
    assert room.keys(Hour("cam", 2023, 11, 15, 8).latest) != []
