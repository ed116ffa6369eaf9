"""A robot's recordings, fast to make: millions of small ROS 2 messages from templates, and a camera's pictures.

Numbers have 16 or 17 digits, as a filter's output has, but for the zeros of covariances. The official writer makes the
files, with chunks as rosbag2 has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy
from mcap.writer import CompressionType, Writer
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from fieldpipe.recordings.synthetic import CHUNK_SIZE, SECOND, definition
from tests.bench.convert_layout import Layout, Messages

START = 1_760_000_000 * SECOND
BLOCK = 50  # seconds that are made at once
PICTURE = 100_000  # bytes, on average
_LATENCY = 150_000  # nanoseconds from publishing to recording
_JOINTS = ("shoulder_pan", "shoulder_lift", "elbow", "wrist_1", "wrist_2", "wrist_3")
_FRAMES = (("odom", "base_link"), ("base_link", "laser"))

Times = NDArray[numpy.int64]
Payloads = Callable[[int], bytes | memoryview]
"""The bytes of a message of the block by its number; asked in ascending order, once each."""


class Topic(Protocol):
    """`rate` messages a second."""

    name: str
    type: str
    rate: int

    def payloads(self, times: Times, first: int, dice: Generator) -> Payloads:
        """Messages number `first` and following, with their times."""
        ...


@dataclass(frozen=True, slots=True)
class Small:
    """Messages of one layout; `fill` sets their numbers, but not the stamps (whose prefixes are `stamps`)."""

    name: str
    type: str
    rate: int
    layout: Layout
    fill: Callable[[Messages, Generator], None]
    stamps: tuple[str, ...] = ("",)

    def messages(self, times: Times, dice: Generator) -> Messages:
        """A message for every time."""
        block = self.layout.messages(len(times))
        for stamp in self.stamps:
            block[f"{stamp}sec"], block[f"{stamp}nanosec"] = times // SECOND, times % SECOND
        self.fill(block, dice)
        return block

    def payloads(self, times: Times, first: int, dice: Generator) -> Payloads:
        """See Topic."""
        block = self.messages(times, dice)
        size, content = block.dtype.itemsize, memoryview(block.tobytes())
        return lambda number: content[(number - first) * size : (number - first + 1) * size]


@dataclass(frozen=True, slots=True)
class Camera:
    """Compressed pictures: noise between a JPEG's first and last bytes, which does not compress either."""

    name: str = "/camera/image/compressed"
    type: str = "sensor_msgs/msg/CompressedImage"
    rate: int = 30

    def payloads(self, times: Times, first: int, dice: Generator) -> Payloads:
        """See Topic."""

        def picture(number: int) -> bytes:
            jpeg = b"\xff\xd8\xff\xe0" + dice.bytes(PICTURE + int(dice.integers(-9000, 9000))) + b"\xff\xd9"
            head = Layout().header("camera").text("jpeg").length(len(jpeg)).messages(1)
            head["sec"], head["nanosec"] = divmod(times[number - first], SECOND)
            return head.tobytes() + jpeg

        return picture


def write_recording(path: Path, topics: Sequence[Topic], *, seed: int, seconds: int) -> None:
    """Write all messages in the order of their times."""
    with path.open("wb") as file:
        writer = Writer(file, chunk_size=CHUNK_SIZE, compression=CompressionType.ZSTD)
        writer.start(profile="ros2", library="fieldpipe bench")
        channels = [_register(writer, topic) for topic in topics]
        for first in range(0, seconds, BLOCK):
            for time, index, number, payloads in _in_order(topics, seed, first, min(BLOCK, seconds - first)):
                writer.add_message(channels[index], time + _LATENCY, payloads(number), time, number)
        writer.finish()


def doubles(seed: int, seconds: int = BLOCK) -> NDArray[numpy.float64]:
    """All doubles of the first seconds of the small messages, to measure with what printing them costs."""
    parts = []
    for topic in SMALL:
        dice = default_rng((seed, 0, *topic.name.encode()))
        block = topic.messages(_times(topic, 0, seconds, dice), dice)
        columns = [block[name].reshape(len(block), -1) for name in topic.layout.doubles()]
        parts.append(numpy.concatenate(columns, axis=1).ravel())
    return numpy.concatenate(parts)


def _register(writer: Writer, topic: Topic) -> int:
    schema = writer.register_schema(topic.type, "ros2msg", definition(topic.type).encode())
    return writer.register_channel(topic.name, "cdr", schema)


def _in_order(topics: Sequence[Topic], seed: int, first: int, seconds: int) -> Iterator[tuple[int, int, int, Payloads]]:
    """The messages of a block: time, index of the topic, number, and who has its bytes."""
    times, indices, numbers, payloads = [], [], [], []
    for index, topic in enumerate(topics):
        dice = default_rng((seed, first, *topic.name.encode()))
        own = _times(topic, first, seconds, dice)
        begin = first * topic.rate
        times.append(own)
        indices.append(numpy.full(len(own), index))
        numbers.append(numpy.arange(begin, begin + len(own)))
        payloads.append(topic.payloads(own, begin, dice))
    order = numpy.argsort(numpy.concatenate(times), kind="stable")
    columns = (numpy.concatenate(column)[order].tolist() for column in (times, indices, numbers))
    for time, index, number in zip(*columns, strict=True):
        yield time, index, number, payloads[index]


def _times(topic: Topic, first: int, seconds: int, dice: Generator) -> Times:
    period = SECOND // topic.rate
    numbers = numpy.arange(first * topic.rate, (first + seconds) * topic.rate)
    return START + numbers * period + dice.integers(0, period // 20, len(numbers))


def _imu(block: Messages, dice: Generator) -> None:
    block["orientation"] = _quaternions(len(block), dice)
    block["angular_velocity"] = dice.normal(0, 0.02, (len(block), 3))
    block["linear_acceleration"] = dice.normal((0, 0, 9.81), 0.2, (len(block), 3))
    for name, value in (("orientation", 0.01), ("angular_velocity", 0.0004), ("linear_acceleration", 0.0025)):
        block[f"{name}_covariance"] = numpy.diag([value] * 3).ravel()


def _joint_states(block: Messages, dice: Generator) -> None:
    for name, spread in (("position", 3.0), ("velocity", 1.0), ("effort", 20.0)):
        block[name] = dice.normal(0, spread, (len(block), len(_JOINTS)))


def _odometry(block: Messages, dice: Generator) -> None:
    block["position"] = dice.normal(0, 20, (len(block), 3))
    block["orientation"] = _quaternions(len(block), dice)
    block["twist"] = dice.normal(0, 0.5, (len(block), 6))
    block["pose_covariance"] = numpy.diag([0.001] * 6).ravel()
    block["twist_covariance"] = numpy.diag([0.002] * 6).ravel()


def _transforms(block: Messages, dice: Generator) -> None:
    for number in range(len(_FRAMES)):
        block[f"{number}translation"] = dice.normal(0, 2, (len(block), 3))
        block[f"{number}rotation"] = _quaternions(len(block), dice)


def _quaternions(count: int, dice: Generator) -> NDArray[numpy.float64]:
    values = dice.normal(0, 1, (count, 4))
    return values / numpy.sqrt((values * values).sum(axis=1))[:, None]


def _imu_layout() -> Layout:
    layout = Layout().header("imu_link").numbers("orientation", count=4).numbers("orientation_covariance", count=9)
    for name in ("angular_velocity", "linear_acceleration"):
        layout.numbers(name, count=3).numbers(f"{name}_covariance", count=9)
    return layout


def _joint_states_layout() -> Layout:
    layout = Layout().header("").length(len(_JOINTS))
    for joint in _JOINTS:
        layout.text(joint)
    for name in ("position", "velocity", "effort"):
        layout.length(len(_JOINTS)).numbers(name, count=len(_JOINTS))
    return layout


def _odometry_layout() -> Layout:
    layout = Layout().header("odom").text("base_link").numbers("position", count=3).numbers("orientation", count=4)
    return layout.numbers("pose_covariance", count=36).numbers("twist", count=6).numbers("twist_covariance", count=36)


def _transforms_layout() -> Layout:
    layout = Layout().length(len(_FRAMES))
    for number, (parent, child) in enumerate(_FRAMES):
        layout.header(parent, f"{number}").text(child)
        layout.numbers(f"{number}translation", count=3).numbers(f"{number}rotation", count=4)
    return layout


SMALL = (
    Small("/imu/data", "sensor_msgs/msg/Imu", 200, _imu_layout(), _imu),
    Small("/joint_states", "sensor_msgs/msg/JointState", 100, _joint_states_layout(), _joint_states),
    Small("/odom", "nav_msgs/msg/Odometry", 50, _odometry_layout(), _odometry),
    Small("/tf", "tf2_msgs/msg/TFMessage", 50, _transforms_layout(), _transforms, ("0", "1")),
)
SMALL_RATE = sum(topic.rate for topic in SMALL)
