from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from fieldpipe.sentinel.audit import Audit, Drift
from fieldpipe.sentinel.checks import Oddity, oddities
from fieldpipe.sentinel.keys import Entry
from fieldpipe.sentinel.mirror import Checkpoint
from fieldpipe.sentinel.report import counts, report_key, to_csv, to_json
from fieldpipe.sentinel.rows import Name, Rows, rows_of
from tests.sentinel.models import device_key, device_value, pod_key, pod_value

TOKYO = ZoneInfo("Asia/Tokyo")
NOON = datetime(2026, 1, 2, 3, 0, tzinfo=UTC)  # in Tokyo
HEARTBEAT = timedelta(seconds=120)


def device(name: str, status: str = "0", **values: object) -> Entry:
    return Entry(device_key(name, status), device_value(name, **values), 2)


def odd(*entries: Entry) -> list[Oddity]:
    return oddities(rows_of(entries), NOON, TOKYO, HEARTBEAT)


@pytest.mark.parametrize(("said", "silent"), [("2026-01-02 11:58:00", False), ("2026-01-02 11:57:59", True)])
def test_a_device_that_was_not_heard_of_for_long_is_silent(said: str, silent: bool) -> None:
    assert [each.found for each in odd(device("edge", updateAt=said))] == ["silent"] * silent


def test_a_device_without_a_readable_time_is_silent() -> None:
    (found,) = odd(device("edge", updateAt="yesterday"))

    assert found == Oddity("silent", Name("device", "edge"), "updateAt is 'yesterday'")


def test_a_stopped_device_may_be_silent() -> None:
    assert odd(device("edge", status="1", updateAt="2000-01-01 00:00:00")) == []


def test_a_pod_of_a_device_that_nobody_knows_is_told() -> None:
    known = device("d", updateAt="2026-01-02 12:00:00")
    pods = [Entry(pod_key(name), pod_value(name, deviceNameFk=on), 3) for name, on in (("p", "d"), ("q", "elsewhere"))]

    assert odd(known, *pods) == [Oddity("without device", Name("pod", "q"), "elsewhere")]


def test_a_report_is_a_table_and_json_of_the_same() -> None:
    found = Audit(
        Checkpoint("c1", 77),
        Rows({}, {}, ()),
        (Drift("stale", Name("device", 'O"Reilly'), "os"), Drift("missing", Name("pod", "p"))),
    )
    silent = [Oddity("silent", Name("device", "edge"), "updateAt is None")]

    assert report_key(found, NOON) == "sentinel/2026-01-02/030000-r77"
    assert counts(found, silent) == {"stale": 1, "missing": 1, "silent": 1}
    assert to_csv(found, silent).decode().splitlines() == [
        "found,kind,name,what",
        "missing,pod,p,",
        "silent,device,edge,updateAt is None",
        'stale,device,"O""Reilly",os',
    ]
    assert b'"revision": 77' in to_json(found, silent, NOON)
