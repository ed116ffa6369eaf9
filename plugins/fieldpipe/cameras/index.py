"""Manifests of a camera backup -> parts of tables: a row per frame, checked against the image and measured.

Each manifest gives one part per hour that its frames belong to, nearly always one. A part holds nothing but what the
manifest and its images say, so making it again gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import UTC, datetime, tzinfo
from functools import partial

from fieldpipe.cameras.framerows import Row, part_csv
from fieldpipe.cameras.hours import Hour
from fieldpipe.cameras.manifests import DeadRecord, Frame, Manifest, Range, Stream
from fieldpipe.cameras.parts import Parts
from fieldpipe.cameras.reading import AT_ONCE, ImageReader
from fieldpipe.errors import PermanentError
from fieldpipe.handover import Outcome, Report, WorkItem
from fieldpipe.store import ObjectChanged
from fieldpipe.work import Run, attempt_each

MANIFESTS_AT_ONCE = 2
MAX_MANIFEST = 64 * 1024 * 1024  # bytes

_LAST_NS = 2**63 - 1  # in the year 2262; tables count no further

Entry = Frame | DeadRecord | Range
"""What a manifest says about an offset, or several: the last are holes, or a gap."""


def index_batch(items: list[WorkItem], run: Run, zone: tzinfo) -> int:
    """Index every manifest and report on each; returns the exit code that stands for the worst outcome."""
    with ThreadPoolExecutor(AT_ONCE) as reads:
        return attempt_each(items, run, Indexer(run, zone, reads).index, at_once=MANIFESTS_AT_ONCE)


class Indexer:
    """Makes parts. `zone` is that of the hours, for a manifest without a frame whose key tells the hour."""

    def __init__(self, run: Run, zone: tzinfo, reads: Executor) -> None:
        self._run = run
        self._zone = zone
        self._reads = reads
        self._images = ImageReader(run.store)
        self._parts = Parts(run.store, run.bucket)

    def index(self, item: WorkItem) -> Report:
        """Make the manifest's parts. Raises PermanentError that names an image which is missing, or is another."""
        manifest = self._manifest(item)
        shares = by_hour(manifest, lambda: self._written(item, manifest.stream.topic))
        name = part_name(manifest)
        missing = [hour for hour in shares if not self._parts.exists(hour, name)]
        for hour in missing:
            row = partial(self._row, item.bucket, manifest)
            self._parts.add(hour, name, part_csv(self._reads.map(row, shares[hour])))
        reason = "" if missing else "its parts were there already"
        return Report(Outcome.CONVERTED, reason, max(hour.parts for hour in shares) + name)

    def _manifest(self, item: WorkItem) -> Manifest:
        content, etag = self._run.store.get(item.bucket, item.key, limit=MAX_MANIFEST)
        if item.etag not in (None, etag):
            raise ObjectChanged(f"{item.bucket}/{item.key} is another one now")
        return Manifest.from_json(content)

    def _written(self, item: WorkItem, topic: str) -> Hour:
        modified = self._run.store.stat(item.bucket, item.key).modified
        return Hour.at(topic, modified or datetime.now(UTC), self._zone)

    def _row(self, bucket: str, manifest: Manifest, entry: Entry) -> Row:
        _, partition, epoch, _ = manifest.stream
        match entry:
            case Frame():
                return self._frame(bucket, manifest.stream, entry)
            case DeadRecord(offset, reason, key):
                return Row("dead", epoch, partition, offset, reason=reason, image=key)
            case Range(first, last):
                return Row("gap" if manifest.kind == "gap" else "hole", epoch, partition, first, last - first + 1)

    def _frame(self, bucket: str, stream: Stream, frame: Frame) -> Row:
        seen = self._images.see(bucket, frame.image, frame.size, sealed=frame.sealed)
        if seen.sha256 != frame.sha256:
            raise PermanentError(f"the image {bucket}/{frame.image} is not the one of the manifest, its sha256 differs")
        record_ns = nanoseconds(frame.record_time, 1_000_000)
        return Row(
            "frame",
            stream.epoch,
            stream.partition,
            frame.offset,
            capture_ns=record_ns if frame.time is None else nanoseconds(frame.time, 1_000),
            time_source="record" if frame.time is None else "camera",
            record_ns=record_ns,
            size=frame.size,
            sha256=seen.sha256,
            **seen.look._asdict(),
            image=frame.image,
        )


def part_name(manifest: Manifest) -> str:
    """What the manifest's parts are called, in each hour."""
    _, partition, epoch, _ = manifest.stream
    return f"{epoch}+{partition}+{manifest.first:020d}.csv"


def by_hour(manifest: Manifest, written: Callable[[], Hour]) -> dict[Hour, list[Entry]]:
    """What a manifest says, by the hour that it belongs to: what is no frame, to that of the frame before it.

    Of a manifest without frames it is the hour in which it was written.
    """
    ranges = (Range(manifest.first, manifest.last),) if manifest.kind == "gap" else manifest.holes
    entries: list[Entry] = sorted((*manifest.frames, *manifest.dead, *ranges), key=lambda entry: entry[0])
    hour = Hour.of_image(manifest.frames[0].image) if manifest.frames else written()
    shares: dict[Hour, list[Entry]] = {hour: []}
    for entry in entries:
        if isinstance(entry, Frame):
            hour = Hour.of_image(entry.image)
        shares.setdefault(hour, []).append(entry)
    return shares


def nanoseconds(time: int, unit: int) -> int:
    """A time since 1970 in units of so many nanoseconds; at most what tables can hold."""
    return max(-_LAST_NS, min(_LAST_NS, time * unit))
