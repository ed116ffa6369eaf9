"""Protobuf payloads made by hand: what writers may do, and what they may not, by both executors."""

import struct

import pytest
from google.protobuf import text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from fieldpipe.recordings import compiled
from fieldpipe.recordings.executor import Selection, Why
from fieldpipe.recordings.plan import PLAIN, Shape
from fieldpipe.recordings.protorows import MAX_PIECES, ProtobufDecoder
from fieldpipe.recordings.protoschema import compile_protobuf
from fieldpipe.recordings.protowire import MAX_NESTING
from tests.unit.recordings import agreement, protobufs
from tests.unit.recordings.test_compiled import needs_compiler

VARINT, FIXED64, LENGTH, GROUP, END, FIXED32 = range(6)
MANY = b"\xff" * 9 + b"\x01"  # the number 2**64 - 1


def decoder(
    *fields: str, syntax: str = "proto3", inner: str = "", shape: Shape = PLAIN, formula_safe: bool = False
) -> ProtobufDecoder:
    """A decoder of the message that has these fields; `inner` is the text of a message `test.Inner`."""
    text = (
        f'name: "test.proto" package: "test" syntax: "{syntax}" '
        'dependency: ["google/protobuf/timestamp.proto", "google/protobuf/duration.proto"] '
        f'message_type {{ name: "M0" {" ".join(fields)} }} message_type {{ name: "Inner" {inner} }}'
    )
    schema = protobufs.described(text_format.Parse(text, FileDescriptorProto()))
    return ProtobufDecoder(compile_protobuf(protobufs.ROOT, schema, shape), formula_safe=formula_safe)


def field(name: str, number: int, type_: str, label: str = "OPTIONAL", more: str = "") -> str:
    """The text of a field; a type with a dot in front is a message."""
    type_ = f'MESSAGE type_name: "{type_}"' if type_.startswith(".") else type_
    return f'field {{ name: "{name}" number: {number} label: LABEL_{label} type: TYPE_{type_} {more} }}'


def tag(number: int, wire_type: int) -> bytes:
    return varint(number << 3 | wire_type)


def varint(number: int) -> bytes:
    made = b""
    while number > 0x7F:
        made += bytes([number & 0x7F | 0x80])
        number >>= 7
    return made + bytes([number])


def number(at: int, value: int) -> bytes:
    return tag(at, VARINT) + varint(value)


def content(at: int, value: bytes) -> bytes:
    return tag(at, LENGTH) + varint(len(value)) + value


A, B = field("a", 1, "INT32"), field("b", 2, "STRING")
INNER = field("inner", 3, ".test.Inner")


def test_fields_come_in_any_order_and_the_last_of_several_counts() -> None:
    payload = content(2, b"first") + number(1, 1) + content(2, b"last") + number(1, 2)

    assert protobufs.read(decoder(A, B), payload) == ([["2", "last"]], None)


def test_pieces_of_a_message_add_up() -> None:
    lists = field("list", 3, "INT32", "REPEATED")
    payload = content(3, number(1, 1) + number(3, 7)) + content(3, number(1, 2)) + content(3, content(2, b"x"))
    spread = number(9, 1).join(content(3, piece) for piece in (number(3, 8), b"", number(3, 9)))

    read = decoder(INNER, inner=A + B + lists)

    assert protobufs.read(read, payload) == ([["2", "x", "[7]"]], None)
    assert protobufs.read(read, spread) == ([["0", "", "[8,9]"]], Why.MORE)


def test_lists_of_numbers_gather_packed_and_loose_ones_whatever_the_schema_says() -> None:
    for packed in ("true", "false"):
        read = decoder(
            A,
            field("ints", 3, "SINT32", "REPEATED", f"options {{ packed: {packed} }}"),
            field("floats", 4, "DOUBLE", "REPEATED", f"options {{ packed: {packed} }}"),
        )
        doubles = struct.pack("<3d", 0.5, float("nan"), float("-inf"))
        payload = (
            number(3, 1)
            + content(3, varint(2) + varint(3))
            + content(4, doubles)
            + content(3, b"")
            + tag(4, FIXED64)
            + struct.pack("<d", 1e23)
            + number(1, 5)
            + number(3, 4)
        )

        assert protobufs.read(read, payload) == ([["5", "[-1,1,-2,2]", '[0.5,"nan","-inf",1e+23]']], None)


def test_of_a_oneof_the_last_member_is_the_only_one() -> None:
    read = decoder(
        field("a", 1, "INT32", more="oneof_index: 0"),
        field("b", 2, "STRING", more="oneof_index: 0"),
        field("inner", 3, ".test.Inner", more="oneof_index: 0"),
        'oneof_decl { name: "choice" }',
        inner=A + B,
    )

    assert protobufs.read(read, b"") == ([["", "", "", ""]], None)
    assert protobufs.read(read, number(1, 0)) == ([["0", "", "", ""]], None)
    assert protobufs.read(read, number(1, 5) + content(2, b"text")) == ([["", "text", "", ""]], None)
    assert protobufs.read(read, content(3, b"") + content(3, number(1, 6))) == ([["", "", "6", ""]], None)
    # a member that comes back does so without what it held before
    again = content(3, number(1, 6)) + content(2, b"text") + content(3, content(2, b"x"))
    assert protobufs.read(read, again) == ([["", "", "0", "x"]], None)


def test_what_is_absent_is_its_default_or_an_empty_cell() -> None:
    every = [field(kind.lower(), at, kind) for at, kind in enumerate(("INT32", "BOOL", "FLOAT", "STRING", "BYTES"), 1)]
    optional = [
        *(
            field(f"o{at}", at + 10, kind, more=f"proto3_optional: true oneof_index: {at}")
            for at, kind in enumerate(("INT32", "STRING"))
        ),
        'oneof_decl { name: "_o0" } oneof_decl { name: "_o1" }',
    ]
    rest = [
        field("list", 6, "INT32", "REPEATED"),
        field("inner", 7, ".test.Inner"),
        field("time", 8, ".google.protobuf.Timestamp"),
    ]
    defaults = ["0", "false", "0.0", "", "[]"]

    proto3 = decoder(*every, *rest, *optional, inner="".join(every))

    assert protobufs.read(proto3, b"") == ([[*defaults, "[]", *[""] * 5, "", "", ""]], None)
    assert protobufs.read(proto3, content(7, b"")) == ([[*defaults, "[]", *defaults, "", "", ""]], None)
    assert protobufs.read(proto3, content(8, b"") + number(10, 0)) == (
        [[*defaults, "[]", *[""] * 5, "0", "0", ""]],
        None,
    )

    proto2 = decoder(
        field("a", 1, "INT32", more='default_value: "7"'), field("b", 2, "INT32", "REQUIRED"), syntax="proto2"
    )
    assert protobufs.read(proto2, b"") == ([["", ""]], None)


def test_inside_json_what_is_absent_is_its_default_or_null() -> None:
    optional = field("o", 3, "INT32", more="proto3_optional: true oneof_index: 0") + 'oneof_decl { name: "_o" }'
    read = decoder(field("list", 1, ".test.Inner", "REPEATED"), inner=A + B + optional + field("deep", 4, ".test.M0"))

    assert protobufs.read(read, content(1, b"") + content(1, content(4, b"") + number(3, 0))) == (
        [['[{"a":0,"b":"","o":null,"deep":null},{"a":0,"b":"","o":0,"deep":{"list":[]}}]']],
        None,
    )


@pytest.mark.parametrize(
    "more",
    [
        number(9, 1),
        tag(2**29 - 1, VARINT) + MANY,
        tag(9, FIXED64) + bytes(8),
        tag(9, FIXED32) + bytes(4),
        content(9, b"x"),
        tag(9, GROUP) + tag(8, GROUP) + number(1, 1) + tag(8, END) + tag(9, END),
        content(1, b"x"),  # a known number, but no number behind it
        number(2, 1),
        tag(2, GROUP) + tag(2, END),
        number(3, 1),
        content(3, number(9, 1)),
        content(4, number(3, 1)),
        content(4, content(1, b"")),
        content(5, b"\x0a\x00"),
    ],
)
def test_a_field_that_the_schema_does_not_name_leaves_the_row_and_is_told(more: bytes) -> None:
    read = decoder(
        A, B, INNER, field("time", 4, ".google.protobuf.Duration"), field("list", 5, ".test.Inner", "REPEATED"), inner=A
    )
    payload = number(1, 3) + content(3, number(1, 4)) + content(4, number(1, 5))

    for damaged in (more + payload, payload + more):
        (row,), why = protobufs.read(read, damaged)
        assert row == ["3", "", "4", "5000000000", '[{"a":0}]' if more[0] >> 3 == 5 else "[]"]
        assert why is Why.MORE


@pytest.mark.parametrize(
    "bad",
    [
        b"\x08",
        b"\x08\x80",
        b"\x08" + b"\xff" * 10 + b"\x00",
        b"\x80",
        b"\x88\x80\x80\x80\x10\x00",  # a tag of more than 32 bits
        b"\x88\x80\x80\x80\x80\x00\x00",  # one of more than five bytes
        b"\x00\x00",  # the number 0
        tag(1, 6),
        tag(1, 7) + bytes(8),
        tag(1, END),
        tag(9, GROUP),
        tag(9, GROUP) + tag(8, END),
        tag(9, GROUP) + tag(8, GROUP) + tag(9, END),
        tag(9, FIXED64) + bytes(7),
        tag(9, FIXED32) + bytes(3),
        tag(2, LENGTH),
        tag(2, LENGTH) + b"\x05abcd",
        tag(2, LENGTH) + b"\xff\xff\xff\xff\x0f",
        content(3, tag(2, LENGTH) + b"\x01") + b"abcd",
        content(4, b"\x80"),
        content(5, bytes(7)),
        tag(6, GROUP) + number(1, 1),
        tag(6, GROUP) + number(1, 1) + tag(3, END),
        content(7, b"\x08"),
    ],
)
def test_what_is_no_message_is_refused(bad: bytes) -> None:
    read = decoder(
        A,
        B,
        INNER,
        field("ints", 4, "INT32", "REPEATED"),
        field("doubles", 5, "DOUBLE", "REPEATED"),
        field("group", 6, 'GROUP type_name: ".test.Inner"'),
        field("time", 7, ".google.protobuf.Timestamp"),
        syntax="proto2",
        inner=A + B,
    )

    assert protobufs.read(read, number(1, 1) + bad) == ([], Why.UNDECODABLE)


def test_integers_are_exact_and_cut_to_their_size() -> None:
    kinds = ("INT32", "UINT32", "SINT32", "INT64", "UINT64", "SINT64", "BOOL", 'ENUM type_name: ".test.M0.E"')
    enum = 'enum_type { name: "E" value { name: "ZERO" number: 0 } }'
    read = decoder(*(field(f"f{at}", at, kind) for at, kind in enumerate(kinds, 1)), enum)

    def row(bits: bytes) -> list[str]:
        ((made,), _) = protobufs.read(read, b"".join(tag(at, VARINT) + bits for at in range(1, 9)))
        return made

    most = str(2**64 - 1)
    assert row(MANY) == ["-1", str(2**32 - 1), str(-(2**31)), "-1", most, str(-(2**63)), "true", "-1"]
    assert row(varint(2**32 + 3)) == ["3", "3", "-2", str(2**32 + 3), str(2**32 + 3), str(-(2**31) - 2), "true", "3"]
    assert row(varint(2**40)) == ["0", "0", "0", str(2**40), str(2**40), str(2**39), "true", "0"]
    assert row(b"\xff" * 9 + b"\x7f")[4] == most
    assert row(b"\x85\x80\x00") == ["5", "5", "-3", "5", "5", "-3", "true", "5"]


def test_fixed_numbers_have_their_signs() -> None:
    kinds = ("FIXED32", "SFIXED32", "FIXED64", "SFIXED64")
    read = decoder(*(field(f"f{at}", at, kind) for at, kind in enumerate(kinds, 1)))
    payload = b"".join(tag(at, FIXED32) + b"\xff" * 4 for at in (1, 2))
    payload += b"".join(tag(at, FIXED64) + b"\xff" * 8 for at in (3, 4))

    assert protobufs.read(read, payload) == ([[str(2**32 - 1), "-1", str(2**64 - 1), "-1"]], None)


@pytest.mark.parametrize("seconds", [0, 1, 1_700_000_000, 9_223_372_036, 2**40, 2**63 - 1, -1, -(2**40), -(2**63)])
@pytest.mark.parametrize("nanos", [0, 1, 854_775_807, 999_999_999, 2**31 - 1, -1, -999_999_999, -(2**31)])
def test_times_are_nanoseconds_however_far_they_are(seconds: int, nanos: int) -> None:
    read = decoder(
        field("at", 1, ".google.protobuf.Timestamp"), field("list", 2, ".google.protobuf.Duration", "REPEATED")
    )
    time = number(1, seconds % 2**64) + number(2, nanos % 2**64)
    text = str(seconds * 10**9 + nanos)

    assert protobufs.read(read, content(1, time) + content(2, time) + content(2, b"")) == (
        [[text, f"[{text},0]"]],
        None,
    )


def test_bytes_that_are_not_utf8_are_escaped_and_counted() -> None:
    read = decoder(B, field("list", 3, "STRING", "REPEATED"), inner=A)
    payloads = [content(2, b"a\xff,\x80"), content(3, b'"\xc3') + content(3, "é".encode()), content(2, "日本".encode())]

    text, escaped, _ = agreement.converted(read, payloads)

    assert text.decode().splitlines() == [
        r'0,0,0,"a\xff,\x80",[]',
        r'0,0,0,,"[""\""\\xc3"",""é""]"',
        "0,0,0,日本,[]",
    ]
    assert escaped == 2


def test_bytes_are_lists_of_numbers_or_base64_or_kept_for_a_file() -> None:
    fields = (field("data", 1, "BYTES"), field("list", 2, "BYTES", "REPEATED"))
    payload = content(1, b"\x00\xff\x10") + content(2, b"\x01") + content(2, b"")

    assert protobufs.read(decoder(*fields), payload) == ([["[0,255,16]", "[[1],[]]"]], None)
    assert protobufs.read(decoder(*fields, shape=Shape(base64=True)), payload) == ([["AP8Q", '["AQ==",""]']], None)
    to_file = decoder(*fields, shape=Shape(binary="data"))
    assert protobufs.read(to_file, payload) == ([["", "[[1],[]]"]], None)
    assert to_file.binary == b"\x00\xff\x10"
    assert protobufs.read(to_file, b"") == ([["", "[]"]], None)
    assert to_file.binary == b""


def test_texts_are_made_safe_for_spreadsheets_on_request() -> None:
    fields = (B, field("number", 1, "INT32"), field("list", 3, "STRING", "REPEATED"))
    payload = content(2, b"=1,2") + number(1, 2**64 - 5) + content(3, b"=1")

    assert protobufs.read(decoder(*fields), payload) == ([["=1,2", "-5", '["=1"]']], None)
    assert protobufs.read(decoder(*fields, formula_safe=True), payload) == ([["'=1,2", "-5", '["=1"]']], None)


ENTRY = (
    'nested_type { name: "MapEntry" options { map_entry: true } '
    f"{field('key', 1, 'STRING')} {field('value', 2, '.test.Inner')} }}"
)
MAP = field("map", 5, ".test.M0.MapEntry", "REPEATED") + ENTRY


def test_maps_are_lists_of_entries_in_the_order_of_the_payload() -> None:
    entries = [content(1, b"z"), content(2, number(1, 5)) + content(1, b"a"), content(1, b"z") + content(2, b""), b""]
    payload = b"".join(content(5, entry) for entry in entries)

    assert protobufs.read(decoder(MAP, inner=A), payload) == (
        [
            [
                '[{"key":"z","value":{"a":0}},{"key":"a","value":{"a":5}},{"key":"z","value":{"a":0}},{"key":"","value":{"a":0}}]'
            ]
        ],
        None,
    )


def test_every_element_of_a_list_becomes_a_row_on_request() -> None:
    inner = A + field("deep", 2, "INT32", "REPEATED")
    fields = (
        A,
        field("list", 3, ".test.Inner", "REPEATED"),
        field("ints", 4, "INT32", "REPEATED"),
        field("end", 6, "BOOL"),
    )
    payload = content(3, number(1, 7)) + content(4, b"\x01\x02") + content(3, number(2, 8)) + number(1, 9)

    messages = decoder(*fields, inner=inner, shape=Shape(explode=frozenset({"list", "ints"})))
    assert messages.plan.columns == ("a", "list.a", "list.deep", "ints", "end")
    assert protobufs.read(messages, payload) == (
        [["9", "7", "[]", "[1,2]", "false"], ["9", "0", "[8]", "[1,2]", "false"]],
        None,
    )
    assert protobufs.read(messages, b"") == ([["0", "", "", "[]", "false"]], None)

    numbers = decoder(*fields, inner=inner, shape=Shape(explode=frozenset({"ints"})))
    rest = ["9", '[{"a":7,"deep":[]},{"a":0,"deep":[8]}]']
    assert protobufs.read(numbers, payload) == ([[*rest, "1", "false"], [*rest, "2", "false"]], None)

    entries = decoder(MAP, inner=A, shape=Shape(explode=frozenset({"map"})))
    assert entries.plan.columns == ("map.key", "map.value.a")
    assert protobufs.read(entries, content(5, content(1, b"k")) * 2) == ([["k", "0"], ["k", "0"]], None)


def test_groups_are_messages() -> None:
    group = field("group", 3, 'GROUP type_name: ".test.Inner"')
    many = field("many", 4, 'GROUP type_name: ".test.Inner"', "REPEATED")
    read = decoder(group, many, syntax="proto2", inner=A + group)
    inside = tag(3, GROUP) + number(1, 7) + tag(3, END)
    payload = (
        tag(3, GROUP) + inside + tag(3, END) + tag(4, GROUP) + number(1, 1) + tag(4, END) + tag(4, GROUP) + tag(4, END)
    )

    assert read.plan.columns == ("group.a", "group.group", "many")
    assert protobufs.read(read, payload) == (
        [["", '{"a":7,"group":null}', '[{"a":1,"group":null},{"a":null,"group":null}]']],
        None,
    )


def test_a_message_without_fields_tells_that_it_is_there() -> None:
    read = decoder(
        field("start", 1, ".test.Inner", more="oneof_index: 0"),
        field("stop", 2, ".test.Inner", more="oneof_index: 0"),
        'oneof_decl { name: "what" }',
    )

    assert protobufs.read(read, content(2, b"")) == ([["", "{}"]], None)
    assert protobufs.read(read, content(2, b"") + content(1, number(1, 1))) == ([["{}", ""]], Why.MORE)


def test_a_message_that_holds_its_own_kind_is_json() -> None:
    read = decoder(A, INNER, field("next", 4, ".test.M0"), inner=B + field("up", 4, ".test.M0", "REPEATED"))
    below = content(4, number(1, 2) + content(4, number(1, 3)) + content(3, content(4, number(1, 4))))

    assert read.plan.columns == ("a", "inner.b", "inner.up", "next")
    assert protobufs.read(read, number(1, 1) + below) == (
        [
            [
                "1",
                "",
                "",
                '{"a":2,"inner":{"b":"","up":[{"a":4,"inner":null,"next":null}]},"next":{"a":3,"inner":null,"next":null}}',
            ]
        ],
        None,
    )


@pytest.mark.parametrize(("levels", "why"), [(MAX_NESTING, None), (MAX_NESTING + 1, Why.UNDECODABLE)])
def test_messages_inside_one_another_end_at_a_depth(levels: int, why: Why | None) -> None:
    read = decoder(field("next", 4, ".test.M0"))
    payload = b""
    for _ in range(levels):
        payload = content(4, payload)

    assert protobufs.read(read, payload)[1] is why
    group = tag(9, GROUP) * levels + tag(9, END) * levels
    assert protobufs.read(read, group)[1] is (why or Why.MORE)


@needs_compiler
def test_lists_in_more_pieces_than_anybody_writes_are_refused() -> None:
    read = decoder(field("a", 1, "BOOL", "REPEATED"), field("b", 2, "BOOL", "REPEATED"))
    pair = number(1, 1) + number(2, 0)
    whole, broken = pair + pair * (MAX_PIECES // 2), pair + pair * (MAX_PIECES // 2 + 1)
    executor, selection = compiled.load(), Selection({1: read})

    made = executor.convert(agreement.block([whole]), 0, len(agreement.block([whole])), selection)
    refused = executor.convert(agreement.block([broken]), 0, len(agreement.block([broken])), selection)

    text = b",".join([b"true"] * (1 + MAX_PIECES // 2))
    assert bytes(made.rows[0].text) == b'0,0,0,"[%s]","[%s]"\n' % (text, text.replace(b"true", b"false"))
    assert (made.left, [left.why for left in refused.left]) == ([], [Why.UNDECODABLE])
