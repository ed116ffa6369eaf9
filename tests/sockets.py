"""Who listens where."""

import os
from collections.abc import Iterable
from pathlib import Path

import psutil

LISTEN = "0A"  # column `st` of /proc/net/tcp: TCP_LISTEN of the kernel's net/tcp_states.h


def listening(processes: Iterable[psutil.Process]) -> set[tuple[str, int]]:
    """Addresses and ports at which these processes listen.

    So that none is missing, it counts also what our user's processes listen at that hide their sockets (as those of
    Airflow that run tasks do, except from root), whosever they are.
    """
    pids = {process.pid for process in processes}
    ours = _ports_of_our_user()
    return {(address, port) for address, port, pid in _listeners() if pid in pids or (pid is None and port in ours)}


def all_listening_ports() -> set[int]:
    """Ports at which anybody listens."""
    return {port for _, port, _ in _listeners()}


def _listeners() -> list[tuple[str, int, int | None]]:
    """Address, port and process of each; None: the process hides."""
    found = psutil.net_connections(kind="inet")
    return [(s.laddr.ip, s.laddr.port, s.pid) for s in found if s.laddr and s.status == psutil.CONN_LISTEN]


def _ports_of_our_user() -> set[int]:
    ports: set[int] = set()
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            _, local, _, state, _, _, _, user, *_ = line.split()
            if state == LISTEN and int(user) == os.getuid():
                ports.add(int(local.rpartition(":")[2], 16))
    return ports
