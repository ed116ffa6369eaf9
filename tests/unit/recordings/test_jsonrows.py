"""JSON messages into cells."""

import json
from typing import Any

import pytest

from fieldpipe.recordings.executor import DecodeError
from fieldpipe.recordings.jsonplan import compile_json
from fieldpipe.recordings.jsonrows import JsonDecoder
from fieldpipe.recordings.typetree import SchemaError


def schema(**properties: Any) -> bytes:
    return json.dumps({"type": "object", "properties": properties}).encode()


def cells(payload: bytes, **properties: Any) -> dict[str, str]:
    decoder = JsonDecoder(compile_json(schema(**properties)))
    return dict(zip(decoder.columns, decoder.cells(payload), strict=True))


def test_columns_come_from_the_schema_and_not_from_the_message() -> None:
    inner = {"type": "object", "properties": {"x": {"type": "number"}, "y": {"type": "number"}}}

    assert cells(b'{"at": {"y": 2}}', name={"type": "string"}, at=inner) == {"name": "", "at.x": "", "at.y": "2"}
    assert cells(b"{}", name={"type": "string"}, at=inner) == {"name": "", "at.x": "", "at.y": ""}
    assert cells(b'{"at": null}', at=inner) == {"at.x": "", "at.y": ""}


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("1.50", "1.5"),
        ("18446744073709551615", "18446744073709551615"),
        ("1e400", "inf"),
        ("NaN", "nan"),
        ("true", "true"),
        ("null", ""),
        ('"a,b"', '"a,b"'),
        ('"ロボ"', "ロボ"),
        ("[]", "[]"),
        ('[1, {"a": NaN}]', '"[1,{""a"":""nan""}]"'),
        ('{"free": 1}', '"{""free"":1}"'),
    ],
)
def test_values_are_written_exactly(value: str, cell: str) -> None:
    assert cells(f'{{"x": {value}}}'.encode(), x={}) == {"x": cell}


def test_seconds_and_nanoseconds_become_one_integer() -> None:
    time = {"type": "object", "properties": {"sec": {"type": "integer"}, "nsec": {"type": "integer"}}}

    assert cells(b'{"at": {"sec": 5, "nsec": 7}}', at=time) == {"at": "5000000007"}
    assert cells(b'{"at": "yesterday"}', at=time) == {"at": "yesterday"}


def test_references_inside_the_schema_are_followed() -> None:
    text = {"properties": {"p": {"$ref": "#/$defs/point"}}, "$defs": {"point": {"properties": {"x": {}, "y": {}}}}}

    assert JsonDecoder(compile_json(json.dumps(text).encode())).columns == ("p.x", "p.y")


def test_a_schema_that_contains_itself_ends_in_a_cell() -> None:
    text = {"properties": {"value": {}, "next": {"$ref": "#"}}}

    assert JsonDecoder(compile_json(json.dumps(text).encode())).columns == ("value", "next")


def test_a_member_that_the_schema_does_not_name_is_told() -> None:
    decoder = JsonDecoder(compile_json(schema(a={})))

    decoder.cells(b'{"a": 1, "b": 2}')
    assert decoder.has_more
    decoder.cells(b'{"a": 1}')
    assert not decoder.has_more


def test_without_a_schema_there_is_one_column() -> None:
    decoder = JsonDecoder(compile_json())

    assert decoder.columns == ("json",)
    assert decoder.cells(b'{"a": [1, 2.50]}') == ['"{""a"":[1,2.5]}"']


def test_invalid_utf8_is_escaped_and_counted() -> None:
    decoder = JsonDecoder(compile_json(schema(a={})))

    assert decoder.cells(b'{"a": "x\xffy"}') == ["x\\xffy"]
    assert decoder.cells(b'{"a": "x\\\\y"}') == ["x\\y"]
    assert decoder.escaped == 1


@pytest.mark.parametrize("payload", [b"", b"{", b'{"a": }', b"[" * 100_000, b'{"a": 1} {}', b"\xff\xfe"])
def test_what_is_not_json_is_an_error(payload: bytes) -> None:
    with pytest.raises(DecodeError, match="not JSON"):
        JsonDecoder(compile_json()).cells(payload)


def test_numbers_that_nobody_can_print_are_an_error() -> None:
    with pytest.raises(DecodeError, match="limit"):
        JsonDecoder(compile_json(schema(a={}))).cells(b'{"a": %s}' % (b"9" * 4301))


@pytest.mark.parametrize("payload", [b"[1]", b'"text"', b'{"at": 5}'])
def test_a_message_of_another_shape_is_an_error(payload: bytes) -> None:
    with pytest.raises(DecodeError, match="object"):
        JsonDecoder(compile_json(schema(at={"properties": {"x": {}}}))).cells(payload)


@pytest.mark.parametrize("text", [b"{", b"[]", b"5", b"\xff"])
def test_what_is_no_schema_is_refused(text: bytes) -> None:
    with pytest.raises(SchemaError):
        compile_json(text)
