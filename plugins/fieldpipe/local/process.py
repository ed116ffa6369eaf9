"""Processes of the embedded stack: started in a group of their own, stopped politely and then surely.

Every process carries the variable FIELDPIPE_STACK, which its children inherit: so whatever is left of a stack whose
supervisor was killed can be found, also children that left their group (`sweep`).
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import psutil

from fieldpipe.errors import TransientError

MARK = "FIELDPIPE_STACK"
POLL_SECONDS = 0.02
KILL_SECONDS = 5.0  # a killed process that is not gone by then hangs in the kernel

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

    def ready(self) -> bool:
        """Whether it serves now. Raises nothing; may take a few seconds."""


def base_environment(stack: str) -> dict[str, str]:
    """The variables that every process of a stack gets: the few of ours that programs need, and the mark."""
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return inherited | {MARK: stack, "PYTHONUNBUFFERED": "1"}


class Child:
    """A process that we started, with everything it starts in its own group."""

    def __init__(self, command: Command, log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.command = command
        self.log = log
        self.started = time.time()
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command.arguments,
                env=dict(command.environment),
                cwd=command.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id; also the id of the process group."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """None while it runs. Reaps it once it has ended: PostgreSQL refuses to start beside a dead one's zombie."""
        return self._process.poll()

    def wait(self, seconds: float) -> int | None:
        """Wait for its end; None when it still runs after `seconds`."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        return None

    def kill(self) -> None:
        """End the process and its whole group at once (what a crash looks like)."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.wait(KILL_SECONDS)
        for file in self.command.litter:
            file.unlink(missing_ok=True)

    def ask_to_stop(self) -> None:
        """Send the process its stop signal; returns at once."""
        if self.exit_code() is None:
            self._process.send_signal(self.command.stop_signal)

    def stop(self) -> None:
        """Ask it to stop, kill it when it does not, and end what is left of its group."""
        self.ask_to_stop()
        self.wait(self.command.stop_seconds)
        self.kill()


def await_ready(server: Server, child: Child, seconds: float) -> float:
    """Wait until the server serves; returns how long that took. Raises StartFailed when it ends or the time is up."""
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        if (code := child.exit_code()) is not None:
            raise StartFailed(f"ended with exit code {code}{_last_words(child.log)}")
        if server.ready():
            return time.monotonic() - begin
        time.sleep(POLL_SECONDS)
    raise StartFailed(f"not ready after {seconds:.0f} s{_last_words(child.log)}")


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


def marked(stack: str) -> list[psutil.Process]:
    """All processes of a stack and their descendants, except this process and its ancestors."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK) == stack:
                family = [process, *process.children(recursive=True)]
                found.update({member.pid: member for member in family})
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [process for pid, process in found.items() if pid not in own]


def sweep(stack: str, seconds: float = 3.0) -> int:
    """End everything that is left of a stack; returns how many processes that were."""
    return _end(lambda: marked(stack), seconds)


def _end(find: Callable[[], list[psutil.Process]], seconds: float) -> int:
    ended: set[int] = set()
    deadline = time.monotonic() + seconds
    while found := find():
        polite = time.monotonic() < deadline
        for process in found:
            if not polite or process.pid not in ended:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGTERM if polite else signal.SIGKILL)
        ended |= {process.pid for process in found}
        psutil.wait_procs(found, timeout=0.2)
    return len(ended)


def _last_words(log: Path) -> str:
    lines = tail(log, 15)
    return f"; the end of {log}:\n" + "\n".join(f"    {line}" for line in lines) if lines else f" (nothing in {log})"
