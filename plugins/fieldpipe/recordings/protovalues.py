"""Fields of a protobuf payload -> values, as their plan says what they are."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from fieldpipe.recordings.plan import WIDTHS, Form, Instruction
from fieldpipe.recordings.protowire import Occurrence, WireType, fixed, varints
from fieldpipe.recordings.typetree import Kind

Value = list[Occurrence]
"""Of a number or text the last one counts, a message is all of them behind one another."""

_NUMBERS = (Form.VARINT, Form.ZIGZAG, Form.FIXED)
_ABSENT = Occurrence(0, WireType.VARINT, 0, b"")


def fits(field: Instruction, wire_type: WireType) -> bool:
    """Whether a field may come in this form; lists of numbers come in two, whatever the schema says."""
    if field.form in _NUMBERS and field.count is None and wire_type is WireType.LENGTH:
        return True
    match field.form:
        case Form.VARINT | Form.ZIGZAG:
            return wire_type is WireType.VARINT
        case Form.FIXED:
            return wire_type is (WireType.FIXED64 if _width(field) == 8 else WireType.FIXED32)
        case Form.GROUP:
            return wire_type is WireType.GROUP
    return wire_type is WireType.LENGTH


def adds_up(field: Instruction) -> bool:
    """Whether all occurrences of a field count: of lists and messages."""
    return field.count is None or field.kind in (None, Kind.TIME)


def elements(field: Instruction, found: Value) -> Iterator[Occurrence]:
    """The elements of a list."""
    for occurrence in found:
        if field.form in _NUMBERS and occurrence.wire_type is WireType.LENGTH:
            packed = occurrence.content
            values = fixed(packed, _width(field)) if field.form is Form.FIXED else varints(packed)
            yield from (occurrence._replace(bits=bits) for bits in values)
        else:
            yield occurrence


def contents(value: Value) -> list[bytes]:
    """The pieces of a message."""
    return [occurrence.content for occurrence in value]


def last(value: Value) -> Occurrence:
    """The occurrence that counts of a number or text; if it is absent, one that says nothing."""
    return value[-1] if value else _ABSENT


def integer(field: Instruction, bits: int) -> int:
    """A number of 32 bits may come with more: those do not count."""
    size = 8 * _width(field)
    bits &= (1 << size) - 1
    if field.form is Form.ZIGZAG:
        return bits >> 1 ^ -(bits & 1)
    return signed(bits, size) if field.kind in (Kind.INT32, Kind.INT64) else bits


def signed(bits: int, size: int) -> int:
    """The lowest `size` bits in two's complement."""
    bits &= (1 << size) - 1
    return bits - (1 << size) if bits >> (size - 1) else bits


def real(code: str, bits: int) -> float:
    """IEEE 754, of the size that the code of struct stands for."""
    value: float = struct.unpack(code, bits.to_bytes(struct.calcsize(code), "little"))[0]
    return value


def _width(field: Instruction) -> int:
    assert field.kind is not None
    return WIDTHS[field.kind]
