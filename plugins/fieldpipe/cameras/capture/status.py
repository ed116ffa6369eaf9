"""What became of the frames, counted: in a line of the log, and in the file status.json of the spool."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

FILE = "status.json"
COUNTED = ("captured", "sent", "dropped", "too_large", "damaged")


class Tally:
    """The counters, which go on where the process before this one has left them."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        self._lock = threading.Lock()
        self._written: dict[str, object] = {}
        self._counts = dict.fromkeys(COUNTED, 0)
        with suppress(OSError, ValueError, TypeError, AttributeError):
            before = json.loads(self._file.read_bytes())
            self._counts |= {name: int(before.get(name, 0)) for name in COUNTED}

    def count(self, name: str, by: int = 1) -> None:
        """One more of these."""
        with self._lock:
            self._counts[name] += by

    def counts(self) -> dict[str, int]:
        """All of them now."""
        with self._lock:
            return dict(self._counts)

    def write(self, more: Mapping[str, object]) -> None:
        """The counters and more into the file, if anything has changed; a full disk keeps the one from before."""
        status = {**self.counts(), **more}
        if status == self._written:
            return
        part = self._file.with_suffix(".part")
        with suppress(OSError):
            part.write_text(json.dumps(status, indent=1) + "\n")
            part.replace(self._file)
            self._written = status
