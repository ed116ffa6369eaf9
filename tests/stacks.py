"""A whole embedded stack for tests, started and stopped by the command that people type."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldpipe.local import marks, stack
from fieldpipe.local.home import Home
from fieldpipe.local.status import ServiceStatus, StackStatus, State
from fieldpipe.local.trail import Trail
from tests.waiting import eventually

PROJECT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class RunningStack:
    """A stack with its data in `home`. Services may be killed: they come back. `settings` are its user's variables."""

    home: Home
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead our programs to it."""
        return stack.environment(self.home)

    @property
    def trail(self) -> Trail:
        """Questions about objects in it; also its object store (`trail.store`)."""
        return Trail(self.environment, self.home.project, stack.pods_port(self.status()))

    def status(self) -> StackStatus:
        """What it says about itself now."""
        found = stack.running(self.home)
        assert found is not None, "the stack does not run"
        return found

    def service(self, name: str) -> ServiceStatus:
        """One service as it is now."""
        return next(service for service in self.status().services if service.name == name)

    def kill(self, name: str) -> float:
        """kill -9 a service's process; returns the unix time just before."""
        running = self.await_running(name).process
        assert running is not None
        now = time.time()
        os.kill(running.pid, signal.SIGKILL)
        return now

    def await_running(self, name: str) -> ServiceStatus:
        """One service that serves: another one's end may just have taken it along."""

        def serves() -> ServiceStatus | None:
            found = self.service(name)
            return found if found.state is State.SERVING and found.process and found.process.alive() else None

        return eventually(serves, 150)

    def await_serving_since(self, name: str, moment: float, seconds: float = 150.0) -> ServiceStatus:
        """Wait until a service that was killed at `moment` serves again."""

        def serves() -> ServiceStatus | None:
            found = self.service(name)
            return found if found.state is State.SERVING and (found.since or 0) > moment else None

        return eventually(serves, seconds)

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """`python -m ...` as a person would type it, with this stack's folder and variables."""
        variables = os.environ | dict(self.settings) | {"FIELDPIPE_HOME": str(self.home.root)}
        if stack.running(self.home) is not None:
            variables |= self.environment
        command = [sys.executable, "-m", *arguments]
        return subprocess.run(command, cwd=PROJECT, env=variables, capture_output=True, text=True, check=False)

    def up(self) -> None:
        """Start it; returns when everything serves."""
        done = self.run("scripts.stack", "up")
        assert done.returncode == 0, done.stdout + done.stderr

    def down(self) -> None:
        """Stop it."""
        done = self.run("scripts.stack", "down")
        assert done.returncode == 0, done.stdout + done.stderr

    def processes(self) -> list[Any]:
        """Every process of it, found by its marks."""
        return marks.marked(self.home.stack)
