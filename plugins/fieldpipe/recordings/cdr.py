"""CDR, the form of ROS 2 messages on the wire (OMG DDS-XTypes 1.3, section 7.4).

A header of four bytes names byte order and version; values are aligned to their size, counted from behind it. XCDR2
aligns to four bytes at most and writes a size before collections whose elements are not primitive.
"""

from __future__ import annotations

from dataclasses import dataclass

from fieldpipe.recordings.typetree import Kind

HEADER_SIZE = 4


@dataclass(frozen=True, slots=True)
class Encoding:
    """What a header stands for: `order` as struct writes it (< or >), `widest` alignment, sizes before collections."""

    order: str
    widest: int
    delimiters: bool


_XCDR2_BIG, _XCDR2_LITTLE = Encoding(">", 4, True), Encoding("<", 4, True)
ENCODINGS = {
    0x00: Encoding(">", 8, False),
    0x01: Encoding("<", 8, False),
    0x06: _XCDR2_BIG,
    0x07: _XCDR2_LITTLE,
    0x10: _XCDR2_BIG,  # the numbers of older implementations
    0x11: _XCDR2_LITTLE,
}
"""By the second byte of the header (the first is 0). Parameter lists and delimited structs are not among them."""

CODES = {
    Kind.BOOL: "?",
    Kind.INT8: "b",
    Kind.UINT8: "B",
    Kind.INT16: "h",
    Kind.UINT16: "H",
    Kind.INT32: "i",
    Kind.UINT32: "I",
    Kind.INT64: "q",
    Kind.UINT64: "Q",
    Kind.FLOAT32: "f",
    Kind.FLOAT64: "d",
    Kind.TIME: "iI",
}
"""Format characters of struct. A time is two numbers."""
