"""What a person sees while a benchmark works."""

import sys
import time

_BEGIN = time.monotonic()


def say(text: str) -> None:
    """A line with the seconds since the start."""
    sys.stdout.write(f"{time.monotonic() - _BEGIN:7.1f} s  {text}\n")
    sys.stdout.flush()
