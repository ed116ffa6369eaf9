"""Hours -> tables: what all parts of an hour make together, once; and once more when a part came later.

    <hour>/<first 12 of the sha256 of the inputs>/index.csv
    <hour>/<first 12 of the sha256 of the inputs>/contact-sheet.png
    <hour>/<first 12 of the sha256 of the inputs>/manifest.json      last, and only if there is none: the proof
    <hour>/latest.json                                               names the newest, the one of the most parts

The inputs are the hour's parts. An hour whose manifest is there is done; parts are only ever added, so a later table
has all that is in an earlier one.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from fieldpipe import logs
from fieldpipe.cameras.hours import Hour
from fieldpipe.cameras.hourtable import HourTables
from fieldpipe.cameras.parts import Parts
from fieldpipe.cameras.sinkframes import SinkFrames
from fieldpipe.errors import FieldpipeError
from fieldpipe.store import ObjectStore

SETTLED = timedelta(minutes=10)  # after the end of an hour: what was under way has arrived
PATIENCE = timedelta(days=1)  # with what was begun, and does not arrive
LOOK_BACK = timedelta(hours=48)  # for frames that nobody announces: those of Kafka Connect

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Buckets:
    """Where images lie, and where tables go."""

    cameras: str
    results: str


class Closer:
    """Closes hours at the time `now`. `zone` is that of the images' keys, `reads` are threads that read images."""

    def __init__(self, store: ObjectStore, buckets: Buckets, zone: tzinfo, reads: Executor, now: datetime) -> None:
        self._parts = Parts(store, buckets.results)
        self._sink = SinkFrames(store, buckets.cameras, self._parts, reads)
        self._tables = HourTables(store, buckets.cameras, buckets.results, zone)
        self._zone = zone
        self._now = now

    def close_all(self, topics: Iterable[str], *, running: bool = False) -> int:
        """Close what can be closed, with `running` also hours that are not over, as they are now.

        The frames of `topics` are looked for also where nobody announces them. Returns the exit code that stands for
        the worst outcome: an hour that fails does not stop the others.
        """
        marked = self._parts.marked()
        code = 0
        for hour in sorted({*marked, *(hour for topic in topics for hour in self._looked_back(topic))}):
            if not (running or self._is_over(hour)):
                continue
            try:
                self._close(hour, marked.get(hour, set()), running=running)
            except FieldpipeError as error:
                log.warning("hour_failed", topic=hour.topic, hour=str(hour), reason=str(error))
                code = max(code, error.exit_code)
        return code

    def _close(self, hour: Hour, marks: Set[str], *, running: bool) -> None:
        parts = self._parts.of(hour)
        found = {part.name for part in parts}
        overdue = self._now >= hour.end(self._zone) + PATIENCE
        if not marks and any(not part.is_sinks for part in parts):
            return  # the backup's; it has closed, and what comes later is announced
        if overdue and found and marks and not marks & found:
            return  # it has closed, but for parts that are announced and cannot be made
        complete = self._sink.collect(hour, self._parts.images(parts), all_of_them=overdue) and marks <= found
        final = overdue or (complete and self._is_over(hour))
        if not (final or running):
            log.info("hour_waits", topic=hour.topic, hour=str(hour), announced=len(marks - found))
            return
        parts = self._parts.of(hour)
        if parts:
            self._tables.publish(hour, parts, self._parts)
        if final:
            contained = {part.name for part in parts}
            self._parts.clear(hour, contained & marks | contained - found)

    def _is_over(self, hour: Hour) -> bool:
        return self._now >= hour.end(self._zone) + SETTLED

    def _looked_back(self, topic: str) -> set[Hour]:
        hours = LOOK_BACK // timedelta(hours=1)
        return {Hour.at(topic, self._now - timedelta(hours=each), self._zone) for each in range(hours + 1)}
