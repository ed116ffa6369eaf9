"""JSON messages into rows, rule by rule, by both executors."""

import json
from base64 import b64encode
from collections.abc import Iterable
from typing import Any

import pytest

from fieldpipe.recordings.executor import MAX_ROW, DecodeError, Why
from fieldpipe.recordings.jsonplan import compile_json
from fieldpipe.recordings.jsonrows import JsonDecoder
from fieldpipe.recordings.plan import MAX_COLUMNS, Shape
from tests.builders import Channel, mcap, sent
from tests.unit.recordings import agreement
from tests.unit.recordings.conftest import Convert

POINT = {"properties": {"x": {}, "y": {}}}
TIME = {"properties": {"sec": {}, "nsec": {}}}
POINTS = {"type": "array", "items": POINT}
INFINITE = "9" * 400


def decoder(shape: Shape | None = None, *, formula_safe: bool = False, **properties: Any) -> JsonDecoder:
    """For messages with these members; without any, for messages of which nothing is known."""
    schema = json.dumps({"properties": properties}).encode() if properties else b""
    return JsonDecoder(compile_json(schema, shape or Shape()), formula_safe=formula_safe)


def anything(names: Iterable[str]) -> dict[str, Any]:
    """Members of which only the names are known."""
    return {name: {} for name in names}


def row(payload: bytes | str, **properties: Any) -> list[str]:
    """The only row's cells; every member was one that the schema names."""
    (cells,) = agreement.rows(decoder(**properties), payload if isinstance(payload, bytes) else payload.encode())
    return cells


def lines(decoder: JsonDecoder, *payloads: str) -> tuple[list[str], list[Why]]:
    """Lines without the times, and why payloads were left."""
    text, _, left = agreement.converted(decoder, [payload.encode() for payload in payloads])
    return [line.removeprefix("0,0,0,") for line in text.decode().splitlines()], [each.why for each in left]


def is_refused(decoder: JsonDecoder, payload: bytes) -> bool:
    text, escaped, left = agreement.converted(decoder, [payload])
    return (text, escaped, [each.why for each in left]) == (b"", 0, [Why.UNDECODABLE])


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


# numbers, texts, cells of JSON


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("true", "true"),
        ("false", "false"),
        ("null", ""),
        ("0", "0"),
        ("-0", "0"),
        ("-7", "-7"),
        ("18446744073709551615", "18446744073709551615"),
        ("9" * 4300, "9" * 4300),
        ("-" + "9" * 4300, "-" + "9" * 4300),
        ("1.50", "1.5"),
        ("0.0", "0.0"),
        ("-0.0", "-0.0"),
        ("0.00", "0.0"),
        ("1e3", "1000.0"),
        ("1E+3", "1000.0"),
        ("5e-7", "5e-07"),
        ("0.0001", "0.0001"),
        ("0.00012345", "0.00012345"),
        ("0.00001", "1e-05"),
        ("0.000010", "1e-05"),
        ("0.123456789012345", "0.123456789012345"),
        ("0.3000000000000000166", "0.3"),
        ("123456789012345.6", "123456789012345.6"),
        ("100000000000000.0", "100000000000000.0"),
        ("1234567890123456.0", "1234567890123456.0"),
        ("12345678901234567.0", "1.2345678901234568e+16"),
        ("9007199254740993.0", "9007199254740992.0"),
        ("5e-324", "5e-324"),
        ("1e-400", "0.0"),
        ("1e400", "inf"),
        (f"-{INFINITE}.0", "-inf"),
        ("NaN", "nan"),
        ("Infinity", "inf"),
        ("-Infinity", "-inf"),
        ('""', ""),
        ('"plain"', "plain"),
        ('"a,b"', "a,b"),
        ('"say \\"no\\""', 'say "no"'),
        ('"ロボ🤖"', "ロボ🤖"),
        ('"=1+1"', "=1+1"),
        ('"\\b\\f\\n\\r\\t\\/\\\\\\u0041"', "\b\f\n\r\t/\\A"),
        ('"\\u00e9\\u30ed\\ud83e\\udd16"', "éロ🤖"),
        ('"\\u0000\x7f"', "\0\x7f"),
        (
            '"a long text, of several words, that are not all plain: \\u2026"',
            "a long text, of several words, that are not all plain: …",
        ),
        ("[]", "[]"),
        ("{}", "{}"),
        ("[1]", "[1]"),
        (f"[-{'9' * 4300}]", f"[-{'9' * 4300}]"),
        ("[1, 2.50 ,\n-0]", "[1,2.5,0]"),
        ('[NaN, -Infinity, 1e999, "x"]', '["nan","-inf","inf","x"]'),
        ('{"free": [true, false, null, {"a": "b,c"}]}', '{"free":[true,false,null,{"a":"b,c"}]}'),
        ('["\\u00e9\\/\\u0007\\n\\"\\\\", "é", "\\ud83e\\udd16"]', '["é/\\u0007\\n\\"\\\\","é","🤖"]'),
        ('{"a": 1, "b": 2, "a": 3}', '{"a":1,"b":2,"a":3}'),
    ],
)
def test_values_are_written_exactly(value: str, cell: str) -> None:
    assert row(f'{{"x":{value}}}', x={}) == [cell]
    assert row(f' {{ "before" : 1.5 , "x" : {value} , "after" : [] }} ', before={}, x={}, after={}) == [
        "1.5",
        cell,
        "[]",
    ]


def test_cells_are_quoted_where_csv_asks_for_it() -> None:
    messages = ('{"x": "a,b"}', '{"x": "\\r"}', '{"x": [1,2]}', '{"x": ["a"]}', '{"x": [1]}')

    assert lines(decoder(x={}), *messages[0:1]) == (['"a,b"'], [])
    assert agreement.converted(decoder(x={}), [messages[1].encode()])[0] == b'0,0,0,"\r"\n'
    assert lines(decoder(x={}), *messages[2:]) == (['"[1,2]"', '"[""a""]"', "[1]"], [])


def test_texts_that_are_formulas_get_a_quote_on_request_and_numbers_never() -> None:
    safe = decoder(x={}, formula_safe=True)
    messages = [f'{{"x": {value}}}' for value in ('"=1"', '"\\u003d1,2"', '"\\t"', '""', '"x="', "-1", '["=1"]')]

    assert agreement.rows(safe, *map(str.encode, messages)) == [
        ["'=1"],
        ["'=1,2"],
        ["'\t"],
        [""],
        ["x="],
        ["-1"],
        ['["=1"]'],
    ]


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ('{"sec": 5, "nsec": 7}', "5000000007"),
        ('{ "nsec" : 7 , "sec" : -5 }', "-4999999993"),
        ('{"sec": 5, "nanosec": 7}', "5000000007"),
        ('{"s\\u0065c": -0, "nsec": -999999999}', "-999999999"),
        ('{"sec": 9223372035, "nsec": 999999999}', "9223372035999999999"),
        ('{"sec": -9223372035, "nsec": -999999999}', "-9223372035999999999"),
        ("null", ""),
        ('"yesterday"', "yesterday"),
        ("1.5", "1.5"),
        ("{}", "{}"),
        ('{"sec": 9223372036, "nsec": 0}', '{"sec":9223372036,"nsec":0}'),
        ('{"sec": 0, "nsec": 1000000000}', '{"sec":0,"nsec":1000000000}'),
        ('{"sec": 99999999999999999999999, "nsec": 0}', '{"sec":99999999999999999999999,"nsec":0}'),
        ('{"sec": 5}', '{"sec":5}'),
        ('{"sec": 5, "sec": 6}', '{"sec":5,"sec":6}'),
        ('{"sec": 5, "nsec": 6, "nsec": 7}', '{"sec":5,"nsec":6,"nsec":7}'),
        ('{"sec": 5, "nsec": 6, "zone": [0]}', '{"sec":5,"nsec":6,"zone":[0]}'),
        ('{"sec": 5.0, "nsec": 6}', '{"sec":5.0,"nsec":6}'),
        ('{"sec": 5e0, "nsec": true}', '{"sec":5.0,"nsec":true}'),
        ('{"nsec": 5, "nanosec": 6}', '{"nsec":5,"nanosec":6}'),
    ],
)
def test_seconds_and_nanoseconds_are_one_integer_and_anything_else_stays_a_cell(value: str, cell: str) -> None:
    assert row(f'{{"x": {value}}}', x=TIME) == [cell]


def test_bytes_that_are_not_utf8_are_escaped_and_their_messages_counted() -> None:
    payloads = [
        b'{"a": "x\xff\xed\xa0\x80y", "b": "\xc3\xc3"}',
        b'{"a": ["x\xff", {"\xe3\x83": 1}], "b": "\xe3\x83\xad"}',
        b'{"a": "\\n\xff,", "b\xff": 1}',
        b'{"a": "\xe3\x83\xad"}',
    ]

    text, escaped, left = agreement.converted(decoder(a={}, b={}), payloads)

    assert text.decode() == (
        "0,0,0,x\\xff\\xed\\xa0\\x80y,\\xc3\\xc3\n"
        '0,0,0,"[""x\\\\xff"",{""\\\\xe3\\\\x83"":1}]",ロ\n'
        '0,0,0,"\n\\xff,",\n'
        "0,0,0,ロ,\n"
    )
    assert (escaped, [each.why for each in left]) == (3, [Why.MORE])


def test_halves_of_surrogate_pairs_stay_what_they_are() -> None:
    halves = '"\\ud83e \\uDD16\\ud83e\\ud83e\\udd16"'

    assert row(f'{{"x": {halves}}}', x={}) == ["\\ud83e \\udd16\\ud83e🤖"]
    assert row(f'{{"x": [{halves}]}}', x={}) == ['["\\ud83e \\udd16\\ud83e🤖"]']
    assert row('{"a\\ud83e": 1}', **{"a\ud83e": {}}) == ["1"]


# members


def test_what_is_missing_or_null_is_an_empty_cell() -> None:
    both = {"name": {}, "at": POINT}

    assert row('{"at": {"y": 2}}', **both) == ["", "", "2"]
    assert row('{"at": {}}', **both) == ["", "", ""]
    assert row('{"name": null, "at": null}', **both) == ["", "", ""]
    assert row("{}", **both) == ["", "", ""]


def test_members_are_found_in_any_order() -> None:
    known = {"a": {}, "at": POINT, "stamp": TIME, "z": {}}

    made = row('{"z": [1, 2], "stamp": {"nsec": 1, "sec": 2}, "at": {"y": "q", "x": 4.0}, "a": "first"}', **known)

    assert made == ["first", "4.0", "q", "2000000001", "[1,2]"]
    assert row('{"at": {"x": 4}, "a": 1}', **known) == ["1", "4", "", "", ""]


@pytest.mark.parametrize("size", range(1, 20))
def test_members_are_found_whatever_their_names_are(size: int) -> None:
    names = ["n" * size, "n" * size + "x", "n" * (size - 1) + "é", "n" * (size - 1) + '"', "n" * (size - 1) + "\\", ""]
    message = json.dumps({name: index for index, name in enumerate(names)}, ensure_ascii=False)

    assert row(message, **anything(names)) == ["0", "1", "2", "3", "4", "5"]
    assert row(message + " " * 100, **anything(reversed(names))) == ["5", "4", "3", "2", "1", "0"]


def test_a_name_of_control_characters_is_no_other_name() -> None:
    assert lines(decoder(**{"\0" * 8: {}}), '{"abcdefgh": 1, "b": "long enough to be compared by words"}') == (
        [""],
        [Why.MORE],
    )


def test_a_name_may_be_written_with_escapes() -> None:
    assert row('{"\\u0061t": {"\\u0078": 1}, "\\u00e9": 2}', at=POINT, é={}) == ["1", "", "2"]


def test_a_wide_message_in_reverse_order() -> None:
    names = [f"member {index}" for index in range(MAX_COLUMNS)]
    message = json.dumps({name: index for index, name in enumerate(reversed(names))})

    assert row(message, **anything(names)) == [str(MAX_COLUMNS - 1 - index) for index in range(MAX_COLUMNS)]


@pytest.mark.parametrize(
    "message",
    [
        '{"a": 1, "b": 2, "at": {"x": 3}}',
        '{"b": [{"c": "\\u00e9"}, -1.5e3, "x", null], "a": 1, "at": {"x": 3}}',
        '{"a": 1, "at": {"x": 3, "z": NaN}}',
        '{"a": 2, "a": 1, "at": {"x": 3}}',
        '{"at": {"x": 3}, "a": 2, "a": 1}',
        '{"at": {"x": 4, "y": 5}, "a": 1, "at": {"x": 3}}',
        '{"at": {"x": 4, "x": 3}, "a": 1}',
        '{"at": {"y": 4, "x": 4, "x": 3, "y": null}, "a": 1}',
        '{"a": 1, "at": null, "at": {"x": 3}}',
    ],
)
def test_members_that_are_not_in_the_row_are_told_and_of_the_same_name_the_last_counts(message: str) -> None:
    assert lines(decoder(a={}, at=POINT), message) == (["1,3,"], [Why.MORE])


def test_members_of_leaves_and_times_are_all_in_the_row() -> None:
    assert lines(decoder(a={}, b=TIME), '{"a": {"x": 1, "x": 2}, "b": {"zone": 1}}') == (
        ['"{""x"":1,""x"":2}","{""zone"":1}"'],
        [],
    )


def test_without_a_schema_the_whole_message_is_a_cell() -> None:
    messages = ('{"a": [1, 2.50]}', "[]", " null ", '"a"', "-0", "NaN", '{"a": 1, "a": NaN}')

    assert agreement.rows(decoder(), *map(str.encode, messages)) == [
        ['{"a":[1,2.5]}'],
        ["[]"],
        ["null"],
        ['"a"'],
        ["0"],
        ['"nan"'],
        ['{"a":1,"a":"nan"}'],
    ]


# lists whose elements are rows


def test_elements_of_an_exploded_list_are_rows() -> None:
    known = decoder(Shape(explode=frozenset({"points"})), a={}, points=POINTS, b={})

    assert lines(known, '{"a": 1, "points": [{"x": 2, "y": 3}, {"y": "p,q"}, null, {}], "b": 4}') == (
        ["1,2,3,4", '1,,"p,q",4', "1,,,4", "1,,,4"],
        [],
    )
    assert lines(known, '{"b": 4, "points": [{"y": 3, "x": 2}, {"x": 5, "y": 6}], "a": 1}')[0] == ["1,2,3,4", "1,5,6,4"]
    assert lines(known, '{"points": [{"x": 2}, {"x": 3}]}')[0] == [",2,,", ",3,,"]


@pytest.mark.parametrize("points", ['"points": [],', '"points": null,', ""])
def test_an_empty_list_leaves_one_row(points: str) -> None:
    known = decoder(Shape(explode=frozenset({"points"})), a={}, points=POINTS, b={})

    assert lines(known, f'{{"a": 1, {points} "b": 4}}') == (["1,,,4"], [])
    assert lines(known, f'{{"b": 4, {points} "a": 1}}') == (["1,,,4"], [])


def test_elements_may_be_values_times_or_objects_with_lists() -> None:
    explode = Shape(explode=frozenset({"in.list"}))

    def made(items: Any, elements: str) -> list[str]:
        known = decoder(explode, a={}, **{"in": {"properties": {"list": {"items": items}}}})
        return lines(known, f'{{"in": {{"list": {elements}}}, "a": 0}}')[0]

    assert made({}, '[1, "b", [2, 3], null]') == ["0,1", "0,b", '0,"[2,3]"', "0,"]
    assert made({"properties": {"t": TIME, "l": POINTS}}, '[{"t": {"sec": 1, "nsec": 2}, "l": [{}]}]') == [
        "0,1000000002,[{}]"
    ]


def test_of_an_exploded_list_that_comes_twice_the_last_counts() -> None:
    known = decoder(Shape(explode=frozenset({"o.l"})), a={}, o={"properties": {"b": {}, "l": {"items": {}}}})

    for message, made in (
        ('{"o": {"l": [1, 2], "b": 3, "l": [4, 5]}, "a": 6}', ["6,3,4", "6,3,5"]),
        ('{"o": {"l": [1, 2], "b": 3}, "a": 6, "o": {"b": 7}}', ["6,7,"]),
        ('{"o": {"l": [1, 2]}, "a": 6, "o": null}', ["6,,"]),
        ('{"a": 6, "o": {"l": [1, 2], "l": null}}', ["6,,"]),
    ):
        assert lines(known, message) == (made, [Why.MORE])


@pytest.mark.parametrize("points", ["5", '"x"', "{}", "[5]", "[[]]", "[{}", "[{}],,"])
def test_what_is_no_list_of_such_elements_is_refused(points: str) -> None:
    known = decoder(Shape(explode=frozenset({"points"})), points=POINTS)

    assert is_refused(known, f'{{"points": {points}}}'.encode())


# files


def test_base64_goes_to_a_file_and_leaves_an_empty_cell() -> None:
    known = decoder(Shape(binary="data"), a={}, data={"type": "string"})
    content = bytes(range(256)) * 3

    for payload, binary in (
        (json.dumps({"a": 1, "data": "AP/+"}), b"\0\xff\xfe"),
        ('{"data": "QUI\\u003d", "a": 1}', b"AB"),
        ('{"data": "QQ==", "a": 1}', b"A"),
        ('{"data": "", "a": 1}', b""),
        ('{"data": null, "a": 1}', b""),
        ('{"a": 1}', b""),
        (json.dumps({"a": 1, "data": b64encode(content).decode()}), content),
        (json.dumps({"a": 1, "data": b64encode(content[1:]).decode()}), content[1:]),
    ):
        assert lines(known, payload) == (["1,"], [])
        assert (known.rows(payload.encode()), known.binary) == ([["1", ""]], binary)


@pytest.mark.parametrize(
    "data", ["5", "[1]", '"Q"', '"QQ="', '"QUJD="', '"===="', '"QQ=A"', '"QU-_"', '"QU \\n"', '"Q\xffUJ"']
)
def test_what_is_no_base64_is_refused(data: str) -> None:
    known = decoder(Shape(binary="data"), data={"type": "string"})

    assert is_refused(known, f'{{"data": {data}}}'.encode("latin-1"))


def test_a_picture_in_json_becomes_a_file(convert: Convert) -> None:
    data = {"type": "string", "contentEncoding": "base64"}
    schema = json.dumps({"properties": {"timestamp": TIME, "data": data, "format": {"type": "string"}}})
    channel = Channel("/camera", "json", "foxglove.CompressedImage", "jsonschema", schema)
    message = {
        "timestamp": {"sec": 1, "nsec": 2},
        "data": b64encode(b"\xff\xd8\xff picture").decode(),
        "format": "jpeg",
    }

    files = convert(mcap(sent(channel, message))).files

    (header, line) = files["camera.csv"].decode().splitlines()
    cells = dict(zip(header.split(","), line.split(","), strict=True))
    assert (cells["timestamp"], cells["format"], cells["bytes"]) == ("1000000002", "jpeg", "11")
    assert files[cells["file"]] == b"\xff\xd8\xff picture"


# what is refused


@pytest.mark.parametrize(
    "value",
    [
        "",
        "tru",
        "True",
        "nul",
        "nan",
        "-NaN",
        "Infinit",
        "+1",
        "01",
        "-01",
        "-",
        ".5",
        "1.",
        "1.e5",
        "1e",
        "1e+",
        "0x10",
        "1_000",
        "1 2",
        "'text'",
        '"open',
        '"bad \\x41"',
        '"bad \\u12"',
        '"bad \\u12g4"',
        '"bad \\ud83e\\u12"',
        '"line\nbreak"',
        '"nul\0"',
        '"tab\t"',
        "[1,]",
        "[,1]",
        "[1",
        "[1}",
        "{",
        "{]",
        '{"a"}',
        '{"a":}',
        '{"a":1,}',
        "{a:1}",
        "{1:1}",
        "1}",
        "\u00a01",
        "\ufeff1",
        "9" * 4301,
        "-" + "9" * 4301,
        nested(100_000),
    ],
)
def test_what_is_not_json_is_refused_wherever_it_stands(value: str) -> None:
    for payload in (f'{{"x":{value}}}', f'{{"x":[{value} ]}}', f'{{"x":0,"y":{value}}}', f'{{"t":{value}}}'):
        if value or "[" not in payload:  # [] is JSON
            assert is_refused(decoder(x={}, t=TIME), payload.encode())
    assert is_refused(decoder(), value.encode())


@pytest.mark.parametrize("payload", [b"{} {}", b"{},", b"{}\0", b"\xef\xbb\xbf{}", b"\xff", b" ", b'{"a": 1}}'])
def test_what_stands_around_a_message_is_refused(payload: bytes) -> None:
    assert is_refused(decoder(a={}), payload)
    assert is_refused(decoder(), payload)


def test_nesting_is_limited() -> None:
    assert row(f'{{"x": {nested(127)}}}', x={}) == [nested(127)]
    assert row(nested(128)) == [nested(128)]
    assert lines(decoder(x={}), f'{{"y": {nested(127)}}}') == ([""], [Why.MORE])
    for payload in (f'{{"x": {nested(128)}}}', f'{{"y": {nested(128)}}}', '{"x":' * 129 + "1" + "}" * 129):
        assert is_refused(decoder(x={}), payload.encode())
    assert is_refused(decoder(), nested(129).encode())


@pytest.mark.parametrize("payload", [b"[1]", b'"text"', b"null", b"5", b'{"at": 5}', b'{"at": "x"}', b'{"at": []}'])
def test_a_message_of_another_shape_is_refused(payload: bytes) -> None:
    assert is_refused(decoder(at=POINT), payload)
    with pytest.raises(DecodeError, match="object"):
        decoder(at=POINT).rows(payload)


def test_the_reason_says_what_is_wrong() -> None:
    with pytest.raises(DecodeError, match="not JSON: Expecting value: line 1 column 7"):
        decoder(a={}).rows(b'{"a": }')
    with pytest.raises(DecodeError, match="4300 digits"):
        decoder(a={}).rows(b'{"a": %s}' % (b"9" * 4301))
    with pytest.raises(DecodeError, match="more than 128"):
        decoder(a={}).rows(f'{{"a": {nested(128)}}}'.encode())


def test_more_text_than_anybody_can_use_is_refused() -> None:
    known = decoder(Shape(explode=frozenset({"list"})), a={}, list={"items": {}})
    text = "x" * (MAX_ROW // 1000)

    assert is_refused(known, json.dumps({"a": text, "list": [0] * 1001}).encode())
    assert len(agreement.rows(known, json.dumps({"a": text[:100], "list": [0] * 1001}).encode())) == 1001
    assert is_refused(known, b'{"a": "' + b"x" * MAX_ROW + b'"}')
