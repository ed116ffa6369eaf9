"""What a person may choose about rows, and how much text a message may make; by both executors."""

import struct
from base64 import b64encode
from typing import Any

import pytest

from fieldpipe.recordings.decode import CdrDecoder
from fieldpipe.recordings.encode import encode
from fieldpipe.recordings.executor import MAX_ROW, MAX_ROWS
from fieldpipe.recordings.plan import PLAIN, Shape, compile_plan
from fieldpipe.recordings.ros2msg import parse
from tests.unit.recordings.agreement import converted, line, refusal, rows

POINTS = "string name\nPoint[] points\nuint8 last\n========\nMSG: test_msgs/Point\nfloat32 x\nstring[] tags"
LITTLE = b"\0\1\0\0"


def decoder(text: str, shape: Shape = PLAIN, *, formula_safe: bool = False) -> CdrDecoder:
    return CdrDecoder(compile_plan(parse("test_msgs/msg/Thing", text), shape), formula_safe=formula_safe)


def payload(text: str, value: dict[str, Any]) -> bytes:
    return encode(parse("test_msgs/msg/Thing", text), value)


def test_every_element_of_an_exploded_list_is_a_row_between_the_other_cells() -> None:
    made = decoder(POINTS, Shape(explode=frozenset(["points"])))
    points = [{"x": 0.5, "tags": ["a"]}, {"x": 1, "tags": []}]

    found = rows(made, payload(POINTS, {"name": "n", "points": points, "last": 7}))

    assert made.plan.columns == ("name", "points.x", "points.tags", "last")
    assert found == [["n", "0.5", '["a"]', "7"], ["n", "1.0", "[]", "7"]]


def test_an_exploded_list_without_elements_is_one_row_of_empty_cells() -> None:
    made = decoder(POINTS, Shape(explode=frozenset(["points"])))

    assert rows(made, payload(POINTS, {"name": "n", "points": [], "last": 7})) == [["n", "", "", "7"]]


def test_a_list_of_numbers_explodes_too_and_only_the_first_list_does() -> None:
    text = "uint8[] a\nuint8[] b"
    made = decoder(text, Shape(explode=frozenset(["a", "b"])))

    assert rows(made, payload(text, {"a": [1, 2], "b": [3, 4]})) == [["1", "[3,4]"], ["2", "[3,4]"]]


def test_an_exploded_list_that_breaks_off_makes_no_row_at_all() -> None:
    made = decoder(POINTS, Shape(explode=frozenset(["points"])))
    whole = payload(POINTS, {"name": "n", "points": [{"x": 0.5, "tags": []}] * 3, "last": 7})

    assert rows(made, whole[:-20]) == []


def test_bytes_are_base64_on_request() -> None:
    text = "uint8[] data\nBlob[] blobs\nuint8[70] fixed\n========\nMSG: test_msgs/Blob\nuint8[] data"
    value = {"data": b"\xfb\xff", "blobs": [{"data": b""}, {"data": b"abc"}], "fixed": bytes(range(70))}

    assert rows(decoder(text, Shape(base64=True)), payload(text, value)) == [
        ["+/8=", '[{"data":""},{"data":"YWJj"}]', b64encode(bytes(range(70))).decode()]
    ]


def test_the_bytes_of_a_picture_are_no_cell() -> None:
    made = decoder("uint8[] data\nuint8 last", Shape(binary="data"))

    assert rows(made, payload("uint8[] data\nuint8 last", {"data": b"picture", "last": 1})) == [["", "1"]]
    assert made.binary == b"picture"


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@x", "'@x"),
        ("\tx", "'\tx"),
        ("\rx", '"\'\rx"'),
        ('="x",', '"\'=""x"","'),
        ("", ""),
        ("1=1", "1=1"),
        ("'=", "'="),
    ],
)
def test_texts_that_spreadsheets_take_for_formulas_are_defused_on_request(text: str, cell: str) -> None:
    content = payload("string text", {"text": text})

    assert line(decoder("string text", formula_safe=True), content) == cell
    assert line(decoder("string text"), content).strip('"').replace('""', '"') == text
    wide = payload("wstring text", {"text": text})
    assert line(decoder("wstring text", formula_safe=True), wide) == cell


def test_numbers_and_json_are_never_touched() -> None:
    text = "int8 a\nfloat64 b\nstring[] c\nuint8[] d"
    made = decoder(text, Shape(base64=True), formula_safe=True)

    assert rows(made, payload(text, {"a": -1, "b": -0.5, "c": ["=x"], "d": b"\xfb\xff"})) == [
        ["-1", "-0.5", '["=x"]', "+/8="]
    ]


def text_of(size: int) -> bytes:
    return LITTLE + struct.pack("<I", size + 1) + b"a" * size + b"\0"


def test_a_message_may_make_64_mib_of_text_and_no_byte_more() -> None:
    made = decoder("string text")

    text, _, left = converted(made, [text_of(MAX_ROW - 1)])

    assert (len(text), left) == (len("0,0,0,\n") + MAX_ROW - 1, [])
    assert "bytes of text" in refusal(made, text_of(MAX_ROW))


def test_the_rows_of_an_exploded_list_count_together() -> None:
    text = "string text\nuint8[] list"
    made = decoder(text, Shape(explode=frozenset(["list"])))
    size = MAX_ROW // 1024 - len(",") - len(",7")

    fits = payload(text, {"text": "a" * size, "list": [7] * 1024})
    does_not = payload(text, {"text": "a" * size, "list": [7] * 1023 + [10]})

    assert len(rows(made, fits)) == 1024
    assert "bytes of text" in refusal(made, does_not)


def test_a_message_may_make_a_million_rows_and_no_more() -> None:
    made = decoder("uint8[] list", Shape(explode=frozenset(["list"])))

    assert refusal(made, LITTLE + struct.pack("<I", MAX_ROWS + 1) + bytes(MAX_ROWS + 1)).endswith("1000000 rows")


def test_names_that_make_much_text_of_few_bytes_count_too() -> None:
    name, count = "n" * 1000, 66_000
    text = f"Thin[] list\nstring text\n========\nMSG: test_msgs/Thin\nuint8 {name}"
    made = decoder(text)
    element = len(f'{{""{name}"":0}},')
    size = MAX_ROW - count * element - len(',"[]",') + len(",")

    fits = payload(text, {"list": [{name: 0}] * count, "text": "a" * size})
    does_not = payload(text, {"list": [{name: 0}] * count, "text": "a" * (size + 1)})
    far_from_it = LITTLE + struct.pack("<I", 10**6) + bytes(10**6 + 8)

    assert converted(made, [fits])[2] == []
    assert "bytes of text" in refusal(made, does_not)
    assert "bytes of text" in refusal(made, far_from_it)
