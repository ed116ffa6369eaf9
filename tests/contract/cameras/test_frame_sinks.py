"""Frames that Kafka Connect wrote stand in the tables of their hours; on real stores."""

from datetime import timedelta

import pytest

from fieldpipe.cameras.hours import Hour
from fieldpipe.errors import EXIT_PERMANENT
from tests.camera_frames import SEVEN, record
from tests.frame_room import EIGHT, SETTLED, Room


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
