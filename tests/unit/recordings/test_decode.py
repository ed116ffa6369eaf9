"""CDR payloads into cells, rule by rule (the facts' rules 1, 2, 7, 8, 9)."""

import struct
from collections.abc import Mapping
from typing import Any

import pytest

from fieldpipe.recordings.decode import CdrDecoder, DecodeError
from fieldpipe.recordings.encode import encode
from fieldpipe.recordings.plan import MAX_COLUMNS, compile_plan
from fieldpipe.recordings.ros2msg import parse
from fieldpipe.recordings.typetree import SchemaError

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
    "string": [("", ""), ("plain", "plain"), ("ロボ", "ロボ"), ('say "no", twice\n', '"say ""no"", twice\n"')],
    "wstring": [("", ""), ("plain", "plain"), ("ロボ🤖", "ロボ🤖")],
    "builtin_interfaces/Time": [(1_767_225_600_123_456_789, "1767225600123456789"), (-1, "-1")],
    "builtin_interfaces/Duration": [(-1_500_000_000, "-1500000000")],
}


def decoder(text: str) -> CdrDecoder:
    return CdrDecoder(compile_plan(parse("test_msgs/msg/Thing", text)))


def cells(text: str, value: Mapping[str, Any], **encoding: bool) -> dict[str, str]:
    type_ = parse("test_msgs/msg/Thing", text)
    made = CdrDecoder(compile_plan(type_))
    return dict(zip(made.columns, made.cells(encode(type_, value, **encoding)), strict=True))


@pytest.mark.parametrize("xcdr2", [False, True])
@pytest.mark.parametrize("little_endian", [False, True])
@pytest.mark.parametrize(("type_", "value", "text"), [(t, v, s) for t, pairs in EXTREMES.items() for v, s in pairs])
def test_every_primitive_is_written_exactly(
    type_: str, value: object, text: str, little_endian: bool, xcdr2: bool
) -> None:
    definition = f"uint8 before\n{type_} value\nuint8 after"

    found = cells(definition, {"before": 1, "value": value, "after": 2}, little_endian=little_endian, xcdr2=xcdr2)

    assert found == {"before": "1", "value": text, "after": "2"}


@pytest.mark.parametrize("xcdr2", [False, True])
def test_sequences_of_every_primitive_are_one_cell(xcdr2: bool) -> None:
    for type_, pairs in EXTREMES.items():
        values = [value for value, _ in pairs]
        found = cells(f"uint8 a\n{type_}[] list\nuint8 b", {"a": 1, "list": values, "b": 2}, xcdr2=xcdr2)
        assert (found["a"], found["b"]) == ("1", "2"), type_
        assert found["list"].strip('"').startswith("["), type_


def test_eight_byte_values_are_aligned_to_four_bytes_in_xcdr2() -> None:
    made = decoder("uint8 a\nfloat64 b")

    assert made.cells(b"\0\7\0\0" + b"\5\0\0\0" + struct.pack("<d", 1.5)) == ["5", "1.5"]
    assert made.cells(b"\0\1\0\0" + b"\5\0\0\0\0\0\0\0" + struct.pack("<d", 1.5)) == ["5", "1.5"]


def test_xcdr2_puts_a_size_before_lists_of_what_is_not_primitive() -> None:
    made = decoder("string[] names\nuint8[] codes")
    names = struct.pack("<II3s", 1, 3, b"ab\0")
    codes = struct.pack("<I2B", 2, 7, 8)

    assert made.cells(b"\0\7\0\0" + struct.pack("<I", len(names)) + names + b"\0" + codes) == ['"[""ab""]"', '"[7,8]"']
    assert made.cells(b"\0\1\0\0" + names + b"\0" + codes) == ['"[""ab""]"', '"[7,8]"']


@pytest.mark.parametrize("kind", [0x02, 0x03, 0x08, 0x0B, 0x20])
def test_other_encapsulations_are_refused(kind: int) -> None:
    with pytest.raises(DecodeError, match="encapsulation"):
        decoder("uint8 a").cells(bytes([0, kind, 0, 0, 1]))


def test_an_empty_message_is_one_dummy_byte() -> None:
    assert decoder("").cells(LITTLE + b"\0") == []
    assert decoder("uint8 ONE=1\nstring NAME='x'").cells(LITTLE + b"\0") == []
    with pytest.raises(DecodeError):
        decoder("").cells(LITTLE)


def test_an_empty_struct_inside_a_message_is_one_dummy_byte() -> None:
    empty = "=" * 80 + "\nMSG: test_msgs/Empty\n"

    assert cells(f"Empty nothing\nuint8 x\n{empty}", {"nothing": {}, "x": 7}) == {"x": "7"}
    assert cells(f"Empty[] list\nuint8 x\n{empty}", {"list": [{}, {}], "x": 7}) == {"list": '"[{},{}]"', "x": "7"}


@pytest.mark.parametrize("padding", range(8))
def test_up_to_seven_bytes_of_padding_may_follow(padding: int) -> None:
    assert decoder("uint8 a").cells(LITTLE + b"\1" + bytes(padding)) == ["1"]


def test_eight_bytes_left_over_are_an_error() -> None:
    with pytest.raises(DecodeError, match="8 bytes are left"):
        decoder("uint8 a").cells(LITTLE + b"\1" + bytes(8))


def test_every_shortened_payload_is_an_error_or_shorter_by_padding() -> None:
    type_ = parse("test_msgs/msg/Thing", "float64 a\nstring b\nint32[] c\nfloat32[3] d")
    payload = encode(type_, {"a": 1.5, "b": "text", "c": [1, 2], "d": [0.5, 1, 2]})
    made = CdrDecoder(compile_plan(type_))

    for length in range(len(payload)):
        with pytest.raises(DecodeError):
            made.cells(payload[:length])


@pytest.mark.parametrize(
    "definition",
    ["uint8[] list", "float64[] list", "string[] list", "Inner[] list\n========\nMSG: test_msgs/Inner\nfloat64 x"],
)
def test_a_list_that_claims_more_elements_than_bytes_is_refused_at_once(definition: str) -> None:
    with pytest.raises(DecodeError, match="does not fit"):
        decoder(definition).cells(LITTLE + struct.pack("<I", 0xFFFFFFFF) + bytes(16))


@pytest.mark.parametrize("content", [b"\xff\xff\xff\x7fabc\0", b"\4\0\0\0abcd", b"\x05\0\0\0abc\0"])
def test_a_string_that_does_not_end_where_it_says_is_an_error(content: bytes) -> None:
    with pytest.raises(DecodeError, match="string"):
        decoder("string a").cells(LITTLE + content)


def test_an_empty_string_may_lack_its_zero() -> None:
    assert decoder("string a\nuint8 b").cells(LITTLE + b"\0\0\0\0\5") == ["", "5"]


def test_invalid_utf8_is_escaped_and_counted() -> None:
    made = decoder("string a")

    assert made.cells(LITTLE + struct.pack("<I", 5) + b"a\xffb\xc3\0") == ["a\\xffb\\xc3"]
    assert made.cells(LITTLE + struct.pack("<I", 2) + b"a\0") == ["a"]
    assert made.escaped == 1


def test_more_elements_than_the_bound_are_an_error() -> None:
    made = decoder("uint8[<=2] list")

    assert made.cells(LITTLE + struct.pack("<I", 2) + b"\1\2") == ['"[1,2]"']
    with pytest.raises(DecodeError, match="allows 2"):
        made.cells(LITTLE + struct.pack("<I", 3) + b"\1\2\3")


def test_fixed_arrays_up_to_64_become_columns() -> None:
    assert cells("uint8[3] a", {"a": [1, 2, 3]}) == {"a[0]": "1", "a[1]": "2", "a[2]": "3"}
    assert len(cells("float64[64] a", {"a": [0.0] * 64})) == 64
    assert cells("string[2] a", {"a": ["x", "y,z"]}) == {"a[0]": "x", "a[1]": '"y,z"'}
    assert cells("builtin_interfaces/Time[2] a", {"a": [1, 2]}) == {"a[0]": "1", "a[1]": "2"}


def test_longer_arrays_and_lists_of_structs_are_one_cell_of_json() -> None:
    inner = "\n========\nMSG: test_msgs/Inner\nint32 x\nstring y\nbool[2] z"

    assert cells("uint8[65] a", {"a": [0] * 65}) == {"a": '"[' + ",".join("0" * 65) + ']"'}
    assert cells(f"Inner[1] a{inner}", {"a": [{"x": -1, "y": 'a"b', "z": [True, False]}]}) == {
        "a": '"[{""x"":-1,""y"":""a\\""b"",""z"":[true,false]}]"'
    }


def test_long_lists_of_bytes_are_written_whole() -> None:
    data = bytes(range(256)) * 8200  # more than two blocks

    (cell,) = cells("uint8[] data", {"data": data}).values()

    assert cell == '"[' + ",".join(map(str, data)) + ']"'
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
    values = {"a": float("nan"), "b": float("-inf"), "c": [1.0, float("nan"), float("inf")], "d": [float("-inf")]}

    assert cells("float64 a\nfloat32 b\nfloat64[] c\nfloat32[] d", values) == {
        "a": "nan",
        "b": "-inf",
        "c": '"[1.0,""nan"",""inf""]"',
        "d": '"[""-inf""]"',
    }


def test_a_bad_payload_does_not_harm_the_next_one() -> None:
    made = decoder("float64 a\nstring b")
    good = LITTLE + struct.pack("<dI", 1.5, 2) + b"x\0"

    with pytest.raises(DecodeError):
        made.cells(good[:-3])

    assert made.cells(good) == ["1.5", "x"]


def test_a_schema_with_more_columns_than_anybody_can_use_is_refused() -> None:
    with pytest.raises(SchemaError, match="columns"):
        decoder("\n".join(f"int8[64] a{index}" for index in range(MAX_COLUMNS // 64 + 1)))


def test_a_schema_that_grows_at_every_level_is_refused_quickly() -> None:
    levels = [f"MSG: test_msgs/L{n}\n" + "\n".join(f"L{n + 1}[] f{i}" for i in range(20)) for n in range(12)]
    text = "\n========\n".join(["L0[] root", *levels, "MSG: test_msgs/L12\nint8 x"])

    with pytest.raises(SchemaError, match="instructions"):
        decoder(text)
