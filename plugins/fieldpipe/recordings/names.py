"""What the files of a recording are called: `/imu/data` -> `imu__data`.

A name never holds a dot, a slash or a tilde of its own, so that what is put behind it (`.csv`, `.raw.bin`, `/`,
`~<digest>`) can never make two files meet.
"""

from __future__ import annotations

from fieldpipe.handover import path_part
from fieldpipe.recordings import sums

MAX_BYTES = 150  # of a name; file systems take 255 for a whole file name


class Names:
    """Gives every topic of one recording a name of its own, in the order in which they are asked for."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._taken: set[str] = set()

    def of(self, topic: str) -> str:
        """The topic's name; where two topics would get the same one, the later is told apart by its hash."""
        if topic not in self._names:
            name = path_part(topic.removeprefix("/").replace("/", "__")).replace(".", "%2E")
            if name.casefold() in self._taken or len(name.encode()) > MAX_BYTES:
                short = name.encode()[:MAX_BYTES].decode(errors="ignore").rstrip("%")
                name = f"{short}~{sums.of(topic.encode(errors='backslashreplace'))[:8]}"
            self._taken.add(name.casefold())
            self._names[topic] = name
        return self._names[topic]


def printable(text: str) -> str:
    """A text of a recording as it may go to a terminal, which takes some characters for commands."""
    return text if text.isprintable() else "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)
