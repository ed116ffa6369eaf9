"""One local process per pod: started in a session of its own, its output stamped into a log, its end noticed at once.

Only the event loop's thread touches it. Starting goes through vfork (subprocess without preexec_fn): about a
millisecond, whatever the size of the server.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from fieldpipe.local.pods import orphans
from fieldpipe.local.pods.command import Command
from fieldpipe.local.pods.logfile import LogFile

OUTPUT_SECONDS = 1.0  # how long the log may stay open after the process has ended
NICENESS = 10
_PIPE_BYTES = 64 * 1024


class NotStarted(Exception):
    """The system refused to start the process. The message says why in the system's words."""


class PodProcess:
    """A running process and its log. `ended(exit_code)` is called once: the process is gone and its output complete."""

    def __init__(self, command: Command, image: Mapping[str, str], log: LogFile, ended: Callable[[int], None]) -> None:
        """Start it. `image` are variables that the spec may override, TMPDIR among them. Raises NotStarted."""
        self._log = log
        self._scratch = image["TMPDIR"]
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._exit_code: int | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._output, inlet = os.pipe()
        try:
            self._process = _start(command, image, inlet)
        except BaseException:
            os.close(self._output)
            raise
        finally:
            os.close(inlet)
        os.set_blocking(self._output, False)
        self._loop.add_reader(self._output, self._read)

    @property
    def pid(self) -> int:
        """Process id; also the id of its session and group."""
        return self._process.pid

    def reap(self) -> None:
        """Look whether the process has ended (called on SIGCHLD). What it left running in its group ends with it."""
        if self._exit_code is None and (code := self._process.poll()) is not None:
            self._exit_code = code if code >= 0 else 128 - code
            self._signal_group(signal.SIGKILL)
            if self._output < 0:
                self._finish()
            else:
                self.after(OUTPUT_SECONDS, self._end_strays)

    def stop(self, grace: float) -> None:
        """End the whole group: SIGTERM, and SIGKILL after `grace` seconds. May be called again with another grace."""
        if self._exit_code is not None:
            return
        if grace > 0:
            self._signal_group(signal.SIGTERM)
            self.after(grace, self._kill)
        else:
            self._kill()

    def abandon(self) -> None:
        """Wait no longer for its output or its end: the server is being stopped."""
        self._close_output()
        self._log.close()

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something later, unless the process has ended by then."""
        self._timers.append(self._loop.call_later(seconds, action))

    def _end_strays(self) -> None:
        """Somebody left the group and holds the pipe open: rare, so that a search among all processes may be slow."""
        orphans.sweep(self._scratch)
        self._close_output()

    def _kill(self) -> None:
        if self._exit_code is None:
            self._signal_group(signal.SIGKILL)

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def _read(self) -> None:
        try:
            data = os.read(self._output, _PIPE_BYTES)
        except BlockingIOError:
            return
        if data:
            self._log.write(data)
        else:
            self._close_output()

    def _close_output(self) -> None:
        if self._output >= 0:
            self._loop.remove_reader(self._output)
            os.close(self._output)
            self._output = -1
            if self._exit_code is not None:
                self._finish()

    def _finish(self) -> None:
        assert self._exit_code is not None
        for timer in self._timers:
            timer.cancel()
        self._log.end_line()
        self._ended(self._exit_code)
        self._log.close()  # after the status is known: a client that follows looks at the status when the log ends


def _start(command: Command, image: Mapping[str, str], output: int) -> subprocess.Popen[bytes]:
    try:
        process = subprocess.Popen(
            command.arguments,
            env={**image, **command.environment},
            cwd=Path(command.folder),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:  # ValueError: a zero byte or text that is no UTF-8
        raise NotStarted(f"failed to start {command.arguments[0]!r}: {error}") from error
    _work_behind_services(process.pid)
    return process


def _work_behind_services(pid: int) -> None:
    """Give the pod less of a busy CPU than the services of the stack, which have to stay responsive.

    Where the kernel shares the CPU among sessions (autogroup), a process's own niceness counts within its session only.
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, NICENESS)
        Path(f"/proc/{pid}/autogroup").write_text(str(NICENESS))
