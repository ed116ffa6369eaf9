"""How much memory a process takes at most."""

import threading
from pathlib import Path

SECONDS = 0.05  # between two looks


class Peak:
    """Looks at a process until it ends. The kernel keeps the mark; only what comes after the last look is missed."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self._most = 0
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._ended = threading.Event()
        self._thread.start()

    def most(self) -> int:
        """The most resident memory that was seen, in bytes. To be asked when the process has ended."""
        self._ended.set()
        self._thread.join()
        return self._most

    def _watch(self) -> None:
        while not self._ended.wait(SECONDS):
            try:
                lines = self._status.read_text().splitlines()
            except (FileNotFoundError, ProcessLookupError):
                return
            found = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")]
            self._most = max([self._most, *found])
