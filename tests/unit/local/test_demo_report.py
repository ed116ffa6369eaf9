"""What the demo says about the way of a recording."""

from datetime import UTC, datetime, timedelta

from fieldpipe.local.demo import Converted
from fieldpipe.local.demo_report import as_json, hop_table
from fieldpipe.local.trail import Hops

PUT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def _hops() -> Hops:
    return Hops(PUT, PUT + timedelta(seconds=0.25), PUT + timedelta(seconds=1), None, PUT + timedelta(seconds=3))


def test_each_hop_tells_its_own_time_and_the_time_since_the_put() -> None:
    rows = [line.split() for line in hop_table(_hops()).splitlines()[1:]]

    assert rows == [
        ["put", "03:04:05.000", "0.00", "s", "0.00", "s"],
        ["event", "received", "03:04:05.250", "0.25", "s", "0.25", "s"],
        ["run", "started", "03:04:06.000", "0.75", "s", "1.00", "s"],
        ["pod", "started", "not", "seen"],
        ["written", "03:04:08.000", "2.00", "s", "3.00", "s"],
    ]


def test_the_report_for_programs_has_every_fact() -> None:
    result = Converted("raw-data", "a.mcap", "e1", "listing", "run1", "dag1", "pod1", "a/m.json", (), _hops())

    value = as_json(result)

    assert (
        value.items()
        >= {"key": "a.mcap", "run_id": "run1", "pod": "pod1", "processed_bucket": "processed-data"}.items()
    )
    assert value["hops"]["pod_started"] is None
    assert value["hops"]["put"] == "2026-01-02T03:04:05+00:00"
