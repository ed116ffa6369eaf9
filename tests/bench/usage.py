"""What each service of a stack takes of the machine: CPU seconds and memory, by the marks of its processes."""

import contextlib
from dataclasses import dataclass

import psutil

from fieldpipe.local import marks
from fieldpipe.local.status import State
from tests.bench.stack import BenchStack
from tests.stacks import RunningStack

MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Usage:
    """One service with everything it has started. `shared_out`: memory of which shared pages count in parts (PSS)."""

    processes: int
    cpu: float  # seconds, of ended children too
    resident: float  # MB; pages shared by several processes count in each
    shared_out: float  # MB


def usages(stack: BenchStack) -> dict[str, Usage]:
    """By service, those that run."""
    services = RunningStack(stack.home).status().services
    return {
        service.name: _usage(marks.marked(stack.home.stack, service.name))
        for service in services
        if service.state is State.SERVING
    }


def _usage(processes: list[psutil.Process]) -> Usage:
    cpu = resident = shared_out = 0.0
    for process in processes:
        with contextlib.suppress(psutil.Error):  # it has ended meanwhile: its parent has its seconds
            cpu += sum(process.cpu_times()[:4])
            memory = process.memory_full_info()
            resident += memory.rss / MEGABYTE
            shared_out += memory.pss / MEGABYTE
    return Usage(len(processes), cpu, resident, shared_out)
