"""The table of an hour and its contact sheet, put where people find them: see closing for the layout."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from fieldpipe import logs
from fieldpipe.cameras.framerows import Table, spread, united, write_index
from fieldpipe.cameras.hours import Hour
from fieldpipe.cameras.parts import Part, Parts
from fieldpipe.cameras.pictures import Tile, contact_sheet
from fieldpipe.crashpoints import reach
from fieldpipe.errors import PermanentError, TransientError
from fieldpipe.handover import MANIFEST, canonical_json
from fieldpipe.store import ObjectNotFound, ObjectStore

INDEX, SHEET = "index.csv", "contact-sheet.png"
PICTURES = 60  # of a contact sheet
TOLD = 100  # dead records that a manifest names; it counts all

_MAX_LATEST = 64 * 1024  # bytes
_MAX_RACES = 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

log = logs.get(__name__)


class HourTables:
    """In the bucket `results`, with pictures from the bucket `cameras`. Labels show the time in `zone`."""

    def __init__(self, store: ObjectStore, cameras: str, results: str, zone: tzinfo) -> None:
        self._store = store
        self._cameras = cameras
        self._results = results
        self._zone = zone

    def publish(self, hour: Hour, parts: Sequence[Part], reader: Parts) -> None:
        """Make the table of these parts, unless it is there, and let `latest.json` name it if no other has more."""
        inputs = [{"part": part.name, "etag": part.etag} for part in parts]
        prefix = f"{hour.tables}{hashlib.sha256(canonical_json(inputs)).hexdigest()[:12]}/"
        if not self._exists(prefix + MANIFEST):
            table = united(reader.read(parts))
            described = describe(hour, inputs, table, self._put(hour, prefix, table))
            reach("frames.outputs")
            self._store.create(self._results, prefix + MANIFEST, canonical_json(described))
            reach("frames.table")
            log.info("hour_closed", topic=hour.topic, hour=str(hour), parts=len(parts), rows=len(table.frames))
        self._update_latest(hour, {"manifest": prefix + MANIFEST, "parts": len(parts)})

    def _put(self, hour: Hour, prefix: str, table: Table) -> list[dict[str, Any]]:
        with TemporaryDirectory(prefix="fieldpipe-hour-") as folder:
            outputs = [Path(folder, INDEX)]
            with outputs[0].open("wb") as file:
                write_index(table.frames, file)
            shown = spread(table.frames, PICTURES)
            if len(shown):
                outputs.append(Path(folder, SHEET))
                title = f"{hour.topic}   {hour} {self._zone}   {len(table.frames):,} frames"
                outputs[1].write_bytes(contact_sheet(title, self._tiles(shown)))
            for path in outputs:
                kind = "text/csv; charset=utf-8" if path.suffix == ".csv" else "image/png"
                self._store.upload(self._results, prefix + path.name, path, content_type=kind)
                reach("frames.uploaded")
            return [_output(path) for path in outputs]

    def _tiles(self, shown: pd.DataFrame) -> Iterator[Tile]:
        for key, size, capture_ns in zip(shown["image"], shown["size"], shown["capture_ns"], strict=True):
            moment = _EPOCH + timedelta(microseconds=int(capture_ns) // 1000)
            try:
                content = self._store.get(self._cameras, key, limit=int(size))[0]
            except PermanentError as error:  # it was deleted, or is another one: the table stays right
                log.warning("picture_gone", key=key, error=str(error))
                content = None
            yield Tile(content, f"{moment.astimezone(self._zone):%H:%M:%S}")

    def _update_latest(self, hour: Hour, ours: dict[str, Any]) -> None:
        for _ in range(_MAX_RACES):
            theirs, etag = self._read_latest(hour)
            if theirs and (theirs["parts"], theirs["manifest"]) >= (ours["parts"], ours["manifest"]):
                return
            content = canonical_json(ours)
            if (
                self._store.replace(self._results, hour.latest, content, etag=etag)
                if etag
                else self._store.create(self._results, hour.latest, content)
            ):
                reach("frames.latest")
                return
        raise TransientError(f"{hour.latest} keeps changing under {_MAX_RACES} attempts to replace it")

    def _read_latest(self, hour: Hour) -> tuple[dict[str, Any], str]:
        try:
            content, etag = self._store.get(self._results, hour.latest, limit=_MAX_LATEST)
        except ObjectNotFound:
            return {}, ""
        try:
            value = json.loads(content)
            return {"manifest": str(value["manifest"]), "parts": int(value["parts"])}, etag
        except (ValueError, KeyError, TypeError):
            return {}, etag  # not ours, or broken: it is replaced

    def _exists(self, key: str) -> bool:
        try:
            self._store.stat(self._results, key)
        except ObjectNotFound:
            return False
        return True


def describe(hour: Hour, inputs: list[dict[str, str]], table: Table, outputs: list[dict[str, Any]]) -> dict[str, Any]:
    """What the manifest says: no clock, nothing about who made it."""
    frames, others = table
    gaps, dead = others[others["kind"] == "gap"], others[others["kind"] == "dead"]
    times = frames["capture_time"]
    return {
        "topic": hour.topic,
        "hour": str(hour),
        "inputs": inputs,
        "outputs": outputs,
        "rows": len(frames),
        "first": times.iloc[0] if len(times) else None,
        "last": times.iloc[-1] if len(times) else None,
        "repeats": int(frames["repeat"].sum()),
        "not_measured": int(frames["reason"].notna().sum()),
        "missing": int(frames["missing"].sum()),
        "gaps": gaps[["epoch", "partition", "offset", "offsets"]]
        .rename(columns={"offset": "first"})
        .to_dict("records"),
        "dead": {
            "records": len(dead),
            "first": dead.head(TOLD)[["image", "reason"]].rename(columns={"image": "key"}).to_dict("records"),
        },
    }


def _output(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": digest}
