"""The parts of the hours' tables, in the bucket of results, and the marks that say which tables lack some.

A mark is put before its part and deleted after the table that contains it, so that whoever dies between, the next
closing finds what is left to do, without looking at every hour there ever was.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

import pandas as pd

from fieldpipe.cameras.framerows import read_part
from fieldpipe.cameras.hours import MARKS, Hour, parse_mark
from fieldpipe.crashpoints import reach
from fieldpipe.errors import PermanentError
from fieldpipe.store import ObjectNotFound, ObjectStore

MAX_PART = 256 * 1024 * 1024  # bytes
SINK = "connect"  # what the names of parts begin with whose frames Kafka Connect wrote


class Part(NamedTuple):
    """A part as a listing shows it."""

    hour: Hour
    name: str
    etag: str

    @property
    def is_sinks(self) -> bool:
        return self.name.startswith(SINK)


class Parts:
    """Of one bucket of results."""

    def __init__(self, store: ObjectStore, bucket: str) -> None:
        self._store = store
        self._bucket = bucket

    def exists(self, hour: Hour, name: str) -> bool:
        try:
            self._store.stat(self._bucket, hour.parts + name)
        except ObjectNotFound:
            return False
        return True

    def add(self, hour: Hour, name: str, content: bytes) -> bool:
        """Create a part. False: it was there."""
        self._store.put(self._bucket, hour.marks + name, b"")
        reach("frames.marked")
        created = self._store.create(self._bucket, hour.parts + name, content, content_type="text/csv; charset=utf-8")
        reach("frames.part")
        return created

    def of(self, hour: Hour) -> list[Part]:
        """In order of their names: those of the backup come first."""
        found = self._store.list(self._bucket, hour.parts)
        return [Part(hour, info.key.removeprefix(hour.parts), info.etag) for info in found]

    def read(self, parts: Iterable[Part]) -> Iterator[pd.DataFrame]:
        """The rows of each. Raises PermanentError that names a part which is none."""
        for part in parts:
            key = part.hour.parts + part.name
            try:
                yield read_part(self._store.get(self._bucket, key, limit=MAX_PART)[0])
            except PermanentError as error:
                raise PermanentError(f"{key}: {error}") from error

    def images(self, parts: Iterable[Part]) -> set[str]:
        """The keys of all images that they have."""
        return {key for rows in self.read(parts) for key in rows["image"].dropna()}

    def marked(self) -> dict[Hour, set[str]]:
        """Hours whose table lacks parts, and the names of those."""
        hours = defaultdict(set)
        for info in self._store.list(self._bucket, f"{MARKS}/"):
            mark = parse_mark(info.key)
            if mark:
                hours[mark[0]].add(mark[1])
        return dict(sorted(hours.items()))

    def clear(self, hour: Hour, names: Collection[str]) -> None:
        """Delete the marks of parts that the table contains now."""
        for name in sorted(names):
            self._store.delete(self._bucket, hour.marks + name)
            reach("frames.mark_deleted")
