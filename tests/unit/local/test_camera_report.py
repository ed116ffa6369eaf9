"""What the demo of cameras says to programs."""

from datetime import UTC, datetime

from fieldpipe.local.camera_demo import Filmed
from fieldpipe.local.camera_report import as_json


def test_the_report_for_programs_has_every_fact() -> None:
    captured = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    moments = (("captured", captured), ("in the bucket", None))
    result = Filmed(
        7, "m.json", ({"offset": 3},), {"camera_backup": "run1"}, "frames/t/", ({"name": "index.csv"},), 9, moments
    )

    value = as_json(result)

    assert value["moments"] == {"captured": "2026-01-02T03:04:05+00:00", "in the bucket": None}
    assert value["runs"] == {"camera_backup": "run1"}
    assert (value["sent"], value["manifest"], value["hour"], value["rows"]) == (7, "m.json", "frames/t/", 9)
    assert (value["bucket"], value["processed_bucket"]) == ("picamera", "processed-data")
