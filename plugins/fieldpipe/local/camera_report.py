"""What the demo of cameras prints: the objects of a frame, the hour's table, who made them, and how long it took."""

import io
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from fieldpipe.local.camera_demo import Filmed
from fieldpipe.local.cameras import CAMERA_BUCKET, TOPIC
from fieldpipe.local.demo_report import way
from fieldpipe.local.display import columns, near
from fieldpipe.local.services import PROCESSED_BUCKET
from fieldpipe.local.trail import Trail

ROWS = 5
COLUMNS = ("capture_time", "offset", "gap_ns", "size", "width", "height", "brightness", "missing")
_LIMIT = 256 * 1024 * 1024  # bytes


def keep(result: Filmed, trail: Trail, folder: Path) -> list[Path]:
    """Copies of what was made of the hour: the stack may be stopped when a person looks at them."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for output in result.outputs:
        content, _ = trail.store.get(PROCESSED_BUCKET, result.hour + output["name"], limit=_LIMIT)
        files.append(folder / output["name"])
        files[-1].write_bytes(content)
    return files


def report(result: Filmed, trail: Trail, copies: list[Path]) -> str:
    """The whole report as text. `copies` are what `keep` returned."""
    parts = [_objects(result, trail), _table(result, trail), _made(result, copies), _who(result)]
    return "\n\n".join([*parts, way(result.moments, "since capture")])


def as_json(result: Filmed) -> dict[str, Any]:
    """The report for programs; times in ISO 8601."""
    return {
        "bucket": CAMERA_BUCKET,
        "topic": TOPIC,
        "processed_bucket": PROCESSED_BUCKET,
        **{name: getattr(result, name) for name in ("sent", "manifest", "frames", "hour", "outputs", "rows")},
        "runs": dict(result.runs),
        "moments": {name: _iso(value) for name, value in result.moments},
    }


def _objects(result: Filmed, trail: Trail) -> str:
    frame = result.frames[-1]
    time, _ = trail.store.get(CAMERA_BUCKET, frame["timestamp"], limit=100)
    rows = [
        ("object", f"in {CAMERA_BUCKET}"),
        (f"image, {frame['size']:,} bytes", frame["image"]),
        (f"its time in UTC, {time.decode()}", frame["timestamp"]),
        (f"manifest of {len(result.frames)} frames", result.manifest),
    ]
    return columns(rows)


def _table(result: Filmed, trail: Trail) -> str:
    key = f"{result.hour}index.csv"
    content, _ = trail.store.get(PROCESSED_BUCKET, key, limit=_LIMIT)
    table = pd.read_csv(io.BytesIO(content), dtype={"gap_ns": "Int64", "missing": "Int64"}, nrows=ROWS)
    shown = table[[*COLUMNS]].astype("string").fillna("")
    return f"{PROCESSED_BUCKET}/{key} ({result.rows:,} rows)\n{shown.to_string(index=False)}"


def _made(result: Filmed, copies: list[Path]) -> str:
    rows = [("copy", f"of, in {PROCESSED_BUCKET}")]
    rows += [(near(file), result.hour + file.name) for file in copies]
    return columns(rows)


def _who(result: Filmed) -> str:
    return columns([("DAG", "run"), *result.runs.items()])


def _iso(value: datetime | None) -> str | None:
    return value.isoformat() if value else None
