"""What people see of a stack: progress while it starts, its addresses, a table of its services."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from fieldpipe.local.credentials import AIRFLOW_PASSWORD, AIRFLOW_USER
from fieldpipe.local.home import Home
from fieldpipe.local.status import ServiceStatus, StackStatus, State

_LINE = 79  # characters; a longer line would wrap and stay
_UP = (State.SERVING, State.DONE)


class Progress:
    """Prints a line per service when it serves; on a terminal also what is awaited, on a line that is written over."""

    def __init__(self, output: TextIO = sys.stdout) -> None:
        self._output = output
        self._live = output.isatty()
        self._shown: set[str] = set()
        self._awaited = ""
        self._begin = time.monotonic()

    def show(self, status: StackStatus) -> None:
        """Print what is new."""
        for service in status.services:
            if service.state in _UP and service.name not in self._shown:
                self._shown.add(service.name)
                self._line(f"  {service.name:<14} {service.seconds or 0:5.1f} s")
        missing = [service.name for service in status.services if service.name not in self._shown]
        if self._live and missing:
            seconds = time.monotonic() - self._begin
            self._overwrite(f"  ... {seconds:.0f} s, waiting for {', '.join(missing)}"[:_LINE])

    def _overwrite(self, text: str) -> None:
        if text != self._awaited:
            self._awaited = text
            self._output.write(f"\r\033[K{text}")
            self._output.flush()

    def _line(self, text: str) -> None:
        self._output.write(("\r\033[K" if self._live else "") + text + "\n")
        self._output.flush()


def addresses(home: Home, status: StackStatus) -> str:
    """Where to find everything, and with which account."""
    by_name = {service.name: service.address for service in status.services}
    secrets = near(home.config / "credentials.json")
    rows = [
        ("Airflow", by_name["api-server"], f"{AIRFLOW_USER} / {AIRFLOW_PASSWORD}"),
        ("object store", by_name["store"], f"access key fieldpipe, secret key in {secrets}"),
        ("webhook", by_name["webhook"], f"token in {secrets}"),
        ("pods", by_name["pods"], f"KUBECONFIG={near(home.config / 'kubeconfig')}"),
        *([("Kafka", by_name["kafka"], "for clients on this machine")] if "kafka" in by_name else []),
        *([("etcd", by_name["etcd"], "python -m scripts.sentinel writes to it")] if "etcd" in by_name else []),
        *([("MariaDB", by_name["mariadb"], f"user fieldpipe, password in {secrets}")] if "mariadb" in by_name else []),
        ("logs", near(home.logs), ""),
    ]
    return "\n".join(f"  {name:<13} {address or '':<42} {hint}".rstrip() for name, address, hint in rows)


def table(status: StackStatus, *, now: float | None = None) -> str:
    """Every service with its state, process, uptime, restarts and address."""
    now = time.time() if now is None else now
    rows = [("service", "state", "pid", "uptime", "restarts", "address")]
    rows += [_row(service, now) for service in status.services]
    return columns(rows)


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows of text as columns that fit their widest value; the first row is the heading."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _row(service: ServiceStatus, now: float) -> tuple[str, str, str, str, str, str]:
    up = service.state is State.SERVING and service.since is not None
    return (
        service.name,
        service.state.value,
        str(service.process.pid) if service.process else "-",
        _duration(now - (service.since or now)) if up else "-",
        str(service.restarts),
        service.address or service.note or "",
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def near(path: Path) -> str:
    """The path as a person would type it from here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
