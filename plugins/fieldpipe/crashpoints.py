"""Named places where a test can have the process killed, as a power cut would: no clean-up, no flush, no answer.

Code calls `reach("dispatch.triggered")` between two side effects. A test starts the process with

    FIELDPIPE_CRASH_AT=dispatch.triggered                    the first time the place is reached
    FIELDPIPE_CRASH_AT=recordings.part:3                     the third time
    FIELDPIPE_CRASH_AT=recordings.downloaded@site/bad.mcap   when it is reached with this detail, here an object's key
    FIELDPIPE_CRASH_AT="sleep cameras.batch"                 put to sleep, until somebody sends SIGCONT

and the process sends SIGKILL (or SIGSTOP) to itself there. Without the variable `reach` is one comparison. Places are
named `<room>.<what has just happened>`.
"""

import os
import signal
import threading

VARIABLE = "FIELDPIPE_CRASH_AT"

_SLEEP = "sleep "


def _parse(text: str) -> tuple[str, str | None, int]:
    """Name, detail (None: any) and number of times."""
    name, at, detail = text.partition("@")  # first: a key may hold colons
    if at:
        return name, detail, 1
    name, _, times = text.partition(":")
    return name, None, int(times or 1)


# Read at import on purpose: a hot path must not look at the environment, and a crash test is a process of its own.
_text = os.environ.get(VARIABLE, "")
_signal = signal.SIGSTOP if _text.startswith(_SLEEP) else signal.SIGKILL
_name, _detail, _left = _parse(_text.removeprefix(_SLEEP))
_lock = threading.Lock()


def reach(name: str, detail: str = "") -> None:
    """Kill this process if `FIELDPIPE_CRASH_AT` names this place (and this detail) and it was reached often enough."""
    if name != _name or _detail not in (None, detail):
        return
    global _left
    with _lock:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), _signal)
