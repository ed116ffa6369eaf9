"""Recordings that look like a robot's, made from a seed: IMU, joints, odometry, transforms, camera, diagnostics.

The same arguments give the same bytes. Message definitions: github.com/ros2/common_interfaces and geometry2.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import merge
from itertools import count, takewhile
from typing import IO, Any

from mcap.writer import CompressionType, Writer

from fieldpipe.recordings.encode import encode
from fieldpipe.recordings.picture import jpeg
from fieldpipe.recordings.ros2msg import parse

SECOND = 1_000_000_000
CHUNK_SIZE = 768 * 1024  # bytes, as rosbag2 has it

_SEPARATOR = "=" * 80
_PARTS = {
    "std_msgs/Header": "builtin_interfaces/Time stamp\nstring frame_id",
    "builtin_interfaces/Time": "int32 sec\nuint32 nanosec",
    "geometry_msgs/Vector3": "float64 x\nfloat64 y\nfloat64 z",
    "geometry_msgs/Point": "float64 x\nfloat64 y\nfloat64 z",
    "geometry_msgs/Quaternion": "float64 x 0\nfloat64 y 0\nfloat64 z 0\nfloat64 w 1",
    "geometry_msgs/Pose": "Point position\nQuaternion orientation",
    "geometry_msgs/PoseWithCovariance": "Pose pose\nfloat64[36] covariance",
    "geometry_msgs/Twist": "Vector3 linear\nVector3 angular",
    "geometry_msgs/TwistWithCovariance": "Twist twist\nfloat64[36] covariance",
    "geometry_msgs/Transform": "Vector3 translation\nQuaternion rotation",
    "geometry_msgs/TransformStamped": "std_msgs/Header header\nstring child_frame_id\nTransform transform",
}
_ROOTS = {
    "sensor_msgs/msg/Imu": (
        "std_msgs/Header header\n"
        "geometry_msgs/Quaternion orientation\nfloat64[9] orientation_covariance # row major about x, y, z axes\n"
        "geometry_msgs/Vector3 angular_velocity\nfloat64[9] angular_velocity_covariance\n"
        "geometry_msgs/Vector3 linear_acceleration\nfloat64[9] linear_acceleration_covariance"
    ),
    "sensor_msgs/msg/JointState": (
        "std_msgs/Header header\nstring[] name\nfloat64[] position\nfloat64[] velocity\nfloat64[] effort"
    ),
    "nav_msgs/msg/Odometry": (
        "std_msgs/Header header\nstring child_frame_id\n"
        "geometry_msgs/PoseWithCovariance pose\ngeometry_msgs/TwistWithCovariance twist"
    ),
    "tf2_msgs/msg/TFMessage": "geometry_msgs/TransformStamped[] transforms",
    "sensor_msgs/msg/CompressedImage": "std_msgs/Header header\nstring format\nuint8[] data",
}
_DIAGNOSTICS = {
    "type": "object",
    "title": "Diagnostics",
    "properties": {
        "stamp": {"type": "object", "properties": {"sec": {"type": "integer"}, "nsec": {"type": "integer"}}},
        "level": {"type": "string"},
        "cpu": {"type": "object", "properties": {"load": {"type": "number"}, "celsius": {"type": "number"}}},
        "messages": {"type": "array", "items": {"type": "string"}},
    },
}
_JOINTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")


def definition(name: str) -> str:
    """The full text of a message definition as recorders store it, with every definition that it needs."""
    parts = [f"{_SEPARATOR}\nMSG: {part}\n{text}\n" for part, text in _PARTS.items()]
    return "".join([_ROOTS[name] + "\n", *parts])


@dataclass(frozen=True, slots=True)
class Stream:
    """A topic that is published `rate` times a second; `message` makes the value of the n-th message."""

    topic: str
    type: str  # a ROS 2 message, or empty for JSON
    rate: float
    message: Callable[[int, int, random.Random], dict[str, Any]]


def write_recording(file: IO[bytes], *, seed: int, start: int, seconds: float) -> int:
    """Write a recording that begins at `start` (nanoseconds since 1970); returns the number of messages."""
    writer = Writer(file, chunk_size=CHUNK_SIZE, compression=CompressionType.ZSTD)
    writer.start(profile="ros2", library="fieldpipe")
    written = 0
    sources = [_messages(stream, writer, seed, start, seconds) for stream in STREAMS]
    for time, _, channel, sequence, payload in merge(*sources):
        writer.add_message(channel, log_time=time + 150_000, publish_time=time, sequence=sequence, data=payload)
        written += 1
    writer.finish()  # type: ignore[no-untyped-call]  # the library leaves this one method untyped
    return written


def _messages(
    stream: Stream, writer: Writer, seed: int, start: int, seconds: float
) -> Iterator[tuple[int, str, int, int, bytes]]:
    channel, encoded = _register(stream, writer)
    dice = random.Random(f"{seed} {stream.topic}")  # noqa: S311 -- test data
    period = round(SECOND / stream.rate)
    for number in takewhile(lambda number: number * period < seconds * SECOND, count()):
        time = start + number * period + dice.randrange(period // 50)
        yield time, stream.topic, channel, number, encoded(stream.message(time, number, dice))


def _register(stream: Stream, writer: Writer) -> tuple[int, Callable[[dict[str, Any]], bytes]]:
    if not stream.type:
        schema = writer.register_schema("Diagnostics", "jsonschema", json.dumps(_DIAGNOSTICS).encode())
        return writer.register_channel(stream.topic, "json", schema), lambda value: json.dumps(value).encode()
    text = definition(stream.type)
    type_ = parse(stream.type, text)
    schema = writer.register_schema(stream.type, "ros2msg", text.encode())
    return writer.register_channel(stream.topic, "cdr", schema), lambda value: encode(type_, value)


def _imu(time: int, number: int, dice: random.Random) -> dict[str, Any]:
    return {
        "header": {"stamp": time, "frame_id": "imu_link"},
        "orientation": _yaw(number / 400),
        "orientation_covariance": _diagonal(3, 0.01),
        "angular_velocity": _vector(dice, 0.02),
        "angular_velocity_covariance": _diagonal(3, 0.0004),
        "linear_acceleration": _vector(dice, 0.2) | {"z": dice.gauss(9.81, 0.05)},
        "linear_acceleration_covariance": _diagonal(3, 0.0025),
    }


def _joint_states(time: int, number: int, dice: random.Random) -> dict[str, Any]:
    phases = [number / 50 + joint for joint in range(len(_JOINTS))]
    return {
        "header": {"stamp": time, "frame_id": ""},
        "name": _JOINTS,
        "position": [math.sin(phase) for phase in phases],
        "velocity": [math.cos(phase) for phase in phases],
        "effort": [dice.gauss(0, 1.5) for _ in phases],
    }


def _odometry(time: int, number: int, dice: random.Random) -> dict[str, Any]:
    angle = number / 200
    position = {"x": 2 * math.cos(angle), "y": 2 * math.sin(angle), "z": 0.0}
    speed = {"linear": {"x": dice.gauss(0.5, 0.01), "y": 0.0, "z": 0.0}, "angular": {"x": 0.0, "y": 0.0, "z": 0.25}}
    return {
        "header": {"stamp": time, "frame_id": "odom"},
        "child_frame_id": "base_link",
        "pose": {"pose": {"position": position, "orientation": _yaw(angle)}, "covariance": _diagonal(6, 0.001)},
        "twist": {"twist": speed, "covariance": _diagonal(6, 0.002)},
    }


def _tf(time: int, number: int, dice: random.Random) -> dict[str, Any]:
    return {
        "transforms": [
            {
                "header": {"stamp": time, "frame_id": parent},
                "child_frame_id": child,
                "transform": {"translation": _vector(dice, 0.5), "rotation": _yaw(number / 100)},
            }
            for parent, child in (("odom", "base_link"), ("base_link", "laser"))
        ]
    }


def _camera(time: int, number: int, dice: random.Random) -> dict[str, Any]:
    shades = [[(16 * x + 12 * y + 4 * number + dice.randrange(8)) % 256 for x in range(8)] for y in range(6)]
    return {"header": {"stamp": time, "frame_id": "camera"}, "format": "jpeg", "data": jpeg(shades)}


def _diagnostics(time: int, number: int, dice: random.Random) -> dict[str, Any]:
    return {
        "stamp": {"sec": time // SECOND, "nsec": time % SECOND},
        "level": dice.choice(("ok", "ok", "ok", "warning")),
        "cpu": {"load": round(dice.random(), 3), "celsius": round(dice.gauss(55, 4), 1)},
        "messages": [f'heartbeat "{number}"'] if number % 3 == 0 else [],
    }


def _yaw(angle: float) -> dict[str, float]:
    return {"x": 0.0, "y": 0.0, "z": math.sin(angle / 2), "w": math.cos(angle / 2)}


def _vector(dice: random.Random, spread: float) -> dict[str, float]:
    return {axis: dice.gauss(0, spread) for axis in "xyz"}


def _diagonal(size: int, value: float) -> list[float]:
    return [value if row == column else 0.0 for row in range(size) for column in range(size)]


STREAMS = (
    Stream("/imu/data", "sensor_msgs/msg/Imu", 200, _imu),
    Stream("/joint_states", "sensor_msgs/msg/JointState", 50, _joint_states),
    Stream("/odom", "nav_msgs/msg/Odometry", 50, _odometry),
    Stream("/tf", "tf2_msgs/msg/TFMessage", 50, _tf),
    Stream("/camera/image/compressed", "sensor_msgs/msg/CompressedImage", 10, _camera),
    Stream("/diagnostics_json", "", 1, _diagnostics),
)
