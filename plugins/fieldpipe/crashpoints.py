"""Named places where a test can have the process killed, as a power cut would: no clean-up, no flush, no answer.

Code calls `reach("dispatch.triggered")` between two side effects. A test starts the process with

    FIELDPIPE_CRASH_AT=dispatch.triggered      the first time the place is reached
    FIELDPIPE_CRASH_AT=recordings.part:3       the third time

and the process sends SIGKILL to itself there. Without the variable `reach` is one comparison. Places are named
`<room>.<what has just happened>`.
"""

import os
import signal
import threading

VARIABLE = "FIELDPIPE_CRASH_AT"

# Read at import on purpose: a hot path must not look at the environment, and a crash test is a process of its own.
_name, _, _times = os.environ.get(VARIABLE, "").partition(":")
_left = int(_times or 1)
_lock = threading.Lock()


def reach(name: str) -> None:
    """Kill this process if `FIELDPIPE_CRASH_AT` names this place and it has been reached often enough."""
    if name != _name:
        return
    global _left
    with _lock:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
