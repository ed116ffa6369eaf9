"""Values and strings of a payload as closures: the smallest steps of the readable executor."""

from __future__ import annotations

import struct
from collections.abc import Callable

from fieldpipe.recordings.cells import float32_text, json_floats
from fieldpipe.recordings.executor import MAX_ROW, DecodeError
from fieldpipe.recordings.layouts import CODES, Layout
from fieldpipe.recordings.plan import WIDTHS
from fieldpipe.recordings.rows import Exploded
from fieldpipe.recordings.typetree import Kind

_BLOCK = 1024 * 1024  # bytes
_BYTE_TEXTS = [str(byte) for byte in range(256)]

Step = Callable[[bytes, int, list[str]], int]
"""Reads at a position of the payload, appends what it read to the list, returns where it stopped."""

Length = Callable[[bytes, int], tuple[int, int]]
"""Reads how many elements a list has; returns that and where they start."""


class Found:
    """What steps find in a payload besides cells.

    `escaped`: texts with bytes that were not valid; `binary`: its BYTES; `exploded`: the list whose elements become
    rows; `least`: characters of text that it makes at least.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Before the next payload."""
        self.escaped = 0
        self.binary = b""
        self.exploded: Exploded | None = None
        self.least = 0

    def expect(self, characters: int) -> None:
        """There will be so much text: what nobody can use is refused before it is made."""
        self.least += characters
        if self.least > MAX_ROW:
            raise DecodeError(f"the message makes more than the {MAX_ROW} bytes of text that are accepted")


def values(layout: Layout, kind: Kind, count: int) -> Step:
    """Appends `count` values."""
    size, mask = WIDTHS[kind] * count, layout.alignment(kind) - 1
    unpack = struct.Struct(layout.order + _format(kind, count)).unpack_from
    texts = _TEXTS.get(kind, _plain)

    def read(payload: bytes, position: int, out: list[str]) -> int:
        position += -position & mask
        out += texts(unpack(payload, position))
        return position + size

    return read


def json_value(layout: Layout, kind: Kind) -> Step:
    """Appends one value as JSON."""
    read = values(layout, kind, 1)
    if kind not in (Kind.FLOAT32, Kind.FLOAT64):
        return read

    def read_float(payload: bytes, position: int, out: list[str]) -> int:
        position = read(payload, position, out)
        out[-1] = json_floats(out[-1:])
        return position

    return read_float


def json_values(layout: Layout, kind: Kind, length_of: Length) -> Step:
    """Appends a JSON array of values."""
    width, mask = WIDTHS[kind], layout.alignment(kind) - 1
    order, texts = layout.order, _TEXTS.get(kind, _plain)

    def read(payload: bytes, position: int, out: list[str]) -> int:
        count, position = length_of(payload, position)
        if not count:
            out.append("[]")
            return position
        position += -position & mask
        found = struct.unpack_from(order + _format(kind, count), payload, position)
        out.append(f"[{json_floats(texts(found))}]")
        return position + count * width

    return read


def json_bytes(length_of: Length) -> Step:
    """Appends a JSON array of bytes. Point clouds have millions: a block at a time, without an object for each."""

    def read(payload: bytes, position: int, out: list[str]) -> int:
        count, position = length_of(payload, position)
        end = position + count
        blocks = (payload[at : min(at + _BLOCK, end)] for at in range(position, end, _BLOCK))
        out.append("[" + ",".join(",".join(map(_BYTE_TEXTS.__getitem__, block)) for block in blocks) + "]")
        return end

    return read


class Strings:
    """Steps for strings. Those that are not valid are counted in `found`."""

    def __init__(self, layout: Layout, found: Found) -> None:
        self._layout = layout
        self._found = found
        self._zeros = 1 if layout.terminated else 0
        self._size = uint32(layout)

    def step(self, kind: Kind, count: int, written: Callable[[str], str]) -> Step:
        """Appends `count` strings, each as `written` writes it."""
        read_one = self._wide_string if kind is Kind.WSTRING else self._string

        def read(payload: bytes, position: int, out: list[str]) -> int:
            for _ in range(count):
                text, position = read_one(payload, position)
                out.append(written(text))
            return position

        return read

    def _string(self, payload: bytes, position: int) -> tuple[str, int]:
        """A uint32 of bytes, then UTF-8. CDR counts a final zero, which some writers leave out of an empty string."""
        size, position = self._size(payload, position)
        if not size:
            return "", position
        end = position + size
        if end > len(payload) or (self._zeros and payload[end - 1]):
            raise DecodeError(f"a string of {size} bytes does not end where it should")
        content = payload[position : end - self._zeros]
        try:
            return content.decode(), end
        except UnicodeDecodeError:
            self._found.escaped += 1
            return content.decode(errors="backslashreplace"), end

    def _wide_string(self, payload: bytes, position: int) -> tuple[str, int]:
        """XCDR1: a uint32 of characters, four bytes each; XCDR2: a uint32 of bytes, then UTF-16. No final zero."""
        size, position = self._size(payload, position)
        width = 2 if self._layout.delimiters else 4
        count, odd = divmod(size, 2) if self._layout.delimiters else (size, 0)
        end = position + count * width
        if odd or end > len(payload):
            raise DecodeError(f"a wide string of {count} characters does not fit into the payload")
        units = struct.unpack_from(f"{self._layout.order}{count}{'H' if width == 2 else 'I'}", payload, position)
        if any(unit > 0x10FFFF for unit in units):
            raise DecodeError("a wide string holds what is no character")
        # two halves of a pair may stand in units of their own, whatever the width
        pairs = "".join(map(chr, units)).encode("utf-16-le", "surrogatepass")
        try:
            return pairs.decode("utf-16-le"), end
        except UnicodeDecodeError:
            self._found.escaped += 1
            return pairs.decode("utf-16-le", "backslashreplace"), end


def uint32(layout: Layout) -> Length:
    """Reads a number of four bytes."""
    mask = layout.alignment(Kind.UINT32) - 1
    unpack = struct.Struct(layout.order + "I").unpack_from

    def read(payload: bytes, position: int) -> tuple[int, int]:
        position += -position & mask
        (number,) = unpack(payload, position)
        return number, position + 4

    return read


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
    Kind.ROS1_TIME: _times,
    Kind.ROS1_DURATION: _times,
}


def _format(kind: Kind, count: int) -> str:
    codes = CODES[kind]
    return f"{count}{codes}" if len(codes) == 1 else codes * count
