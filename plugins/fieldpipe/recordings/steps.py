"""The instructions of a plan as closures: what the readable executor calls for every message."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from fieldpipe.errors import FieldpipeError
from fieldpipe.recordings.cdr import CODES, HEADER_SIZE, Encoding
from fieldpipe.recordings.cells import float32_text, json_floats, json_string, quoted
from fieldpipe.recordings.plan import WIDTHS, Instruction, Op
from fieldpipe.recordings.typetree import Kind

_BLOCK = 1024 * 1024  # bytes
_BYTE_TEXTS = [str(byte) for byte in range(256)]

Step = Callable[[bytes, int, list[str]], int]
"""Reads at a position of the payload, appends what it read to the list, returns where it stopped."""


class DecodeError(FieldpipeError):
    """A payload is not what its schema says."""


@dataclass(slots=True)
class Found:
    """What steps find besides cells: texts so far with bytes that were not valid, and the payload's BYTES."""

    escaped: int = 0
    binary: bytes = b""


class Linker:
    """Makes the closures for one byte order and version."""

    def __init__(self, encoding: Encoding, found: Found) -> None:
        self._order = encoding.order
        self._widest = encoding.widest
        self._delimiters = encoding.delimiters
        self._found = found
        self._u32 = struct.Struct(encoding.order + "I").unpack_from

    def cells(self, program: tuple[Instruction, ...]) -> list[Step]:
        """Steps of the top level, each of which appends cells."""
        return [self._step(i, in_json=False) for i in program if i.op is not Op.DELIMITER or self._delimiters]

    def _pieces(self, program: tuple[Instruction, ...]) -> list[Step]:
        """Steps inside a list, each of which appends pieces of JSON."""
        return [self._step(i, in_json=True) for i in program if i.op is not Op.DELIMITER or self._delimiters]

    def _step(self, instruction: Instruction, *, in_json: bool) -> Step:
        match instruction.op:
            case Op.VALUES:
                return self._values(instruction, in_json)
            case Op.TEXT:
                return self._text(instruction, json_string if in_json else quoted)
            case Op.LIST:
                return self._list(instruction) if in_json else _as_cell(self._list(instruction))
            case Op.LITERAL:
                return _literal(instruction.text)
            case Op.DUMMY:
                return lambda _payload, position, _out: position + 1
            case Op.DELIMITER:
                return lambda _payload, position, _out: position + (-position & 3) + 4
            case Op.BYTES:
                return self._bytes()

    def _values(self, instruction: Instruction, in_json: bool) -> Step:
        kind, count = _fixed(instruction)
        size, mask = WIDTHS[kind] * count, self._alignment(kind) - 1
        unpack = struct.Struct(self._order + _format(kind, count)).unpack_from
        texts = _TEXTS.get(kind, _plain)
        is_float = in_json and kind in (Kind.FLOAT32, Kind.FLOAT64)

        def values(payload: bytes, position: int, out: list[str]) -> int:
            position += (HEADER_SIZE - position) & mask
            out += texts(unpack(payload, position))
            return position + size

        def json_values(payload: bytes, position: int, out: list[str]) -> int:
            position += (HEADER_SIZE - position) & mask
            out.append(json_floats(texts(unpack(payload, position))))
            return position + size

        return json_values if is_float else values

    def _list(self, instruction: Instruction) -> Step:
        """Appends one JSON array."""
        body = instruction.body
        if len(body) == 1 and body[0].op is Op.VALUES:
            return self._list_of_values(instruction, body[0])
        steps = self._pieces(body)
        length_of = self._length(instruction)

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

    def _list_of_values(self, instruction: Instruction, element: Instruction) -> Step:
        kind, _ = _fixed(element)
        if kind is Kind.UINT8:
            return self._list_of_bytes(instruction)
        width, mask = WIDTHS[kind], self._alignment(kind) - 1
        order, texts = self._order, _TEXTS.get(kind, _plain)
        length_of = self._length(instruction)

        def elements(payload: bytes, position: int, out: list[str]) -> int:
            count, position = length_of(payload, position)
            if not count:
                out.append("[]")
                return position
            position += (HEADER_SIZE - position) & mask
            values = struct.unpack_from(order + _format(kind, count), payload, position)
            out.append(f"[{json_floats(texts(values))}]")
            return position + count * width

        return elements

    def _list_of_bytes(self, instruction: Instruction) -> Step:
        """Point clouds and maps have millions of them: a block at a time, without an object for each."""
        length_of = self._length(instruction)

        def elements(payload: bytes, position: int, out: list[str]) -> int:
            count, position = length_of(payload, position)
            end = position + count
            blocks = (payload[at : min(at + _BLOCK, end)] for at in range(position, end, _BLOCK))
            out.append("[" + ",".join(",".join(map(_BYTE_TEXTS.__getitem__, block)) for block in blocks) + "]")
            return end

        return elements

    def _length(self, instruction: Instruction) -> Callable[[bytes, int], tuple[int, int]]:
        """Finds the number of elements and where they start; refuses what the payload cannot hold."""
        fixed, bound, least, read_u32 = instruction.count, instruction.bound, instruction.least, self._u32

        def length(payload: bytes, position: int) -> tuple[int, int]:
            count = fixed
            if count is None:
                position += -position & 3
                (count,) = read_u32(payload, position)
                position += 4
                if bound is not None and count > bound:
                    raise DecodeError(f"a list of {count} elements where the schema allows {bound}")
            if count * least > len(payload) - position:
                raise DecodeError(f"a list of {count} elements does not fit into the payload")
            return count, position

        return length

    def _text(self, instruction: Instruction, written: Callable[[str], str]) -> Step:
        read = self._wide_string if instruction.kind is Kind.WSTRING else self._string
        count = instruction.count or 0

        def text(payload: bytes, position: int, out: list[str]) -> int:
            for _ in range(count):
                value, position = read(payload, position)
                out.append(written(value))
            return position

        return text

    def _string(self, payload: bytes, position: int) -> tuple[str, int]:
        """A uint32 of bytes, the final zero included, then UTF-8; some writers give an empty string no zero."""
        position += -position & 3
        (size,) = self._u32(payload, position)
        position += 4
        if not size:
            return "", position
        end = position + size
        if end > len(payload) or payload[end - 1]:
            raise DecodeError(f"a string of {size} bytes does not end where it should")
        content = payload[position : end - 1]
        try:
            return content.decode(), end
        except UnicodeDecodeError:
            self._found.escaped += 1
            return content.decode(errors="backslashreplace"), end

    def _wide_string(self, payload: bytes, position: int) -> tuple[str, int]:
        """XCDR1: a uint32 of characters, four bytes each; XCDR2: a uint32 of bytes, then UTF-16. No final zero."""
        position += -position & 3
        (size,) = self._u32(payload, position)
        position += 4
        width = 2 if self._delimiters else 4
        count, odd = divmod(size, 2) if self._delimiters else (size, 0)
        end = position + count * width
        if odd or end > len(payload):
            raise DecodeError(f"a wide string of {count} characters does not fit into the payload")
        units = struct.unpack_from(f"{self._order}{count}{'H' if width == 2 else 'I'}", payload, position)
        if any(unit > 0x10FFFF for unit in units):
            raise DecodeError("a wide string holds what is no character")
        # two halves of a pair may stand in units of their own, whatever the width
        pairs = "".join(map(chr, units)).encode("utf-16-le", "surrogatepass")
        try:
            return pairs.decode("utf-16-le"), end
        except UnicodeDecodeError:
            self._found.escaped += 1
            return pairs.decode("utf-16-le", "backslashreplace"), end

    def _bytes(self) -> Step:
        length_of = self._length(Instruction(Op.LIST, count=None))

        def binary(payload: bytes, position: int, out: list[str]) -> int:
            count, position = length_of(payload, position)
            self._found.binary = payload[position : position + count]
            out.append("")
            return position + count

        return binary

    def _alignment(self, kind: Kind) -> int:
        return 4 if kind is Kind.TIME else min(WIDTHS[kind], self._widest)


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


def _plain(values: tuple[int | float, ...]) -> list[str]:
    return list(map(repr, values))


def _booleans(values: tuple[bool, ...]) -> list[str]:
    return ["true" if value else "false" for value in values]


def _float32s(values: tuple[float, ...]) -> list[str]:
    return list(map(float32_text, values))


def _times(values: tuple[int, ...]) -> list[str]:
    return [repr(seconds * 1_000_000_000 + rest) for seconds, rest in zip(values[::2], values[1::2], strict=True)]


_TEXTS: dict[Kind, Callable[..., list[str]]] = {
    Kind.BOOL: _booleans,
    Kind.FLOAT32: _float32s,
    Kind.TIME: _times,
}


def _fixed(instruction: Instruction) -> tuple[Kind, int]:
    assert instruction.kind is not None
    assert instruction.count is not None
    return instruction.kind, instruction.count


def _format(kind: Kind, count: int) -> str:
    return CODES[kind] * count if kind is Kind.TIME else f"{count}{CODES[kind]}"
