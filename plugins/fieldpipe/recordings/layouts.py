"""How values lie in a payload: CDR, the form of ROS 2 messages, and the form of ROS 1 messages.

CDR (OMG DDS-XTypes 1.3, section 7.4): a header of four bytes names byte order and version; values are aligned to their
size, counted from behind it. XCDR2 aligns to four bytes at most and writes a size before collections whose elements are
not primitive. ROS 1 (wiki.ros.org/msg, section 2): no header, little endian, one value behind the other.
"""

from __future__ import annotations

from typing import NamedTuple

from fieldpipe.recordings.plan import WIDTHS
from fieldpipe.recordings.typetree import Kind

HEADER_SIZE = 4  # bytes; the last two of them say nothing that is needed


class Layout(NamedTuple):
    """`order` as struct writes it (< or >), `widest` alignment (1: none), whether collections of what is not primitive
    have a size in front (`delimiters`) and strings a zero behind (`terminated`), and the most bytes that may follow
    the last value (`padding`)."""

    order: str
    widest: int
    delimiters: bool
    terminated: bool
    padding: int

    def alignment(self, kind: Kind) -> int:
        """Values of this kind lie at multiples of so many bytes. A time is two numbers of four."""
        return min(4 if kind in _HALVES else WIDTHS[kind], self.widest)


ROS1 = Layout("<", widest=1, delimiters=False, terminated=False, padding=0)

_XCDR1 = {order: Layout(order, widest=8, delimiters=False, terminated=True, padding=7) for order in "<>"}
_XCDR2 = {order: Layout(order, widest=4, delimiters=True, terminated=True, padding=7) for order in "<>"}
CDR = {
    b"\x00\x00": _XCDR1[">"],
    b"\x00\x01": _XCDR1["<"],
    b"\x00\x06": _XCDR2[">"],
    b"\x00\x07": _XCDR2["<"],
    b"\x00\x10": _XCDR2[">"],  # the numbers of older implementations
    b"\x00\x11": _XCDR2["<"],
}
"""By the first two bytes of the header (DDS-XTypes 1.3, table 60)."""

_DELIMITED = "DELIMITED_CDR2: a size before every struct, for types that are appendable"
_PARAMETERS = "parameter lists, for types that are mutable"
UNSUPPORTED = {
    b"\x00\x02": f"PL_CDR: {_PARAMETERS}",
    b"\x00\x03": f"PL_CDR: {_PARAMETERS}",
    b"\x00\x08": _DELIMITED,
    b"\x00\x09": _DELIMITED,
    b"\x00\x0a": f"PL_CDR2: {_PARAMETERS}",
    b"\x00\x0b": f"PL_CDR2: {_PARAMETERS}",
    b"\x00\x12": f"PL_CDR2: {_PARAMETERS}",
    b"\x00\x13": f"PL_CDR2: {_PARAMETERS}",
    b"\x00\x14": _DELIMITED,
    b"\x00\x15": _DELIMITED,
}
"""Headers of what ROS 2 never writes: their layout depends on more than the schema says."""

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
    Kind.ROS1_TIME: "II",
    Kind.ROS1_DURATION: "ii",
}
"""Format characters of struct. A time is two numbers."""

_HALVES = (Kind.TIME, Kind.ROS1_TIME, Kind.ROS1_DURATION)
