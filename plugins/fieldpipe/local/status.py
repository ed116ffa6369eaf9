"""What a stack says about itself: one file with every process, its id and its start time, and who supervises them."""

import json
import time
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import psutil

from fieldpipe.local.credentials import write_private

_SAME_START = 1.5  # seconds by which two readings of a process's start may differ: the boot's is cut to whole ones


class State(StrEnum):
    """Of a service, or of the stack as a whole."""

    WAITING = "waiting"  # for services it needs
    STARTING = "starting"
    SERVING = "serving"
    DONE = "done"  # a job that has succeeded
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True)
class Identity:
    """A process: ids are used again, an id with its start time is not."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> "Identity | None":
        """None: there is no such process."""
        try:
            return cls(pid, psutil.Process(pid).create_time())
        except psutil.Error:
            return None

    def alive(self) -> bool:
        """Whether this very process still runs."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < _SAME_START
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


@dataclass(frozen=True)
class ServiceStatus:
    """One service. `since`: unix time at which it began to serve; `seconds`: how long its last start took."""

    name: str
    state: State = State.WAITING
    process: Identity | None = None
    since: float | None = None
    seconds: float | None = None
    restarts: int = 0
    address: str | None = None
    note: str = ""


@dataclass(frozen=True)
class StackStatus:
    """The whole stack. `litter`: files outside the stack's folder that go when it goes."""

    supervisor: Identity
    state: State
    services: tuple[ServiceStatus, ...]
    message: str = ""
    litter: tuple[str, ...] = ()
    written: float = 0.0

    def write(self, file: Path) -> None:
        """Replace the file as a whole."""
        write_private(file, asdict(self) | {"written": time.time()})


def read(file: Path) -> StackStatus | None:
    """What the file says; None when there is none."""
    try:
        value = json.loads(file.read_text())
    except FileNotFoundError:
        return None
    services = tuple(
        ServiceStatus(
            **service
            | {"state": State(service["state"]), "process": Identity(**p) if (p := service["process"]) else None}
        )
        for service in value["services"]
    )
    return StackStatus(
        **value
        | {
            "supervisor": Identity(**value["supervisor"]),
            "state": State(value["state"]),
            "services": services,
            "litter": tuple(value["litter"]),
        }
    )
