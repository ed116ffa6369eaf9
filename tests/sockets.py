"""Who listens where."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

LISTEN = "0A"  # column `st` of /proc/net/tcp: TCP_LISTEN of the kernel's net/tcp_states.h

Addresses = set[tuple[str, int]]


def listening(processes: Iterable[psutil.Process]) -> Addresses:
    """Addresses and ports at which these processes listen.

    For one that hides its sockets (Airflow's that run tasks do, except from root) all those count that are hidden and
    belong to our user: a stranger's may be among them, but none is missing.
    """
    found: Addresses = set()
    for process in processes:
        try:
            found |= _addresses(process.net_connections(kind="inet"))
        except psutil.AccessDenied:
            found |= _hidden()
        except (psutil.NoSuchProcess, FileNotFoundError):  # it has ended meanwhile: psutil does not always know that
            continue
    return found


def all_listening_ports() -> set[int]:
    """Ports at which anybody listens."""
    return {port for _, port in _addresses(psutil.net_connections(kind="inet"))}


def _hidden() -> Addresses:
    own = _ports_of_our_user()
    hidden = _addresses(socket for socket in psutil.net_connections(kind="inet") if socket.pid is None)
    return {(address, port) for address, port in hidden if port in own}


def _addresses(sockets: Iterable[Any]) -> Addresses:
    return {(socket.laddr.ip, socket.laddr.port) for socket in sockets if socket.status == psutil.CONN_LISTEN}


def _ports_of_our_user() -> set[int]:
    ports: set[int] = set()
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            _, local, _, state, _, _, _, user, *_ = line.split()
            if state == LISTEN and int(user) == os.getuid():
                ports.add(int(local.rpartition(":")[2], 16))
    return ports
