"""Tables of frames: the rows of a part, and the table of an hour that all its parts make. Values in, values out.

A part has a row per frame, and beside those rows about offsets that are no frame: `dead` (a bad message), `hole` (no
record: compacted, or a mark of a transaction) and `gap` (Kafka had deleted them before they were read).

The table of an hour does not depend on how its frames were cut into parts, or on the order in which those came.
"""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from typing import IO, Literal, NamedTuple

import pandas as pd

from fieldpipe.errors import PermanentError

Kind = Literal["frame", "dead", "hole", "gap"]
TimeSource = Literal["camera", "record", "object"]
"""Whose clock: the camera's, Kafka's (the message had no time), the store's (it is not known who wrote the record)."""


class Row(NamedTuple):
    """One line of a part. `offsets` is how many it stands for, beginning with `offset`; times are since 1970."""

    kind: Kind
    epoch: int
    partition: int
    offset: int
    offsets: int = 1
    capture_ns: int | None = None
    time_source: TimeSource | None = None
    record_ns: int | None = None
    size: int | None = None  # bytes, as they lie in the store
    sha256: str | None = None
    width: int | None = None
    height: int | None = None
    brightness: float | None = None
    reason: str | None = None  # why there is no frame, or nothing measured of it
    image: str | None = None  # key; of a dead record: where it is described


INDEX_COLUMNS = (
    *("capture_time", "capture_ns", "time_source", "record_ns", "epoch", "partition", "offset", "gap_ns", "missing"),
    *("repeat", "size", "sha256", "width", "height", "brightness", "reason", "image"),
)
_TEXTS = ("kind", "time_source", "sha256", "reason", "image")
_TYPES = {name: "str" if name in _TEXTS else "Int64" for name in Row._fields} | {"brightness": "Float64"}
_STREAM = ["epoch", "partition"]


class Table(NamedTuple):
    """An hour's frames in order of their capture, and the rows about everything else."""

    frames: pd.DataFrame
    others: pd.DataFrame


def part_csv(rows: Iterable[Row]) -> bytes:
    """A part. Gaps are those to the frame before in this part."""
    # As objects first: whole numbers beside None would go through floats, and lose the last digits of nanoseconds.
    table = pd.DataFrame(rows, columns=list(Row._fields), dtype=object)
    return _with_gaps(table.astype(_TYPES)).to_csv(index=False, lineterminator="\n").encode()


def read_part(content: bytes) -> pd.DataFrame:
    """The rows of a part. Raises PermanentError for what is none."""
    try:
        rows = pd.read_csv(BytesIO(content), dtype=_TYPES, keep_default_na=False, na_values=[""])
        return rows[list(Row._fields)]
    except (ValueError, KeyError) as error:
        raise PermanentError(f"this is no part of a table: {error}") from error


def united(parts: Iterable[pd.DataFrame]) -> Table:
    """The table of an hour. Of a frame that stands in two parts the row of the earlier part is taken.

    Sorted by capture time. `repeat` marks a frame that the camera sent again: it has the time and the bytes of one
    before it.
    """
    rows = pd.concat(parts, ignore_index=True).drop_duplicates([*_STREAM, "kind", "offset"])
    rows = _with_gaps(rows)
    is_frame = rows["kind"] == "frame"
    frames = rows[is_frame].sort_values(["capture_ns", *_STREAM, "offset"], ignore_index=True)
    frames["repeat"] = frames.duplicated(["capture_ns", "sha256"]) & (frames["time_source"] == "camera")
    moments = pd.to_datetime(frames["capture_ns"].astype("int64"), unit="ns", utc=True)
    frames["capture_time"] = moments.dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ").astype("str")
    return Table(frames[list(INDEX_COLUMNS)], rows[~is_frame].reset_index(drop=True))


def write_index(frames: pd.DataFrame, file: IO[bytes]) -> None:
    """The table as CSV."""
    frames.to_csv(file, index=False, lineterminator="\n")


def spread(frames: pd.DataFrame, limit: int) -> pd.DataFrame:
    """At most so many pictures, every n-th of all. Not by their times: a camera without a clock may be in 1970."""
    pictures = frames[frames["width"].notna() & ~frames["repeat"]]
    chosen = min(limit, len(pictures))
    return pictures.iloc[[number * len(pictures) // chosen for number in range(chosen)]]


def _with_gaps(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows in order of offsets, with what lies between a frame and the one before it: time, and missing offsets."""
    rows = rows.sort_values([*_STREAM, "offset"], ignore_index=True)
    frames = rows[rows["kind"] == "frame"]
    accounted = rows["offsets"].where(rows["kind"] != "gap", 0).groupby([rows[name] for name in _STREAM]).cumsum()
    before = (frames["offset"] - accounted[frames.index]).groupby([frames[name] for name in _STREAM])
    rows["gap_ns"] = frames.groupby(_STREAM)["capture_ns"].diff()
    rows["missing"] = before.diff()
    return rows
