"""Processes of the embedded stack: started in a group of their own, stopped politely and then surely."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from fieldpipe.errors import TransientError
from fieldpipe.local import marks

POLL_SECONDS = 0.02

_INHERITED = ("HOME", "PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "USER", "LOGNAME")


class StartFailed(TransientError):
    """A server did not become ready. The message ends with the last lines of its log."""


@dataclass(frozen=True)
class Command:
    """What to run: arguments, the whole environment, the working directory, and how to ask it to stop.

    `litter`: files outside our folders that it leaves behind when it is killed.
    """

    arguments: tuple[str, ...]
    directory: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 10.0
    litter: tuple[Path, ...] = ()


class Server(Protocol):
    """A server program: what it needs before its first start, how it is started, and when it serves."""

    def prepare(self) -> None:
        """Create files and folders; does nothing the second time."""

    def command(self) -> Command:
        """How to start it."""

    def ready(self, since: float) -> bool:
        """Whether the process that was started at `since` (unix time) serves now. May take a few seconds."""


def base_environment(stack: str) -> dict[str, str]:
    """The variables that every process of a stack gets: the few of ours that programs need, and the mark."""
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    # SPT_NOENV: setproctitle (Airflow, gunicorn) would write over the environment, by which leftovers are found.
    return inherited | {marks.STACK: stack, "PYTHONUNBUFFERED": "1", "SPT_NOENV": "1"}


class Child:
    """A process that we started, with everything it starts in its own group."""

    def __init__(self, command: Command, log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.command = command
        self.log = log
        self.started = time.time()
        with log.open("ab") as output, marks.inherited(command.environment):
            self._process = subprocess.Popen(
                command.arguments,
                env=dict(command.environment),
                cwd=command.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._ended = threading.Event()
        threading.Thread(target=self._reap, name=f"reap-{self.pid}", daemon=True).start()

    @property
    def pid(self) -> int:
        """Process id; also the id of the process group."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.returncode if self._ended.is_set() else None

    def wait(self, seconds: float | None = None) -> int | None:
        """Wait for its end; None when it still runs after `seconds`."""
        self._ended.wait(seconds)
        return self.exit_code()

    def kill(self) -> None:
        """End the process and its whole group at once (what a crash looks like)."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.wait(marks.KILL_SECONDS)
        for file in self.command.litter:
            file.unlink(missing_ok=True)

    def ask_to_stop(self) -> None:
        """Send the process its stop signal; returns at once."""
        if not self._ended.is_set():
            self._process.send_signal(self.command.stop_signal)

    def stop(self) -> None:
        """Ask it to stop, kill it when it does not, and end what is left of its group."""
        self.ask_to_stop()
        self.wait(self.command.stop_seconds)
        self.kill()

    def _reap(self) -> None:
        # At once: PostgreSQL takes the zombie of its predecessor for a running server.
        self._process.wait()
        self._ended.set()


def await_ready(server: Server, child: Child, seconds: float) -> float:
    """Wait until the server serves; returns how long that took. Raises StartFailed when it ends or the time is up."""
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        if child.exit_code() is not None:
            raise failed(child, seconds)
        if server.ready(child.started):
            return time.monotonic() - begin
        time.sleep(POLL_SECONDS)
    raise failed(child, seconds)


def failed(child: Child, seconds: float) -> StartFailed:
    """What to say about a process that ended, or that was not ready after `seconds`."""
    code = child.exit_code()
    what = f"not ready after {seconds:.0f} s" if code is None else f"ended with exit code {code}"
    lines = tail(child.log, 15)
    words = f"; the end of {child.log}:\n" + "\n".join(f"    {line}" for line in lines)
    return StartFailed(what + (words if lines else f" (nothing in {child.log})"))


def start(server: Server, log: Path, seconds: float = 60.0) -> Child:
    """Prepare the server, start it and wait until it serves. Raises StartFailed; then nothing is left running."""
    server.prepare()
    child = Child(server.command(), log)
    try:
        await_ready(server, child, seconds)
    except BaseException:
        child.stop()
        raise
    return child


def tail(log: Path, lines: int) -> list[str]:
    """The last lines of a log (at most 64 KiB of it); empty when there is none."""
    if not log.exists():
        return []
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 65536))
        return file.read().decode(errors="replace").splitlines()[-lines:]
