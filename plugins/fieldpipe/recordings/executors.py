"""Which executor runs plans here: the compiled one where it was built, else the reference one."""

from __future__ import annotations

from functools import cache

from fieldpipe.recordings import compiled
from fieldpipe.recordings.executor import Executor
from fieldpipe.recordings.nativecode import Unavailable
from fieldpipe.recordings.reference import ReferenceExecutor

_HINT = "for the fast one install a C++ compiler (Debian: apt install g++), then fieldpipe again (in a checkout: make)"


@cache
def executor() -> Executor:
    """The fastest one that there is. Says once per process if that is the slow one, and how to get the other."""
    try:
        return compiled.load()
    except Unavailable as reason:
        import logging  # here, and not structlog: a conversion on the command line starts without them

        logging.getLogger(__name__).warning(
            "recordings are converted slowly, without compiled code: %s; %s", reason, _HINT
        )
        return ReferenceExecutor()
