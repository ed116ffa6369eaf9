"""The readable executor of protobuf plans: a message -> the cells of its rows.

First the fields are found, in whatever order they come: of a single value the last one counts, pieces of a message add
up, a list gathers all (packed or not), of a oneof the last member stays. Then cells are written in the plan's order.
A field that the plan does not know, or in another form, is told by `has_more`, so that the caller can keep the payload.
"""

from __future__ import annotations

from binascii import b2a_base64

from fieldpipe.recordings.cells import defused, float32_text, json_floats, json_string, quoted
from fieldpipe.recordings.executor import MAX_ROW, DecodeError
from fieldpipe.recordings.plan import Instruction, Op, Plan
from fieldpipe.recordings.protovalues import Value, adds_up, contents, elements, fits, integer, last, real, signed
from fieldpipe.recordings.protowire import WireType, occurrences
from fieldpipe.recordings.rows import check_count
from fieldpipe.recordings.typetree import Kind

MAX_PIECES = 1024 * 1024  # that fields of a payload come in, when they come more than once with others between

_SECOND = 1_000_000_000  # nanoseconds


class ProtobufDecoder:
    """Runs a plan; see executor.Decoder."""

    def __init__(self, plan: Plan, *, formula_safe: bool = False) -> None:
        self.plan = plan
        self.formula_safe = formula_safe
        self.escaped = 0
        self.has_more = False
        self.binary = b""

    def rows(self, payload: bytes) -> list[list[str]]:
        """The cells of a message. Raises DecodeError."""
        run = _Run(formula_safe=self.formula_safe)
        rows = run.rows(self.plan.program[0], payload)
        self.escaped += run.escaped
        self.has_more, self.binary = run.has_more, run.binary
        return rows


class _Run:
    """What is known while one payload is read."""

    def __init__(self, *, formula_safe: bool) -> None:
        self.escaped = 0
        self.has_more = False
        self.binary = b""
        self._formula_safe = formula_safe
        self._pieces = 0
        self._size = 0
        self._cells: list[str] = []
        self._exploded: tuple[int, list[list[str]]] | None = None

    def rows(self, fields: Instruction, payload: bytes) -> list[list[str]]:
        self._fields(fields, [payload], 0)
        if self._exploded is None:
            return [self._cells]
        at, elements = self._exploded
        before, behind = self._cells[:at], self._cells[at:]
        check_count(elements)
        self._bounded(len(elements) * sum(map(len, self._cells)))
        return [[*before, *element, *behind] for element in elements]

    # the top level

    def _fields(self, fields: Instruction, message: list[bytes], depth: int) -> None:
        found = self._found(fields, message, depth)
        for field in fields.body:
            self._field(field, found.get(field.number, []), depth)

    def _field(self, field: Instruction, found: Value, depth: int) -> None:
        if field.body and field.body[0].op is Op.ROWS:
            self._rows(field, found, depth)
        elif field.count is None:
            self._cells.append(quoted(self._list(field, found, (), depth)))
        elif field.optional and not found:
            self._cells += [""] * field.cells
        else:
            self._value(field, field.body, found, depth)

    def _rows(self, field: Instruction, found: Value, depth: int) -> None:
        """Every element gets cells of its own."""
        at, before = len(self._cells), self._cells
        rows: list[list[str]] = []
        for element in elements(field, found):
            self._cells = []
            self._value(field, field.body[0].body, [element], depth)
            rows.append(self._cells)
        self._cells = before
        self._exploded = at, rows or [[""] * field.cells]

    def _value(self, field: Instruction, body: tuple[Instruction, ...], value: Value, depth: int) -> None:
        match body:
            case (Instruction(op=Op.FIELDS),):
                self._fields(body[0], contents(value), depth + 1)
            case (Instruction(op=Op.JSON),):
                self._cells.append(quoted(self._object(body[0].body[0], contents(value), (), depth + 1)))
            case (Instruction(op=Op.BYTES),):
                self.binary = last(value).content
                self._cells.append("")
            case _ if field.kind is Kind.STRING:
                text = self._string(last(value).content)
                self._cells.append(quoted(defused(text) if self._formula_safe else text))
            case _:
                self._cells.append(quoted(self._scalar(field, body, value, depth)))

    # inside JSON: `around` are the messages in which a value is, the innermost last

    def _list(self, field: Instruction, found: Value, around: tuple[Instruction, ...], depth: int) -> str:
        return "[" + ",".join(self._json(field, [element], around, depth) for element in elements(field, found)) + "]"

    def _json(self, field: Instruction, value: Value, around: tuple[Instruction, ...], depth: int) -> str:
        match field.body:
            case (Instruction(op=Op.FIELDS),):
                return self._object(field.body[0], contents(value), around, depth + 1)
            case (Instruction(op=Op.AGAIN, count=int(further)),):
                end = len(around) - further
                return self._object(around[end - 1], contents(value), around[: end - 1], depth + 1)
            case (Instruction(op=Op.BASE64),):
                return f'"{self._scalar(field, field.body, value, depth)}"'
        if field.kind is Kind.STRING:
            return json_string(self._string(last(value).content))
        text = self._scalar(field, field.body, value, depth)
        return json_floats([text]) if field.kind in (Kind.FLOAT32, Kind.FLOAT64) else text

    def _object(self, fields: Instruction, message: list[bytes], around: tuple[Instruction, ...], depth: int) -> str:
        found = self._found(fields, message, depth)
        members = (
            f'"{field.text}":{self._member(field, found.get(field.number, []), (*around, fields), depth)}'
            for field in fields.body
        )
        return "{" + ",".join(members) + "}"

    def _member(self, field: Instruction, found: Value, around: tuple[Instruction, ...], depth: int) -> str:
        self._bounded(len(field.text))
        if field.count is None:
            return self._list(field, found, around, depth)
        return "null" if field.optional and not found else self._json(field, found, around, depth)

    # everywhere

    def _found(self, fields: Instruction, message: list[bytes], depth: int) -> dict[int, Value]:
        """The fields of a message that may stand in several pieces."""
        known = {field.number: field for field in fields.body}
        found: dict[int, Value] = {}
        chosen: dict[int, int] = {}  # by oneof: the number of its last member
        for piece in message:
            before = 0
            for occurrence in occurrences(piece, depth):
                field = known.get(occurrence.number)
                if field is None or not fits(field, occurrence.wire_type):
                    self.has_more = True
                    before = 0
                    continue
                if field.oneof:
                    if chosen.get(field.oneof) != field.number:
                        found.pop(chosen.get(field.oneof, 0), None)
                    chosen[field.oneof] = field.number
                if field.number in found and field.number != before and adds_up(field):
                    self._count_piece()
                found.setdefault(field.number, []).append(occurrence)
                before = field.number
        return found

    def _scalar(self, field: Instruction, body: tuple[Instruction, ...], value: Value, depth: int) -> str:
        text = self._text(field, body, value, depth)
        self._bounded(len(text))
        return text

    def _text(self, field: Instruction, body: tuple[Instruction, ...], value: Value, depth: int) -> str:
        final = last(value)
        match field.kind:
            case Kind.TIME:
                return str(self._time(contents(value), depth + 1))
            case Kind.BYTES:
                if body:
                    return b2a_base64(final.content, newline=False).decode()
                return "[" + ",".join(map(str, final.content)) + "]"
            case Kind.BOOL:
                return "true" if final.bits else "false"
            case Kind.FLOAT32:
                return float32_text(real("<f", final.bits))
            case Kind.FLOAT64:
                return repr(real("<d", final.bits))
        return str(integer(field, final.bits))

    def _string(self, content: bytes) -> str:
        self._bounded(len(content))
        try:
            return content.decode()
        except UnicodeDecodeError:
            self.escaped += 1
            return content.decode(errors="backslashreplace")

    def _time(self, message: list[bytes], depth: int) -> int:
        """google.protobuf.Timestamp or Duration: int64 seconds = 1, int32 nanos = 2."""
        parts = {1: 0, 2: 0}
        for piece in message:
            for occurrence in occurrences(piece, depth):
                if occurrence.number in parts and occurrence.wire_type is WireType.VARINT:
                    parts[occurrence.number] = occurrence.bits
                else:
                    self.has_more = True
        return signed(parts[1], 64) * _SECOND + signed(parts[2], 32)

    def _count_piece(self) -> None:
        self._pieces += 1
        if self._pieces > MAX_PIECES:
            raise DecodeError(f"fields in more than {MAX_PIECES} pieces")

    def _bounded(self, size: int) -> None:
        self._size += size
        if self._size > MAX_ROW:
            raise DecodeError(f"the message makes more than {MAX_ROW} bytes of text")
