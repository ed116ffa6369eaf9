"""How much memory a process takes at most."""

import threading
from pathlib import Path

SECONDS = 0.02  # between two looks, unless somebody says otherwise


class Peak:
    """Looks at a process until it ends: at what is resident, or, with `private`, at what it shares with nobody.

    Of what is resident the kernel keeps the mark, and only what comes after the last look is missed.
    """

    def __init__(self, pid: int, *, private: bool = False, seconds: float = SECONDS) -> None:
        self._path = Path(f"/proc/{pid}") / ("smaps_rollup" if private else "status")
        self._counted = "Private_" if private else "VmHWM:"
        self._seconds = seconds
        self._most = 0
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._ended = threading.Event()
        self._thread.start()

    def most(self) -> int:
        """The most that was seen, in bytes. To be asked when the process has ended."""
        self._ended.set()
        self._thread.join()
        return self._most

    def _watch(self) -> None:
        while not self._ended.wait(self._seconds):
            try:
                lines = self._path.read_text().splitlines()
            except (FileNotFoundError, ProcessLookupError):
                return
            kilobytes = sum(int(line.split()[1]) for line in lines if line.startswith(self._counted))
            self._most = max(self._most, kilobytes * 1024)
