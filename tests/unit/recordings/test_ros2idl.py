"""IDL as rosidl writes it and rosbag2 stores it, and what people write by hand."""

import pytest

from fieldpipe.recordings.plan import compile_plan
from fieldpipe.recordings.ros2idl import parse
from fieldpipe.recordings.typetree import Array, Field, Kind, Scalar, SchemaError, Sequence, Struct
from tests.builders import START, Channel, mcap, sent
from tests.unit.recordings.conftest import Convert

BAR = "=" * 80


def fields(body: str, before: str = "", *, by_ros: bool = True) -> tuple[Field, ...]:
    """The fields of a struct in a package `test_msgs`, with declarations before it."""
    return parse("test_msgs/msg/Thing", module(f"{before} struct Thing {{ {body} }};"), by_ros=by_ros).fields


def module(text: str, package: str = "test_msgs") -> str:
    return f"module {package} {{ module msg {{ {text} }}; }};\n"


def types(body: str, before: str = "") -> list[object]:
    return [field.type for field in fields(body, before)]


def test_a_definition_as_rosbag2_stores_it() -> None:
    text = f"""{BAR}
IDL: test_msgs/msg/Thing
// generated from rosidl_adapter/resource/msg.idl.em
#include "builtin_interfaces/msg/Time.idl"
#include "geometry_msgs/msg/Point.idl"

module test_msgs {{
  module msg {{
    typedef double double__36[36];
    typedef geometry_msgs::msg::Point geometry_msgs__msg__Point;
    typedef geometry_msgs__msg__Point geometry_msgs__msg__Point__4[4];
    module Thing_Constants {{
      const octet RED = 1;
      const string NAME = "a; }}" "b";
      const wchar LETTER = L'}}';
    }};
    @verbatim (language="comment", text=
      "A thing; it ends (here: }}" "\\n" "and \\"there\\"")
    struct Thing {{
      @verbatim (language="comment", text="when")
      builtin_interfaces::msg::Time stamp;

      @default (value=-1.5e+3)
      @unit (value="m/s")
      double speed;
      double__36 covariance;
      geometry_msgs__msg__Point__4 corners;
      sequence<geometry_msgs::msg::Point> points;
      sequence<string<10>, 5> names;  // bounded
      /* a comment; }} */ @key boolean done;
    }};
  }};
}};
{BAR}
IDL: geometry_msgs/msg/Point
module geometry_msgs {{ module msg {{ struct Point {{ double x; double y; }}; }}; }};
{BAR}
IDL: builtin_interfaces/msg/Time
module builtin_interfaces {{ module msg {{ struct Time {{ int32 sec; uint32 nanosec; }}; }}; }};
"""
    double = Scalar(Kind.FLOAT64)
    point = Struct("geometry_msgs/Point", (Field("x", double), Field("y", double)))

    assert parse("test_msgs/msg/Thing", text) == Struct(
        "test_msgs/Thing",
        (
            Field("stamp", Scalar(Kind.TIME)),
            Field("speed", double),
            Field("covariance", Array(double, 36)),
            Field("corners", Array(point, 4)),
            Field("points", Sequence(point)),
            Field("names", Sequence(Scalar(Kind.STRING), 5)),
            Field("done", Scalar(Kind.BOOL)),
        ),
    )


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("boolean",), Kind.BOOL),
        (("octet", "uint8", "char"), Kind.UINT8),
        (("int8",), Kind.INT8),
        (("short", "int16"), Kind.INT16),
        (("unsigned short", "uint16"), Kind.UINT16),
        (("long", "int32"), Kind.INT32),
        (("unsigned long", "uint32"), Kind.UINT32),
        (("long long", "int64"), Kind.INT64),
        (("unsigned long long", "unsigned  long\nlong", "uint64"), Kind.UINT64),
        (("float",), Kind.FLOAT32),
        (("double",), Kind.FLOAT64),
        (("string", "string<7>"), Kind.STRING),
        (("wstring", "wstring<7>"), Kind.WSTRING),
    ],
)
def test_every_basic_type_is_known(names: tuple[str, ...], kind: Kind) -> None:
    for name in names:
        assert types(f"{name} x;") == [Scalar(kind)], name


def test_several_names_may_share_a_type_and_be_arrays() -> None:
    assert fields("long a, b[2], c[2][3];") == (
        Field("a", Scalar(Kind.INT32)),
        Field("b", Array(Scalar(Kind.INT32), 2)),
        Field("c", Array(Scalar(Kind.INT32), 6)),
    )


@pytest.mark.parametrize(
    ("expression", "length"),
    [
        ("12", 12),
        ("0x1F", 31),
        ("010", 8),
        ("N", 5),
        ("Inner::M + 1", 8),
        ("::test_msgs::msg::Inner::M", 7),
        ("2 + 3 * 4", 14),
        ("(2 + 3) * 4 - 1", 19),
        ("1 << 3 | 1", 9),
        ("(64 >> 2) % 7", 2),
        ("-(-3)", 3),
        ("~(-9) ^ 1", 9),
        ("7 / 2 & 3", 3),
    ],
)
def test_lengths_may_be_constants_and_expressions(expression: str, length: int) -> None:
    constants = "const long N = 5; module Inner { const unsigned long M = N + 2; };"

    assert types(f"sequence<long, {expression}> a; long b[{expression}];", constants) == [
        Sequence(Scalar(Kind.INT32), length),
        Array(Scalar(Kind.INT32), length),
    ]


def test_sequences_of_sequences_and_arrays_of_arrays() -> None:
    assert types("sequence<sequence<double, 2>> a; Rows b;", "typedef double Row[3]; typedef Row Rows[2];") == [
        Sequence(Sequence(Scalar(Kind.FLOAT64), 2)),
        Array(Array(Scalar(Kind.FLOAT64), 3), 2),
    ]


def test_enums_are_numbers_of_their_width() -> None:
    enums = "enum Color { RED, @value(7) GREEN }; @bit_bound(8) enum Small { A }; @bit_bound(value=16) enum Mid { B };"
    enums += "@bit_bound enum Odd { A };"
    kinds = [Kind.UINT32, Kind.UINT8, Kind.UINT16, Kind.UINT32]

    assert types("Color a; Small b; Mid c; Odd d;", enums) == [Scalar(kind) for kind in kinds]


def test_the_fields_of_the_base_come_first() -> None:
    base = "struct Base { long first; }; struct Thing;"
    text = module(f"{base} struct Thing : Base {{ long second; }};")

    assert [field.name for field in parse("test_msgs/msg/Thing", text).fields] == ["first", "second"]


def test_names_are_looked_up_from_the_inside_to_the_outside() -> None:
    inner = "module msg { struct Thing { P a; ::P b; }; };"
    text = "struct P { long outer; }; module test_msgs { struct P { long mid; }; " + inner + " };"

    assert compile_plan(parse("test_msgs/msg/Thing", text)).columns == ("a.mid", "b.outer")


def test_the_placeholder_of_an_empty_message_is_no_column() -> None:
    text = module("struct Thing { uint8 structure_needs_at_least_one_member; };")

    assert parse("test_msgs/msg/Thing", text) == Struct("test_msgs/Thing", ())


def test_times_are_one_value_even_without_their_definition() -> None:
    assert types("builtin_interfaces::msg::Time a; sequence<builtin_interfaces::msg::Duration> b;") == [
        Scalar(Kind.TIME),
        Sequence(Scalar(Kind.TIME)),
    ]


def test_the_events_of_a_service_are_built_from_its_idl() -> None:
    structs = "struct Add_Request { long a; }; struct Add_Response { long b; };"
    text = "module example_interfaces { module srv { " + structs + " }; };"

    plan = compile_plan(parse("example_interfaces/srv/Add_Event", text))

    gid = tuple(f"info.client_gid[{index}]" for index in range(16))
    assert plan.columns == ("info.event_type", "info.stamp", *gid, "info.sequence_number", "request", "response")


def test_the_feedback_of_an_action_is_built_from_its_idl() -> None:
    structs = "struct Go_Goal { long a; }; struct Go_Result { long b; }; struct Go_Feedback { long c; };"
    text = "module nav { module action { " + structs + " }; };"

    plan = compile_plan(parse("nav/action/Go_FeedbackMessage", text))

    assert plan.columns == (*(f"goal_id.uuid[{index}]" for index in range(16)), "feedback.c")


def test_names_of_other_tools_may_be_written_with_colons() -> None:
    number = (Field("a", Scalar(Kind.INT32)),)

    assert parse("my::Thing", "module my { struct Thing { long a; }; };") == Struct("my/Thing", number)
    assert parse("Thing", "struct Thing { long a; };") == Struct("Thing", number)


@pytest.mark.parametrize(
    ("before", "body", "what"),
    [
        ("union U switch (long) { case 1: long x; default: string<3> y; };", "U u;", "msg::U: union"),
        ("bitmask B { @position(0) A, C };", "B b;", "msg::B: bitmask"),
        ("bitset B { bitfield<3> a; };", "B b;", "msg::B: bitset"),
        ("@mutable struct M { long x; };", "M m;", "msg::M: @mutable"),
        ("@extensibility(MUTABLE) struct M { long x; };", "M m;", "msg::M: @mutable"),
        ("@bit_bound(24) enum E { A };", "E e;", "msg::E: an enum of 24 bits"),
        ("", "@optional long x;", "msg::Thing: @optional"),
        ("", "wchar x;", "msg::Thing: wchar"),
        ("", "long double x;", "msg::Thing: long double"),
        ("", "map<string, sequence<long>> x;", "msg::Thing: map"),
        ("", "fixed<5, 2> x;", "msg::Thing: fixed"),
        ("", "any x;", "msg::Thing: any"),
    ],
)
def test_what_is_not_supported_is_named_and_harms_only_who_uses_it(before: str, body: str, what: str) -> None:
    with pytest.raises(SchemaError) as refused:
        fields(body, before, by_ros=False)

    assert str(refused.value) == f"test_msgs::{what} of IDL is not supported"
    unused = f"{before} struct Unused {{ {body} }};"
    assert fields("long x;", unused, by_ros=False) == (Field("x", Scalar(Kind.INT32)),)


def test_ros_takes_no_notice_of_optional_and_mutable() -> None:
    assert fields("@optional long a; M b;", "@mutable struct M { long x; };") == (
        Field("a", Scalar(Kind.INT32)),
        Field("b", Struct("test_msgs/M", (Field("x", Scalar(Kind.INT32)),))),
    )


def test_types_that_may_be_appended_to_are_read() -> None:
    assert types("A a;", "@appendable struct A { long x; }; @final @nested struct B { long y; };") == [
        Struct("test_msgs/A", (Field("x", Scalar(Kind.INT32)),))
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the definition of test_msgs::msg::Thing is missing"),
        ("struct Thing {", "line 1 of the IDL has the end instead of more"),
        (module("struct Thing { long x }; "), "line 1 of the IDL has '}' instead of ';'"),
        ("\n\nmodule a { nonsense }", "line 3 of the IDL has 'nonsense' instead of a declaration"),
        (module("struct Thing { long 3; };"), "has '3' instead of a name"),
        (module("struct Thing { unknown::Type x; };"), "the definition of unknown::Type is missing"),
        (module("struct Thing { long a; string a; };"), "names a field twice"),
        (module("struct Thing { Thing a; };"), "contains itself"),
        (module("typedef A B; typedef B A; struct Thing { A a; };"), "contains itself"),
        (module("struct Thing { sequence<Thing> a; };"), "contains itself"),
        (module("const long N = 1; struct Thing { N a; };"), "msg::N is no type"),
        (module("const long Thing = 1;"), "msg::Thing is no struct"),
        (module("struct Thing { long a[M]; };"), "the definition of M is missing"),
        (module("struct M {}; struct Thing { long a[M]; };"), "M is no constant"),
        (module("const long M = N; const long N = M; struct Thing { long a[M]; };"), "no constant"),
        (module("struct Thing { long a[0]; };"), "a list of 0 elements"),
        (module("struct Thing { long a[65536][65536]; };"), "a list of 4294967296 elements"),
        (module("struct Thing { long a[1 << 64]; };"), "has no value"),
        (module("struct Thing { long a[1 / 0]; };"), "has no value"),
        (module("struct Thing { long a[(1]; };"), "the end instead of more"),
        (module("struct Thing { long a[1 2]; };"), "has no value"),
        (module("struct Thing { long a[]; };"), "has no value"),
        (module("struct Thing { string a[1.5]; };"), "the definition of 1.5 is missing"),
        (module("typedef long A; struct Thing : A { long a; };"), "builds on what is no struct"),
        ("module a {" * 100, "modules nest"),
        (
            module(
                "typedef long S0;"
                + "".join(f"typedef {'sequence<' * 30}S{n}{'>' * 30} S{n + 1};" for n in range(30))
                + "struct Thing { S30 a; };"
            ),
            "nests more than 32 deep",
        ),
        (
            module(
                "const long C0 = 1;"
                + "".join(f"const long C{n + 1} = {'(' * 16}C{n}{')' * 16};" for n in range(30))
                + "struct Thing { long a[C30]; };"
            ),
            "no constant",
        ),
        (module("struct Thing { " + "sequence<" * 5000 + "> a; };"), "instead of"),
        (module("struct Thing { long a[" + "(" * 5000 + "1" + ")" * 5000 + "]; };"), "has no value"),
        (module("".join(f"struct S{n} {{ S{n + 1} a; }};" for n in range(99)) + "struct Thing { S0 a; };"), "deep"),
        (
            module(
                "const long C0 = 2;"
                + "".join(f"const long C{n + 1} = C{n} + C{n};" for n in range(70))
                + "struct Thing { long a[C70]; };"
            ),
            "no constant",
        ),
    ],
)
def test_what_cannot_be_read_says_why(text: str, message: str) -> None:
    with pytest.raises(SchemaError) as refused:
        parse("test_msgs/msg/Thing", text)

    assert message in str(refused.value)


def test_constants_that_build_on_each_other_are_evaluated_once() -> None:
    doubled = "".join(f"const long C{n + 1} = C{n} + C{n} - C{n};" for n in range(8))

    assert types("long a[C8];", "const long C0 = 2;" + doubled) == [Array(Scalar(Kind.INT32), 2)]


@pytest.mark.parametrize("language", ["ros2idl", "omgidl"])
def test_a_recording_with_idl_becomes_a_table(language: str, convert: Convert) -> None:
    text = module("struct Thing { builtin_interfaces::msg::Time stamp; sequence<double> values; };")
    channel = Channel("/thing", "cdr", "test_msgs/msg/Thing", language, text)

    result = convert(mcap(sent(channel, {"stamp": 5, "values": [1, 2]})))

    assert result.rows("thing.csv") == [
        "log_time,publish_time,sequence,stamp,values",
        f'{START},{START - 1000},0,5,"[1.0,2.0]"',
    ]
