"""JSON of every kind, made by hypothesis: both executors against each other, `json`, and an expectation of our own."""

from __future__ import annotations

import csv
import io
import json
import math
import random
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fieldpipe.recordings.executor import Why
from fieldpipe.recordings.jsonplan import compile_json
from fieldpipe.recordings.jsonrows import JsonDecoder
from fieldpipe.recordings.plan import Shape
from tests.unit.recordings import agreement

many = settings(max_examples=150, suppress_health_check=list(HealthCheck))

NAMES = ("a", "b", "c", "longer name", "12345678", "é", 'q"', "b\\", "\n", "")
FORMULAS = ("=", "+", "-", "@", "\t", "\r")
TIMES = ({"sec", "nsec"}, {"sec", "nanosec"})

texts = st.text(max_size=12) | st.text(st.sampled_from('",\\\n\r\t/=+-@ab\x00\x7fé日🤖\ud83e\udd16'), max_size=8)
integers = st.integers() | st.integers(-(2**70), 2**70) | st.integers(0, 10**40)
floats = st.floats() | st.decimals(-1000, 1000, places=3).map(float)
scalars = st.none() | st.booleans() | integers | floats | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
times = st.sampled_from(TIMES).map(lambda names: {"properties": {name: {} for name in sorted(names)}})
parts = st.integers(-(10**9) - 1, 10**9 + 1) | st.sampled_from([9223372035, -9223372035, 9223372036]) | scalars
schemas = st.recursive(
    st.just({}) | times,
    lambda inner: st.dictionaries(st.sampled_from(NAMES), inner, min_size=1, max_size=5).map(
        lambda properties: {"properties": properties}
    ),
    max_leaves=12,
).filter(lambda schema: schema and set(schema["properties"]) not in TIMES)


@dataclass(frozen=True)
class Object:
    """An object whose members stand in this order; a name may come twice."""

    members: tuple[tuple[str, Any], ...]


@st.composite
def messages(draw: st.DrawFn, schema: dict[str, Any]) -> Any:
    """A message that the schema describes, more or less: members are missing, come twice, or stand in any order."""
    properties = schema.get("properties")
    if properties is None:
        return draw(values)
    if draw(st.integers(0, 9)) == 0:
        return None
    if set(properties) in TIMES:
        return Object(tuple((name, draw(parts)) for name in properties)) if draw(st.booleans()) else draw(values)
    names = list(properties)
    if draw(st.booleans()):
        names = draw(st.permutations(names))[draw(st.integers(0, 1)) :]
    if draw(st.integers(0, 4)) == 0:
        names += draw(st.lists(st.sampled_from(NAMES), max_size=2))
    return Object(tuple((name, draw(messages(properties.get(name, {})))) for name in names))


@st.composite
def schemas_and_messages(draw: st.DrawFn) -> tuple[dict[str, Any], Any]:
    schema = draw(schemas)
    return schema, draw(messages(schema).filter(lambda message: message is not None))


@given(schemas_and_messages(), st.booleans(), st.randoms(use_true_random=False))
@many
def test_rows_are_what_the_schema_and_the_message_say(
    given: tuple[dict[str, Any], Object], formula_safe: bool, chance: random.Random
) -> None:
    schema, message = given
    decoder = JsonDecoder(compile_json(json.dumps(schema).encode()), formula_safe=formula_safe)
    payload = written(message, chance).encode()

    text, escaped, left = agreement.converted(decoder, [payload])

    (row,) = csv.reader(io.StringIO(text.decode(), newline=""), strict=True)
    assert row[3:] == cells(schema, message, formula_safe)
    assert (escaped, [each.why for each in left]) == (0, [Why.MORE] if has_more(schema, message) else [])


@given(values, st.randoms(use_true_random=False))
@many
def test_a_cell_of_json_reads_back_as_the_same_value(value: Any, chance: random.Random) -> None:
    (row,) = agreement.rows(JsonDecoder(compile_json()), written(value, chance).encode())

    assert json.loads(row[0]) == whole(finite(value))
    assert row[0] == compact(value)


@given(
    schemas_and_messages(),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 2), st.binary(max_size=3)), min_size=1, max_size=3),
    st.randoms(use_true_random=False),
)
@many
def test_damaged_messages_are_refused_where_python_refuses_them(
    given: tuple[dict[str, Any], Object], damages: list[tuple[float, int, bytes]], chance: random.Random
) -> None:
    schema, message = given
    payload = written(message, chance).encode()
    for place, cut, inserted in damages:
        at = int(place * len(payload))
        payload = payload[:at] + inserted + payload[at + cut :]

    for known in (schema, {}):
        text, _, left = agreement.converted(JsonDecoder(compile_json(json.dumps(known).encode())), [payload])
        refused = [each.why for each in left] == [Why.UNDECODABLE]
        assert refused is (text == b"") is not accepted(known, payload)


@given(schemas_and_messages(), st.randoms(use_true_random=False))
@settings(many, max_examples=50)
def test_truncated_messages_are_refused(given: tuple[dict[str, Any], Object], chance: random.Random) -> None:
    schema, message = given
    payload = written(message, chance).strip().encode()

    truncated = [payload[:end] for end in range(len(payload))]

    text, escaped, left = agreement.converted(JsonDecoder(compile_json(json.dumps(schema).encode())), truncated)

    assert (text, escaped) == (b"", 0)
    assert [each.why for each in left] == [Why.UNDECODABLE] * len(truncated)


@given(
    st.lists(values, max_size=4),
    values,
    values,
    st.permutations(["a", "list", "b"]),
    st.randoms(use_true_random=False),
)
@many
def test_exploded_lists_repeat_what_stands_beside_them(
    elements: list[Any], before: Any, behind: Any, order: list[str], chance: random.Random
) -> None:
    schema = {"properties": {"a": {}, "list": {"items": {}}, "b": {}}}
    decoder = JsonDecoder(compile_json(json.dumps(schema).encode(), Shape(explode=frozenset({"list"}))))
    members = {"a": before, "list": elements, "b": behind}
    payload = written(Object(tuple((name, members[name]) for name in order)), chance).encode()

    assert agreement.rows(decoder, payload) == [
        [cell(before, False), cell(element, False), cell(behind, False)] for element in elements or [None]
    ]


# what is expected, written without looking at the decoder


def cells(schema: dict[str, Any], value: Any, formula_safe: bool) -> list[str]:
    properties = schema.get("properties")
    if properties is None:
        return [cell(value, formula_safe)]
    if set(properties) in TIMES:
        return [time(value, formula_safe)]
    members = dict(value.members) if value is not None else {}
    return [text for name in properties for text in cells(properties[name], members.get(name), formula_safe)]


def cell(value: Any, formula_safe: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        text = shown(value)
        return f"'{text}" if formula_safe and text.startswith(FORMULAS) else text
    return repr(value) if isinstance(value, float) else compact(value)


def time(value: Any, formula_safe: bool) -> str:
    if isinstance(value, Object):
        members = dict(value.members)
        rest = next(part for name, part in members.items() if name != "sec")
        are_integers = all(isinstance(part, int) and not isinstance(part, bool) for part in members.values())
        if are_integers and abs(members["sec"]) <= 9223372035 and abs(rest) <= 999_999_999:
            return str(members["sec"] * 10**9 + rest)
    return cell(value, formula_safe)


def has_more(schema: dict[str, Any], value: Any) -> bool:
    properties = schema.get("properties")
    if properties is None or set(properties) in TIMES or value is None:
        return False
    names = [name for name, _ in value.members]
    return len(set(names)) < len(names) or any(
        name not in properties or has_more(properties[name], inner) for name, inner in value.members
    )


def compact(value: Any) -> str:
    return shown(json.dumps(finite(value), ensure_ascii=False, separators=(",", ":")))


def finite(value: Any) -> Any:
    if isinstance(value, Object):
        return {name: finite(inner) for name, inner in value.members}
    if isinstance(value, dict):
        return {name: finite(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [finite(inner) for inner in value]
    return repr(value) if isinstance(value, float) and not math.isfinite(value) else value


def whole(value: Any) -> Any:
    """With the halves of pairs put together, as everybody who reads JSON does."""
    return json.loads(json.dumps(value))


def shown(text: str) -> str:
    """As UTF-8 can hold it."""
    return whole(text).encode(errors="backslashreplace").decode()


def accepted(schema: dict[str, Any], payload: bytes) -> bool:
    text = payload.decode(errors="surrogateescape")  # any byte may stand in a string
    try:
        return has_shape(schema, json.loads(text, object_pairs_hook=lambda pairs: Object(tuple(pairs))), is_root=True)
    except ValueError:
        return False


def has_shape(schema: dict[str, Any], value: Any, *, is_root: bool = False) -> bool:
    properties = schema.get("properties")
    if properties is None or set(properties) in TIMES or (value is None and not is_root):
        return True
    return isinstance(value, Object) and all(
        has_shape(properties.get(name, {}), inner) for name, inner in value.members
    )


# messages as text, in many ways


def written(value: Any, chance: random.Random) -> str:
    def space() -> str:
        return chance.choice(("", "", " ", "\n\t", "\r"))

    def joined(open_: str, inner: list[str], close: str) -> str:
        return open_ + space() + f"{space()},{space()}".join(inner) + space() + close

    if isinstance(value, Object | dict):
        members = value.members if isinstance(value, Object) else value.items()
        pairs = [f"{string(name, chance)}{space()}:{space()}{written(inner, chance)}" for name, inner in members]
        return space() + joined("{", pairs, "}") + space()
    if isinstance(value, list):
        return joined("[", [written(inner, chance) for inner in value], "]")
    if isinstance(value, str):
        return string(value, chance)
    return number(value, chance) if isinstance(value, float) else json.dumps(value)


def string(text: str, chance: random.Random) -> str:
    return '"' + "".join(character(one, chance) for one in text) + '"'


def character(one: str, chance: random.Random) -> str:
    if chance.random() < 0.1 and one < "\U00010000":
        return chance.choice((f"\\u{ord(one):04x}", f"\\u{ord(one):04X}"))
    if one == "/":
        return chance.choice(("/", "\\/"))
    is_half = "\ud800" <= one <= "\udfff"
    return json.dumps(one, ensure_ascii=is_half)[1:-1]


def number(value: float, chance: random.Random) -> str:
    if not math.isfinite(value):
        return json.dumps(value)
    exact = format(Decimal(value), "f")  # every digit; "1" would be an integer
    forms = [repr(value), f"{value:.17e}", f"{value:.16E}", exact if "." in exact else exact + ".0"]
    return chance.choice(forms)
