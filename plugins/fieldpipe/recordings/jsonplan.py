"""A JSON Schema (json-schema.org, any draft) -> the plan of its topic's table.

The columns are the schema's properties, objects inside objects as dotted paths; lists and everything without named
members are one cell of JSON. A topic without a schema, or with one that names no members, has the single column `json`:
columns are never guessed from data. An object of `sec` and `nsec` (or `nanosec`) is a time.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

from fieldpipe.recordings.plan import MAX_COLUMNS, PLAIN, Instruction, Op, Plan, Shape, Wire
from fieldpipe.recordings.typetree import MAX_DEPTH, Kind, SchemaError

COLUMN = "json"
TIMES = (frozenset({"sec", "nsec"}), frozenset({"sec", "nanosec"}))

_WHOLE = Plan((COLUMN,), (Instruction(Op.JSON),), Wire.JSON)


def compile_json(schema: bytes = b"", shape: Shape = PLAIN) -> Plan:
    """The plan of messages that `schema` describes; an empty one describes nothing.

    Raises SchemaError for what is no JSON Schema, and for more columns than anybody can use.
    """
    if not schema.strip():
        return _WHOLE
    try:
        root = json.loads(schema)
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"the JSON schema is not JSON: {error}") from error
    if not isinstance(root, dict | bool):
        raise SchemaError("a JSON schema is an object")
    compiler = _Compiler(root, shape)
    fields = compiler.fields(root)
    return Plan(tuple(compiler.columns), (fields,), Wire.JSON) if fields else _WHOLE


def plain(name: str) -> str:
    """A member's name as it can be written: UTF-16 has half characters, which UTF-8 has not."""
    return name if name.isascii() else name.encode(errors="backslashreplace").decode()


class _Compiler:
    def __init__(self, root: Any, shape: Shape) -> None:
        self.columns: list[str] = []
        self._root = root
        self._shape = shape
        self._exploded = False
        self._objects = 0

    def fields(self, root: Any) -> Instruction | None:
        """What reads the members of the message; None if the schema names none."""
        resolved, parents = self._resolved(root, ("#",))
        return self._fields(resolved, "", parents)

    def _fields(self, schema: Any, path: str, parents: tuple[str, ...]) -> Instruction | None:
        properties = schema.get("properties") if isinstance(schema, dict) else None
        if not isinstance(properties, dict) or not properties or len(parents) > MAX_DEPTH:
            return None
        self._objects += 1
        if self._objects > MAX_COLUMNS:
            raise SchemaError(f"the schema has more than {MAX_COLUMNS} objects")
        before = len(self.columns)
        named = {plain(name): inner for name, inner in properties.items()}
        body = tuple(self._field(name, inner, path, parents) for name, inner in named.items())
        return Instruction(Op.FIELDS, body=body, cells=len(self.columns) - before)

    def _field(self, name: str, schema: Any, path: str, parents: tuple[str, ...]) -> Instruction:
        path = f"{path}.{name}" if path else name
        schema, parents = self._resolved(schema, (*parents, ""))
        if _is_time(schema):
            return self._leaf(name, path, kind=Kind.TIME)
        if inner := self._fields(schema, path, parents):
            return Instruction(Op.FIELD, text=name, body=(inner,), cells=inner.cells)
        if path in self._shape.explode and not self._exploded and isinstance(schema, dict) and "items" in schema:
            return self._rows(name, schema["items"], path, parents)
        is_file = path == self._shape.binary and _is_text(schema)
        return self._leaf(name, path, body=(Instruction(Op.BYTES),) if is_file else ())

    def _rows(self, name: str, items: Any, path: str, parents: tuple[str, ...]) -> Instruction:
        """A list whose elements become rows; a list inside an element stays a cell."""
        self._exploded = True
        items, parents = self._resolved(items, (*parents, ""))
        inner = self._fields(items, path, parents)
        if inner is None:
            self._add(path)
        cells = inner.cells if inner else 1
        rows = Instruction(Op.ROWS, count=None, body=(inner,) if inner else (), cells=cells)
        return Instruction(Op.FIELD, text=name, body=(rows,), cells=cells)

    def _leaf(self, name: str, path: str, kind: Kind | None = None, body: tuple[Instruction, ...] = ()) -> Instruction:
        self._add(path)
        return Instruction(Op.FIELD, text=name, kind=kind, body=body)

    def _add(self, column: str) -> None:
        self.columns.append(column)
        if len(self.columns) > MAX_COLUMNS:
            raise SchemaError(f"the schema makes more than {MAX_COLUMNS} columns")

    def _resolved(self, schema: Any, parents: tuple[str, ...]) -> tuple[Any, tuple[str, ...]]:
        """What the schema says once references are followed; `parents` are those on the way, None ends a circle."""
        while isinstance(schema, dict):
            reference = schema.get("$ref")
            if isinstance(reference, str):
                if reference in parents or len(parents) > MAX_DEPTH:
                    return None, parents
                schema, parents = self._target(reference), (*parents, reference)
            elif (only := _only(schema)) is not None:
                schema = only
            else:
                break
        return schema, parents

    def _target(self, reference: str) -> Any:
        """What a `$ref` inside the document points at; None if it points anywhere else."""
        if reference != "#" and not reference.startswith("#/"):
            return None
        found = self._root
        for part in unquote(reference).split("/")[1:]:
            found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
        return found


def _only(schema: dict[str, Any]) -> Any:
    """The schema that this one wraps, as generators do for what may be null (`anyOf`) or has a default (`allOf`)."""
    for word in ("allOf", "anyOf", "oneOf"):
        choices = schema.get(word)
        if isinstance(choices, list) and "properties" not in schema:
            choices = [choice for choice in choices if choice != {"type": "null"}]
            return choices[0] if len(choices) == 1 else None
    return None


def _is_time(schema: Any) -> bool:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    return isinstance(properties, dict) and properties.keys() in TIMES


def _is_text(schema: Any) -> bool:
    types = schema.get("type") if isinstance(schema, dict) else None
    return types == "string" or (isinstance(types, list) and "string" in types)
