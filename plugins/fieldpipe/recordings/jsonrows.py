"""JSON messages -> the cells of their rows.

With a JSON Schema the columns are its properties, objects inside objects as dotted paths; lists and everything without
a fixed shape are one cell of JSON. Without one there is a single column `json`: columns are never guessed from data.
A member that the schema does not name is not lost: the row says so by `has_more`, and the caller keeps the payload.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from fieldpipe.recordings.cells import json_value, quoted
from fieldpipe.recordings.plan import MAX_COLUMNS
from fieldpipe.recordings.steps import DecodeError
from fieldpipe.recordings.typetree import MAX_DEPTH, SchemaError

COLUMN = "json"  # of a topic without a schema
_BAD_BYTE = re.compile("[\udc80-\udcff]")  # what surrogateescape makes of bytes that are not UTF-8
_TIME_MEMBERS = ({"sec", "nsec"}, {"sec", "nanosec"})


@dataclass(frozen=True, slots=True)
class _Object:
    """An object with named members: a leaf (None) is a cell, a time is one integer of nanoseconds."""

    members: dict[str, _Object | None]
    is_time: bool = False


class JsonDecoder:
    """Rows of a topic with message encoding `json`. `schema` is a JSON Schema, or empty. Raises SchemaError."""

    def __init__(self, schema: bytes = b"") -> None:
        self.escaped = 0
        self.has_more = False  # the last message had members that the schema does not name
        self._shape = _shape_of(schema) if schema.strip() else None
        self.columns = tuple(_columns(self._shape, "")) if self._shape else (COLUMN,)
        if len(self.columns) > MAX_COLUMNS:
            raise SchemaError(f"the schema makes more than {MAX_COLUMNS} columns")

    def cells(self, payload: bytes) -> list[str]:
        """One CSV cell per column; a member that is missing or null is an empty cell. Raises DecodeError."""
        self.has_more = False
        try:
            return self._cells(payload)
        except (ValueError, RecursionError) as error:  # not JSON, or numbers and nesting that nobody can print
            raise DecodeError(f"the message is not JSON: {error}") from error

    def _cells(self, payload: bytes) -> list[str]:
        message = self._parse(payload)
        if self._shape is None:
            return [quoted(json_value(message))]
        if not isinstance(message, dict):
            raise DecodeError("the message is not the object that its schema describes")
        cells: list[str] = []
        self._read(self._shape, message, cells)
        return cells

    def _parse(self, payload: bytes) -> Any:
        text = payload.decode(errors="surrogateescape")
        if not text.isascii() and _BAD_BYTE.search(text):
            self.escaped += 1
            text = _BAD_BYTE.sub(lambda bad: f"\\\\x{ord(bad[0]) - 0xDC00:02x}", text)
        return json.loads(text)

    def _read(self, shape: _Object, value: dict[str, Any], cells: list[str]) -> None:
        self.has_more |= not value.keys() <= shape.members.keys()
        for name, inner in shape.members.items():
            member = value.get(name)
            if inner is None:
                cells.append(_cell(member))
            elif inner.is_time:
                cells.append(_time(member))
            elif isinstance(member, dict):
                self._read(inner, member, cells)
            elif member is None:
                cells += [""] * len(_columns(inner, ""))
            else:
                raise DecodeError(f"the member {name!r} is not the object that its schema describes")


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return quoted(value)
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(value)
    return quoted(json_value(value))


def _time(value: Any) -> str:
    if isinstance(value, dict) and value.keys() in _TIME_MEMBERS and all(type(part) is int for part in value.values()):
        seconds, nanoseconds = value["sec"], value.get("nsec", value.get("nanosec"))
        return repr(seconds * 1_000_000_000 + nanoseconds)
    return _cell(value)


def _columns(shape: _Object, path: str) -> list[str]:
    columns: list[str] = []
    for name, inner in shape.members.items():
        inner_path = f"{path}.{name}" if path else name
        columns += [inner_path] if inner is None or inner.is_time else _columns(inner, inner_path)
    return columns


def _shape_of(schema: bytes) -> _Object:
    try:
        root = json.loads(schema)
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"the JSON schema is not JSON: {error}") from error
    shape = _Reader(root).shape(root, ("#",))
    if shape is None:
        raise SchemaError("the JSON schema does not describe an object with properties")
    return shape


class _Reader:
    def __init__(self, root: Any) -> None:
        self._root = root
        self._members = 0

    def shape(self, schema: Any, parents: tuple[str, ...]) -> _Object | None:
        """The members of an object; None for everything that is one cell. `parents` are the references on the way."""
        reference = schema.get("$ref") if isinstance(schema, dict) else None
        if isinstance(reference, str):
            return None if reference in parents else self.shape(self._target(reference), (*parents, reference))
        properties = schema.get("properties") if isinstance(schema, dict) else None
        if not isinstance(properties, dict) or not properties or len(parents) > MAX_DEPTH:
            return None
        self._members += len(properties)
        if self._members > MAX_COLUMNS:
            raise SchemaError(f"the schema makes more than {MAX_COLUMNS} columns")
        if len(parents) > 1 and properties.keys() in _TIME_MEMBERS:
            return _Object({}, is_time=True)
        return _Object({name: self.shape(inner, (*parents, "")) for name, inner in properties.items()})

    def _target(self, reference: str) -> Any:
        """What a `$ref` inside the document points at; None if it points anywhere else."""
        if not reference.startswith("#"):
            return None
        found = self._root
        for part in reference[1:].split("/")[1:]:
            found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
        return found
