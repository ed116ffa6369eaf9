"""Every error says what its caller should do next: give up, try again, or mend a bug.

Exit codes are those of BSD's sysexits.h, so that a pod's exit code carries the same answer to Airflow.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import NoReturn, TypeVar

R = TypeVar("R")

EXIT_PERMANENT = 65  # EX_DATAERR: the same input will fail again
EXIT_BUG = 70  # EX_SOFTWARE: neither of the two; a traceback is printed
EXIT_TRANSIENT = 75  # EX_TEMPFAIL: the same call may work later

_PAUSES = (0.25, 5.0)  # seconds: first and longest between two attempts of `patiently`


class FieldpipeError(Exception):
    """What Fieldpipe raises on purpose. The message names the object and what to do."""

    exit_code = EXIT_BUG


class PermanentError(FieldpipeError):
    """The same call will fail again: do not retry, tell a person."""

    exit_code = EXIT_PERMANENT


class TransientError(FieldpipeError):
    """The world was not ready: retry later, with backoff."""

    exit_code = EXIT_TRANSIENT


class ConfigurationError(PermanentError):
    """A setting is missing or wrong. The message lists all of them at once."""


def patiently(call: Callable[[], R], seconds: float) -> R:
    """Repeat a call that may be repeated while it raises TransientError, for about so many seconds.

    For entry points whose world may still be starting: a pod's first second has no DNS, a new database no tables.
    """
    deadline = time.monotonic() + seconds
    pause = _PAUSES[0]
    while True:
        try:
            return call()
        except TransientError as error:
            if time.monotonic() + pause > deadline:
                raise
            print(f"waiting: {error}", file=sys.stderr, flush=True)
        time.sleep(pause)
        pause = min(pause * 2, _PAUSES[1])


def run(main: Callable[[], int], *, at_once: bool = False) -> NoReturn:
    """Run an entry point and leave the process with the exit code that its outcome stands for.

    `at_once`: as soon as its output is written. The interpreter takes itself apart before it ends, which takes as long
    as converting 10,000 messages; a main that leaves no threads and no `atexit` behind can go without.
    """
    try:
        code = main()
    except FieldpipeError as error:
        print(f"error: {error}", file=sys.stderr)
        code = error.exit_code
    except KeyboardInterrupt:
        code = 130
    except Exception:  # noqa: BLE001 -- the last handler of the process: a bug is printed and gets its own code
        import traceback  # here: what does not fail starts without it

        traceback.print_exc()
        code = EXIT_BUG
    sys.stdout.flush()
    if at_once:
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
