"""The readable executor of JSON plans: a message -> the cells of its rows.

JSON is what RFC 8259 says, and what Python's json reads besides: NaN, Infinity, -Infinity. Numbers and texts are
written as in other tables (cells.py); halves of surrogate pairs appear as `\\udXXX`. The plan's names decide where a
member goes; what it does not name, and all but the last of members with one name, is told by `has_more`, so that the
caller can keep the payload. Inside a cell of JSON everything stands as it came, in compact form.
"""

from __future__ import annotations

import json
import re
from binascii import a2b_base64
from collections.abc import Callable
from itertools import chain
from typing import Any

from fieldpipe.recordings.cells import defused, json_string, quoted
from fieldpipe.recordings.executor import MAX_ROW, DecodeError
from fieldpipe.recordings.jsonplan import TIMES, plain
from fieldpipe.recordings.plan import Instruction, Op, Plan
from fieldpipe.recordings.rows import Exploded, check_count, rows_of
from fieldpipe.recordings.typetree import Kind

MAX_NESTING = 128  # of arrays and objects
MAX_SECONDS = 9_223_372_035  # either way: with less than a second of nanoseconds an int64 holds the time
SECOND = 1_000_000_000  # nanoseconds

_BAD_BYTE = re.compile("[\udc80-\udcff]")  # what surrogateescape makes of bytes that are not UTF-8
_NUMBERS = (int, float)  # bool is a class below int
_WORDS = {None: "null", True: "true", False: "false"}
_BASE64 = re.compile("(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


class Members(list[tuple[str, Any]]):
    """An object: its members in their order, also those whose name comes again."""


Cells = list[Any]  # texts; where the cells of an exploded list belong there is a list of its elements' cells
Read = Callable[[Any], Cells]
"""Makes the cells of a member's value; None stands for one that is missing too."""


class JsonDecoder:
    """Runs a plan; see executor.Decoder."""

    def __init__(self, plan: Plan, *, formula_safe: bool = False) -> None:
        self.plan = plan
        self.formula_safe = formula_safe
        self.escaped = 0
        self.has_more = False
        self.binary = b""
        self._read = self._whole if plan.program[0].op is Op.JSON else self._object(plan.program[0])

    def rows(self, payload: bytes) -> list[list[str]]:
        """The cells of a message; what is missing or null is an empty cell. Raises DecodeError."""
        self.has_more, self.binary = False, b""
        message, is_valid = _parse(payload)
        if self.plan.program[0].op is Op.FIELDS and not isinstance(message, Members):
            raise DecodeError("the message is not the object that its schema describes")
        rows = _rows(self._read(message))
        self.escaped += not is_valid
        return rows

    def _whole(self, value: Any) -> Cells:
        return [_written(_json(value))]

    def _object(self, fields: Instruction) -> Read:
        readers = {field.text: self._member(field) for field in fields.body}

        def read(value: Any) -> Cells:
            if value is not None and not isinstance(value, Members):
                raise DecodeError("a member is not the object that its schema describes")
            made: dict[str, Cells] = {}
            for given, inner in value or ():
                name = plain(given)
                if name in made or name not in readers:
                    self.has_more = True
                if name in readers:
                    made[name] = readers[name](inner)
            return [*chain.from_iterable(made.get(name) or reader(None) for name, reader in readers.items())]

        return read

    def _member(self, field: Instruction) -> Read:
        if not field.body:
            return self._time if field.kind is Kind.TIME else self._leaf
        match field.body[0].op:
            case Op.FIELDS:
                return self._object(field.body[0])
            case Op.ROWS:
                return self._list(field.body[0])
            case _:
                return self._base64

    def _list(self, rows: Instruction) -> Read:
        element = self._object(rows.body[0]) if rows.body else self._leaf

        def read(value: Any) -> Cells:
            if value is not None and (not isinstance(value, list) or isinstance(value, Members)):
                raise DecodeError("a member is not the list that its schema describes")
            elements: list[Cells] = []
            for inner in value or [None]:
                elements.append(element(inner))
                check_count(elements)
                if len(elements) * rows.cells > MAX_ROW:
                    raise DecodeError(f"the rows of the message have more than {MAX_ROW} cells")
            return [elements]

        return read

    def _leaf(self, value: Any) -> Cells:
        if type(value) in _NUMBERS:
            return [repr(value)]
        if isinstance(value, str):
            return [_written(defused(value) if self.formula_safe else value)]
        return [_written(_json(value)) if value is not None else ""]

    def _time(self, value: Any) -> Cells:
        if isinstance(value, Members) and len(value) == 2 and (members := dict(value)).keys() in TIMES:
            seconds, rest = members.pop("sec"), members.popitem()[1]
            if type(seconds) is type(rest) is int and abs(seconds) <= MAX_SECONDS and abs(rest) < SECOND:
                return [repr(seconds * SECOND + rest)]
        return self._leaf(value)

    def _base64(self, value: Any) -> Cells:
        text = "" if value is None else value
        if not isinstance(text, str) or not _BASE64.fullmatch(text):
            raise DecodeError("a member is not the base64 (RFC 4648) that its schema describes")
        self.binary = a2b_base64(text)
        return [""]


def _rows(cells: Cells) -> list[list[str]]:
    for at, cell in enumerate(cells):
        if isinstance(cell, list):
            return rows_of([*cells[:at], *cells[at + 1 :]], Exploded(at, cell))
    return rows_of(cells)


def _parse(payload: bytes) -> tuple[Any, bool]:
    """The message, and whether it was UTF-8; bytes that are not are escaped."""
    text = payload.decode(errors="surrogateescape")
    is_valid = text.isascii() or not _BAD_BYTE.search(text)
    if not is_valid:
        text = _BAD_BYTE.sub(lambda bad: f"\\\\x{ord(bad[0]) - 0xDC00:02x}", text)
    try:
        message = json.loads(text, object_pairs_hook=Members)
        if text.count("[") + text.count("{") > MAX_NESTING:
            _check_nesting(message, 0)
    except (ValueError, RecursionError) as error:  # not JSON, or numbers and nesting that nobody can print
        raise DecodeError(f"the message is not JSON: {error}") from error
    return message, is_valid


def _check_nesting(value: Any, outside: int) -> None:
    if isinstance(value, list):
        if outside == MAX_NESTING:
            raise ValueError(f"more than {MAX_NESTING} arrays and objects inside one another")
        for inner in value:
            _check_nesting(inner[1] if isinstance(value, Members) else inner, outside + 1)


def _json(value: Any) -> str:
    if isinstance(value, Members):
        return "{" + ",".join(f"{json_string(name)}:{_json(inner)}" for name, inner in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_json, value)) + "]"
    if isinstance(value, str):
        return json_string(value)
    if type(value) in _NUMBERS:
        text = repr(value)
        return f'"{text}"' if text.endswith(("nan", "inf")) else text
    return _WORDS[value]


def _written(text: str) -> str:
    return quoted(plain(text))
