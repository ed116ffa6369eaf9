"""What the demo prints: where the tables are, their first rows, who carried them, and how long each hop took."""

import io
import itertools
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

import pandas as pd

from fieldpipe.local.demo import Converted
from fieldpipe.local.display import columns
from fieldpipe.local.services import PROCESSED_BUCKET
from fieldpipe.local.trail import Hops, Trail

WIDTH = 100  # characters
PREVIEWED_TABLES = 2
PREVIEWED_ROWS = 3
PREVIEWED_COLUMNS = 6
LEAST_COLUMNS = 3  # with fewer there is nothing to see
_HEAD_LIMIT = 64 * 1024 * 1024  # bytes; larger tables are listed without a preview
_DULL = ("publish_time", "sequence", "header.frame_id", "header.stamp")


def report(result: Converted, trail: Trail) -> str:
    """The whole report as text, at most WIDTH characters wide where keys allow."""
    parts = [_tables(result), *previews(result, trail), who(result), hop_table(result.hops)]
    return "\n\n".join(parts)


def as_json(result: Converted) -> dict[str, Any]:
    """The report for programs; times in ISO 8601."""
    hops = {name: value.isoformat() if value else None for name, value in _moments(result.hops)}
    others = {field.name: getattr(result, field.name) for field in fields(result) if field.name != "hops"}
    return others | {"processed_bucket": PROCESSED_BUCKET, "hops": hops}


def previews(result: Converted, trail: Trail) -> list[str]:
    """The first rows of the largest tables that have something to show in a line."""
    tables = [output for output in result.outputs if output["kind"] == "table" and output["bytes"] <= _HEAD_LIMIT]
    largest = sorted(tables, key=lambda output: -output["rows"])
    shown = (_preview(output, trail) for output in largest)
    return list(itertools.islice(filter(None, shown), PREVIEWED_TABLES))


def hop_table(hops: Hops) -> str:
    """The way of an object from its put."""
    return way([(name.replace("_", " "), at) for name, at in _moments(hops)], "since put")


def way(moments: Sequence[tuple[str, datetime | None]], since: str) -> str:
    """Each place with its time of day, and the seconds since the place before and since the first."""
    rows = [("hop", "at (UTC)", "took", since)]
    begin = before = next(at for _, at in moments if at is not None)
    for name, at in moments:
        if at is None:
            rows.append((name, "not seen", "", ""))
            continue
        rows.append((name, f"{at:%H:%M:%S.%f}"[:-3], _seconds(before, at), _seconds(begin, at)))
        before = at
    return columns(rows)


def _tables(result: Converted) -> str:
    rows = [("table", "rows")]
    rows += [(f"{PROCESSED_BUCKET}/{output['key']}", f"{output['rows']:,}") for output in result.outputs]
    return columns(rows)


def who(result: Converted) -> str:
    """Who carried it."""
    source = "the store's notification" if result.source == "minio" else f"event-sync ({result.source})"
    rows = [
        ("event", f"from {source}"),
        ("run", f"{result.run_id} of {result.dag_id}"),
        ("pod", result.pod),
        ("proof", f"{PROCESSED_BUCKET}/{result.manifest}"),
    ]
    return columns(rows)


def _preview(output: dict[str, Any], trail: Trail) -> str | None:
    content, _ = trail.store.get(PROCESSED_BUCKET, output["key"], limit=_HEAD_LIMIT)
    frame = pd.read_csv(io.BytesIO(content), nrows=PREVIEWED_ROWS)
    names = [name for name in frame.columns if _interesting(name, frame[name])][:PREVIEWED_COLUMNS]
    if len(names) < LEAST_COLUMNS:
        return None
    text = frame[names].to_string(index=False, max_colwidth=28, float_format=lambda value: f"{value:.6g}")
    lines = [line[:WIDTH] for line in text.splitlines()]
    return "\n".join([f"{output['topic']} ({output['rows']:,} rows)", *lines])


def _interesting(name: str, values: "pd.Series[Any]") -> bool:
    """Neither the same in every row nor a list that fills the line."""
    nested = any(str(value)[:1] in ("[", "{") for value in values)
    return name not in _DULL and "covariance" not in name and not nested and not values.isna().all()


def _moments(hops: Hops) -> list[tuple[str, datetime | None]]:
    return [(field.name, getattr(hops, field.name)) for field in fields(hops)]


def _seconds(begin: datetime, end: datetime) -> str:
    return f"{(end - begin).total_seconds():.2f} s"
