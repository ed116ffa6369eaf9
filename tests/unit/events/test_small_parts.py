"""The breaker, the choice among reports, the rest between passes, ages, and events about listed objects."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from fieldpipe.events.announce import notification, sequencer
from fieldpipe.events.breaker import Breaker
from fieldpipe.events.notification import Event, parse_notification
from fieldpipe.events.reconcile import pause_after
from fieldpipe.events.reports import last_tries
from fieldpipe.events.tables import age, record, table
from fieldpipe.store import ObjectInfo
from tests.unit.events.hostile_keys import HOSTILE_KEYS


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_breaker_opens_after_five_failures_in_a_row_and_one_success_resets_it():
    breaker = Breaker(Clock(), chance=lambda: 1.0)
    for outcome in (breaker.failed, breaker.failed, breaker.failed, breaker.failed, breaker.succeeded):
        outcome()
    for _ in range(4):
        breaker.failed()
    assert not breaker.is_open
    breaker.failed()
    assert breaker.is_open


def test_breaker_tries_once_after_its_pause_and_stays_below_twenty_seconds():
    clock = Clock()
    breaker = Breaker(clock, chance=lambda: 1.0)
    for _ in range(30):
        breaker.failed()
    clock.now = 19.9
    assert breaker.is_open
    clock.now = 20.0
    assert not breaker.is_open
    breaker.failed()
    assert breaker.is_open


def test_highest_try_of_an_object_is_its_last_word():
    keys = ["_runs/r/7.1.json", "_runs/r/7.10.json", "_runs/r/7.2.json", "_runs/r/8.1.json"]
    assert last_tries("_runs/r/", keys) == {7: "_runs/r/7.10.json", 8: "_runs/r/8.1.json"}


def test_what_is_no_report_of_an_object_is_passed_over():
    keys = ["manual.1.json", "7.json", "7.x.json", "x.1.json", "7.1.txt", "7.1.json.part", "-7.1.json", "sub/7.1.json"]
    assert last_tries("_runs/r/", [f"_runs/r/{key}" for key in keys]) == {}


@pytest.mark.parametrize(("elapsed", "pause"), [(0.0, 1.0), (0.2, 1.0), (3.0, 12.0)])
def test_listing_takes_a_fifth_of_the_time_at_most(elapsed, pause):
    assert pause_after(elapsed, 1.0) == pause


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.9, "59s"), (61, "1m 1s"), (3600, "1h"), (90061, "1d 1h"), (86400 * 400, "400d")],
)
def test_age(seconds, text):
    assert age(seconds) == text


def test_table_aligns_cuts_and_tells_ages():
    moment = datetime.now(UTC) - timedelta(seconds=90)
    rows = [{"id": 1, "key": "a" * 60, "state_at": moment}, {"id": 1000, "key": None, "state_at": moment}]
    assert table(rows, ["id", "key", "state_at"]).splitlines() == [
        "id    key                                               since",
        f"1     {'a' * 24}…{'a' * 23}  1m 30s",
        "1000                                                    1m 30s",
    ]


def test_terminal_does_not_act_on_a_key():
    assert "\x1b" not in table([{"key": "\x1b[2J"}], ["key"])
    assert "\x1b" not in record({"key": "\x1b[2J", "history": [{"reason": "\x1b[2J"}]})


def test_listed_object_is_announced_as_the_store_would_have():
    info = ObjectInfo("raw-data", "a/b c+d.mcap", 12, "etag", datetime(2026, 1, 2, tzinfo=UTC))
    (event,) = parse_notification(json.dumps(notification([info])).encode())
    assert event == Event(
        bucket="raw-data",
        key="a/b c+d.mcap",
        etag="etag",
        name="ObjectCreated:Put",
        source="listing",
        size=12,
        sequencer="0006475C63F7A000",
    )


def test_every_hostile_key_survives_the_way_through_a_notification():
    infos = [ObjectInfo("raw-data", key, 1, "e", None) for key in HOSTILE_KEYS]
    events = parse_notification(json.dumps(notification(infos)).encode())
    assert [event.key for event in events] == list(HOSTILE_KEYS)


def test_sequencer_tells_appearances_apart():
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    first, again = (ObjectInfo("b", "k", 1, "e", moment + timedelta(milliseconds=n)) for n in (0, 1))
    assert sequencer(first) == sequencer(first) != sequencer(again)
