"""The wire format of protobuf (protobuf.dev, "Encoding"): a message is fields in any order, each behind its number.

What Google's parser refuses is refused, such as numbers that do not end, lengths beyond the message and groups that do
not close.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

from fieldpipe.recordings.executor import DecodeError

MAX_NESTING = 100  # messages around a message

_LONG, _SHORT = 10, 5  # bytes that numbers of 64 and of 32 bits take at most


class WireType(IntEnum):
    """What follows the number of a field."""

    VARINT = 0
    FIXED64 = 1
    LENGTH = 2
    GROUP = 3
    END = 4
    FIXED32 = 5


class Occurrence(NamedTuple):
    """A field in a payload: the `bits` of a number, the `content` of everything else."""

    number: int
    wire_type: WireType
    bits: int
    content: bytes


def occurrences(message: bytes, depth: int) -> Iterator[Occurrence]:
    """The fields of a message in their order; `depth` is the number of messages around it. Raises DecodeError."""
    if depth > MAX_NESTING:
        raise DecodeError(f"messages inside one another, more than {MAX_NESTING} levels deep")
    position = 0
    while position < len(message):
        found, position = _occurrence(message, position, depth)
        if found.wire_type is WireType.END:
            raise DecodeError("a group ends that did not begin")
        yield found


def varints(packed: bytes) -> Iterator[int]:
    """Numbers behind one another. Raises DecodeError."""
    position = 0
    while position < len(packed):
        bits, position = _varint(packed, position, _LONG)
        yield bits


def fixed(packed: bytes, width: int) -> Iterator[int]:
    """The same of numbers of `width` bytes."""
    for position in range(0, len(packed), width):
        yield int.from_bytes(_taken(packed, position, width), "little")


def _occurrence(message: bytes, start: int, depth: int) -> tuple[Occurrence, int]:
    """The field that begins at a position, and the position behind it."""
    tag, position = _short(message, start)
    number, wire_type = tag >> 3, tag & 7
    bits, content = 0, b""
    match wire_type:
        case WireType.VARINT:
            bits, position = _varint(message, position, _LONG)
        case WireType.FIXED64 | WireType.FIXED32:
            width = 8 if wire_type == WireType.FIXED64 else 4
            bits = int.from_bytes(_taken(message, position, width), "little")
            position += width
        case WireType.LENGTH:
            length, position = _short(message, position)
            content = _taken(message, position, length)
            position += length
        case WireType.GROUP:
            content, position = _group(message, position, number, depth + 1)
    if not number or wire_type > WireType.FIXED32:
        raise DecodeError(f"no field has the number {number} and the wire type {wire_type}")
    return Occurrence(number, WireType(wire_type), bits, content), position


def _group(message: bytes, start: int, number: int, depth: int) -> tuple[bytes, int]:
    """What stands between a group's beginning and its end, and the position behind it."""
    if depth > MAX_NESTING:
        raise DecodeError(f"groups inside one another, more than {MAX_NESTING} levels deep")
    position = start
    while True:
        end = position
        found, position = _occurrence(message, end, depth)
        if found.wire_type is WireType.END:
            if found.number != number:
                raise DecodeError(f"the group {number} ends as if it were {found.number}")
            return message[start:end], position


def _varint(message: bytes, start: int, most: int) -> tuple[int, int]:
    """Seven bits a byte, the lowest first; what is beyond 64 bits does not count."""
    value = 0
    for index, byte in enumerate(message[start : start + most]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, start + index + 1
    raise DecodeError("a number does not end")


def _short(message: bytes, start: int) -> tuple[int, int]:
    value, position = _varint(message, start, _SHORT)
    if value > 0xFFFF_FFFF:
        raise DecodeError(f"a tag or length of {value}")
    return value, position


def _taken(message: bytes, start: int, size: int) -> bytes:
    content = message[start : start + size]
    if len(content) < size:
        raise DecodeError(f"{size} bytes where the message has only {len(content)} left")
    return content
