"""JSON Schemas into plans: which columns a topic's table has."""

import json
from typing import Any

import pytest

from fieldpipe.recordings.jsonplan import compile_json
from fieldpipe.recordings.plan import MAX_COLUMNS, Instruction, Op, Shape, Wire
from fieldpipe.recordings.typetree import Kind, SchemaError

POINT = {"type": "object", "properties": {"x": {"type": "number"}, "y": {"type": "number"}}}
TIME = {"type": "object", "properties": {"sec": {"type": "integer"}, "nsec": {"type": "integer"}}}


def columns(schema: Any, shape: Shape | None = None) -> tuple[str, ...]:
    return compile_json(json.dumps(schema).encode(), shape or Shape()).columns


def test_objects_inside_objects_are_dotted_paths_and_everything_else_is_a_cell() -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "at": POINT,
            "list": {"type": "array", "items": POINT},
            "free": {"type": "object"},
            "anything": True,
        },
    }

    assert columns(schema) == ("name", "at.x", "at.y", "list", "free", "anything")


def test_the_plan_finds_members_by_name() -> None:
    plan = compile_json(json.dumps({"properties": {"at": POINT, "stamp": TIME}}).encode())

    point = Instruction(Op.FIELDS, body=(Instruction(Op.FIELD, text="x"), Instruction(Op.FIELD, text="y")), cells=2)
    at = Instruction(Op.FIELD, text="at", body=(point,), cells=2)
    stamp = Instruction(Op.FIELD, text="stamp", kind=Kind.TIME)
    assert plan.wire is Wire.JSON
    assert plan.program == (Instruction(Op.FIELDS, body=(at, stamp), cells=3),)


@pytest.mark.parametrize("schema", [b"", b" \n", b"{}", b"true", b'{"type": "object"}', b'{"properties": {}}'])
def test_without_named_members_there_is_one_column(schema: bytes) -> None:
    plan = compile_json(schema)

    assert (plan.columns, plan.program) == (("json",), (Instruction(Op.JSON),))


@pytest.mark.parametrize("schema", [b"{", b"[]", b"5", b'"text"', b"\xff", b"[" * 100_000])
def test_what_is_no_schema_is_refused(schema: bytes) -> None:
    with pytest.raises(SchemaError, match="schema"):
        compile_json(schema)


def test_references_inside_the_schema_are_followed() -> None:
    definitions = {"point": POINT, "a/b~c d": POINT}
    properties = {"p": {"$ref": "#/$defs/point"}, "q": {"$ref": "#/$defs/a~1b~0c%20d"}}

    assert columns({"properties": properties, "$defs": definitions}) == ("p.x", "p.y", "q.x", "q.y")
    assert columns({"$ref": "#/$defs/point", "$defs": definitions}) == ("x", "y")


@pytest.mark.parametrize("reference", ["elsewhere.json", "#anchor", "#/$defs/missing", "#/title/x", ""])
def test_a_reference_to_anywhere_else_is_a_cell(reference: str) -> None:
    assert columns({"title": "Thing", "properties": {"p": {"$ref": reference}}}) == ("p",)


@pytest.mark.parametrize("word", ["allOf", "anyOf", "oneOf"])
def test_a_schema_wrapped_for_null_or_a_default_is_found(word: str) -> None:
    wrapped = {word: [{"type": "null"}, POINT], "default": None}
    choice = {word: [POINT, {"type": "string"}]}

    assert columns({"properties": {"p": wrapped, "q": choice}}) == ("p.x", "p.y", "q")


def test_a_schema_that_contains_itself_ends_in_a_cell() -> None:
    assert columns({"properties": {"value": {}, "next": {"$ref": "#"}}}) == ("value", "next")
    assert columns({"$ref": "#"}) == ("json",)


def test_a_time_is_one_column_but_a_message_of_seconds_has_its_own() -> None:
    nanosec = {"properties": {"nanosec": {}, "sec": {}}}

    assert columns({"properties": {"stamp": TIME, "other": nanosec}}) == ("stamp", "other")
    assert columns(TIME) == ("sec", "nsec")
    assert columns({"properties": {"stamp": {"properties": {"sec": {}, "nsec": {}, "zone": {}}}}}) == (
        "stamp.sec",
        "stamp.nsec",
        "stamp.zone",
    )


def test_the_first_exploded_list_gives_the_columns_of_its_elements() -> None:
    lists = {"points": {"items": POINT}, "numbers": {"items": {"type": "number"}}, "loose": {"type": "array"}}
    schema = {"properties": {"a": {}, **lists}}

    assert columns(schema, Shape(explode=frozenset({"points", "numbers"}))) == (
        "a",
        "points.x",
        "points.y",
        "numbers",
        "loose",
    )
    assert columns(schema, Shape(explode=frozenset({"loose"}))) == ("a", "points", "numbers", "loose")


def test_only_a_text_can_go_to_files() -> None:
    schema = {"properties": {"data": {"type": ["string", "null"]}, "list": {"type": "array"}}}

    def operations(path: str) -> list[Op]:
        plan = compile_json(json.dumps(schema).encode(), Shape(binary=path))
        return [inner.op for field in plan.program[0].body for inner in field.body]

    assert operations("data") == [Op.BYTES]
    assert operations("list") == []


def test_half_characters_in_names_are_escaped() -> None:
    assert columns({"properties": {"a\ud800": {}, "日本": {}}}) == ("a\\ud800", "日本")


def test_objects_deeper_than_anybody_nests_are_a_cell() -> None:
    schema: dict[str, Any] = POINT
    for _ in range(40):
        schema = {"properties": {"a": schema}}

    assert columns(schema) == (".".join("a" * 32),)


def test_more_columns_than_anybody_can_use_are_refused() -> None:
    widest: dict[str, Any] = {f"m{index}": {} for index in range(MAX_COLUMNS)}
    doubling = {
        str(level): {"properties": {name: {"$ref": f"#/$defs/{level + 1}"} for name in "ab"}} for level in range(15)
    }

    assert len(columns({"properties": widest})) == MAX_COLUMNS
    for schema in ({"properties": widest | {"one more": {}}}, {"$ref": "#/$defs/0", "$defs": doubling}):
        with pytest.raises(SchemaError, match="more than"):
            columns(schema)
