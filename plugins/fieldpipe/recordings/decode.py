"""The readable executor of plans for CDR and ROS 1: a payload -> the cells of its rows.

A plan's instructions become closures once per layout (`linker.py`); running it is calling them in order.
"""

from __future__ import annotations

import struct

from fieldpipe.recordings.executor import DecodeError
from fieldpipe.recordings.layouts import CDR, HEADER_SIZE, ROS1, UNSUPPORTED, Layout
from fieldpipe.recordings.linker import Linker
from fieldpipe.recordings.plan import Plan, Wire
from fieldpipe.recordings.rows import rows_of
from fieldpipe.recordings.steps import Found, Step


class CdrDecoder:
    """Runs a plan whose wire is CDR or ROS 1. See executor.Decoder."""

    def __init__(self, plan: Plan, *, formula_safe: bool = False) -> None:
        self.plan = plan
        self.formula_safe = formula_safe
        self.escaped = 0
        self.has_more = False
        self.binary = b""
        self._linked: dict[bytes, tuple[list[Step], Found, Layout]] = {}

    def rows(self, payload: bytes) -> list[list[str]]:
        """See executor.Decoder.rows. A payload must be consumed exactly."""
        if self.plan.wire is Wire.ROS1:
            return self._rows(payload, b"")
        if len(payload) < HEADER_SIZE:
            raise DecodeError(f"{len(payload)} bytes are too few for a CDR header")
        return self._rows(payload[HEADER_SIZE:], payload[:2])

    def _rows(self, payload: bytes, header: bytes) -> list[list[str]]:
        steps, found, layout = self._linked.get(header) or self._link(header)
        found.clear()
        cells: list[str] = []
        position = 0
        try:
            for step in steps:
                position = step(payload, position, cells)
        except struct.error as error:
            raise DecodeError(f"the payload ends inside a value ({len(payload)} bytes)") from error
        left = len(payload) - position
        if not 0 <= left <= layout.padding:
            raise DecodeError(f"{left} bytes are left after the last field" if left > 0 else "the payload ends early")
        rows = rows_of(cells, found.exploded)
        self.escaped += found.escaped
        self.binary = found.binary
        return rows

    def _link(self, header: bytes) -> tuple[list[Step], Found, Layout]:
        layout, found = _layout(header), Found()
        steps = Linker(layout, found, formula_safe=self.formula_safe).cells(self.plan.program)
        self._linked[header] = steps, found, layout
        return self._linked[header]


def _layout(header: bytes) -> Layout:
    """What the first two bytes of a payload stand for; ROS 1 has none."""
    if not header:
        return ROS1
    if header not in CDR:
        name = f" ({UNSUPPORTED[header]})" if header in UNSUPPORTED else ""
        raise DecodeError(f"CDR encapsulation 0x{header.hex()}{name} is not supported")
    return CDR[header]
