"""How soon a backup writes its first object when the bucket is full of earlier ones."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from hashlib import sha256
from itertools import islice
from zoneinfo import ZoneInfo

from kafka import KafkaProducer

from fieldpipe.cameras import layout
from fieldpipe.cameras.manifests import Epoch, Frame, Manifest, Stream
from fieldpipe.cameras.message import Position
from fieldpipe.errors import PermanentError
from fieldpipe.store import ObjectNotFound
from tests.bench.camera_field import BEGIN, Field
from tests.bench.camera_race import SIZE
from tests.bench.progress import say
from tests.kafka_servers import admin

BATCH = 10  # frames of one manifest: what a slow camera sends between two runs
TOGETHER = 2000  # objects of one request, where the store takes that
NEW = 50  # frames that wait for each restart
TOKYO = ZoneInfo("Asia/Tokyo")
IMAGE = bytes(100)


def restarts(field: Field, objects: int, repetitions: int) -> Iterator[float]:
    """Seconds from the start of the process to its first object, in a bucket with so many images and times."""
    topic, bucket, frames = field.topic(), field.bucket(), objects // 2
    say(f"{objects:,} objects and their manifests")
    stream = _fill(field, topic, bucket, frames)
    say("as many records in Kafka")
    _pass(field, topic, frames)
    for _ in range(repetitions):
        field.send(topic, NEW, SIZE, first=frames)
        yield _first_object(field, topic, bucket, _stem(stream, frames) + layout.IMAGE)
        frames += NEW


def _first_object(field: Field, topic: str, bucket: str, key: str) -> float:
    begin = time.monotonic()
    child = field.start_backup(topic, bucket)
    while not _exists(field, bucket, key):
        if child.exit_code() is not None and not _exists(field, bucket, key):
            raise PermanentError(f"the backup ended with exit code {child.exit_code()} and did not write {key}")
        time.sleep(0.005)
    seconds = time.monotonic() - begin
    field.run(child)
    return seconds


def _exists(field: Field, bucket: str, key: str) -> bool:
    try:
        field.store.client.stat(bucket, key)
    except ObjectNotFound:
        return False
    return True


def _fill(field: Field, topic: str, bucket: str, frames: int) -> Stream:
    """What backups would have left of the first `frames` offsets."""
    with closing(admin(field.kafka.address)) as client:
        topic_id = str(client.describe_topics([topic])[0]["topic_id"])
    stream, store = Stream(topic, 0, 1, topic_id), field.store.client
    epoch = Epoch(topic, 1, topic_id)
    store.put(bucket, epoch.key, epoch.to_json())
    objects = _objects(stream, frames)
    with ThreadPoolExecutor(4) as pool:
        running: deque[Future[None]] = deque()
        while together := dict(islice(objects, TOGETHER)):
            running.append(pool.submit(store.put_all, bucket, together))
            if len(running) > 6:  # the others wait here, not in memory
                running.popleft().result()
        for future in running:
            future.result()
    return stream


def _objects(stream: Stream, frames: int) -> Iterator[tuple[str, bytes]]:
    for first in range(0, frames, BATCH):
        entries = [_frame(stream, offset) for offset in range(first, min(first + BATCH, frames))]
        for entry in entries:
            assert entry.timestamp
            yield entry.image, IMAGE
            yield entry.timestamp, b"2023-11-14T22:13:20.123"
        manifest = Manifest(stream, first, entries[-1].offset, frames=tuple(entries))
        yield manifest.key, manifest.to_json()


def _frame(stream: Stream, offset: int) -> Frame:
    stem, time_of_record = _stem(stream, offset), BEGIN + offset * 1000
    digest = sha256(IMAGE).hexdigest()
    times = (time_of_record, time_of_record * 1000)
    return Frame(offset, *times, stem + layout.IMAGE, len(IMAGE), digest, stem + layout.TIMESTAMP)


def _stem(stream: Stream, offset: int) -> str:
    return layout.stem(Position(stream.topic, stream.partition, offset), BEGIN + offset * 1000, TOKYO)


def _pass(field: Field, topic: str, records: int) -> None:
    """Let the topic's offsets come to where the manifests end."""
    with closing(KafkaProducer(bootstrap_servers=field.kafka.address, linger_ms=20, batch_size=1 << 18)) as producer:
        for number in range(records):
            producer.send(topic, b"1", partition=0, timestamp_ms=BEGIN)
            if number % 50_000 == 0:
                producer.flush(timeout=60)
        producer.flush(timeout=60)
