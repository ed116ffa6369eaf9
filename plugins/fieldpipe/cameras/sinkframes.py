"""Frames that Kafka Connect wrote: found by listing an hour's images, made into parts like those of the backup.

Nobody says which they are. They are the images that stand in no part, but for those that the backup has put and not
committed yet, or committed and not indexed yet.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from concurrent.futures import Executor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import groupby, islice
from typing import NamedTuple

from fieldpipe.cameras.framerows import Row, TimeSource, part_csv
from fieldpipe.cameras.hours import Hour
from fieldpipe.cameras.index import nanoseconds
from fieldpipe.cameras.layout import TIMESTAMP
from fieldpipe.cameras.manifests import Stream, epochs_prefix, manifests_prefix
from fieldpipe.cameras.parts import SINK, Parts
from fieldpipe.cameras.reading import ImageReader
from fieldpipe.errors import PermanentError
from fieldpipe.store import ObjectInfo, ObjectStore

PART_FRAMES = 1000

_MAX_TIMESTAMP = 64  # bytes
_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAME = re.compile(r"\+(\d+)\+(\d+)\..*")  # behind the topic: partition, offset, extension


class Image(NamedTuple):
    """An image of an hour's folder. `timestamp` is the key of the object with its time, if there is one."""

    partition: int
    offset: int
    info: ObjectInfo
    timestamp: str | None


class SinkFrames:
    """Of one bucket of cameras. `reads` are the threads that read images."""

    def __init__(self, store: ObjectStore, bucket: str, parts: Parts, reads: Executor) -> None:
        self._store = store
        self._bucket = bucket
        self._parts = parts
        self._reads = reads
        self._reader = ImageReader(store)

    def collect(self, hour: Hour, indexed: Collection[str], *, all_of_them: bool) -> bool:
        """Make parts of the images that stand in none; `indexed` are the keys of those that do.

        False: some are the backup's, and are left to it. With `all_of_them` nothing is left.
        """
        unknown = [image for image in self._listed(hour) if image.info.key not in indexed]
        begins = {partition: self._backup_begins(hour.topic, partition) for partition in {i.partition for i in unknown}}
        ours = [image for image in unknown if all_of_them or image.offset < begins[image.partition]]
        for partition, images in groupby(ours, lambda image: image.partition):
            while some := list(islice(images, PART_FRAMES)):
                name = f"{SINK}+{partition}+{some[0].offset:020d}.csv"
                self._parts.add(hour, name, part_csv(self._reads.map(self._row, some)))
        return len(ours) == len(unknown)

    def _listed(self, hour: Hour) -> Iterator[Image]:
        """A timestamp is listed right before its image: a dash sorts before a dot."""
        timestamp = ""
        for info in self._store.list(self._bucket, hour.images):
            if info.key.endswith(TIMESTAMP):
                timestamp = info.key
            elif found := _NAME.fullmatch(info.key.removeprefix(hour.images + hour.topic)):
                stem = info.key[: found.end(2) + len(hour.images + hour.topic)]
                beside = timestamp if timestamp == stem + TIMESTAMP else None
                yield Image(int(found[1]), int(found[2]), info, beside)

    def _backup_begins(self, topic: str, partition: int) -> float:
        """The first offset that the backup has covered or may be working on: what is older is not its."""
        if not any(self._store.list(self._bucket, epochs_prefix(topic))):
            return float("inf")
        manifests = self._store.list(self._bucket, manifests_prefix(Stream(topic, partition, 1, "")))
        first = next(manifests, None)
        return int(first.key.rpartition("/")[2].removesuffix(".json")) if first else 0

    def _row(self, image: Image) -> Row:
        seen = self._reader.see(self._bucket, image.info.key, image.info.size)
        capture_ns, source = self._time(image)
        return Row(
            "frame",
            1,
            image.partition,
            image.offset,
            capture_ns=capture_ns,
            time_source=source,
            size=image.info.size,
            sha256=seen.sha256,
            **seen.look._asdict(),
            image=image.info.key,
        )

    def _time(self, image: Image) -> tuple[int, TimeSource]:
        """What the timestamp says; without one, when the image was stored."""
        if image.timestamp:
            with suppress(PermanentError, ValueError):
                content, _ = self._store.get(self._bucket, image.timestamp, limit=_MAX_TIMESTAMP)
                return _nanoseconds(datetime.fromisoformat(content.decode())), "camera"
        return _nanoseconds(image.info.modified or _EPOCH), "object"


def _nanoseconds(moment: datetime) -> int:
    """Since 1970; a text without a zone is in UTC, as the sink writes it."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return nanoseconds((aware - _EPOCH) // _MICROSECOND, 1_000)
