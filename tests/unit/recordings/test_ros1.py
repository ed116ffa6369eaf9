"""ROS 1: message definitions as recorders store them, and payloads into rows, by both executors."""

import struct

import pytest

from fieldpipe.recordings.decode import CdrDecoder
from fieldpipe.recordings.plan import Shape, Wire, compile_plan
from fieldpipe.recordings.ros1msg import parse
from fieldpipe.recordings.typetree import Array, Field, Kind, Scalar, SchemaError, Sequence, Struct
from tests.builders import START, Channel, mcap, sent
from tests.unit.recordings.agreement import line, refusal, rows
from tests.unit.recordings.conftest import Convert

BAR = "=" * 80
HEADER = Struct(
    "std_msgs/Header",
    (Field("seq", Scalar(Kind.UINT32)), Field("stamp", Scalar(Kind.ROS1_TIME)), Field("frame_id", Scalar(Kind.STRING))),
)


def fields(text: str) -> tuple[Field, ...]:
    return parse("test_msgs/Thing", text).fields


def decoder(text: str, explode: str = "") -> CdrDecoder:
    shape = Shape(explode=frozenset([explode]))
    return CdrDecoder(compile_plan(parse("test_msgs/Thing", text), shape, wire=Wire.ROS1))


def test_time_and_duration_are_built_in_and_byte_and_char_have_opposite_signs() -> None:
    assert fields("time a\nduration[] b\nbyte c\nchar[2] d") == (
        Field("a", Scalar(Kind.ROS1_TIME)),
        Field("b", Sequence(Scalar(Kind.ROS1_DURATION))),
        Field("c", Scalar(Kind.INT8)),
        Field("d", Array(Scalar(Kind.UINT8), 2)),
    )


def test_constants_and_comments_are_no_fields() -> None:
    text = '# comment\nint32 LIMIT=5 # five\nstring NAME=all of this # is the value = "1"\nint32 speed # a=b\n'

    assert fields(text) == (Field("speed", Scalar(Kind.INT32)),)


@pytest.mark.parametrize("name", ["Header", "std_msgs/Header", "roslib/Header"])
def test_the_header_is_the_one_of_std_msgs_in_every_package_and_even_without_its_definition(name: str) -> None:
    own = f"{BAR}\nMSG: test_msgs/Header\nint8 other\n"
    text = f"{BAR}\nMSG: std_msgs/Header\nuint32 seq\ntime stamp\nstring frame_id\n"

    assert fields(f"{name} header\n{own}{text}") == fields(f"{name} header\n{own}") == (Field("header", HEADER),)


def test_other_types_are_looked_up_in_the_package_of_the_message_that_uses_them() -> None:
    text = f"geometry_msgs/Pose pose\n{BAR}\nMSG: geometry_msgs/Pose\nPoint at\n"
    text += f"{BAR}\nMSG: geometry_msgs/Point\nfloat64 x\n"

    assert compile_plan(parse("test_msgs/Thing", text), wire=Wire.ROS1).columns == ("pose.at.x",)


@pytest.mark.parametrize("name", ["wstring", "ros1 time", "bytes", "builtin_interfaces/Time"])
def test_names_that_only_others_have_are_no_types(name: str) -> None:
    with pytest.raises(SchemaError):
        parse("test_msgs/Thing", f"{name} x")


def test_values_stand_one_behind_the_other() -> None:
    made = decoder("uint8 a\nfloat64 b\nuint8 c\nuint16[] d\nuint8 e")

    assert line(made, struct.pack("<BdBIHHB", 1, 1.5, 2, 2, 3, 4, 5)) == '1,1.5,2,"[3,4]",5'


def test_strings_have_no_final_zero() -> None:
    payload = struct.pack("<I3sII1s", 3, b"ab\0", 0, 1, b"c")

    assert rows(decoder("string a\nstring b\nstring c"), payload) == [["ab\0", "", "c"]]


def test_times_and_durations_are_nanoseconds() -> None:
    made = decoder("time a\nduration b\nduration[] c\ntime[2] d")
    payload = struct.pack("<IIiiIiiIIII", 2**32 - 1, 999_999_999, -2, 500_000_000, 1, 1, -1, 0, 0, 1, 2)

    assert rows(made, payload) == [["4294967295999999999", "-1500000000", "[999999999]", "0", "1000000002"]]


def test_an_empty_message_has_no_bytes() -> None:
    empty = f"{BAR}\nMSG: std_msgs/Empty\n"

    assert rows(decoder(""), b"") == [[]]
    assert rows(decoder(f"std_msgs/Empty a\nuint8 b\n{empty}"), b"\7") == [["7"]]
    assert refusal(decoder(""), b"\0") == "1 bytes are left after the last field"


def test_nothing_may_follow_the_last_field() -> None:
    assert line(decoder("uint8 a"), b"\1") == "1"
    assert refusal(decoder("uint8 a"), b"\1\0") == "1 bytes are left after the last field"
    assert refusal(decoder("uint8 a"), b"") == "the payload ends inside a value (0 bytes)"


def test_lists_of_what_takes_no_bytes_have_a_limit() -> None:
    made = decoder(f"std_msgs/Empty[] a\n{BAR}\nMSG: std_msgs/Empty\n")

    assert line(made, struct.pack("<I", 2)) == '"[{},{}]"'
    assert len(line(made, struct.pack("<I", 1024))) == 3 * 1024 + 3
    assert refusal(made, struct.pack("<I", 1025)) == "a list of 1025 elements does not fit into the payload"


def test_elements_that_take_no_bytes_can_be_rows() -> None:
    made = decoder(f"uint8 a\nstd_msgs/Empty[] b\n{BAR}\nMSG: std_msgs/Empty\n", explode="b")

    assert rows(made, struct.pack("<BI", 7, 3)) == [["7"]] * 3
    assert rows(made, struct.pack("<BI", 7, 0)) == [["7"]]


def test_every_shortened_payload_is_an_error() -> None:
    made = decoder("float64 a\nstring b\nint32[] c\nfloat32[3] d\ntime e")
    payload = struct.pack("<dI4sIiifffII", 1.5, 4, b"text", 2, 1, 2, 0.5, 1, 2, 3, 4)

    assert rows(made, payload) == [["1.5", "text", "[1,2]", "0.5", "1.0", "2.0", "3000000004"]]
    for length in range(len(payload)):
        assert refusal(made, payload[:length])


def test_a_recording_of_ros1_becomes_a_table(convert: Convert) -> None:
    channel = Channel("/odom", "ros1", "test_msgs/Odometry", "ros1msg", "Header header\nfloat64 speed")
    value = {"header": {"seq": 3, "stamp": START, "frame_id": "odom"}, "speed": 0.25}

    result = convert(mcap(sent(channel, value)))

    assert result.rows("odom.csv") == [
        "log_time,publish_time,sequence,header.seq,header.stamp,header.frame_id,speed",
        f"{START},{START - 1000},0,3,{START},odom,0.25",
    ]


def test_pictures_of_ros1_are_files(convert: Convert) -> None:
    channel = Channel("/cam", "ros1", "sensor_msgs/CompressedImage", "ros1msg", "string format\nuint8[] data")

    result = convert(mcap(sent(channel, {"format": "jpeg", "data": b"\xff\xd8\xff picture"})))

    assert b"\xff\xd8\xff picture" in result.files.values()
