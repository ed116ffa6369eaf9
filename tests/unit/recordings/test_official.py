"""Cell by cell against the official library: its encoder makes the payloads, its decoder reads ours."""

import io
import json
import random
import struct
from hashlib import sha256
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcap_ros2._dynamic import generate_dynamic, serialize_dynamic
from mcap_ros2.reader import read_ros2_messages
from numpy import float32

from fieldpipe.recordings import synthetic
from fieldpipe.recordings.cells import float32_text
from fieldpipe.recordings.decode import CdrDecoder
from fieldpipe.recordings.encode import encode
from fieldpipe.recordings.plan import MAX_FLAT_ARRAY, compile_plan
from fieldpipe.recordings.ros2msg import parse
from fieldpipe.recordings.typetree import Array, Field, Kind, Scalar, Sequence, Struct, Type
from tests.builders import robot_recording

ROS2_TOPICS = [stream.topic for stream in synthetic.STREAMS if stream.type]

# The official library takes `char` for a signed byte, has no wide strings, and reads sequences without their bounds.
RANGES = {
    Kind.INT8: (-(2**7), 2**7 - 1),
    Kind.UINT8: (0, 2**8 - 1),
    Kind.INT16: (-(2**15), 2**15 - 1),
    Kind.UINT16: (0, 2**16 - 1),
    Kind.INT32: (-(2**31), 2**31 - 1),
    Kind.UINT32: (0, 2**32 - 1),
    Kind.INT64: (-(2**63), 2**63 - 1),
    Kind.UINT64: (0, 2**64 - 1),
}
KINDS = [*RANGES, Kind.BOOL, Kind.FLOAT32, Kind.FLOAT64, Kind.STRING, Kind.TIME]


def types(depth: int = 0) -> st.SearchStrategy[Type]:
    element: st.SearchStrategy[Type] = st.sampled_from(KINDS).map(Scalar)
    if depth < 3:
        element = element | structs(depth + 1)
    return st.one_of(
        element,
        st.builds(Array, element, st.sampled_from([1, 2, 3, 64, 65]) if depth == 0 else st.integers(1, 3)),
        st.builds(Sequence, element),
        st.builds(Sequence, element, st.integers(3, 5)),
    )


def structs(depth: int) -> st.SearchStrategy[Struct]:
    """Structs with names of their own, so that every one becomes a definition."""
    fields = st.lists(types(depth), max_size=4).map(
        lambda chosen: tuple(Field(f"f{index}", type_) for index, type_ in enumerate(chosen))
    )
    return fields.map(lambda made: Struct(f"test_msgs/S{sha256(repr(made).encode()).hexdigest()[:12]}", made))


def values(type_: Type) -> st.SearchStrategy[Any]:
    match type_:
        case Scalar(Kind.BOOL):
            return st.booleans()
        case Scalar(Kind.FLOAT32):
            return st.floats(width=32)
        case Scalar(Kind.FLOAT64):
            return st.floats()
        case Scalar(Kind.STRING):
            return st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
        case Scalar(Kind.TIME):
            return st.integers(0, 2**31 * 10**9 - 1)
        case Scalar(kind):
            return st.integers(*RANGES[kind])
        case Struct(_, fields):
            return st.fixed_dictionaries({field.name: values(field.type) for field in fields})
        case Array(element, length):
            return st.lists(values(element), min_size=length, max_size=length)
        case Sequence(element):
            return st.lists(values(element), max_size=3)


def definition(root: Struct) -> str:
    """The type as the text that a recorder would store."""
    parts: dict[str, str] = {}

    def name(type_: Type) -> str:
        match type_:
            case Scalar(Kind.TIME):
                return "builtin_interfaces/Time"
            case Scalar(kind):
                return kind.value
            case Struct(full, fields):
                parts[full] = "".join(f"{name(field.type)} {field.name}\n" for field in fields)
                return full
            case Array(element, length):
                return f"{name(element)}[{length}]"
            case Sequence(element, bound):
                return f"{name(element)}[{'' if bound is None else f'<={bound}'}]"

    name(root)
    text = parts.pop(root.name)
    return text + "".join(f"{'=' * 80}\nMSG: {full}\n{body}" for full, body in parts.items())


def official(type_: Type, value: Any) -> Any:
    """A value in the form that the official encoder takes."""
    match type_:
        case Scalar(Kind.TIME):
            return dict(zip(("sec", "nanosec"), divmod(value, 10**9), strict=True))
        case Struct(_, fields):
            return {field.name: official(field.type, value[field.name]) for field in fields}
        case Array(Scalar(Kind.UINT8)) | Sequence(Scalar(Kind.UINT8)):
            return bytes(value)
        case Array(element) | Sequence(element):
            return [official(element, item) for item in value]
    return value


def expected(type_: Type, value: Any) -> list[str]:
    """The cells of what the official decoder returned, written independently of ours."""
    if isinstance(type_, Struct):
        return [cell for field in type_.fields for cell in expected(field.type, getattr(value, field.name))]
    if isinstance(type_, Scalar):
        return [written(type_.kind, value)]
    if isinstance(type_, Array) and isinstance(type_.element, Scalar) and type_.length <= MAX_FLAT_ARRAY:
        return [written(type_.element.kind, item) for item in value]
    return [json_text(type_, value)]


def json_text(type_: Type, value: Any) -> str:
    match type_:
        case Struct(_, fields):
            inner = (f'"{field.name}":{json_text(field.type, getattr(value, field.name))}' for field in fields)
            return "{" + ",".join(inner) + "}"
        case Array(element) | Sequence(element):
            return "[" + ",".join(json_text(element, item) for item in value) + "]"
        case Scalar(Kind.STRING):
            return json.dumps(value, ensure_ascii=False)
        case Scalar(kind):
            text = written(kind, value)
            return f'"{text}"' if text in ("nan", "inf", "-inf") else text


def written(kind: Kind, value: Any) -> str:
    if kind is Kind.FLOAT32:
        return repr(float(str(float32(value))))
    if kind is Kind.TIME:
        return str(value.sec * 10**9 + value.nanosec)
    if kind is Kind.BOOL:
        return str(value).lower()
    return value if kind is Kind.STRING else repr(value)


def unquoted(cell: str) -> str:
    """A cell as a CSV reader returns it."""
    return cell[1:-1].replace('""', '"') if cell.startswith('"') else cell


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_any_message_is_read_as_the_official_library_reads_it(data: st.DataObject) -> None:
    fields = data.draw(st.lists(types(), min_size=1, max_size=6))
    root = Struct("test_msgs/Root", tuple(Field(f"m{index}", type_) for index, type_ in enumerate(fields)))
    value = data.draw(values(root))
    text = definition(root)

    payload = bytes(serialize_dynamic("test_msgs/Root", text)["test_msgs/Root"](official(root, value)))
    read: SimpleNamespace = generate_dynamic("test_msgs/Root", text)["test_msgs/Root"](payload)
    parsed = parse("test_msgs/Root", text)

    assert parsed == root
    assert [unquoted(cell) for cell in CdrDecoder(compile_plan(parsed)).cells(payload)] == expected(root, read)
    assert without_nan_bits(encode(root, value)) == without_nan_bits(payload)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_byte_order_and_version_change_nothing_but_the_bytes(data: st.DataObject) -> None:
    fields = data.draw(st.lists(types(), min_size=1, max_size=5))
    root = Struct("test_msgs/Root", tuple(Field(f"m{index}", type_) for index, type_ in enumerate(fields)))
    value = data.draw(values(root))
    made = CdrDecoder(compile_plan(root))

    rows = [
        made.cells(encode(root, value, little_endian=little, xcdr2=xcdr2))
        for little in (True, False)
        for xcdr2 in (False, True)
    ]

    assert rows[1:] == rows[:1] * 3


@pytest.mark.parametrize("stream", synthetic.STREAMS[:-1], ids=lambda stream: stream.topic)
def test_generated_messages_are_what_the_official_decoder_reads(stream: synthetic.Stream) -> None:
    text = synthetic.definition(stream.type)
    root = parse(stream.type, text)
    value = stream.message(1_767_225_600_000_000_001, 7, random.Random(1))
    payload = encode(root, value)

    read = generate_dynamic(stream.type, text)[stream.type](payload)

    assert [unquoted(cell) for cell in CdrDecoder(compile_plan(root)).cells(payload)] == expected(root, read)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
@settings(max_examples=300)
def test_float32_has_the_shortest_text_that_reads_back(value: float) -> None:
    (cell,) = CdrDecoder(compile_plan(parse("a/B", "float32 x"))).cells(b"\0\1\0\0" + struct.pack("<f", value))

    assert float32(cell) == float32(value)
    assert cell == repr(float(str(float32(value))))


@pytest.mark.parametrize("exponent", range(-149, 128))
def test_powers_of_two_have_the_shortest_text_as_float32(exponent: int) -> None:
    for value in (2.0**exponent, -(2.0**exponent)):
        assert float32_text(value) == repr(float(str(float32(value))))


def without_nan_bits(payload: bytes) -> bytes:
    """A NaN has many forms; which one Python packs depends on where it came from."""
    for bits in (struct.pack("<d", float("nan")), struct.pack("<d", -float("nan"))):
        payload = payload.replace(bits[4:], b"~~~~")
    for bits in (struct.pack("<f", float("nan")), struct.pack("<f", -float("nan"))):
        payload = payload.replace(bits, b"~~~~")
    return payload


def test_the_official_reader_reads_a_generated_recording_to_its_end() -> None:
    content = io.BytesIO(robot_recording(seconds=1))

    read = [(message.channel.topic, message.ros_msg) for message in read_ros2_messages(content, topics=ROS2_TOPICS)]

    assert {topic for topic, _ in read} == set(ROS2_TOPICS)
    assert sum(topic == "/imu/data" for topic, _ in read) == 200
    pictures = [bytes(message.data) for topic, message in read if topic == "/camera/image/compressed"]
    assert all(picture.startswith(b"\xff\xd8") and picture.endswith(b"\xff\xd9") for picture in pictures)
