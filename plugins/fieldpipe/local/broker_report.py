"""What the demo of the broker prints: the message in Slack, the reading's row, who made it, and how long it took."""

import csv
import io
from typing import Any

from fieldpipe.local.broker_demo import Carried
from fieldpipe.local.demo_report import as_json as as_json_of
from fieldpipe.local.demo_report import way, who
from fieldpipe.local.display import columns
from fieldpipe.local.services import PROCESSED_BUCKET, RAW_BUCKET
from fieldpipe.local.trail import Trail

SHOWN = ("received", "collector", "payload.id", "payload.name", "payload.temp", "payload.hum")
_LIMIT = 1024 * 1024  # bytes


def report(result: Carried, trail: Trail) -> str:
    """The whole report as text."""
    said = f"Slack, #{result.message['channel']}, from {result.message['username']}\n{result.message['text']}"
    recording = columns([("recording", f"{RAW_BUCKET}/{result.converted.key}")])
    return "\n\n".join([said, _tables(result, trail), recording, who(result.converted), way(_moments(result), "sent")])


def as_json(result: Carried) -> dict[str, Any]:
    """The report for programs; times in ISO 8601."""
    return {
        "url": result.url,
        "message": dict(result.message),
        "sent": result.sent.isoformat(),
        "told": result.told.isoformat(),
        "converted": as_json_of(result.converted),
    }


def _tables(result: Carried, trail: Trail) -> str:
    shown = []
    for output in result.converted.outputs:
        content, _ = trail.store.get(PROCESSED_BUCKET, output["key"], limit=_LIMIT)
        rows = [[row[name] for name in SHOWN] for row in csv.DictReader(io.StringIO(content.decode()))]
        shown.append(f"{PROCESSED_BUCKET}/{output['key']}\n{columns([SHOWN, *rows])}")
    return "\n\n".join(shown)


def _moments(result: Carried) -> list[tuple[str, Any]]:
    hops = result.converted.hops
    return [
        ("sent", result.sent),
        ("in Slack", result.told),
        ("in the bucket", result.recorded),
        ("event received", hops.event_received),
        ("run started", hops.run_started),
        ("pod started", hops.pod_started),
        ("table written", hops.written),
    ]
