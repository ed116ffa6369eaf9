"""The sensor is killed, its broker too: every picture that was in the spool arrives."""

import signal
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from tests.cameras.sensors import Sensor, crash_at, jpegs, payloads, received
from tests.faults.crash_points import points_of
from tests.kafka_servers import Kafka
from tests.waiting import eventually

pytestmark = pytest.mark.fault

POINTS = points_of("capture")
BEFORE_THE_NAME, AFTER_THE_ANSWER = "capture.spooling", "capture.acknowledged"


@pytest.fixture
def sensor(tansu: Kafka, tmp_path: Path, mark: str) -> Sensor:
    return Sensor(tmp_path, tansu.address, tansu.create_topic(f"camera-{uuid4().hex[:8]}"), mark)


@pytest.mark.parametrize("point", [point for point in POINTS if point != AFTER_THE_ANSWER])
@pytest.mark.parametrize("times", [1, 4])
def test_a_sensor_that_is_killed_while_it_takes_pictures_loses_none_that_was_whole(
    tansu: Kafka, sensor: Sensor, point: str, times: int
) -> None:
    pictures = jpegs(6)
    sensor.show(*pictures)
    taken = times - 1 if point == BEFORE_THE_NAME else times

    assert sensor.run(**crash_at(f"{point}:{times}")) == -signal.SIGKILL
    assert sensor.run("--frames", "1") == 0

    found = payloads(received(tansu.address, sensor.topic, taken + 1))
    assert sorted({*found}) == pictures[: max(taken, 1)]
    assert sensor.waiting() == list(sensor.spool.glob("*.part")) == []


@pytest.mark.parametrize("times", [1, 3])
def test_a_sensor_that_is_killed_after_an_answer_sends_the_same_bytes_again(
    tansu: Kafka, sensor: Sensor, times: int
) -> None:
    pictures = jpegs(6)
    sensor.show(*pictures)

    assert sensor.run(**crash_at(f"{AFTER_THE_ANSWER}:{times}")) == -signal.SIGKILL
    taken = len(sensor.waiting()) + times - 1
    assert sensor.run("--frames", "1") == 0

    messages = [each.message for each in received(tansu.address, sensor.topic, taken + 2)]
    assert len(messages) > len(set(messages))  # equal in their times too
    assert {message.payload for message in messages} == {*pictures[:taken], pictures[0]}


@pytest.mark.kafka
def test_a_broker_that_is_killed_and_comes_back_costs_nothing_and_doubles_nothing(
    apache_kafka_factory: Callable[[Path], Kafka], tmp_path: Path, mark: str
) -> None:
    broker = apache_kafka_factory(tmp_path)
    topic = broker.create_topic("camera")
    pictures = jpegs(300, 20_000)
    sensor = Sensor(tmp_path / "sensor", broker.address, topic, mark)
    sensor.show(*pictures)

    with sensor.running("--frames", "300", PICAMERA_FRAMERATE="25") as child:
        eventually(lambda: len(received(broker.address, topic, 1)) > 30, seconds=30)
        broker.kill()
        eventually(lambda: len(sensor.waiting()) > 20, seconds=30)
        broker.start()
        assert child.wait(120) == 0

    assert sorted(payloads(received(broker.address, topic, 300))) == pictures
