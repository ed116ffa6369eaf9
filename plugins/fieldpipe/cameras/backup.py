"""The backup of camera topics: from Kafka to the bucket, every offset exactly once, whatever dies.

For each partition: find in the bucket where the last manifest ended; read from there to the end that the partition has
now; write each record's objects; when a batch has enough records and its objects are there, create its manifest. A
batch without a manifest is written again by the next run, under the same keys. Described in docs/cameras.md.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from typing import NamedTuple

from fieldpipe import logs
from fieldpipe.cameras.batches import Batch
from fieldpipe.cameras.chain import Chain, Overtaken
from fieldpipe.cameras.frames import Options, objects_of
from fieldpipe.cameras.kafka import Kafka, OffsetsGone
from fieldpipe.cameras.manifests import Manifest, Stream
from fieldpipe.cameras.upload import Uploads
from fieldpipe.crashpoints import reach
from fieldpipe.errors import (
    EXIT_BUG,
    EXIT_PERMANENT,
    EXIT_TRANSIENT,
    FieldpipeError,
)
from fieldpipe.store import ObjectStore

_WORST_FIRST = (EXIT_BUG, EXIT_TRANSIENT, EXIT_PERMANENT)

log = logs.get(__name__)


class Share(NamedTuple):
    """Which partitions are this process's: part `part` of `of`, from 1."""

    part: int
    of: int

    def has(self, topic: str, partition: int) -> bool:
        """Spreads evenly also where every topic has one partition."""
        return (zlib.crc32(topic.encode()) + partition) % self.of == self.part - 1


ALL = Share(1, 1)


@dataclass(slots=True)
class Counts:
    """What one run did with one stream."""

    frames: int = 0
    bytes: int = 0
    dead: int = 0
    lost: int = 0  # offsets that Kafka had deleted before we could read them
    batches: int = 0

    def add(self, manifest: Manifest) -> None:
        self.batches += 1
        self.frames += len(manifest.frames)
        self.bytes += sum(frame.size for frame in manifest.frames)
        self.dead += len(manifest.dead)
        self.lost += manifest.last - manifest.first + 1 if manifest.kind == "gap" else 0


class Backup:
    """Backs topics up to a bucket."""

    def __init__(self, kafka: Kafka, store: ObjectStore, bucket: str, wanted: Options) -> None:
        self._kafka = kafka
        self._store = store
        self._bucket = bucket
        self._wanted = wanted
        self._chain = Chain(store, bucket)

    def run(self, topics: Sequence[str], share: Share = ALL) -> int:
        """Back up this process's share of the topics; returns the exit code of the worst that happened.

        A topic or a partition that fails does not stop the others. Lost and dead records are a permanent error, once:
        they stand in a manifest now, and a person should know.
        """
        codes = {code for topic in topics for code in self._topic(topic, share)}
        return next((code for code in _WORST_FIRST if code in codes), 0)

    def _topic(self, name: str, share: Share) -> Iterator[int]:
        try:
            topic = self._kafka.topic(name)
            epoch = self._chain.epoch(name, topic.id)
        except FieldpipeError as error:
            log.warning("topic_failed", topic=name, reason=str(error))
            yield error.exit_code
            return
        for partition in topic.partitions:
            if share.has(name, partition):
                yield self._partition(Stream(name, partition, epoch, topic.id))

    def _partition(self, stream: Stream) -> int:
        described = {"topic": stream.topic, "partition": stream.partition}
        counts = Counts()
        try:
            with Uploads(self._store, self._bucket) as uploads:
                StreamBackup(self._kafka, self._chain, uploads, self._wanted, counts).run(stream)
        except Overtaken as error:
            log.info("partition_overtaken", **described, reason=str(error))
        except FieldpipeError as error:
            log.warning("partition_failed", **described, reason=str(error))
            return error.exit_code
        finally:
            log.info("partition_backed_up", **described, **asdict(counts))
        return EXIT_PERMANENT if counts.dead or counts.lost else 0


class StreamBackup:
    """The backup of one stream."""

    def __init__(self, kafka: Kafka, chain: Chain, uploads: Uploads, wanted: Options, counts: Counts) -> None:
        self._kafka = kafka
        self._chain = chain
        self._uploads = uploads
        self._wanted = wanted
        self._counts = counts
        self._waiting: deque[tuple[Manifest, list[Future[None]]]] = deque()

    def run(self, stream: Stream) -> None:
        """Everything from where the last manifest ended to the end that the partition has now."""
        start = self._start(stream)
        batch = Batch(stream, start)
        for chunk in self._kafka.read(stream.topic, stream.partition, start):
            reach("cameras.read")
            self._require_same_topic(stream)
            for record in chunk.records:
                objects = objects_of(record, stream, self._wanted)
                self._uploads.add(objects.contents)
                batch.add(objects)
                if batch.full:
                    self._close(batch, leave=1)
                    batch = Batch(stream, batch.reached)
            batch.reached = max(batch.reached, chunk.reached)
        self._close(batch, leave=0)

    def _start(self, stream: Stream) -> int:
        """Where to read from. What the retention took before we came gets a manifest of its own.

        So does what it took before the first backup, though it was not ours to lose: every chain begins at offset 0, or
        two first runs that saw different beginnings would both commit theirs.
        """
        following = self._chain.next_offset(stream)
        start = following or 0
        earliest = self._kafka.earliest(stream.topic, stream.partition)
        if start < earliest:
            gap = Manifest(stream, start, earliest - 1, kind="gap")
            if following is None:
                self._chain.commit(gap)
            else:
                log.error("records_lost", topic=stream.topic, partition=stream.partition, first=start, last=gap.last)
                self._commit(gap)
        return max(start, earliest)

    def _close(self, batch: Batch, *, leave: int) -> None:
        """End a batch. All but `leave` of those that wait for their objects are committed, in order."""
        if batch.reached > batch.first:
            self._waiting.append((batch.manifest(), self._uploads.mark()))
        while len(self._waiting) > leave:
            manifest, uploads = self._waiting.popleft()
            for upload in uploads:
                upload.result()
            reach("cameras.batch")
            self._commit(manifest)

    def _require_same_topic(self, stream: Stream) -> None:
        """A topic that was made again meanwhile has other records at these offsets: asked before any is written, since
        their objects would have the keys of those that another run may have written."""
        if self._kafka.topic(stream.topic).id != stream.topic_id:
            raise OffsetsGone(f"topic {stream.topic} was deleted and made again; the next run begins a new epoch")

    def _commit(self, manifest: Manifest) -> None:
        self._chain.commit(manifest)
        self._counts.add(manifest)
        stream = manifest.stream
        self._kafka.commit(stream.topic, stream.partition, manifest.last + 1)
        reach("cameras.committed")
        log.info(
            "batch_committed",
            topic=stream.topic,
            partition=stream.partition,
            kind=manifest.kind,
            first=manifest.first,
            last=manifest.last,
        )
