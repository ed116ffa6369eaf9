"""A type compiled into a plan: the columns of its table and the instructions that fill them.

A plan is made once per schema and run once per message by an executor: `decode.py` and its neighbours are the readable
one, `native/` the compiled one. In wire formats without names (CDR, ROS 1) instructions run in the order of the
payload; in those with (protobuf, JSON) FIELDS finds each FIELD, and the cells come in the order of the plan. On the top
level every value is one cell and a LIST is one cell of JSON; inside a LIST values and LITERALs are pieces of that JSON.
"""

from __future__ import annotations

import json
from enum import Enum, auto
from itertools import chain
from typing import NamedTuple

from fieldpipe.recordings.typetree import TEXT_KINDS, Array, Kind, Scalar, SchemaError, Sequence, Struct, Type

MAX_COLUMNS = 4096
MAX_INSTRUCTIONS = 16_384
MAX_FLAT_ARRAY = 64  # elements of a fixed array that become columns of their own

WIDTHS = {
    Kind.BOOL: 1,
    Kind.INT8: 1,
    Kind.UINT8: 1,
    Kind.INT16: 2,
    Kind.UINT16: 2,
    Kind.INT32: 4,
    Kind.UINT32: 4,
    Kind.INT64: 8,
    Kind.UINT64: 8,
    Kind.FLOAT32: 4,
    Kind.FLOAT64: 8,
    Kind.TIME: 8,
    Kind.ROS1_TIME: 8,
    Kind.ROS1_DURATION: 8,
}
"""Bytes of the kinds that always take the same room (a time is two numbers of four bytes)."""


class Wire(Enum):
    """How payloads are laid out. The value is the message encoding of MCAP channels."""

    CDR = "cdr"
    ROS1 = "ros1"
    PROTOBUF = "protobuf"
    JSON = "json"


class Op(Enum):
    """What an instruction does."""

    VALUES = auto()  # `count` aligned values of a fixed-width `kind`
    TEXT = auto()  # `count` strings of `kind`
    LIST = auto()  # a JSON array of `count` elements (None: a uint32 says, at most `bound`), each made by `body`
    LITERAL = auto()  # `text`, a piece of JSON
    DUMMY = auto()  # CDR: the one byte that stands for an empty struct
    DELIMITER = auto()  # a uint32 of XCDR2 alone: the size of a collection whose elements are not primitive
    BYTES = auto()  # a sequence of bytes that goes to a file of its own
    BASE64 = auto()  # a sequence of bytes (or `count` of them) as one text
    ROWS = auto()  # like LIST, but every element is a row of its own; `cells` says how many cells an element makes
    FIELDS = auto()  # protobuf, JSON: a message or object; `body` are its FIELDs, which make `cells` cells
    FIELD = auto()  # a member of FIELDS, found by `number` (protobuf) or `text` (JSON); `kind` or `body` say what it is
    AGAIN = auto()  # protobuf: a message like the one that it is in, or `count` levels further out; only inside JSON
    JSON = auto()  # the whole payload (JSON), or a message by its `body` (protobuf), as one cell


class Form(Enum):
    """How protobuf writes a value (protobuf.dev, "Encoding")."""

    NONE = auto()
    VARINT = auto()
    ZIGZAG = auto()
    FIXED = auto()
    LENGTH = auto()
    GROUP = auto()


class Instruction(NamedTuple):
    """One step of a plan; which parameters count depends on `op`. `least` is the fewest bytes of a LIST's element.

    Of a FIELD, `count` None means repeated; `optional` that one which is absent is an empty cell (`null` in JSON), not
    the default of its kind; of FIELDs with the same `oneof` (0: none) the last one in the payload is the only one.
    """

    op: Op
    kind: Kind | None = None
    count: int | None = 1  # type: ignore[assignment]  # nobody counts in it as in other tuples
    bound: int | None = None
    text: str = ""
    body: tuple[Instruction, ...] = ()
    least: int = 1
    cells: int = 1
    number: int = 0
    form: Form = Form.NONE
    optional: bool = False
    oneof: int = 0


class Plan(NamedTuple):
    """`columns[i]` names the i-th cell that `program` makes of a payload in the format `wire`."""

    columns: tuple[str, ...]
    program: tuple[Instruction, ...]
    wire: Wire = Wire.CDR


class Shape(NamedTuple):
    """What a user may choose about a topic's table. `binary`: the path of a field that goes to files of its own.

    `explode`: paths of lists of which every element becomes a row (the first one that a type has counts); `base64`:
    bytes as base64 instead of lists of numbers.
    """

    binary: str | None = None
    explode: frozenset[str] = frozenset()
    base64: bool = False


PLAIN = Shape()


def compile_plan(root: Struct, shape: Shape = PLAIN, *, wire: Wire = Wire.CDR) -> Plan:
    """The plan of a message in a format without names.

    Raises SchemaError for more columns or instructions than anybody can use.
    """
    compiler = _Compiler(shape, wire)
    program = _merged(compiler.cells(root, ""))
    return Plan(tuple(compiler.columns), tuple(program), wire)


class _Compiler:
    def __init__(self, shape: Shape, wire: Wire) -> None:
        self.columns: list[str] = []
        self._shape = shape
        self._is_cdr = wire is Wire.CDR
        self._exploded = False
        self._instructions = 0

    def cells(self, type_: Type, path: str) -> list[Instruction]:
        """Instructions on the top level: one cell per value."""
        if isinstance(type_, Struct):
            inner = [self.cells(field.type, f"{path}.{field.name}" if path else field.name) for field in type_.fields]
            return list(chain.from_iterable(inner)) or self._nothing()
        if isinstance(type_, Array) and isinstance(type_.element, Scalar) and type_.length <= MAX_FLAT_ARRAY:
            self._add([f"{path}[{index}]" for index in range(type_.length)])
            return [*self._delimiter(type_.element), self._scalar(type_.element, type_.length)]
        if isinstance(type_, Sequence) and path in self._shape.explode and not self._exploded:
            return self._rows(type_, path)
        self._add([path])
        if path == self._shape.binary and type_ == Sequence(Scalar(Kind.UINT8)):
            return [self._count(Instruction(Op.BYTES, count=None))]
        return self._json(type_) if not isinstance(type_, Scalar) else [self._scalar(type_)]

    def _rows(self, type_: Sequence, path: str) -> list[Instruction]:
        """A list whose elements become rows; a list inside an element stays a cell."""
        self._exploded = True
        before = len(self.columns)
        body = tuple(_merged(self.cells(type_.element, path)))
        cells, least = len(self.columns) - before, sum(map(_least, body))
        made = Instruction(Op.ROWS, count=None, bound=type_.bound, body=body, least=least, cells=cells)
        return [*self._delimiter(type_.element), self._count(made)]

    def _json(self, type_: Type) -> list[Instruction]:
        """Instructions inside a cell of JSON."""
        if isinstance(type_, Scalar):
            return [self._scalar(type_)]
        if isinstance(type_, Struct):
            return self._object(type_)
        if self._shape.base64 and type_.element == Scalar(Kind.UINT8):
            return [self._count(Instruction(Op.BASE64, count=_length(type_), bound=_bound(type_)))]
        body = tuple(self._json(type_.element))
        made = Instruction(Op.LIST, count=_length(type_), bound=_bound(type_), body=body, least=sum(map(_least, body)))
        return [*self._delimiter(type_.element), self._count(made)]

    def _object(self, struct: Struct) -> list[Instruction]:
        if not struct.fields:
            return [*self._nothing(), self._literal("{}")]
        made: list[Instruction] = []
        for index, field in enumerate(struct.fields):
            made += [self._literal(("," if index else "{") + json.dumps(field.name) + ":"), *self._json(field.type)]
        return [*made, self._literal("}")]

    def _scalar(self, scalar: Scalar, count: int = 1) -> Instruction:
        op = Op.TEXT if scalar.kind in TEXT_KINDS else Op.VALUES
        return self._count(Instruction(op, kind=scalar.kind, count=count))

    def _literal(self, text: str) -> Instruction:
        return self._count(Instruction(Op.LITERAL, text=text))

    def _nothing(self) -> list[Instruction]:
        # counted where it is not needed, too: there can be more structs of nothing than time to visit them
        dummy = self._count(Instruction(Op.DUMMY))
        return [dummy] if self._is_cdr else []

    def _delimiter(self, element: Type) -> list[Instruction]:
        if not self._is_cdr:
            return []
        primitive = isinstance(element, Scalar) and element.kind not in (*TEXT_KINDS, Kind.TIME)
        return [] if primitive else [self._count(Instruction(Op.DELIMITER))]

    def _count(self, instruction: Instruction) -> Instruction:
        self._instructions += 1
        if self._instructions > MAX_INSTRUCTIONS:
            raise SchemaError(f"the schema needs more than {MAX_INSTRUCTIONS} instructions")
        return instruction

    def _add(self, columns: list[str]) -> None:
        self.columns += columns
        if len(self.columns) > MAX_COLUMNS:
            raise SchemaError(f"the schema makes more than {MAX_COLUMNS} columns")


def _length(type_: Array | Sequence) -> int | None:
    return type_.length if isinstance(type_, Array) else None


def _bound(type_: Array | Sequence) -> int | None:
    return type_.bound if isinstance(type_, Sequence) else None


def _merged(program: list[Instruction]) -> list[Instruction]:
    """Neighbours of the same fixed-width kind become one instruction: 37 doubles are read in one go."""
    merged: list[Instruction] = []
    for instruction in program:
        last = merged[-1] if merged else None
        if last and last.op is Op.VALUES is instruction.op and last.kind is instruction.kind:
            assert last.count is not None
            assert instruction.count is not None
            merged[-1] = Instruction(Op.VALUES, kind=last.kind, count=last.count + instruction.count)
        else:
            merged.append(instruction)
    return merged


def _least(instruction: Instruction) -> int:
    """The fewest bytes that the instruction reads, padding left aside."""
    if instruction.op is Op.VALUES:
        assert instruction.kind is not None
        return WIDTHS[instruction.kind] * (instruction.count or 0)
    if instruction.op in (Op.LIST, Op.BASE64):
        return 4 if instruction.count is None else instruction.count * instruction.least
    return {Op.TEXT: 4, Op.DUMMY: 1, Op.BYTES: 4, Op.ROWS: 4}.get(instruction.op, 0)
