"""Values -> CDR, by the same types that decoding goes by: for recordings that we make ourselves."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from fieldpipe.recordings.layouts import CODES
from fieldpipe.recordings.plan import WIDTHS
from fieldpipe.recordings.typetree import TEXT_KINDS, Array, Kind, Scalar, Sequence, Struct, Type

_HEADERS = {
    (False, False): b"\0\0\0\0",
    (False, True): b"\0\1\0\0",
    (True, False): b"\0\6\0\0",
    (True, True): b"\0\7\0\0",
}


def encode(message: Struct, value: Mapping[str, Any], *, little_endian: bool = True, xcdr2: bool = False) -> bytes:
    """A message with its CDR header. Times are integers of nanoseconds; lists of uint8 may be bytes."""
    encoder = _Encoder("<" if little_endian else ">", xcdr2)
    encoder.write(message, value)
    return _HEADERS[xcdr2, little_endian] + bytes(encoder.content)


class _Encoder:
    def __init__(self, order: str, xcdr2: bool) -> None:
        self.content = bytearray()  # without the header: alignment counts from here
        self._order = order
        self._xcdr2 = xcdr2

    def write(self, type_: Type, value: Any) -> None:
        """Append one value of a type."""
        if isinstance(type_, Scalar):
            self._scalar(type_.kind, value)
        elif isinstance(type_, Struct):
            for field in type_.fields:
                self.write(field.type, value[field.name])
            if not type_.fields:
                self._scalar(Kind.UINT8, 0)
        else:
            self._collection(type_, value)

    def _collection(self, type_: Array | Sequence, value: Any) -> None:
        element = type_.element
        delimited = self._xcdr2 and (not isinstance(element, Scalar) or element.kind in (*TEXT_KINDS, Kind.TIME))
        if delimited:
            self._scalar(Kind.UINT32, 0)
        start = len(self.content)
        if isinstance(type_, Sequence):
            self._scalar(Kind.UINT32, len(value))
        if isinstance(value, bytes):
            self.content += value
        else:
            for item in value:
                self.write(element, item)
        if delimited:
            self.content[start - 4 : start] = struct.pack(self._order + "I", len(self.content) - start)

    def _scalar(self, kind: Kind, value: Any) -> None:
        if kind is Kind.STRING:
            text = value.encode() + b"\0"
            self._scalar(Kind.UINT32, len(text))
            self.content += text
        elif kind is Kind.WSTRING:
            self._wide(value)
        elif kind is Kind.TIME:
            self._align(4)
            self.content += struct.pack(self._order + "iI", *divmod(value, 1_000_000_000))
        else:
            self._align(min(WIDTHS[kind], 4 if self._xcdr2 else 8))
            self.content += struct.pack(self._order + CODES[kind], value)

    def _wide(self, text: str) -> None:
        units = struct.unpack(f"<{len(text.encode('utf-16-le')) // 2}H", text.encode("utf-16-le"))
        self._scalar(Kind.UINT32, 2 * len(units) if self._xcdr2 else len(units))
        self.content += struct.pack(f"{self._order}{len(units)}{'H' if self._xcdr2 else 'I'}", *units)

    def _align(self, size: int) -> None:
        self.content += b"\0" * (-len(self.content) % size)
