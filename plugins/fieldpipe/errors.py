"""Every error says what its caller should do next: give up, try again, or mend a bug.

Exit codes are those of BSD's sysexits.h, so that a pod's exit code carries the same answer to Airflow.
"""

import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

EXIT_PERMANENT = 65  # EX_DATAERR: the same input will fail again
EXIT_BUG = 70  # EX_SOFTWARE: neither of the two; a traceback is printed
EXIT_TRANSIENT = 75  # EX_TEMPFAIL: the same call may work later


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


def run(main: Callable[[], int]) -> NoReturn:
    """Run an entry point and leave the process with the exit code that its outcome stands for."""
    try:
        code = main()
    except FieldpipeError as error:
        print(f"error: {error}", file=sys.stderr)
        code = error.exit_code
    except KeyboardInterrupt:
        code = 130
    except Exception:  # noqa: BLE001 -- the last handler of the process: a bug is printed and gets its own code
        traceback.print_exc()
        code = EXIT_BUG
    sys.stdout.flush()
    sys.exit(code)
