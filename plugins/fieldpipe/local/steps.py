"""What a stack is made of: servers that are kept running and jobs that are done once, each with what it needs first."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fieldpipe.local.process import Command, Server


class Work(Protocol):
    """Something that is done once per start, before others start."""

    def needed(self) -> bool:
        """Whether there is anything to do."""

    def command(self) -> Command:
        """The process that does it; success is exit code 0."""

    def succeeded(self) -> None:
        """Called after success."""


@dataclass(frozen=True)
class Service:
    """A server that is kept running. It starts when all of `after` serve; `address` is for people."""

    name: str
    server: Server
    after: tuple[str, ...] = ()
    address: str | None = None
    start_seconds: float = 120.0


@dataclass(frozen=True)
class Job:
    """A command that must succeed once before those that name it in their `after` start."""

    name: str
    work: Work
    after: tuple[str, ...] = ()
    address: str | None = None
    start_seconds: float = 300.0


Step = Service | Job


@dataclass(frozen=True)
class Program:
    """A server of ours: a command line and a check."""

    arguments: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]
    check: Callable[[float], bool]

    def prepare(self) -> None:
        """Nothing."""

    def command(self) -> Command:
        return Command(self.arguments, self.folder, self.environment)

    def ready(self, since: float) -> bool:
        return self.check(since)


@dataclass(frozen=True)
class Script:
    """A job of ours: a command that may run at every start."""

    arguments: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]
    before: Callable[[], None] = lambda: None

    def needed(self) -> bool:
        self.before()
        return True

    def command(self) -> Command:
        return Command(self.arguments, self.folder, self.environment)

    def succeeded(self) -> None:
        """Nothing to remember."""
