"""When pictures are taken: the variable SCHEDULE of the original.

    10                                   every 10 seconds
    every 3 minutes                      also seconds, hours, days, weeks; without a number: every one
    every minute at :23                  at these seconds of each minute
    every hour at :30, at 30:15          at this minute (and second) of each hour
    every day at 10:30, at 10:30:15      at this time of each day
    every monday at 10:30                at this time of this day of each week; without a time at 00:00

Intervals begin when the process does, with a picture at once, and follow a clock that nobody sets. Times follow the
machine's clock in its own zone. A picture that is late is taken once: what was missed is not made up for.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from datetime import time as TimeOfDay
from typing import Protocol

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
_GRAMMAR = re.compile(
    rf"every(?: (?P<count>\d+))? (?:(?P<unit>{'|'.join(_SECONDS)})s?|(?P<weekday>{'|'.join(WEEKDAYS)}))"
    r"(?: at (?P<at>[\d:]+))?"
)
_AT = {  # always three groups: hours, minutes, seconds
    "minute": re.compile(r"()():(\d\d)"),
    "hour": re.compile(r"():?(\d\d)(?::(\d\d))?"),
    "day": re.compile(r"(\d?\d):(\d\d)(?::(\d\d))?"),
}
_FORMS = {"minute": ":SS", "hour": ":MM or MM:SS", "day": "HH:MM or HH:MM:SS"}
_LONGEST_WAIT = 1.0  # seconds: the machine's clock may be set meanwhile

Clock = Callable[[], float]


class Plan(Protocol):
    """When the next picture is due, in seconds of its clock."""

    @property
    def clock(self) -> Clock: ...

    def next(self, last: float | None) -> float:
        """After the one that was due at `last`; None: the first."""


class Stop(Protocol):
    """Such as threading.Event: whether to stop, waited for."""

    def wait(self, timeout: float) -> bool: ...


@dataclass(frozen=True)
class Interval:
    """Every so many seconds; 0: whenever there is a picture."""

    seconds: float
    clock: Clock = field(default=time.monotonic, compare=False)

    def next(self, last: float | None) -> float:
        """On the grid that begins with the first one."""
        now = self.clock()
        if last is None or not self.seconds:
            return now
        missed = math.floor((now - last) / self.seconds)
        return last + self.seconds * max(1, missed)


@dataclass(frozen=True)
class Times:
    """At this time of each minute, hour, day or of one day of each week; `every` so many of them."""

    unit: str
    at: TimeOfDay
    every: int = 1
    weekday: int | None = None  # 0: monday
    zone: tzinfo | None = field(default=None, compare=False)  # None: the machine's
    clock: Clock = field(default=time.time, compare=False)

    def next(self, last: float | None) -> float:
        """The first one to come, or the `every`th after the last."""
        now = self.clock()
        if last is not None:
            due = last
            for _ in range(self.every):
                due = self._following(due)
            if due > now:
                return due
        return self._following(now)

    def _following(self, moment: float) -> float:
        if self.unit == "day":
            return self._following_day(moment)
        period = _SECONDS[self.unit]
        offset = datetime.fromtimestamp(moment, self.zone).astimezone(self.zone).utcoffset() or timedelta()
        wanted = (self.at.minute * 60 if self.unit == "hour" else 0) + self.at.second - offset.total_seconds()
        return wanted + period * (math.floor((moment - wanted) / period) + 1)

    def _following_day(self, moment: float) -> float:
        today = datetime.fromtimestamp(moment, self.zone).date()
        days = (today + timedelta(days=ahead) for ahead in range(9))
        wanted = (day for day in days if self.weekday in (None, day.weekday()))
        due = (datetime.combine(day, self.at, self.zone).timestamp() for day in wanted)
        return next(found for found in due if found > moment)


def parse(text: str) -> Interval | Times:
    """Raises ValueError, which says what is wrong."""
    words = " ".join(text.lower().split())
    if words.isdecimal():
        return Interval(int(words))
    found = _GRAMMAR.fullmatch(words)
    if not found:
        raise ValueError(f"{text!r} is no schedule, such as: 10, every 30 seconds, every day at 10:30")
    count, unit, weekday, at = found["count"], found["unit"], found["weekday"], found["at"]
    if unit and not at:
        return Interval(_SECONDS[unit] * int(count or 1))
    if unit not in _AT and not weekday:
        raise ValueError(f"{text!r}: {unit}s have no `at`, only minutes, hours, days and days of the week")
    if count is not None and (weekday or not int(count)):
        raise ValueError(f"{text!r}: `every {count}` does not go with this")
    day = WEEKDAYS.index(weekday) if weekday else None
    moment = _time_of_day(text, "day" if weekday else unit, at) if at else TimeOfDay()
    return Times("day" if weekday else unit, moment, int(count or 1), day)


def wait(plan: Plan, last: float | None, stop: Stop) -> float | None:
    """Until the next picture is due; returns when that was, or None when it is time to stop."""
    due = plan.next(last)
    while not stop.wait(max(0.0, min(due - plan.clock(), _LONGEST_WAIT))):
        if plan.clock() >= due:
            return due
    return None


def _time_of_day(text: str, unit: str, at: str) -> TimeOfDay:
    problem = ValueError(f"{text!r}: `at` takes {_FORMS[unit]} of each {unit}")
    found = _AT[unit].fullmatch(at)
    if not found:
        raise problem
    hour, minute, second = (int(part or 0) for part in found.groups())
    try:
        return TimeOfDay(hour, minute, second)
    except ValueError:
        raise problem from None
