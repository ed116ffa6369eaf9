"""One recording -> its tables in a folder, and the manifest that describes them.

The same recording gives the same bytes, on every run: nothing here looks at a clock.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from fieldpipe.crashpoints import reach
from fieldpipe.handover import PIPELINE_VERSION
from fieldpipe.recordings.container import Container, NotMcap
from fieldpipe.recordings.csvfile import convert_csv
from fieldpipe.recordings.notes import Notes
from fieldpipe.recordings.spool import Spool, full_disk_is_transient
from fieldpipe.recordings.tables import Output, Tables


@dataclass(frozen=True, slots=True)
class Source:
    """Where a recording came from. A local file has an empty bucket and the MD5 of its content as ETag."""

    bucket: str
    key: str
    etag: str
    size: int
    modified: datetime


@dataclass(frozen=True, slots=True)
class Conversion:
    """The results of one recording, not yet published. `kind` is `mcap` or `csv`."""

    kind: str
    outputs: list[Output]
    warnings: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def convert(recording: Path, folder: Path, *, processed_at: str) -> Conversion:
    """Convert a file into the empty `folder`. `processed_at` goes into the tables of recordings that are CSV text.

    Raises PermanentError (reason `not_mcap`, `too_many_topics`), TransientError when the disk is full.
    """
    spool = Spool(folder)
    with full_disk_is_transient(folder), recording.open("rb") as file:
        notes = Notes()
        try:
            container = Container(file, folder, notes)
        except NotMcap:
            return Conversion("csv", [convert_csv(recording, spool, processed_at=processed_at)])
        tables = Tables(spool, notes)
        for message in container.messages():
            tables.add(message)
        for topic in container.topics():
            tables.declare(topic)
        outputs = tables.finish()
    reach("recordings.decoded")
    return Conversion("mcap", outputs, notes.warnings, notes.errors)


def manifest(conversion: Conversion, source: Source) -> dict[str, Any]:
    """What `manifest.json` says: no clock, no run id."""
    outputs = [_described(output) for output in conversion.outputs]
    tables = [output for output in conversion.outputs if output.kind in ("table", "pictures")]
    return {
        "source": {"bucket": source.bucket, "key": source.key, "etag": source.etag, "size": source.size},
        "pipeline_version": PIPELINE_VERSION,
        "kind": conversion.kind,
        "outputs": outputs,
        "totals": {
            "outputs": len(outputs),
            "tables": len(tables),
            "rows": sum(output.rows for output in tables),
            "bytes": sum(output["bytes"] for output in outputs),
        },
        "warnings": conversion.warnings,
        "errors": conversion.errors,
    }


def _described(output: Output) -> dict[str, Any]:
    with output.path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "name": output.name,
        "kind": output.kind,
        "topic": output.topic,
        "schema": output.schema,
        "rows": output.rows,
        "sha256": digest,
        "bytes": output.path.stat().st_size,
    }
