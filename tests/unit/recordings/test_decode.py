"""CDR payloads into rows, rule by rule (the facts' rules 1, 2, 7, 8, 9), by both executors."""

import json
import struct
from collections.abc import Mapping
from typing import Any

import pytest

from fieldpipe.recordings.decode import CdrDecoder
from fieldpipe.recordings.encode import encode
from fieldpipe.recordings.plan import MAX_COLUMNS, compile_plan
from fieldpipe.recordings.ros2msg import parse
from fieldpipe.recordings.typetree import SchemaError
from tests.builders import START, mcap, ros2, sent
from tests.unit.recordings.agreement import converted, line, refusal, rows
from tests.unit.recordings.conftest import Convert

LITTLE = b"\0\1\0\0"
EXTREMES = {
    "bool": [(False, "false"), (True, "true")],
    "byte": [(0, "0"), (255, "255")],
    "char": [(0, "0"), (255, "255")],
    "int8": [(-128, "-128"), (127, "127")],
    "uint8": [(0, "0"), (255, "255")],
    "int16": [(-32768, "-32768"), (32767, "32767")],
    "uint16": [(65535, "65535")],
    "int32": [(-(2**31), "-2147483648"), (2**31 - 1, "2147483647")],
    "uint32": [(2**32 - 1, "4294967295")],
    "int64": [(-(2**63), "-9223372036854775808"), (2**63 - 1, "9223372036854775807")],
    "uint64": [(2**64 - 1, "18446744073709551615")],
    "float32": [(0.1, "0.1"), (1e20, "1e+20"), (3.4028234663852886e38, "3.4028235e+38"), (-0.0, "-0.0")],
    "float64": [(0.1, "0.1"), (1 / 3, "0.3333333333333333"), (5e-324, "5e-324"), (1e22, "1e+22")],
    "string": [("", ""), ("plain", "plain"), ("ロボ", "ロボ"), ('say "no", twice\n', 'say "no", twice\n')],
    "wstring": [("", ""), ("plain", "plain"), ("ロボ🤖", "ロボ🤖")],
    "builtin_interfaces/Time": [(1_767_225_600_123_456_789, "1767225600123456789"), (-1, "-1")],
    "builtin_interfaces/Duration": [(-1_500_000_000, "-1500000000")],
}


def decoder(text: str) -> CdrDecoder:
    return CdrDecoder(compile_plan(parse("test_msgs/msg/Thing", text)))


def cells(text: str, value: Mapping[str, Any], **encoding: bool) -> dict[str, str]:
    """The cells of a message by their columns, as a reader of CSV finds them."""
    type_ = parse("test_msgs/msg/Thing", text)
    made = CdrDecoder(compile_plan(type_))
    (row,) = rows(made, encode(type_, value, **encoding))
    return dict(zip(made.plan.columns, row, strict=True))


@pytest.mark.parametrize("xcdr2", [False, True])
@pytest.mark.parametrize("little_endian", [False, True])
def test_every_primitive_is_written_exactly(little_endian: bool, xcdr2: bool) -> None:
    for type_, pairs in EXTREMES.items():
        for value, text in pairs:
            message = {"before": 1, "value": value, "after": 2}
            found = cells(
                f"uint8 before\n{type_} value\nuint8 after", message, little_endian=little_endian, xcdr2=xcdr2
            )
            assert found == {"before": "1", "value": text, "after": "2"}, type_


@pytest.mark.parametrize("xcdr2", [False, True])
def test_sequences_of_every_primitive_are_one_cell(xcdr2: bool) -> None:
    for type_, pairs in EXTREMES.items():
        message = {"a": 1, "list": [value for value, _ in pairs], "b": 2}
        found = cells(f"uint8 a\n{type_}[] list\nuint8 b", message, xcdr2=xcdr2)
        items = [json.dumps(text, ensure_ascii=False) if "string" in type_ else text for _, text in pairs]
        assert found == {"a": "1", "list": f"[{','.join(items)}]", "b": "2"}, type_


def test_cells_are_quoted_where_csv_asks_for_it() -> None:
    made = decoder("string a\nstring b\nuint8[] c\nuint8[] d\nstring[] e")
    value = {"a": 'say "no", twice\n', "b": "plain; 'text'", "c": [1, 2], "d": [1], "e": ['"', "x"]}

    assert line(made, encode(parse("a/B", "string a\nstring b\nuint8[] c\nuint8[] d\nstring[] e"), value)) == (
        '"say ""no"", twice\n",plain; \'text\',"[1,2]",[1],"[""\\"""",""x""]"'
    )


def test_eight_byte_values_are_aligned_to_four_bytes_in_xcdr2() -> None:
    made = decoder("uint8 a\nfloat64 b")

    assert line(made, b"\0\7\0\0" + b"\5\0\0\0" + struct.pack("<d", 1.5)) == "5,1.5"
    assert line(made, b"\0\1\0\0" + b"\5\0\0\0\0\0\0\0" + struct.pack("<d", 1.5)) == "5,1.5"


def test_xcdr2_puts_a_size_before_lists_of_what_is_not_primitive() -> None:
    made = decoder("string[] names\nuint8[] codes")
    names = struct.pack("<II3s", 1, 3, b"ab\0")
    codes = struct.pack("<I2B", 2, 7, 8)

    assert line(made, b"\0\7\0\0" + struct.pack("<I", len(names)) + names + b"\0" + codes) == '"[""ab""]","[7,8]"'
    assert line(made, b"\0\1\0\0" + names + b"\0" + codes) == '"[""ab""]","[7,8]"'


@pytest.mark.parametrize("number", [0x10, 0x11])
def test_the_older_numbers_of_xcdr2_are_known(number: int) -> None:
    order = ">" if number == 0x10 else "<"

    assert (
        line(decoder("uint8 a\nfloat64 b"), bytes([0, number, 0, 0, 5, 0, 0, 0]) + struct.pack(order + "d", 2))
        == "5,2.0"
    )


@pytest.mark.parametrize(
    ("kinds", "name"),
    [
        ((0x02, 0x03), "PL_CDR: parameter lists, for types that are mutable"),
        ((0x0A, 0x0B, 0x12, 0x13), "PL_CDR2: parameter lists, for types that are mutable"),
        ((0x08, 0x09, 0x14, 0x15), "DELIMITED_CDR2: a size before every struct, for types that are appendable"),
    ],
)
def test_what_ros2_never_writes_is_refused_by_its_name(kinds: tuple[int, ...], name: str) -> None:
    for kind in kinds:
        reason = refusal(decoder("uint8 a"), bytes([0, kind, 0, 0, 1]))
        assert reason == f"CDR encapsulation 0x00{kind:02x} ({name}) is not supported"


def test_parameter_lists_are_kept_raw_with_the_reason(convert: Convert) -> None:
    channel = ros2("/odd", "uint8 a")

    result = convert(mcap([(channel, START, b"\0\3\0\0\1"), *sent(channel, {"a": 7})]))

    assert result.rows("odd.csv") == ["log_time,publish_time,sequence,a", f"{START},{START - 1000},1,7"]
    assert result.files["odd.raw.bin"] == b"\0\3\0\0\1"
    assert "PL_CDR: parameter lists" in result.rows("odd.raw.csv")[1]


@pytest.mark.parametrize("header", [b"\0\x20\0\0", b"\1\1\0\0", b"\xff\xff\0\0"])
def test_headers_that_do_not_exist_are_refused(header: bytes) -> None:
    assert refusal(decoder("uint8 a"), header + b"\1") == f"CDR encapsulation 0x{header[:2].hex()} is not supported"


@pytest.mark.parametrize("payload", [b"", b"\0", b"\0\1\0"])
def test_a_payload_without_a_whole_header_is_refused(payload: bytes) -> None:
    assert refusal(decoder("uint8 a"), payload) == f"{len(payload)} bytes are too few for a CDR header"


def test_an_empty_message_is_one_dummy_byte() -> None:
    assert rows(decoder(""), LITTLE + b"\0") == [[]]
    assert rows(decoder("uint8 ONE=1\nstring NAME='x'"), LITTLE + b"\0") == [[]]
    assert refusal(decoder(""), LITTLE) == "the payload ends early"


def test_an_empty_struct_inside_a_message_is_one_dummy_byte() -> None:
    empty = "=" * 80 + "\nMSG: test_msgs/Empty\n"

    assert cells(f"Empty nothing\nuint8 x\n{empty}", {"nothing": {}, "x": 7}) == {"x": "7"}
    assert cells(f"Empty[] list\nuint8 x\n{empty}", {"list": [{}, {}], "x": 7}) == {"list": "[{},{}]", "x": "7"}


@pytest.mark.parametrize("padding", range(8))
def test_up_to_seven_bytes_of_padding_may_follow(padding: int) -> None:
    assert line(decoder("uint8 a"), LITTLE + b"\1" + bytes(padding)) == "1"


def test_eight_bytes_left_over_are_an_error() -> None:
    assert refusal(decoder("uint8 a"), LITTLE + b"\1" + bytes(8)) == "8 bytes are left after the last field"


def test_every_shortened_payload_is_an_error() -> None:
    type_ = parse("test_msgs/msg/Thing", "float64 a\nstring b\nint32[] c\nfloat32[3] d")
    payload = encode(type_, {"a": 1.5, "b": "text", "c": [1, 2], "d": [0.5, 1, 2]})

    for length in range(len(payload)):
        assert refusal(CdrDecoder(compile_plan(type_)), payload[:length])


@pytest.mark.parametrize(
    "definition",
    ["uint8[] list", "float64[] list", "string[] list", "Inner[] list\n========\nMSG: test_msgs/Inner\nfloat64 x"],
)
def test_a_list_that_claims_more_elements_than_bytes_is_refused_at_once(definition: str) -> None:
    payload = LITTLE + struct.pack("<I", 0xFFFFFFFF) + bytes(16)

    assert refusal(decoder(definition), payload) == "a list of 4294967295 elements does not fit into the payload"


@pytest.mark.parametrize("content", [b"\xff\xff\xff\x7fabc\0", b"\4\0\0\0abcd", b"\x05\0\0\0abc\0"])
def test_a_string_that_does_not_end_where_it_says_is_an_error(content: bytes) -> None:
    assert "does not end where it should" in refusal(decoder("string a"), LITTLE + content)


def test_an_empty_string_may_lack_its_zero() -> None:
    assert line(decoder("string a\nuint8 b"), LITTLE + b"\0\0\0\0\5") == ",5"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"a\xffb\xc3", "a\\xffb\\xc3"),
        (b"\xed\xa0\x80", "\\xed\\xa0\\x80"),  # half of a pair
        (b"\xf4\x90\x80\x80,", '"\\xf4\\x90\\x80\\x80,"'),  # beyond the last character
        (b"\xc0\x80\xe0\x80\x80", "\\xc0\\x80\\xe0\\x80\\x80"),  # longer than needed
    ],
)
def test_invalid_utf8_is_escaped_and_counted(content: bytes, text: str) -> None:
    payload = LITTLE + struct.pack("<I", len(content) + 1) + content + b"\0"
    in_list = LITTLE + struct.pack("<II", 1, len(content) + 1) + content + b"\0"
    in_json = text.strip('"').replace("\\", "\\\\")

    assert line(decoder("string a"), payload) == text
    assert converted(decoder("string a"), [payload, LITTLE + struct.pack("<I", 2) + b"a\0", payload])[1] == 2
    assert line(decoder("string[] a"), in_list) == f'"[""{in_json}""]"'


@pytest.mark.parametrize("xcdr2", [False, True])
def test_halves_of_pairs_in_wide_strings_are_joined_or_escaped(xcdr2: bool) -> None:
    units = [0xD83E, 0xDD16, 0xDD16, 0x41, 0xD83E]
    size, code, kind = (2 * len(units), "H", 7) if xcdr2 else (len(units), "I", 1)
    payload = bytes([0, kind, 0, 0]) + struct.pack(f"<I{len(units)}{code}", size, *units)

    assert converted(decoder("wstring a"), [payload])[:2] == ("0,0,0,🤖\\x16\\xddA\\x3e\\xd8\n".encode(), 1)


@pytest.mark.parametrize(
    "payload",
    [
        LITTLE + struct.pack("<II", 1, 0x110000),
        LITTLE + struct.pack("<I", 2) + b"abcd",
        b"\0\7\0\0" + struct.pack("<I", 3) + b"abc\0",
    ],
)
def test_wide_strings_that_are_none_are_errors(payload: bytes) -> None:
    assert "wide string" in refusal(decoder("wstring a"), payload)


def test_more_elements_than_the_bound_are_an_error() -> None:
    made = decoder("uint8[<=2] list")

    assert line(made, LITTLE + struct.pack("<I", 2) + b"\1\2") == '"[1,2]"'
    assert refusal(made, LITTLE + struct.pack("<I", 3) + b"\1\2\3") == "a list of 3 elements where the schema allows 2"


def test_fixed_arrays_up_to_64_become_columns() -> None:
    assert cells("uint8[3] a", {"a": [1, 2, 3]}) == {"a[0]": "1", "a[1]": "2", "a[2]": "3"}
    assert len(cells("float64[64] a", {"a": [0.0] * 64})) == 64
    assert cells("string[2] a", {"a": ["x", "y,z"]}) == {"a[0]": "x", "a[1]": "y,z"}
    assert cells("builtin_interfaces/Time[2] a", {"a": [1, 2]}) == {"a[0]": "1", "a[1]": "2"}


def test_longer_arrays_and_lists_of_structs_are_one_cell_of_json() -> None:
    inner = "\n========\nMSG: test_msgs/Inner\nint32 x\nstring y\nbool[2] z"

    assert cells("uint8[65] a", {"a": [0] * 65}) == {"a": "[" + ",".join("0" * 65) + "]"}
    assert cells(f"Inner[1] a{inner}", {"a": [{"x": -1, "y": 'a"b', "z": [True, False]}]}) == {
        "a": '[{"x":-1,"y":"a\\"b","z":[true,false]}]'
    }


def test_long_lists_of_bytes_are_written_whole() -> None:
    data = bytes(range(256)) * 8200  # more than two blocks
    type_ = parse("test_msgs/msg/Thing", "uint8[] data")

    assert (
        line(CdrDecoder(compile_plan(type_)), encode(type_, {"data": data})) == '"[' + ",".join(map(str, data)) + ']"'
    )
    assert cells("uint8[] data", {"data": b""}) == {"data": "[]"}


def test_structs_become_dotted_paths() -> None:
    inner = "\n========\nMSG: test_msgs/Inner\nDeep at\nint32 y\n========\nMSG: test_msgs/Deep\nint32 x"
    definition = "Inner pose\nint32 last" + inner

    assert cells(definition, {"pose": {"at": {"x": 1}, "y": 2}, "last": 3}) == {
        "pose.at.x": "1",
        "pose.y": "2",
        "last": "3",
    }


def test_what_is_not_finite_is_written_as_words() -> None:
    values = {"a": float("nan"), "b": float("-inf"), "c": [1.0, -float("nan"), float("inf")], "d": [float("-inf")]}

    assert cells("float64 a\nfloat32 b\nfloat64[] c\nfloat32[] d", values) == {
        "a": "nan",
        "b": "-inf",
        "c": '[1.0,"nan","inf"]',
        "d": '["-inf"]',
    }


def test_a_bad_payload_does_not_harm_the_next_one() -> None:
    good = LITTLE + struct.pack("<dI", 1.5, 2) + b"x\0"

    assert rows(decoder("float64 a\nstring b"), good, good[:-3], good) == [["1.5", "x"]] * 2


def test_a_schema_with_more_columns_than_anybody_can_use_is_refused() -> None:
    with pytest.raises(SchemaError, match="columns"):
        decoder("\n".join(f"int8[64] a{index}" for index in range(MAX_COLUMNS // 64 + 1)))


def test_a_schema_that_grows_at_every_level_is_refused_quickly() -> None:
    levels = [f"MSG: test_msgs/L{n}\n" + "\n".join(f"L{n + 1}[] f{i}" for i in range(20)) for n in range(12)]
    text = "\n========\n".join(["L0[] root", *levels, "MSG: test_msgs/L12\nint8 x"])

    with pytest.raises(SchemaError, match="instructions"):
        decoder(text)
