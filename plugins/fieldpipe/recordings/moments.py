"""Points in time as people write them, and the part of a recording between two of them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import NamedTuple

from fieldpipe.errors import PermanentError
from fieldpipe.recordings.options import Options

SECOND = 1_000_000_000  # nanoseconds
_FRACTION = re.compile(r"(?<=\d)[.,](\d{1,9})(?=$|[Zz+-])")


class Moment(NamedTuple):
    """A log time in nanoseconds, or so many from the start of the recording on."""

    nanoseconds: int
    is_from_start: bool = False


class Window(NamedTuple):
    """What lies from one moment up to another, which is not included; None: no limit."""

    start: Moment | None = None
    end: Moment | None = None

    @property
    def needs_start(self) -> bool:
        """Whether the recording's first time must be known."""
        return any(moment is not None and moment.is_from_start for moment in self)

    def of(self, options: Options, first: int) -> Options:
        """The options with this window, for a recording whose first log time is `first`."""
        start, end = (
            None if moment is None else moment.nanoseconds + (first if moment.is_from_start else 0) for moment in self
        )
        return options.but(start=start, end=end)


ALL = Window()


def parse_moment(text: str) -> Moment:
    """ISO 8601 (UTC unless it says otherwise), nanoseconds since 1970, or `+seconds`. Raises PermanentError."""
    from decimal import Decimal  # here, because it takes a millisecond that most conversions do not need

    try:
        if text.startswith("+"):
            return Moment(int(Decimal(text[1:]) * SECOND), is_from_start=True)
        if text.isdigit():
            return Moment(int(text))
        return Moment(_iso(text))
    except (ValueError, ArithmeticError) as error:
        raise PermanentError(
            f"{text!r} is no time: write 2026-01-31T12:00:00Z, nanoseconds since 1970, or +SECONDS from the start"
        ) from error


def _iso(text: str) -> int:
    """Python's datetime has microseconds: the fraction is read here."""
    found = _FRACTION.search(text)
    moment = datetime.fromisoformat(_FRACTION.sub("", text, count=1))
    whole = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(whole.timestamp()) * SECOND + int(found[1].ljust(9, "0") if found else 0)
