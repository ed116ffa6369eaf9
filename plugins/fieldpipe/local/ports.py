"""Ports of the embedded stack: chosen once, remembered, and only such that nothing else uses.

SeaweedFS opens port + 10000 beside every HTTP port, so a port counts as free when both are. They lie below the
range that the kernel gives to outgoing connections (which may start at 32768).
"""

import json
import random
import socket
from pathlib import Path

from fieldpipe.errors import TransientError

FIRST, LAST = 12000, 21999
COMPANION = 10000
_ATTEMPTS = 1000


def choose(names: tuple[str, ...], file: Path) -> dict[str, int]:
    """A port for each name: the one that `file` remembers while it is free, else a new one, which is remembered."""
    remembered: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
    chosen: dict[str, int] = {}
    for name in names:
        port = remembered.get(name, 0)
        taken = set(chosen.values())
        chosen[name] = port if port not in taken and FIRST <= port <= LAST and _free(port) else free_port(taken)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(remembered | chosen, indent=1) + "\n")
    return chosen


def free_port(taken: set[int]) -> int:
    """A random port that is free together with its companion and not among `taken`."""
    for _ in range(_ATTEMPTS):
        port = random.randint(FIRST, LAST)  # noqa: S311 -- spreads stacks that start at the same time; no secret
        if port not in taken and _free(port):
            return port
    raise TransientError(f"no free port between {FIRST} and {LAST}: stop some programs and try again")


def _free(port: int) -> bool:
    return _bindable(port) and _bindable(port + COMPANION)


def _bindable(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a port whose old connections still linger is free, one that somebody listens on is not.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))  # every address: a listener on any of them makes this fail
        except OSError:
            return False
    return True
