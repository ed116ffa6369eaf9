"""A camera's bucket as the backup leaves it: images and manifests without any Kafka."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import BytesIO
from zoneinfo import ZoneInfo

from PIL import Image

from fieldpipe.cameras.frames import Options, objects_of
from fieldpipe.cameras.manifests import DeadRecord, Epoch, Frame, Manifest, Range, Stream
from fieldpipe.cameras.message import Message, Record, encode
from fieldpipe.handover import WorkItem
from fieldpipe.store import ObjectStore

ZONE = ZoneInfo("Asia/Tokyo")
SEVEN = 1_700_000_000_000 - 800_000  # 2023-11-15T07:00:00 in Tokyo, in milliseconds


def picture(brightness: int, size: tuple[int, int] = (64, 48), kind: str = "JPEG") -> bytes:
    """A grey picture."""
    file = BytesIO()
    Image.new("L", size, brightness).save(file, kind)
    return file.getvalue()


def record(offset: int, *, seconds: float | None = None, payload: bytes | None = None, timed: bool = True) -> Record:
    """A frame, by default one per second of the hour from SEVEN on, each with other bytes. Sent 5 ms after capture."""
    time = SEVEN + round((offset if seconds is None else seconds) * 1000)
    content = picture(offset % 256) + offset.to_bytes(4, "big") if payload is None else payload
    return Record(offset, time + 5, encode(Message(time * 1000 if timed else 0, content)))


def empty(store: ObjectStore, bucket: str) -> None:
    """Make the bucket, or delete all that is in it: SeaweedFS takes a few dozens of buckets, not one for every test."""
    if not store.ensure_bucket(bucket):
        for info in list(store.list(bucket)):
            store.delete(bucket, info.key)


class CameraBucket:
    """A bucket of a store, emptied, with one topic."""

    def __init__(self, store: ObjectStore, name: str, topic: str = "cam") -> None:
        self.store = store
        self.topic = topic
        self.name = name
        empty(store, name)

    def stream(self, partition: int = 0, epoch: int = 1) -> Stream:
        return Stream(self.topic, partition, epoch, f"id-{epoch}")

    def put(self, records: Iterable[Record], stream: Stream | None = None) -> list[Frame | DeadRecord]:
        """The objects of these records, uncommitted."""
        entries = []
        for each in records:
            entry, contents = objects_of(each, stream or self.stream(), Options(zone=ZONE))
            entries.append(entry)
            for key, content in contents.items():
                self.store.put(self.name, key, content)
        return entries

    def back_up(
        self, records: Sequence[Record], stream: Stream | None = None, holes: tuple[Range, ...] = ()
    ) -> WorkItem:
        """A batch, committed; what its event says."""
        stream = stream or self.stream()
        entries = self.put(records, stream)
        offsets = [entry.offset for entry in entries] + [offset for hole in holes for offset in hole]
        frames = tuple(entry for entry in entries if isinstance(entry, Frame))
        dead = tuple(entry for entry in entries if isinstance(entry, DeadRecord))
        return self.commit(Manifest(stream, min(offsets), max(offsets), "frames", frames, dead, holes))

    def commit(self, manifest: Manifest) -> WorkItem:
        epoch = Epoch(manifest.stream.topic, manifest.stream.epoch, manifest.stream.topic_id)
        self.store.create(self.name, epoch.key, epoch.to_json())
        etag = self.store.put(self.name, manifest.key, manifest.to_json())
        return WorkItem(self.name, manifest.key, etag, id=manifest.first + 1)
