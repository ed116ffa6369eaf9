"""How values are written: CSV cells (RFC 4180) and the JSON inside them.

Integers are exact; floats are the shortest decimals that read back as the same number, in Python's notation; what is
not finite is `nan`, `inf`, `-inf` (a JSON string inside JSON, which has no such numbers); booleans are `true`, `false`.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from json.encoder import encode_basestring as json_string

__all__ = ["defused", "float32_text", "json_floats", "json_string", "json_value", "quoted", "row"]

_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
_FLOAT32 = struct.Struct("<f")
_SMALLEST_NORMAL = 2.0**-126
# Below a power of two float32s lie twice as close, so that rounding down may miss it where rounding up, in as many
# digits, does not. Of all powers of two these are the ones (the tests go through them).
_BETWEEN = {2.0**-96: 1.2621775e-29, 2.0**87: 1.5474251e26, 2.0**90: 1.2379401e27}


def quoted(text: str) -> str:
    """A cell, in quotes where RFC 4180 asks for them."""
    if '"' in text or "," in text or "\n" in text or "\r" in text:
        return '"' + text.replace('"', '""') + '"'
    return text


def defused(text: str) -> str:
    """A text that no spreadsheet takes for a formula (OWASP, "CSV Injection")."""
    return "'" + text if text.startswith(_FORMULAS) else text


def row(cells: Sequence[str]) -> str:
    """One line of plain texts that may need quotes."""
    return ",".join(map(quoted, cells)) + "\n"


def float32_text(value: float) -> str:
    """The shortest decimal that reads back as this float32 (`value` is one exactly, widened)."""
    if value == 0 or not math.isfinite(value):
        return repr(value)
    if abs(value) in _BETWEEN:
        return repr(math.copysign(_BETWEEN[abs(value)], value))
    # every decimal of 6 digits survives a normal float32, and 9 digits always suffice
    for digits in range(6 if abs(value) >= _SMALLEST_NORMAL else 1, 9):
        text = f"{value:.{digits}g}"
        if _float32(text) == value:
            return repr(float(text))
    return repr(float(f"{value:.9g}"))


def json_floats(texts: Sequence[str]) -> str:
    """Texts of floats, separated by commas, with what JSON has no number for as strings."""
    joined = ",".join(texts)
    if "n" not in joined:  # neither nan nor inf
        return joined
    return ",".join(f'"{text}"' if "n" in text else text for text in texts)


def json_value(value: object) -> str:
    """Compact JSON of what `json.loads` returned."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False, separators=(",", ":"))


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list) else value


def _float32(text: str) -> float:
    try:
        value: float = _FLOAT32.unpack(_FLOAT32.pack(float(text)))[0]
    except OverflowError:  # rounded up beyond the largest float32
        return math.inf
    return value
