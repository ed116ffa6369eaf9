"""Keys and times as the original's S3 sinks write them (rows A-S5 to A-S8)."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from fieldpipe.cameras.layout import IMAGE, TIMESTAMP, rfc3339_text, stem, timestamp_text
from fieldpipe.cameras.message import BadMessage, Position

TOKYO = ZoneInfo("Asia/Tokyo")
CAMERA = "image-sinetstream-picamera"
HERE = Position(CAMERA, 0, 42)


def milliseconds(*moment: int) -> int:
    return round(datetime(*moment, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc, arg-type]  # year, month, ...


def test_image_and_time_share_all_but_the_end_of_their_keys() -> None:
    found = stem(HERE, 1_700_000_000_123, TOKYO)

    assert found + IMAGE == f"topics/{CAMERA}/year=2023/month=11/day=15/hour=07/{CAMERA}+0+0000000042.jpg"
    assert found + TIMESTAMP == f"topics/{CAMERA}/year=2023/month=11/day=15/hour=07/{CAMERA}+0+0000000042-timestamp.txt"


@pytest.mark.parametrize(
    ("record_time", "folder"),
    [
        (milliseconds(2023, 12, 31, 15) - 1, "year=2023/month=12/day=31/hour=23"),
        (milliseconds(2023, 12, 31, 15), "year=2024/month=01/day=01/hour=00"),
        (milliseconds(2024, 2, 28, 15), "year=2024/month=02/day=29/hour=00"),
        (-1, "year=1970/month=01/day=01/hour=08"),
    ],
)
def test_the_hour_is_that_of_the_record_in_the_zone(record_time: int, folder: str) -> None:
    assert stem(HERE, record_time, TOKYO) == f"topics/{CAMERA}/{folder}/{CAMERA}+0+0000000042"


def test_offsets_beyond_ten_digits_keep_all_of_them() -> None:
    assert (
        stem(Position("a", 11, 12_345_678_901), 0, UTC) == "topics/a/year=1970/month=01/day=01/hour=00/a+11+12345678901"
    )


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (1_700_000_000_123_456, "2023-11-14T22:13:20.123"),
        (1_700_000_000_999_999, "2023-11-14T22:13:20.999"),
        (1_700_000_000_000_000, "2023-11-14T22:13:20.000"),
        (-1, "1970-01-01T00:00:00.000"),
        (-999, "1970-01-01T00:00:00.000"),
        (-1_000, "1969-12-31T23:59:59.999"),
        (-1_500_001, "1969-12-31T23:59:58.500"),
    ],
)
def test_times_are_cut_to_milliseconds_towards_zero_in_utc(time: int, text: str) -> None:
    assert timestamp_text(time, HERE) == text


def test_the_other_form_keeps_every_digit_and_says_the_zone() -> None:
    assert rfc3339_text(1_700_000_000_123_456, HERE, TOKYO) == "2023-11-15T07:13:20.123456+09:00"
    assert rfc3339_text(-1, HERE, timezone(timedelta(hours=-3))) == "1969-12-31T20:59:59.999999-03:00"


@pytest.mark.parametrize("time", [2**63 - 1, -(2**63)])
def test_a_time_that_no_calendar_has_is_a_bad_message(time: int) -> None:
    for call in (timestamp_text, lambda time, at: stem(at, time, UTC), lambda time, at: rfc3339_text(time, at, UTC)):
        with pytest.raises(BadMessage, match=r"partition 0, offset 42: .* are no time of this calendar"):
            call(time, HERE)
