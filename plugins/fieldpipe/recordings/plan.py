"""A type compiled into a plan: the columns of its table and the instructions that fill them.

A plan is made once per schema and run once per message by an executor (`decode.py` is the readable one). Instructions
run in the order of the payload. On the top level every value is one cell and a LIST is one cell of JSON; inside a LIST
values and LITERALs are pieces of that JSON.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum, auto
from itertools import chain

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
}
"""Bytes of the kinds that always take the same room (a time is two numbers of four bytes)."""


class Op(Enum):
    """What an instruction does."""

    VALUES = auto()  # `count` aligned values of a fixed-width `kind`
    TEXT = auto()  # `count` strings of `kind`
    LIST = auto()  # a JSON array of `count` elements (None: a uint32 says, at most `bound`), each made by `body`
    LITERAL = auto()  # `text`, a piece of JSON
    DUMMY = auto()  # the one byte that stands for an empty struct
    DELIMITER = auto()  # a uint32 of XCDR2 alone: the size of a collection whose elements are not primitive
    BYTES = auto()  # a sequence of bytes that goes to a file of its own


@dataclass(frozen=True, slots=True)
class Instruction:
    """One step of a plan; which parameters count depends on `op`. `least` is the fewest bytes of a LIST's element."""

    op: Op
    kind: Kind | None = None
    count: int | None = 1
    bound: int | None = None
    text: str = ""
    body: tuple[Instruction, ...] = ()
    least: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """`columns[i]` names the i-th cell that `program` makes."""

    columns: tuple[str, ...]
    program: tuple[Instruction, ...]


def compile_plan(root: Struct, *, binary: str | None = None) -> Plan:
    """The plan of a message. The field at the path `binary`, a sequence of bytes, is handed out as it is.

    Raises SchemaError for more columns or instructions than anybody can use.
    """
    compiler = _Compiler(binary)
    program = _merged(compiler.cells(root, ""))
    return Plan(tuple(compiler.columns), tuple(program))


class _Compiler:
    def __init__(self, binary: str | None) -> None:
        self.columns: list[str] = []
        self._binary = binary
        self._instructions = 0

    def cells(self, type_: Type, path: str) -> list[Instruction]:
        """Instructions on the top level: one cell per value."""
        if isinstance(type_, Struct):
            inner = [self.cells(field.type, f"{path}.{field.name}" if path else field.name) for field in type_.fields]
            return list(chain.from_iterable(inner)) or [self._count(Instruction(Op.DUMMY))]
        if isinstance(type_, Array) and isinstance(type_.element, Scalar) and type_.length <= MAX_FLAT_ARRAY:
            self._add([f"{path}[{index}]" for index in range(type_.length)])
            return [*self._delimiter(type_.element), self._scalar(type_.element, type_.length)]
        self._add([path])
        if path == self._binary and type_ == Sequence(Scalar(Kind.UINT8)):
            return [self._count(Instruction(Op.BYTES))]
        return self._json(type_) if not isinstance(type_, Scalar) else [self._scalar(type_)]

    def _json(self, type_: Type) -> list[Instruction]:
        """Instructions inside a cell of JSON."""
        if isinstance(type_, Scalar):
            return [self._scalar(type_)]
        if isinstance(type_, Struct):
            return self._object(type_)
        body = tuple(self._json(type_.element))
        length = type_.length if isinstance(type_, Array) else None
        bound = type_.bound if isinstance(type_, Sequence) else None
        made = Instruction(Op.LIST, count=length, bound=bound, body=body, least=sum(map(_least, body)))
        return [*self._delimiter(type_.element), self._count(made)]

    def _object(self, struct: Struct) -> list[Instruction]:
        if not struct.fields:
            return [self._count(Instruction(Op.DUMMY)), self._literal("{}")]
        made: list[Instruction] = []
        for index, field in enumerate(struct.fields):
            made += [self._literal(("," if index else "{") + json.dumps(field.name) + ":"), *self._json(field.type)]
        return [*made, self._literal("}")]

    def _scalar(self, scalar: Scalar, count: int = 1) -> Instruction:
        op = Op.TEXT if scalar.kind in TEXT_KINDS else Op.VALUES
        return self._count(Instruction(op, kind=scalar.kind, count=count))

    def _literal(self, text: str) -> Instruction:
        return self._count(Instruction(Op.LITERAL, text=text))

    def _delimiter(self, element: Type) -> list[Instruction]:
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
    if instruction.op is Op.LIST:
        return 4 if instruction.count is None else instruction.count * instruction.least
    return {Op.TEXT: 4, Op.DUMMY: 1, Op.BYTES: 4}.get(instruction.op, 0)
