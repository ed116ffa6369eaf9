"""What a fault test of the camera backup ends with: the bucket is held against what was sent, offset by offset.

The layout is written down here a second time, on purpose: the library's own functions are not asked.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import md5, sha256
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from fieldpipe.store import ObjectStore

TOKYO = ZoneInfo("Asia/Tokyo")
LARGEST = 64 * 1024 * 1024  # bytes of an object of these tests
MICROSECOND = timedelta(microseconds=1)
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)

Document = dict[str, Any]


class Content(NamedTuple):
    """What an object must hold."""

    size: int
    sha256: str
    md5: str

    @classmethod
    def of(cls, content: bytes) -> "Content":
        return cls(len(content), sha256(content).hexdigest(), md5(content, usedforsecurity=False).hexdigest())


@dataclass(frozen=True)
class Sent:
    """A record as it lies in Kafka. `image` is None for what is no frame; `value` is None for a tombstone.

    `sealed`: the version of the key of an encrypted one, which is kept as it is.
    """

    offset: int
    record_time: int
    value: Content | None
    image: Content | None = None
    time: int = 0
    sealed: int = 0


@dataclass
class Life:
    """A partition in one life of its topic: the records that have to be in the bucket, by offset.

    `end`: behind the newest offset, whatever is there. `lost`: ranges that were deleted before a backup came, each with
    both ends. Offsets that are nowhere are holes.
    """

    topic: str
    partition: int = 0
    epoch: int = 1
    end: int = 0
    records: dict[int, Sent] = field(default_factory=dict)
    lost: list[tuple[int, int]] = field(default_factory=list)

    def add(self, sent: Sent) -> None:
        """A record that was sent."""
        self.records[sent.offset] = sent
        self.end = max(self.end, sent.offset + 1)


def check(store: ObjectStore, bucket: str, lives: Iterable[Life]) -> None:
    """Every offset of every life is covered once and right, and nothing else of their topics is visible."""
    expected: dict[str, Content] = {}
    ids: set[tuple[str, int, str]] = set()
    for life in lives:
        epoch_key = f"_epochs/{life.topic}/{life.epoch:06d}.json"
        epoch = _read(store, bucket, epoch_key)
        assert epoch == {"topic": life.topic, "epoch": life.epoch, "topic_id": epoch["topic_id"]}
        ids.add((life.topic, life.epoch, epoch["topic_id"]))
        expected |= {epoch_key: _content(store, bucket, epoch_key)}
        expected |= _check_chain(store, bucket, life, epoch["topic_id"])
    assert len({topic_id for _, _, topic_id in ids}) == len(ids), f"two lives have one id: {sorted(ids)}"
    topics = {topic for topic, _, _ in ids}
    visible = {info.key: info for info in store.list(bucket) if topics & set(info.key.split("/"))}
    assert {key: info.size for key, info in visible.items()} == {key: each.size for key, each in expected.items()}
    # an ETag that is the MD5 of the bytes is the store's word for them: thousands need not be read again
    doubtful = [key for key, content in expected.items() if visible[key].etag != content.md5]
    wrong = [key for key in doubtful if _content(store, bucket, key) != expected[key]]
    assert wrong == [], "these objects have other bytes"


def _check_chain(store: ObjectStore, bucket: str, life: Life, topic_id: str) -> dict[str, Content]:
    """The manifests of a life adjoin, cover everything, and say of each offset what is true; returns all objects."""
    prefix = f"_manifests/{life.topic}/{life.epoch}/{life.partition}/"
    manifests = {info.key: _read(store, bucket, info.key) for info in store.list(bucket, prefix)}
    expected = {key: _content(store, bucket, key) for key in manifests}
    position = 0
    for key, manifest in manifests.items():
        first, last = manifest["first"], manifest["last"]
        assert key == f"{prefix}{first // 10_000:016d}/{first:020d}.json"
        assert first == position, f"{key} does not begin where the one before it ended ({position})"
        assert last >= first
        position = last + 1
        assert [manifest[name] for name in ("topic", "partition", "epoch", "topic_id")] == [
            *(life.topic, life.partition, life.epoch, topic_id)
        ]
        if manifest["kind"] == "gap":
            assert (first, last) in life.lost, f"{key} says that records were lost which were not"
            assert not manifest["frames"] + manifest["dead"] + manifest["holes"]
            continue
        expected |= _check_batch(store, bucket, life, manifest)
    assert position == life.end, f"the manifests of {prefix} end at {position}, not at {life.end}"
    return expected


def _check_batch(store: ObjectStore, bucket: str, life: Life, manifest: Document) -> dict[str, Content]:
    """Each offset of a manifest is a frame, dead, or a hole: as in Kafka; returns their objects."""
    offsets = range(manifest["first"], manifest["last"] + 1)
    sent = [life.records[offset] for offset in offsets if offset in life.records]
    holes = [offset for first, last in manifest["holes"] for offset in range(first, last + 1)]
    assert holes == [offset for offset in offsets if offset not in life.records]
    objects: dict[str, Content] = {}
    assert manifest["frames"] == [_frame(life, each, objects) for each in sent if each.image]
    dead = [each for each in sent if not each.image]
    assert [record["offset"] for record in manifest["dead"]] == [each.offset for each in dead]
    for record, each in zip(manifest["dead"], dead, strict=True):
        stem = f"_dead/{life.topic}/{life.epoch}/{life.partition}/{each.offset:020d}"
        described = _read(store, bucket, f"{stem}.json")
        assert record == {"offset": each.offset, "reason": described["reason"], "key": f"{stem}.json"}
        coordinates = {"topic": life.topic, "partition": life.partition, "offset": each.offset, "epoch": life.epoch}
        assert described.items() >= {**coordinates, "record_time": each.record_time}.items()
        objects[f"{stem}.json"] = _content(store, bucket, f"{stem}.json")
        if each.value:
            objects[f"{stem}.bin"] = each.value
    return objects


def _frame(life: Life, sent: Sent, objects: dict[str, Content]) -> Document:
    """A frame as the manifest must have it; its objects are added to `objects`."""
    assert sent.image
    hour = (BEGINNING + sent.record_time * 1000 * MICROSECOND).astimezone(TOKYO)
    root = "topics" if life.epoch == 1 else f"topics-{life.epoch}"
    folder = f"{root}/{life.topic}/{hour:year=%Y/month=%m/day=%d/hour=%H}"
    stem = f"{folder}/{life.topic}+{life.partition}+{sent.offset:010d}"
    timestamp = f"{stem}-timestamp.txt" if sent.time else None
    image = f"{stem}{'.sealed' if sent.sealed else '.jpg'}"
    objects[image] = sent.image
    if timestamp:
        moment = BEGINNING + sent.time * MICROSECOND
        objects[timestamp] = Content.of(f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}".encode())
    return {
        "offset": sent.offset,
        "record_time": sent.record_time,
        "time": sent.time or None,
        "image": image,
        "size": sent.image.size,
        "sha256": sent.image.sha256,
        "timestamp": timestamp,
        "sealed": sent.sealed,
    }


def _read(store: ObjectStore, bucket: str, key: str) -> Document:
    document = json.loads(store.get(bucket, key, limit=LARGEST)[0])
    assert isinstance(document, dict)
    return document


def _content(store: ObjectStore, bucket: str, key: str) -> Content:
    return Content.of(store.get(bucket, key, limit=LARGEST)[0])
