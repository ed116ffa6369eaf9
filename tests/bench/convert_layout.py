"""CDR messages whose layout never changes: a block of them is one numpy array, and its bytes are the messages."""

from __future__ import annotations

import numpy
from numpy.typing import NDArray

Messages = NDArray[numpy.void]


class Layout:
    """A message (little endian, XCDR1) that is put together field by field; texts are constant, numbers have names."""

    def __init__(self) -> None:
        self._content = bytearray(b"\0\1\0\0")
        self._fields: dict[str, tuple[str, int]] = {}

    def header(self, frame: str, prefix: str = "") -> Layout:
        """A std_msgs/Header; its stamp is `<prefix>sec` and `<prefix>nanosec`."""
        return self.numbers(f"{prefix}sec", "<i4").numbers(f"{prefix}nanosec", "<u4").text(frame)

    def text(self, value: str) -> Layout:
        """A string."""
        self.length(len(value) + 1)
        self._content += value.encode() + b"\0"
        return self

    def length(self, value: int) -> Layout:
        """How many elements follow."""
        self._align(4)
        self._content += value.to_bytes(4, "little")
        return self

    def numbers(self, name: str, code: str = "<f8", count: int = 1) -> Layout:
        """Numbers side by side, zero unless they are set."""
        kind = numpy.dtype(code)
        self._align(kind.itemsize)
        self._fields[name] = (f"({count},){code}" if count > 1 else code, len(self._content))
        self._content += bytes(kind.itemsize * count)
        return self

    def messages(self, count: int) -> Messages:
        """That many messages; set their numbers by name."""
        names, fields = list(self._fields), list(self._fields.values())
        formats, offsets = [code for code, _ in fields], [offset for _, offset in fields]
        kind = numpy.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": len(self._content)})
        return numpy.frombuffer(bytearray(self._content * count), dtype=kind)

    def doubles(self) -> list[str]:
        """The names of the numbers that are doubles."""
        return [name for name, (code, _) in self._fields.items() if code.endswith("f8")]

    def _align(self, size: int) -> None:
        self._content += bytes(-(len(self._content) - 4) % size)  # counted from behind the CDR header
