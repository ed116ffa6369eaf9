"""ROS 2 message definitions as recorders store them."""

import pytest

from fieldpipe.recordings.plan import compile_plan
from fieldpipe.recordings.ros2msg import parse
from fieldpipe.recordings.typetree import Array, Field, Kind, Scalar, SchemaError, Sequence, Struct

BAR = "=" * 80


def fields(text: str, name: str = "test_msgs/msg/Thing") -> tuple[Field, ...]:
    return parse(name, text).fields


def test_constants_defaults_and_comments_are_no_fields() -> None:
    text = """
# a comment
int32 LIMIT=5   # a constant
string NAME = "a=b # c"
int32 speed 7   # a default
float64[] gains [1.0, 2.0]

string<=8 label "x=y"
    """

    assert fields(text) == (
        Field("speed", Scalar(Kind.INT32)),
        Field("gains", Sequence(Scalar(Kind.FLOAT64))),
        Field("label", Scalar(Kind.STRING)),
    )


def test_arrays_sequences_and_bounds() -> None:
    assert fields("int8[3] a\nint8[] b\nint8[<=4] c\nstring<=5[<=6] d\nwstring<=7[2] e") == (
        Field("a", Array(Scalar(Kind.INT8), 3)),
        Field("b", Sequence(Scalar(Kind.INT8))),
        Field("c", Sequence(Scalar(Kind.INT8), 4)),
        Field("d", Sequence(Scalar(Kind.STRING), 6)),
        Field("e", Array(Scalar(Kind.WSTRING), 2)),
    )


def test_byte_and_char_are_unsigned_bytes() -> None:
    assert {field.type for field in fields("byte a\nchar b\nuint8 c")} == {Scalar(Kind.UINT8)}


def test_types_are_found_by_full_name_by_package_and_by_bare_name() -> None:
    text = f"std_msgs/Header a\nstd_msgs/msg/Header b\nHeader c\nOwn d\n{BAR}\nMSG: std_msgs/Header\nstring frame_id\n"
    text += f"{BAR}\nMSG: test_msgs/Own\nint32 x\n"
    header = Struct("std_msgs/Header", (Field("frame_id", Scalar(Kind.STRING)),))

    assert [field.type for field in fields(text)] == [header] * 3 + [
        Struct("test_msgs/Own", (Field("x", Scalar(Kind.INT32)),))
    ]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_line_ends_of_windows_change_nothing(newline: str) -> None:
    text = newline.join(["Inner a", BAR, "MSG: test_msgs/Inner", "int32 x", ""])

    assert fields(text) == (Field("a", Struct("test_msgs/Inner", (Field("x", Scalar(Kind.INT32)),))),)


def test_times_are_one_value_even_without_their_definition() -> None:
    assert fields("builtin_interfaces/Time a\nbuiltin_interfaces/Duration[] b") == (
        Field("a", Scalar(Kind.TIME)),
        Field("b", Sequence(Scalar(Kind.TIME))),
    )


def test_a_time_of_another_shape_is_a_struct_like_any_other() -> None:
    text = f"builtin_interfaces/Time a\n{BAR}\nMSG: builtin_interfaces/Time\nint64 ticks"

    assert compile_plan(parse("a/B", text)).columns == ("a.ticks",)


@pytest.mark.parametrize("title", ["", f"{BAR}\nSRV: example_interfaces/srv/AddTwoInts\n"])
def test_the_events_of_a_service_are_built_from_its_srv_text(title: str) -> None:
    """rosbag2 stores the plain .srv text (ros2/rosbag2#2365), with or without a title."""
    text = f"{title}int64 a\nint64 b\n---\nint64 sum\n"

    plan = compile_plan(parse("example_interfaces/srv/AddTwoInts_Event", text))

    gid = tuple(f"info.client_gid[{index}]" for index in range(16))
    assert plan.columns == ("info.event_type", "info.stamp", *gid, "info.sequence_number", "request", "response")


def test_the_request_of_a_service_may_use_other_messages() -> None:
    text = f"geometry_msgs/Point at\n---\n{BAR}\nMSG: geometry_msgs/Point\nfloat64 x\n"
    point = Struct("geometry_msgs/Point", (Field("x", Scalar(Kind.FLOAT64)),))

    event = parse("nav_msgs/srv/Go_Event", text)

    assert event.fields[1].type == Sequence(Struct("nav_msgs/Go_Request", (Field("at", point),)), 1)
    assert event.fields[2].type == Sequence(Struct("nav_msgs/Go_Response", ()), 1)


ACTION = f"""{BAR}
ACTION: nav_msgs/action/Go
geometry_msgs/Point target
---
bool done
---
float64 left
{BAR}
MSG: geometry_msgs/Point
float64 x
"""
UUID = Field("goal_id", Struct("unique_identifier_msgs/UUID", (Field("uuid", Array(Scalar(Kind.UINT8), 16)),)))


def test_the_feedback_of_an_action_carries_its_goal() -> None:
    feedback = Struct("nav_msgs/Go_Feedback", (Field("left", Scalar(Kind.FLOAT64)),))

    assert fields(ACTION, "nav_msgs/action/Go_FeedbackMessage") == (UUID, Field("feedback", feedback))


def test_the_services_of_an_action_have_events() -> None:
    point = Struct("geometry_msgs/Point", (Field("x", Scalar(Kind.FLOAT64)),))
    goal = Field("goal", Struct("nav_msgs/Go_Goal", (Field("target", point),)))
    result = Field("result", Struct("nav_msgs/Go_Result", (Field("done", Scalar(Kind.BOOL)),)))
    accepted = Field("accepted", Scalar(Kind.BOOL)), Field("stamp", Scalar(Kind.TIME))
    status = Field("status", Scalar(Kind.INT8))

    _, *send_goal = fields(ACTION, "nav_msgs/action/Go_SendGoal_Event")
    _, *get_result = fields(ACTION, "nav_msgs/action/Go_GetResult_Event")

    assert send_goal == [
        Field("request", Sequence(Struct("nav_msgs/Go_SendGoal_Request", (UUID, goal)), 1)),
        Field("response", Sequence(Struct("nav_msgs/Go_SendGoal_Response", accepted), 1)),
    ]
    assert get_result == [
        Field("request", Sequence(Struct("nav_msgs/Go_GetResult_Request", (UUID,)), 1)),
        Field("response", Sequence(Struct("nav_msgs/Go_GetResult_Response", (status, result)), 1)),
    ]


def test_a_message_that_only_sounds_like_an_event_is_what_it_says() -> None:
    assert fields("int8 x", "test_msgs/msg/Button_Event") == (Field("x", Scalar(Kind.INT8)),)


def test_annotations_change_nothing() -> None:
    text = "@key int32 id\n@optional\nstring note\n  @key @optional float64 x 0.5 # @key"

    assert fields(text) == (
        Field("id", Scalar(Kind.INT32)),
        Field("note", Scalar(Kind.STRING)),
        Field("x", Scalar(Kind.FLOAT64)),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("int32 a\n---\nint32 b\n---\nint32 c\n---\nint32 d", "neither a service nor an action has 4 parts"),
        ("int32 a\n---\nint32 b", "test_msgs/Thing: cannot read the line '---'"),
        ("!nonsense", "cannot read"),
        ("int32", "cannot read"),
        ("int32 a\nint32 a", "twice"),
        ("int32<=3 a", "only strings"),
        ("int32[<=] a", "bound"),
        ("int32[0] a", "above 0"),
        ("int32[4294967296] a", "a list of 4294967296 elements is more than 4294967295"),
        (f"int32[<={'9' * 10_000}] a", "a list of 99999999999999999999 elements"),
        ("time a", "test_msgs/time is missing"),
        ("ros1 time", "test_msgs/ros1 is missing"),
        ("bytes a", "test_msgs/bytes is missing"),
        ("other_msgs/Missing a", "other_msgs/Missing is missing"),
        ("Thing again", "contains itself"),
        (f"A a\n{BAR}\nMSG: test_msgs/A\nB b\n{BAR}\nMSG: test_msgs/B\nA[] a", "contains itself"),
    ],
)
def test_what_cannot_be_read_says_why(text: str, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        parse("test_msgs/msg/Thing", text)


def test_types_nested_deeper_than_anybody_needs_are_refused() -> None:
    levels = [f"{BAR}\nMSG: test_msgs/L{n}\nL{n + 1} inner\n" for n in range(2000)]

    with pytest.raises(SchemaError, match="deep"):
        parse("test_msgs/msg/Thing", "L0 root\n" + "".join(levels))


def test_so_many_elements_and_at_most_as_many_are_different_types() -> None:
    element = Scalar(Kind.INT8)

    assert Array(element, 3) != Sequence(element, 3)
    assert Sequence(element, 3) != Array(element, 3)
    assert {Array(element, 3), Sequence(element, 3), Array(element, 3)} == {Array(element, 3), Sequence(element, 3)}
