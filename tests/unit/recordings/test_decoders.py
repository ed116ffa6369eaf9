"""Which decoder a topic gets, and what a person's options do to it."""

import json

import pytest

from fieldpipe.recordings.decoders import MAX_TEXT, decoder_for
from fieldpipe.recordings.encode import encode
from fieldpipe.recordings.options import Options
from fieldpipe.recordings.plan import Wire
from fieldpipe.recordings.records import Schema, Topic
from fieldpipe.recordings.ros2msg import parse
from fieldpipe.recordings.typetree import SchemaError
from tests.unit.recordings.agreement import line, rows

IDL = "module a { module msg { struct B { long x; }; }; };"


def topic(encoding: str, language: str = "", text: str = "", name: str = "a/msg/B") -> Topic:
    return Topic("/topic", encoding, Schema(name, language, text.encode()) if language else None)


@pytest.mark.parametrize(
    ("encoding", "language", "text", "wire", "columns"),
    [
        ("cdr", "ros2msg", "int32 x", Wire.CDR, ("x",)),
        ("cdr", "ros2idl", IDL, Wire.CDR, ("x",)),
        ("cdr", "omgidl", IDL, Wire.CDR, ("x",)),
        ("ros1", "ros1msg", "int32 x", Wire.ROS1, ("x",)),
        ("json", "jsonschema", json.dumps({"type": "object", "properties": {"x": {}}}), Wire.JSON, ("x",)),
        ("json", "", "", Wire.JSON, ("json",)),
    ],
)
def test_every_encoding_finds_its_plan(
    encoding: str, language: str, text: str, wire: Wire, columns: tuple[str, ...]
) -> None:
    plan = decoder_for(topic(encoding, language, text)).plan

    assert (plan.wire, plan.columns) == (wire, columns)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (topic("cdr"), "message encoding 'cdr' with schema encoding '' is not supported"),
        (topic("ros1", "ros2msg", "int32 x"), "message encoding 'ros1' with schema encoding 'ros2msg'"),
        (topic("cdr", "ros2msg", "#" * (MAX_TEXT + 1)), f"the schema has {MAX_TEXT + 1} bytes"),
        (
            Topic("/topic", "cdr", Schema("a/B", "ros2msg", b"\xff")),
            "a/B: cannot read the line '\N{REPLACEMENT CHARACTER}'",
        ),
        (Topic("/topic", "cdr", None, defect="its schema is damaged"), "its schema is damaged"),
    ],
)
def test_a_topic_without_a_decoder_says_why(found: Topic, reason: str) -> None:
    with pytest.raises(SchemaError) as refused:
        decoder_for(found)

    assert str(refused.value).startswith(reason)


def test_comments_may_be_in_any_encoding() -> None:
    schema = Schema("a/B", "ros1msg", b"float32 heading # 0\xb0 is north\n")

    assert decoder_for(Topic("/topic", "ros1", schema)).plan.columns == ("heading",)


def test_lists_are_exploded_bytes_are_base64_and_formulas_are_defused_on_request() -> None:
    text = "string[] names\nuint8[] data\nstring note"
    payload = encode(parse("a/msg/B", text), {"names": ["x", "=y"], "data": b"abc", "note": "=1"})
    plain, chosen = Options(), Options(explode=("names",), base64=True, formula_safe=True)

    assert line(decoder_for(topic("cdr", "ros2msg", text), plain), payload) == '"[""x"",""=y""]","[97,98,99]",=1'
    assert rows(decoder_for(topic("cdr", "ros2msg", text), chosen), payload) == [
        ["x", "YWJj", "'=1"],
        ["'=y", "YWJj", "'=1"],
    ]


@pytest.mark.parametrize(
    ("encoding", "language", "name"),
    [
        ("cdr", "ros2msg", "sensor_msgs/msg/CompressedImage"),
        ("ros1", "ros1msg", "sensor_msgs/CompressedImage"),
    ],
)
def test_the_bytes_of_pictures_are_no_cells(encoding: str, language: str, name: str) -> None:
    made = decoder_for(topic(encoding, language, "uint8[] data", name))
    payload = (b"\0\1\0\0" if encoding == "cdr" else b"") + b"\2\0\0\0ab"

    assert rows(made, payload) == [[""]]
    assert made.binary == b"ab"
