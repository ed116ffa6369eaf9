"""The readable executor of plans: a CDR payload -> the cells of its row.

A plan's instructions become closures once per kind of header (`steps.py`); running it is calling them in order.
"""

from __future__ import annotations

import struct

from fieldpipe.recordings.cdr import ENCODINGS, HEADER_SIZE
from fieldpipe.recordings.plan import Plan
from fieldpipe.recordings.steps import DecodeError, Found, Linker, Step

__all__ = ["CdrDecoder", "DecodeError"]

MAX_PADDING = 7  # bytes that may follow the last value


class CdrDecoder:
    """Runs a plan."""

    def __init__(self, plan: Plan) -> None:
        self.columns = plan.columns
        self._plan = plan
        self._found = Found()
        self._steps: dict[int, list[Step]] = {}

    @property
    def escaped(self) -> int:
        """How many texts so far held bytes that were not valid."""
        return self._found.escaped

    @property
    def binary(self) -> bytes:
        """The BYTES of the last payload, if the plan has such an instruction."""
        return self._found.binary

    def cells(self, payload: bytes) -> list[str]:
        """One CSV cell per column. Raises DecodeError unless the payload is consumed exactly."""
        if len(payload) < HEADER_SIZE:
            raise DecodeError(f"{len(payload)} bytes are too few for a CDR header")
        steps = self._steps.get(payload[1]) or self._prepare(payload[0], payload[1])
        cells: list[str] = []
        position = HEADER_SIZE
        try:
            for step in steps:
                position = step(payload, position, cells)
        except struct.error as error:
            raise DecodeError(f"the payload ends inside a value ({len(payload)} bytes)") from error
        left = len(payload) - position
        if not 0 <= left <= MAX_PADDING:
            raise DecodeError(f"{left} bytes are left after the last field" if left > 0 else "the payload ends early")
        return cells

    def _prepare(self, first: int, second: int) -> list[Step]:
        encoding = ENCODINGS.get(second)
        if first != 0 or encoding is None:
            raise DecodeError(f"CDR encapsulation {first:#04x} {second:#04x} is not supported")
        self._steps[second] = Linker(encoding, self._found).cells(self._plan.program)
        return self._steps[second]
