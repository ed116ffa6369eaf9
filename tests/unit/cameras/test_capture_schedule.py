"""When pictures are taken (row A-S15)."""

from collections.abc import Callable
from datetime import datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldpipe.cameras.capture.schedule import Interval, Times, parse, wait

BERLIN = ZoneInfo("Europe/Berlin")
TOKYO = ZoneInfo("Asia/Tokyo")


class FakeClock:
    """A clock that only moves when somebody waits."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.stops_at = float("inf")

    def __call__(self) -> float:
        return self.now

    def wait(self, timeout: float) -> bool:
        self.now += timeout
        return self.now >= self.stops_at


def moment(zone: ZoneInfo, *parts: int) -> float:
    return datetime(*parts, tzinfo=zone).timestamp()  # type: ignore[misc, arg-type]  # year, month, ...


@pytest.mark.parametrize(
    ("text", "plan"),
    [
        ("10", Interval(10)),
        ("0", Interval(0)),
        ("every 0 seconds", Interval(0)),
        ("every second", Interval(1)),
        ("every 3 seconds", Interval(3)),
        ("every 30 seconds", Interval(30)),
        ("every minute", Interval(60)),
        ("every 3 minutes", Interval(180)),
        ("every 3 hours", Interval(10800)),
        ("every day", Interval(86400)),
        ("every 2 weeks", Interval(1209600)),
        ("  Every  MINUTE at :23 ", Times("minute", time(0, 0, 23))),
        ("every 5 minutes at :00", Times("minute", time(), every=5)),
        ("every hour at :30", Times("hour", time(0, 30))),
        ("every hour at 30:15", Times("hour", time(0, 30, 15))),
        ("every day at 10:30", Times("day", time(10, 30))),
        ("every 2 days at 9:30:15", Times("day", time(9, 30, 15), every=2)),
        ("every monday", Times("day", time(), weekday=0)),
        ("every sunday at 10:30", Times("day", time(10, 30), weekday=6)),
    ],
)
def test_schedules_are_understood(text: str, plan: Interval | Times) -> None:
    assert parse(text) == plan


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "10.5",
            "-1",
            "often",
            "every",
            "every x seconds",
            "each minute",
            "every minute at 23",
            "every day at :30",
        ),
        *(
            "every second at :30",
            "every week at 10:30",
            "every 2 mondays",
            "every 0 minutes at :23",
            "every day at 25:00",
        ),
        *(
            "every day at 10:60",
            "every hour at :60",
            "every minute at :61",
            "every minute at",
            "every day at 10:30 JST",
        ),
    ],
)
def test_others_are_refused_with_what_was_written(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse(text)

    assert repr(text) in str(caught.value)


def test_an_interval_begins_with_a_picture_and_keeps_its_grid() -> None:
    clock = FakeClock(100.0)
    plan = Interval(10, clock)

    first = plan.next(None)
    clock.now = 103
    second = plan.next(first)
    clock.now = 138  # a slow camera: the pictures of 120 and 130 are one
    third = plan.next(second)

    assert (first, second, third) == (100, 110, 130)
    assert plan.next(third) == 140


@pytest.mark.parametrize(
    ("text", "zone", "now", "due"),
    [
        ("every minute at :23", TOKYO, (2026, 11, 22, 10, 0, 22), (2026, 11, 22, 10, 0, 23)),
        ("every minute at :23", TOKYO, (2026, 11, 22, 10, 0, 23), (2026, 11, 22, 10, 1, 23)),
        ("every hour at :30", ZoneInfo("Asia/Kolkata"), (2026, 1, 1, 10, 31), (2026, 1, 1, 11, 30)),
        ("every hour at 30:15", TOKYO, (2026, 12, 31, 23, 31), (2027, 1, 1, 0, 30, 15)),
        ("every day at 10:30", TOKYO, (2026, 2, 28, 10, 30), (2026, 3, 1, 10, 30)),
        ("every sunday at 10:30", TOKYO, (2026, 11, 22, 10, 30), (2026, 11, 29, 10, 30)),
        ("every monday", TOKYO, (2026, 11, 22, 10, 30), (2026, 11, 23)),
        ("every day at 10:30", BERLIN, (2026, 3, 28, 10, 30), (2026, 3, 29, 10, 30)),  # the clock went forward
        ("every hour at :30", BERLIN, (2026, 10, 25, 1, 31), (2026, 10, 25, 2, 30)),  # it will go back
    ],
)
def test_times_are_those_of_the_zone(text: str, zone: ZoneInfo, now: tuple[int, ...], due: tuple[int, ...]) -> None:
    plan = parse(text)
    assert isinstance(plan, Times)

    found = Times(plan.unit, plan.at, plan.every, plan.weekday, zone, FakeClock(moment(zone, *now))).next(None)

    assert found == moment(zone, *due)


def test_an_hour_that_comes_twice_has_its_pictures_twice() -> None:
    clock = FakeClock(moment(BERLIN, 2026, 10, 25, 2, 30))
    due = Times("hour", time(0, 30), zone=BERLIN, clock=clock).next(clock.now)

    assert due == clock.now + 3600
    assert datetime.fromtimestamp(due, BERLIN).hour == 2


def test_every_third_hour_is_the_third_after_the_last() -> None:
    clock = FakeClock(moment(TOKYO, 2026, 11, 22, 10, 0))
    plan = Times("hour", time(0, 30), every=3, zone=TOKYO, clock=clock)

    first = plan.next(None)

    assert first == moment(TOKYO, 2026, 11, 22, 10, 30)
    assert plan.next(first) == moment(TOKYO, 2026, 11, 22, 13, 30)
    clock.now = moment(TOKYO, 2026, 11, 23, 2)  # it was off: not three hours more
    assert plan.next(first) == moment(TOKYO, 2026, 11, 23, 2, 30)


zones = st.sampled_from(["Asia/Tokyo", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia"])
plans = st.one_of(
    st.builds(lambda seconds: lambda clock, zone: Interval(seconds, clock), st.integers(1, 10**6)),
    st.builds(
        lambda unit, at, every, weekday: (
            lambda clock, zone: Times(unit, at, every, weekday if unit == "day" else None, zone, clock)
        ),
        st.sampled_from(["minute", "hour", "day"]),
        st.times(),
        st.integers(1, 5),
        st.none() | st.integers(0, 6),
    ),
)


@given(plans, zones, st.integers(0, 4_000_000_000), st.lists(st.integers(0, 200_000), min_size=1, max_size=10))
def test_the_next_one_is_always_later_than_the_last(
    make: Callable[[FakeClock, ZoneInfo], Interval | Times], zone: str, now: int, late: list[int]
) -> None:
    clock = FakeClock(float(now))
    plan = make(clock, ZoneInfo(zone))
    due = plan.next(None)
    for seconds in late:
        clock.now = max(clock.now, due) + seconds
        following = plan.next(due)
        assert following > due
        due = following


def test_waiting_looks_at_the_clock_again_and_again() -> None:
    clock = FakeClock(moment(TOKYO, 2026, 11, 22, 10, 0))
    plan = Times("day", time(10, 30), zone=TOKYO, clock=clock)

    due = wait(plan, None, clock)

    assert due == clock.now == moment(TOKYO, 2026, 11, 22, 10, 30)


def test_waiting_ends_when_it_is_time_to_stop() -> None:
    clock = FakeClock(1000.0)
    clock.stops_at = 1005.0

    assert wait(Interval(10, clock), 1000.0, clock) is None
    assert clock.now == 1005.0
