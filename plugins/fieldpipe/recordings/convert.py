"""One recording -> its tables in a folder, and the manifest that describes them.

The same recording gives the same bytes, on every run: nothing here looks at a clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from fieldpipe.crashpoints import reach
from fieldpipe.handover import PIPELINE_VERSION
from fieldpipe.recordings.container import Container, NotMcap
from fieldpipe.recordings.conversion import Writer
from fieldpipe.recordings.crew import available
from fieldpipe.recordings.csvfile import convert_csv
from fieldpipe.recordings.executors import executor
from fieldpipe.recordings.health import Health
from fieldpipe.recordings.notes import Notes
from fieldpipe.recordings.options import DEFAULT, Options
from fieldpipe.recordings.outputs import Output
from fieldpipe.recordings.pipeline import Pipeline
from fieldpipe.recordings.reader import LocalReader, Reader
from fieldpipe.recordings.sourcesum import SourceSum
from fieldpipe.recordings.spool import Spool, full_disk_is_transient
from fieldpipe.recordings.survey import Survey
from fieldpipe.recordings.tables import Tables

SMALL = 4 * 1024 * 1024  # bytes of a recording that is not worth a crew


class Source(NamedTuple):
    """Where a recording came from. A local file has an empty bucket and the SHA-256 of its content as ETag."""

    bucket: str
    key: str
    etag: str
    size: int
    modified: datetime


class Conversion(NamedTuple):
    """The results of one recording, not yet published. `kind` is `mcap` or `csv`; what is CSV has no health."""

    kind: str
    outputs: list[Output]
    warnings: Sequence[str] = ()
    errors: Sequence[str] = ()
    options: Options = DEFAULT
    health: Health | None = None


def convert(recording: Path, folder: Path, *, processed_at: str, options: Options = DEFAULT) -> Conversion:
    """Convert a file into the empty `folder`; see `convert_from`."""
    with LocalReader(recording) as reader:
        return convert_from(reader, folder, processed_at=processed_at, options=options)


def convert_from(
    reader: Reader,
    folder: Path,
    *,
    processed_at: str,
    options: Options = DEFAULT,
    source_sum: SourceSum | None = None,
) -> Conversion:
    """Convert a recording into the empty `folder`. `processed_at` goes into the table of one that is CSV text.

    As much of `source_sum` as can be is taken on the way.

    Raises PermanentError (reason `not_mcap`, `too_many_topics`), TransientError when the disk is full, and what the
    reader raises.
    """
    notes = Notes()
    workers = options.workers or (available() if reader.size > SMALL else 1)
    with full_disk_is_transient(folder), Spool(folder) as spool:
        try:
            container = Container(source_sum.along(reader) if source_sum else reader, folder, notes)
        except NotMcap:
            table = convert_csv(reader, spool, processed_at=processed_at)
            return Conversion("csv", [table], options=options)
        outputs, health = _convert(container, spool, notes, options, workers, source_sum)
    reach("recordings.decoded")
    return Conversion("mcap", outputs, notes.warnings, notes.errors, options, health)


def manifest(conversion: Conversion, source: Source) -> dict[str, Any]:
    """What `manifest.json` says: no clock, no run id."""
    outputs = [output.described() for output in conversion.outputs]
    tables = [output for output in conversion.outputs if output.kind in ("table", "pictures", "clouds")]
    described = {
        "source": {"bucket": source.bucket, "key": source.key, "etag": source.etag, "size": source.size},
        "pipeline_version": PIPELINE_VERSION,
        "kind": conversion.kind,
        "outputs": outputs,
        "totals": {
            "outputs": len(outputs),
            "tables": len(tables),
            "rows": sum(output.rows for output in tables),
            "bytes": sum(output.size for output in conversion.outputs),
        },
        "warnings": conversion.warnings,
        "errors": conversion.errors,
    }
    if conversion.health:
        described |= {"health": conversion.health.described(), "topics": conversion.health.described_topics()}
    if chosen := conversion.options.described():
        described["options"] = chosen
    return described


def _convert(
    container: Container, spool: Spool, notes: Notes, options: Options, workers: int, source_sum: SourceSum | None
) -> tuple[list[Output], Health]:
    runner = executor()
    survey = Survey(container, runner, notes, options.wants)
    tables = Tables(spool, options, runner)
    tables.expect(len({*survey.topics()}))
    writer = Writer(survey, spool, tables, runner, options, notes, source_sum)
    Pipeline(runner, workers, writer).run(container.blocks(writer.can_skip))
    writer.finish()
    survey.health.skipped = container.chunks_skipped
    for topic in survey.topics():
        tables.declare(topic)
        survey.health.topic(topic)
    outputs = tables.finish(notes)
    if options.topics and not outputs:
        notes.warn(f"no topic is called {' or '.join(options.topics)}")
    if options.explode and not tables.have_exploded:
        notes.warn(f"no topic has a list called {' or '.join(options.explode)}")
    return outputs, survey.health
