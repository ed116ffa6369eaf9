"""An hour of a topic: where its images lie, where its tables go, and when it is over."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldpipe.cameras.hours import Hour, parse_mark
from fieldpipe.cameras.layout import stem
from fieldpipe.cameras.message import Position
from fieldpipe.errors import PermanentError

TOKYO, BERLIN = ZoneInfo("Asia/Tokyo"), ZoneInfo("Europe/Berlin")
SEVEN = Hour("cam", 2023, 11, 15, 7)


def test_an_hour_has_its_places() -> None:
    assert (SEVEN.images, SEVEN.parts, SEVEN.marks) == (
        "topics/cam/year=2023/month=11/day=15/hour=07/",
        "frames/cam/year=2023/month=11/day=15/hour=07/parts/",
        "_frames/open/cam/2023-11-15T07/",
    )


@given(st.integers(0, 4_000_000_000_000), st.sampled_from([TOKYO, BERLIN, ZoneInfo("America/St_Johns")]), st.booleans())
def test_the_hour_of_an_image_is_that_of_its_record(time: int, zone: ZoneInfo, again: bool) -> None:
    key = stem(Position("cam", 0, 42), time, zone, epoch=2 if again else 1) + ".jpg"

    hour = Hour.of_image(key)

    moment = datetime.fromtimestamp(time / 1000, UTC)
    assert hour == Hour.at("cam", moment, zone)
    assert hour.end(zone) - timedelta(hours=2) <= moment < hour.end(zone)  # two, where clocks are put back
    assert parse_mark(f"{hour.marks}1+0+5.csv") == (hour, "1+0+5.csv")


@pytest.mark.parametrize("key", ["topics/cam/1.jpg", "topics/cam/year=2023/month=11/day=15/hour=x/a.jpg", ""])
def test_a_key_without_an_hour_is_refused(key: str) -> None:
    with pytest.raises(PermanentError, match="no key of an image"):
        Hour.of_image(key)


def test_an_hour_that_is_repeated_in_autumn_ends_with_its_repetition() -> None:
    assert Hour("cam", 2023, 10, 29, 2).end(BERLIN) == datetime(2023, 10, 29, 2, tzinfo=UTC)


def test_what_is_no_mark_is_passed_over() -> None:
    assert parse_mark("_frames/open/cam/2023-11-15/x") is None
