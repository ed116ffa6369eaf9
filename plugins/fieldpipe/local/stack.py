"""The embedded stack as a whole: start it (in the background or here), find it, stop it, clean up after a crash."""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from fieldpipe.errors import EXIT_PERMANENT, PermanentError, TransientError
from fieldpipe.local import logfiles, marks, process, status
from fieldpipe.local.credentials import write_private
from fieldpipe.local.home import Home
from fieldpipe.local.pods import orphans
from fieldpipe.local.services import compose
from fieldpipe.local.status import Identity, ServiceStatus, StackStatus, State
from fieldpipe.local.supervisor import Supervisor

STOP_SECONDS = 60.0  # for the supervisor to end everything in order; after that it is killed and swept
_POLL_SECONDS = 0.05

Show = Callable[[StackStatus], None]


class AlreadyRunning(TransientError):
    """Another supervisor keeps the stack of this folder."""


class StackFailed(TransientError):
    """The stack could not start. The message says which service, with the end of its log."""


def status_file(home: Home) -> Path:
    """Where the supervisor writes what it does."""
    return home.run / "stack.json"


def running(home: Home) -> StackStatus | None:
    """The stack's status while its supervisor lives, else None."""
    found = status.read(status_file(home))
    return found if found is not None and found.supervisor.alive() else None


def environment(home: Home) -> dict[str, str]:
    """The variables that lead our programs to this stack. Raises TransientError when it was never started."""
    try:
        variables: dict[str, str] = json.loads(_environment_file(home).read_text())
    except FileNotFoundError:
        raise TransientError(f"there is no stack in {home.root} (start it: make up)") from None
    return variables


def pods_port(found: StackStatus) -> int:
    """Where the Pods API of a running stack listens."""
    address = next(service.address for service in found.services if service.name == "pods")
    return urlsplit(address or "").port or 0


def supervise(home: Home, show: Show) -> None:
    """Run the stack here until SIGTERM or Ctrl-C. Raises AlreadyRunning, StackFailed."""
    home.prepare()
    with _lock(home):
        clean_up(home)
        home.prepare()
        logfiles.forget(home.logs / "airflow")
        stack = compose(home)
        write_private(_environment_file(home), dict(stack.environment))
        me = Identity.of(os.getpid())
        assert me is not None
        current = StackStatus(me, State.STARTING, (), litter=stack.litter)

        def changed(services: tuple[ServiceStatus, ...]) -> None:
            nonlocal current
            up = all(service.state in (State.SERVING, State.DONE) for service in services)
            current = replace(current, services=services, state=State.SERVING if up else current.state)
            current.write(status_file(home))
            show(current)

        supervisor = Supervisor(stack.steps, home, changed)
        with _until_signal(supervisor.stop):
            supervisor.run()
        clean_up(home)
        if supervisor.failure is not None:
            replace(current, state=State.FAILED, message=supervisor.failure).write(status_file(home))
            raise StackFailed(supervisor.failure)
        status_file(home).unlink()


def start(home: Home, show: Show, settings: Mapping[str, str] | None = None) -> StackStatus:
    """Start the stack in the background; returns when everything serves. `settings` go before the environment.

    Raises AlreadyRunning, StackFailed, or PermanentError when a setting is wrong. When it is interrupted it stops what
    it has started.
    """
    if running(home) is not None:
        raise AlreadyRunning(f"the stack of {home.root} runs already")
    home.prepare()
    home.log("supervisor").unlink(missing_ok=True)  # what it says is about this start
    with home.log("supervisor").open("ab") as output:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "scripts.stack", "up", "--foreground"],
            cwd=home.project,
            env={**os.environ, **(settings or {}), "FIELDPIPE_HOME": str(home.root)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        return _follow(home, supervisor, show)
    except BaseException:
        supervisor.terminate()
        supervisor.wait()
        raise


def stop(home: Home) -> bool:
    """Stop the stack and whatever is left of it. False: there was nothing to stop."""
    found = running(home)
    if found is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(found.supervisor.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while found.supervisor.alive() and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        if found.supervisor.alive():
            os.kill(found.supervisor.pid, signal.SIGKILL)
    left = clean_up(home)
    status_file(home).unlink(missing_ok=True)
    return found is not None or left > 0


def clean_up(home: Home) -> int:
    """End what a dead supervisor has left, and delete what lies outside the folder; returns the number of processes."""
    ended = marks.sweep(home.stack) + orphans.sweep(f"{home.run / 'pods'}/")
    last = status.read(status_file(home))
    for path in [home.temporary, *map(Path, last.litter if last else ())]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return ended


def _follow(home: Home, supervisor: subprocess.Popen[bytes], show: Show) -> StackStatus:
    while supervisor.poll() is None:
        found = status.read(status_file(home))
        if found is not None and found.supervisor.pid == supervisor.pid:
            show(found)
            if found.state is State.SERVING:
                return found
        time.sleep(_POLL_SECONDS)
    found = status.read(status_file(home))
    if found is not None and found.supervisor.pid == supervisor.pid and found.message:
        raise StackFailed(found.message)
    said = "\n".join(process.tail(home.log("supervisor"), 15)).removeprefix("error: ")
    if supervisor.returncode == EXIT_PERMANENT:
        raise PermanentError(said)
    raise StackFailed(said or "the supervisor ended and said nothing")


def _environment_file(home: Home) -> Path:
    return home.config / "environment.json"


@contextlib.contextmanager
def _lock(home: Home) -> Iterator[None]:
    with (home.run / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(f"the stack of {home.root} runs already") from None
        yield


@contextlib.contextmanager
def _until_signal(stop: Callable[[], None]) -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: stop()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
