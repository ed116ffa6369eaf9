"""The sensor against real brokers: frames arrive, whatever becomes of the network, of the process and of the camera."""

import json
import os
import signal
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import pytest

from fieldpipe.cameras.message import Message, encode
from fieldpipe.cameras.sealing import unsealer
from tests.cameras.sensors import Sensor, crash_at, jpegs, payloads, received
from tests.kafka_servers import Kafka
from tests.waiting import eventually


@pytest.fixture
def sensor(tansu: Kafka, tmp_path: Path, mark: str) -> Sensor:
    """One that sends to a topic of its own."""
    return Sensor(tmp_path, tansu.address, tansu.create_topic(f"camera-{uuid4().hex[:8]}"), mark)


def status(sensor: Sensor) -> dict[str, object]:
    found: dict[str, object] = json.loads((sensor.spool / "status.json").read_bytes())
    return found


def size_of(picture: bytes) -> int:
    return len(encode(Message(time.time_ns() // 1000, picture)))


def test_every_picture_arrives_once_in_order_with_the_time_at_which_it_was_taken(tansu: Kafka, sensor: Sensor) -> None:
    pictures = jpegs(5)
    sensor.show(*pictures)
    began = time.time_ns() // 1000

    assert sensor.run("--frames", "5") == 0

    found = received(tansu.address, sensor.topic, 5)
    times = [each.message.time for each in found]
    assert payloads(found) == pictures
    assert began < times[0]
    assert all(first < second for first, second in pairwise(times))
    assert all(each.message.time // 1000 <= each.record_time for each in found)
    assert sensor.waiting() == []
    assert status(sensor) | {"captured": 5, "sent": 5, "waiting": 0, "problem": ""} == status(sensor)


def test_encrypted_pictures_are_so_on_the_disk_and_in_kafka(tansu: Kafka, sensor: Sensor) -> None:
    (picture,) = jpegs(1)
    sensor.show(picture)
    crypto = {"SS_DATA_ENCRYPTION": "true", "SS_CRYPTO__MODE": "GCM", "SS_CRYPTO__PASSWORD": "canary-91"}

    assert sensor.run("--frames", "1", **crypto, **crash_at("capture.spooled")) == -signal.SIGKILL
    (waiting,) = sensor.waiting()
    assert picture not in waiting.read_bytes()
    assert sensor.run("--frames", "1", **crypto) == 0

    assert payloads(received(tansu.address, sensor.topic, 2, unsealer({}, "canary-91"))) == [picture, picture]
    assert received(tansu.address, sensor.topic, 2)[0].message.sealed == 1
    assert "canary" not in sensor.log


def test_what_is_too_large_is_set_aside_with_both_numbers_and_sent_when_it_may_be(tansu: Kafka, sensor: Sensor) -> None:
    small, large = jpegs(1)[0], jpegs(1, 5000)[0]
    sensor.show(large, small)

    assert sensor.run("--frames", "2", SS_MAX_REQUEST_SIZE="4000") == 0

    assert payloads(received(tansu.address, sensor.topic, 1)) == [small]
    assert f"a message of {size_of(large)} bytes, SS_MAX_REQUEST_SIZE is 4000" in sensor.log
    (aside,) = (sensor.spool / "too-large").iterdir()
    aside.rename(sensor.spool / aside.name)
    assert sensor.run("--frames", "1") == 0
    assert payloads(received(tansu.address, sensor.topic, 3)) == [small, large, large]


@pytest.mark.kafka
def test_the_limit_of_the_topic_is_named_too(apache_kafka: Kafka, tmp_path: Path, mark: str) -> None:
    topic = apache_kafka.create_topic(f"camera-{uuid4().hex[:8]}", config={"max.message.bytes": "4000"})
    sensor = Sensor(tmp_path, apache_kafka.address, topic, mark)
    small, large = jpegs(1)[0], jpegs(1, 5000)[0]
    sensor.show(large, small)

    assert sensor.run("--frames", "2") == 0

    assert payloads(received(apache_kafka.address, topic, 1)) == [small]
    assert f"a message of {size_of(large)} bytes, max.message.bytes of topic {topic} is 4000" in sensor.log


def test_what_was_taken_is_sent_although_the_camera_fails(tansu: Kafka, sensor: Sensor) -> None:
    (picture,) = jpegs(1)
    sensor.show(picture, b"no jpeg")

    assert sensor.run() == 65

    assert payloads(received(tansu.address, sensor.topic, 1)) == [picture]
    assert "001.jpg is no JPEG" in sensor.log


def test_pictures_are_taken_without_a_broker_and_sent_once_there_is_one(
    tansu_factory: Callable[[Path], Kafka], tmp_path: Path, mark: str
) -> None:
    broker = tansu_factory(tmp_path)
    broker.stop()
    pictures = jpegs(3)
    sensor = Sensor(tmp_path / "sensor", broker.address, "camera", mark)
    sensor.show(*pictures)

    with sensor.running("--frames", "3") as child:
        eventually(lambda: len(sensor.waiting()) == 3)
        broker.start()
        broker.create_topic("camera")
        assert child.wait(60) == 0

    assert payloads(received(broker.address, "camera", 3)) == pictures


@pytest.mark.fault
def test_when_it_is_stopped_it_ends_well_and_what_could_not_be_sent_waits(
    tansu_factory: Callable[[Path], Kafka], tmp_path: Path, mark: str
) -> None:
    broker = tansu_factory(tmp_path)
    broker.stop()
    sensor = Sensor(tmp_path / "sensor", broker.address, "camera", mark)
    sensor.show(*jpegs(100))
    with sensor.running() as child:
        eventually(lambda: len(sensor.waiting()) > 3)
        child.ask_to_stop()
        assert child.wait(20) == 0
    count = len(sensor.waiting())
    assert status(sensor) | {"captured": count, "sent": 0, "waiting": count} == status(sensor)
    assert "Unable to bootstrap" in str(status(sensor)["problem"])

    broker.start()
    broker.create_topic("camera")
    assert sensor.run("--frames", "1") == 0

    assert payloads(received(broker.address, "camera", count + 1)) == [*jpegs(count), *jpegs(1)]


@pytest.mark.fault
def test_a_broker_that_says_nothing_does_not_keep_it_from_ending(
    tansu_factory: Callable[[Path], Kafka], tmp_path: Path, mark: str
) -> None:
    broker = tansu_factory(tmp_path)
    broker.create_topic("camera")
    sensor = Sensor(tmp_path / "sensor", broker.address, "camera", mark)
    sensor.show(*jpegs(10))

    with sensor.running() as child:
        received(broker.address, "camera", 3)
        os.kill(broker.process.pid, signal.SIGSTOP)
        eventually(lambda: len(sensor.waiting()) > 10)
        child.ask_to_stop()
        assert child.wait(20) == 0
    broker.kill()  # it does not hear a polite word

    assert all(line.startswith("{") for line in sensor.log.splitlines())  # no traceback, of kafka-python's either
    assert len(sensor.waiting()) > 10


def test_settings_that_cannot_be_are_refused_without_a_traceback(sensor: Sensor) -> None:
    sensor.show(*jpegs(1))

    assert sensor.run(SS_TYPE="mqtt", SCHEDULE="never") == 65

    assert sensor.log.count("\n") == 1
    assert sensor.log.startswith("error: settings: ")
