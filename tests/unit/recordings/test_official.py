"""Cell by cell against the official libraries: their encoders make the payloads, their decoders read ours.

Both executors are held against them, and against each other.
"""

import io
import struct
import sys
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcap_ros1._vendor.genpy.dynamic import generate_dynamic as generate_ros1
from mcap_ros2._dynamic import generate_dynamic, serialize_dynamic
from mcap_ros2.reader import read_ros2_messages
from numpy import float32

from fieldpipe.recordings import ros1msg, ros2idl, ros2msg, synthetic
from fieldpipe.recordings.cells import float32_text
from fieldpipe.recordings.decode import CdrDecoder
from fieldpipe.recordings.encode import encode, encode_ros1
from fieldpipe.recordings.plan import Wire, compile_plan
from fieldpipe.recordings.typetree import Array, Kind, Scalar, Sequence, Struct, Type
from tests.builders import robot_recording
from tests.unit.recordings.agreement import rows
from tests.unit.recordings.messages import NUMBERS, TIMES, columns, drawn, expected, in_idl, in_ros1, in_ros2, roots

ROS2_TOPICS = [stream.topic for stream in synthetic.STREAMS if stream.type]
# The official library takes `char` for a signed byte, has no wide strings, and reads sequences without their bounds.
ROS2 = (*NUMBERS, Kind.STRING, Kind.TIME)
ROS1 = (*NUMBERS, Kind.STRING, Kind.ROS1_TIME, Kind.ROS1_DURATION)
MESSAGES = 20  # of every type
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


def for_ros2(type_: Type, value: Any) -> Any:
    """A value in the form that the official encoder of ROS 2 takes."""
    match type_:
        case Scalar(Kind.TIME):
            return dict(zip(("sec", "nanosec"), divmod(value, 10**9), strict=True))
        case Struct(_, fields):
            return {field.name: for_ros2(field.type, value[field.name]) for field in fields}
        case Array(Scalar(Kind.UINT8)) | Sequence(Scalar(Kind.UINT8)):
            return bytes(value)
        case Array(element) | Sequence(element):
            return [for_ros2(element, item) for item in value]
    return value


def for_ros1(type_: Type, value: Any, classes: dict[str, Any]) -> Any:
    """A value in the form that the official encoder of ROS 1 takes."""
    match type_:
        case Scalar(Kind.ROS1_TIME | Kind.ROS1_DURATION):
            seconds, nanoseconds = divmod(value, 10**9)
            return SimpleNamespace(secs=seconds, nsecs=nanoseconds)
        case Struct(name, fields):
            made = classes[name]()
            for field in fields:
                setattr(made, field.name, for_ros1(field.type, value[field.name], classes))
            return made
        case Array(Scalar(Kind.UINT8)) | Sequence(Scalar(Kind.UINT8)):
            return bytes(value)
        case Array(element) | Sequence(element):
            return [for_ros1(element, item, classes) for item in value]
    return value


def plain(type_: Type, read: Any) -> Any:
    """What an official decoder returned, as dicts, lists, numbers and texts."""
    match type_:
        case Scalar(Kind.TIME):
            return read.sec * 10**9 + read.nanosec
        case Scalar(kind) if kind in TIMES:
            return read.secs * 10**9 + read.nsecs
        case Struct(_, fields):
            return {field.name: plain(field.type, getattr(read, field.name)) for field in fields}
        case Array(element) | Sequence(element):
            return [plain(element, item) for item in read]
    return read


@settings(max_examples=100, suppress_health_check=SLOW)
@given(roots(ROS2), st.integers(0, 2**32))
def test_any_message_of_ros2_is_read_as_the_official_library_reads_it(root: Struct, seed: int) -> None:
    text = in_ros2(root)
    messages = drawn_messages(root, seed)
    write, read = serialize_dynamic(root.name, text)[root.name], generate_dynamic(root.name, text)[root.name]

    payloads = [bytes(write(for_ros2(root, value))) for value in messages]
    plan = compile_plan(ros2msg.parse(root.name, text))

    assert ros2msg.parse(root.name, text) == ros2idl.parse("test_msgs/msg/Root", in_idl(root)) == root
    assert list(plan.columns) == columns(root)
    assert rows(CdrDecoder(plan), *payloads) == [expected(root, plain(root, read(payload))) for payload in payloads]
    assert [encode(root, value) for value in messages] == payloads


@settings(max_examples=50, suppress_health_check=SLOW)
@given(roots(ROS1, bounds=False), st.integers(0, 2**32))
def test_any_message_of_ros1_is_read_as_the_official_library_reads_it(root: Struct, seed: int) -> None:
    text = in_ros1(root)
    messages = drawn_messages(root, seed)
    classes = ros1_classes(root.name, text)

    payloads = [in_official_ros1(root, value, classes) for value in messages]
    read = [plain(root, classes[root.name]().deserialize(payload)) for payload in payloads]
    plan = compile_plan(ros1msg.parse(root.name, text), wire=Wire.ROS1)

    assert ros1msg.parse(root.name, text) == root
    assert list(plan.columns) == columns(root)
    assert rows(CdrDecoder(plan), *payloads) == [expected(root, value) for value in read]
    assert [encode_ros1(root, value) for value in messages] == payloads


def drawn_messages(root: Struct, seed: int) -> list[Any]:
    dice = Random(seed)
    return [drawn(root, dice) for _ in range(MESSAGES)]


def in_official_ros1(root: Struct, value: Any, classes: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    for_ros1(root, value, classes).serialize(file)
    return file.getvalue()


def ros1_classes(name: str, text: str) -> dict[str, Any]:
    """The official library makes a module of every schema, and a folder in sys.path."""
    before = list(sys.path)
    try:
        classes: dict[str, Any] = generate_ros1(name, text)
    finally:
        sys.path[:] = before
    return classes


@settings(max_examples=40, suppress_health_check=SLOW)
@given(roots(ROS2), st.integers(0, 2**32))
def test_byte_order_and_version_change_nothing_but_the_bytes(root: Struct, seed: int) -> None:
    (value, *_) = drawn_messages(root, seed)
    layouts = [{"little_endian": little, "xcdr2": xcdr2} for little in (True, False) for xcdr2 in (False, True)]

    payloads = [encode(root, value, **layout) for layout in layouts]

    assert rows(CdrDecoder(compile_plan(root)), *payloads) == [expected(root, value)] * 4


@pytest.mark.parametrize("stream", synthetic.STREAMS[:-1], ids=lambda stream: stream.topic)
def test_generated_messages_are_what_the_official_decoder_reads(stream: synthetic.Stream) -> None:
    text = synthetic.definition(stream.type)
    root = ros2msg.parse(stream.type, text)
    value = stream.message(1_767_225_600_000_000_001, 7, Random(1))
    payload = encode(root, value)

    read = plain(root, generate_dynamic(stream.type, text)[stream.type](payload))

    assert rows(CdrDecoder(compile_plan(root)), payload) == [expected(root, read)]


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
@settings(max_examples=300)
def test_float32_has_the_shortest_text_that_reads_back(value: float) -> None:
    ((cell,),) = rows(
        CdrDecoder(compile_plan(ros2msg.parse("a/B", "float32 x"))), b"\0\1\0\0" + struct.pack("<f", value)
    )

    assert float32(cell) == float32(value)
    assert cell == repr(float(str(float32(value))))


@pytest.mark.parametrize("exponent", range(-149, 128))
def test_powers_of_two_have_the_shortest_text_as_float32(exponent: int) -> None:
    for value in (2.0**exponent, -(2.0**exponent)):
        assert float32_text(value) == repr(float(str(float32(value))))


def test_the_official_reader_reads_a_generated_recording_to_its_end() -> None:
    content = io.BytesIO(robot_recording(seconds=1))

    read = [(message.channel.topic, message.ros_msg) for message in read_ros2_messages(content, topics=ROS2_TOPICS)]

    assert {topic for topic, _ in read} == set(ROS2_TOPICS)
    assert sum(topic == "/imu/data" for topic, _ in read) == 200
    pictures = [bytes(message.data) for topic, message in read if topic == "/camera/image/compressed"]
    assert all(picture.startswith(b"\xff\xd8") and picture.endswith(b"\xff\xd9") for picture in pictures)
