"""Pods never outlive the server: a guardian ends them when it dies, and the next start sweeps what is left.

Pods are known by their environment, where HOME and TMPDIR lie in the server's folder. That also finds processes that
left their group, has no moment between start and record in which a pod is unknown, and no id that is used again.
PR_SET_PDEATHSIG would need code between fork and exec (no vfork: slower) and reaches only the first process of a pod.
"""

import contextlib
import subprocess
import sys
import time
from pathlib import Path

import psutil

_MARKS = ("TMPDIR", "HOME")
_SWEEP_SECONDS = 2.0


def sweep(prefix: str) -> int:
    """Kill every process whose environment says that its folder begins with `prefix`; returns how many there were.

    Repeated until none is found, because a process that is just being started shows its environment a moment later.
    """
    killed: set[int] = set()
    deadline = time.monotonic() + _SWEEP_SECONDS
    while time.monotonic() < deadline:
        found = [process for process in psutil.process_iter() if _lives_in(prefix, process)]
        if not found:
            break
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        killed |= {process.pid for process in found}
        psutil.wait_procs(found, timeout=0.1)
    return len(killed)


def _lives_in(prefix: str, process: psutil.Process) -> bool:
    try:
        environment = process.environ()
    except (psutil.Error, OSError):  # ended meanwhile, or another user's: none of ours
        return False
    return any(environment.get(mark, "").startswith(prefix) for mark in _MARKS)


class Guardian:
    """A small process that waits for the server's end, however it comes, and sweeps its folder then."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process = self._start()

    def renew(self) -> None:
        """Start another one, should somebody have killed it."""
        if self._process.poll() is not None:
            self._process = self._start()

    def dismiss(self) -> None:
        """Let it end: it sweeps once and is gone."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "fieldpipe.local.pods.orphans", f"{self._folder}/"],
            stdin=subprocess.PIPE,  # its end of file is the news
            start_new_session=True,  # a signal to the server's group (Ctrl-C) must not reach it
        )


if __name__ == "__main__":
    sys.stdin.buffer.read()
    time.sleep(0.05)  # a pod that was being started when the server died is executing its program by now
    sweep(sys.argv[1])
