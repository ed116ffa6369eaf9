"""Parts become the tables of their hours, once, and once more when a part came later; on real stores."""

import hashlib
import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from PIL import Image

from fieldpipe.cameras.hours import MARKS
from fieldpipe.cameras.manifests import Manifest
from fieldpipe.cameras.message import Record
from fieldpipe.errors import EXIT_TRANSIENT
from tests.camera_frames import SEVEN, picture, record
from tests.frame_room import EIGHT, SETTLED, Room


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
