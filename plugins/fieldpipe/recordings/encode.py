"""Values -> CDR and ROS 1, by the same types that decoding goes by: for recordings that we make ourselves."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from fieldpipe.recordings.layouts import CDR, CODES, ROS1, Layout
from fieldpipe.recordings.typetree import TEXT_KINDS, Array, Kind, Scalar, Sequence, Struct, Type

_HEADERS = {
    (False, False): b"\0\0",
    (False, True): b"\0\1",
    (True, False): b"\0\6",
    (True, True): b"\0\7",
}


def encode(message: Struct, value: Mapping[str, Any], *, little_endian: bool = True, xcdr2: bool = False) -> bytes:
    """A message with its CDR header. Times are integers of nanoseconds; lists of uint8 may be bytes."""
    header = _HEADERS[xcdr2, little_endian]
    encoder = _Encoder(CDR[header])
    encoder.write(message, value)
    return header + b"\0\0" + bytes(encoder.content)


def encode_ros1(message: Struct, value: Mapping[str, Any]) -> bytes:
    """A message in the form of ROS 1. Values as for `encode`."""
    encoder = _Encoder(ROS1)
    encoder.write(message, value)
    return bytes(encoder.content)


class _Encoder:
    def __init__(self, layout: Layout) -> None:
        self.content = bytearray()  # without the header: alignment counts from here
        self._layout = layout

    def write(self, type_: Type, value: Any) -> None:
        """Append one value of a type."""
        if isinstance(type_, Scalar):
            self._scalar(type_.kind, value)
        elif isinstance(type_, Struct):
            for field in type_.fields:
                self.write(field.type, value[field.name])
            if not type_.fields and self._layout is not ROS1:
                self._scalar(Kind.UINT8, 0)
        else:
            self._collection(type_, value)

    def _collection(self, type_: Array | Sequence, value: Any) -> None:
        element = type_.element
        delimited = self._layout.delimiters and (
            not isinstance(element, Scalar) or element.kind in (*TEXT_KINDS, Kind.TIME)
        )
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
            self.content[start - 4 : start] = struct.pack(self._layout.order + "I", len(self.content) - start)

    def _scalar(self, kind: Kind, value: Any) -> None:
        if kind is Kind.STRING:
            text = value.encode() + b"\0" * self._layout.terminated
            self._scalar(Kind.UINT32, len(text))
            self.content += text
        elif kind is Kind.WSTRING:
            self._wide(value)
        else:
            self.content += b"\0" * (-len(self.content) % self._layout.alignment(kind))
            parts = divmod(value, 1_000_000_000) if len(CODES[kind]) > 1 else (value,)
            self.content += struct.pack(self._layout.order + CODES[kind], *parts)

    def _wide(self, text: str) -> None:
        units = struct.unpack(f"<{len(text.encode('utf-16-le')) // 2}H", text.encode("utf-16-le"))
        width, code = (2, "H") if self._layout.delimiters else (1, "I")
        self._scalar(Kind.UINT32, width * len(units))
        self.content += struct.pack(f"{self._layout.order}{len(units)}{code}", *units)
