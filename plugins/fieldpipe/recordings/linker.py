"""The instructions of a plan as closures: what the readable executor calls for every message."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable

from fieldpipe.recordings.cells import defused, json_string, quoted
from fieldpipe.recordings.executor import DecodeError
from fieldpipe.recordings.layouts import Layout
from fieldpipe.recordings.plan import Instruction, Op
from fieldpipe.recordings.rows import Exploded
from fieldpipe.recordings.steps import (
    Found,
    Length,
    Step,
    Strings,
    json_bytes,
    json_value,
    json_values,
    uint32,
    values,
)
from fieldpipe.recordings.typetree import Kind

MAX_EMPTY = 1024  # elements that take no bytes: nothing in the payload bounds their number


class Linker:
    """Makes the closures for one layout."""

    def __init__(self, layout: Layout, found: Found, *, formula_safe: bool = False) -> None:
        self._layout = layout
        self._found = found
        self._strings = Strings(layout, found)
        self._cell: Callable[[str], str] = (lambda text: quoted(defused(text))) if formula_safe else quoted

    def cells(self, program: tuple[Instruction, ...]) -> list[Step]:
        """Steps of the top level, each of which appends cells."""
        return [self._step(instruction) for instruction in self._needed(program)]

    def _step(self, instruction: Instruction) -> Step:
        match instruction.op:
            case Op.VALUES:
                return values(self._layout, *_kind_and_count(instruction))
            case Op.TEXT:
                return self._strings.step(*_kind_and_count(instruction), self._cell)
            case Op.LIST:
                return _as_cell(self._list(instruction))
            case Op.ROWS:
                return self._rows(instruction)
            case Op.BYTES:
                return self._bytes(instruction)
            case Op.BASE64:
                return self._base64(instruction, "{}")
            case _:
                return _skip(instruction.op)

    def _pieces(self, program: tuple[Instruction, ...]) -> list[Step]:
        """Steps inside a list, each of which appends pieces of JSON."""
        return [self._piece(instruction) for instruction in self._needed(program)]

    def _piece(self, instruction: Instruction) -> Step:
        match instruction.op:
            case Op.VALUES:
                return json_value(self._layout, _kind_and_count(instruction)[0])
            case Op.TEXT:
                return self._strings.step(*_kind_and_count(instruction), json_string)
            case Op.LIST:
                return self._list(instruction)
            case Op.LITERAL:
                return _literal(instruction.text)
            case Op.BASE64:
                return self._base64(instruction, '"{}"')
            case _:
                return _skip(instruction.op)

    def _needed(self, program: tuple[Instruction, ...]) -> list[Instruction]:
        return [each for each in program if each.op is not Op.DELIMITER or self._layout.delimiters]

    def _list(self, instruction: Instruction) -> Step:
        """Appends one JSON array."""
        length_of = self._length(instruction, 1 + sum(map(_least_text, instruction.body)))
        if [each.op for each in instruction.body] == [Op.VALUES]:
            kind, _ = _kind_and_count(instruction.body[0])
            return json_bytes(length_of) if kind is Kind.UINT8 else json_values(self._layout, kind, length_of)
        steps = self._pieces(instruction.body)

        def elements(payload: bytes, position: int, out: list[str]) -> int:
            count, position = length_of(payload, position)
            out.append("[")
            for index in range(count):
                if index:
                    out.append(",")
                for step in steps:
                    position = step(payload, position, out)
            out.append("]")
            return position

        return elements

    def _rows(self, instruction: Instruction) -> Step:
        """Keeps the cells of each element; a list without any has one of empty cells."""
        steps, found = self.cells(instruction.body), self._found
        length_of = self._length(instruction, instruction.cells)

        def rows(payload: bytes, position: int, out: list[str]) -> int:
            count, position = length_of(payload, position)
            elements: list[list[str]] = [] if count else [[""] * instruction.cells]
            for _ in range(count):
                cells: list[str] = []
                for step in steps:
                    position = step(payload, position, cells)
                elements.append(cells)
            found.exploded = Exploded(len(out), elements)
            return position

        return rows

    def _bytes(self, instruction: Instruction) -> Step:
        length_of = self._length(instruction, 0)

        def binary(payload: bytes, position: int, out: list[str]) -> int:
            count, position = length_of(payload, position)
            self._found.binary = payload[position : position + count]
            out.append("")
            return position + count

        return binary

    def _base64(self, instruction: Instruction, written: str) -> Step:
        length_of = self._length(instruction, 1)

        def base64(payload: bytes, position: int, out: list[str]) -> int:
            count, position = length_of(payload, position)
            out.append(written.format(b64encode(payload[position : position + count]).decode()))
            return position + count

        return base64

    def _length(self, instruction: Instruction, least_text: int) -> Length:
        """Finds the number of elements and where they start; refuses what the payload cannot hold, and more text than
        anybody can use: an element makes `least_text` characters or more."""
        fixed, bound, least, found = instruction.count, instruction.bound, instruction.least, self._found
        read_uint32 = uint32(self._layout)

        def length(payload: bytes, position: int) -> tuple[int, int]:
            count = fixed
            if count is None:
                count, position = read_uint32(payload, position)
                if bound is not None and count > bound:
                    raise DecodeError(f"a list of {count} elements where the schema allows {bound}")
            left = len(payload) - position
            if left < 0 or count * least > left or (not least and count > MAX_EMPTY):
                raise DecodeError(f"a list of {count} elements does not fit into the payload")
            found.expect(count * least_text)
            return count, position

        return length


def _least_text(instruction: Instruction) -> int:
    """The fewest characters that an instruction appends inside JSON. Of a list, one: the comma that its last element
    does not have is counted with its elements."""
    match instruction.op:
        case Op.LITERAL:
            return len(instruction.text)
        case Op.TEXT | Op.BASE64:
            return 2
        case Op.VALUES | Op.LIST:
            return 1
    return 0


def _as_cell(pieces: Step) -> Step:
    def cell(payload: bytes, position: int, out: list[str]) -> int:
        made: list[str] = []
        position = pieces(payload, position, made)
        out.append(quoted("".join(made)))
        return position

    return cell


def _literal(text: str) -> Step:
    def literal(_payload: bytes, position: int, out: list[str]) -> int:
        out.append(text)
        return position

    return literal


def _skip(op: Op) -> Step:
    """Over what no value stands in: the dummy byte of an empty struct, or a size."""
    if op is Op.DUMMY:
        return lambda _payload, position, _out: position + 1
    assert op is Op.DELIMITER
    return lambda _payload, position, _out: position + (-position & 3) + 4


def _kind_and_count(instruction: Instruction) -> tuple[Kind, int]:
    assert instruction.kind is not None
    assert instruction.count is not None
    return instruction.kind, instruction.count
