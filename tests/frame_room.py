"""What tests of frames as tables have between them: a camera's bucket, a bucket of results, and what is done there."""

import csv
import io
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from fieldpipe.cameras.closing import Buckets, Closer
from fieldpipe.cameras.hours import Hour
from fieldpipe.cameras.index import index_batch
from fieldpipe.handover import Report, WorkItem, report_key
from fieldpipe.work import Run
from tests.camera_frames import SEVEN, ZONE, CameraBucket, empty
from tests.servers import Store

LIMIT = 64 * 1024 * 1024
EIGHT = datetime.fromtimestamp(SEVEN / 1000 + 3600, UTC)
SETTLED = EIGHT + timedelta(minutes=10)


class Room:
    """A camera's bucket, a bucket of results, and what is done between them."""

    def __init__(self, server: Store) -> None:
        self.server = server
        self.store = server.client
        self.camera = CameraBucket(server.client, "frame-tables-cameras")
        self.results = "frame-tables-results"
        empty(self.store, self.results)
        self.run = Run(self.store, self.results, f"fp.frames.{uuid4().hex[:8]}", 1)
        self.hour = Hour(self.camera.topic, 2023, 11, 15, 7)

    def index(self, *items: WorkItem) -> int:
        return index_batch(list(items), self.run, ZONE)

    def close(self, now: datetime = SETTLED, topics: tuple[str, ...] = (), *, running: bool = False) -> int:
        with ThreadPoolExecutor(4) as reads:
            closer = Closer(self.store, Buckets(self.camera.name, self.results), ZONE, reads, now)
            return closer.close_all(topics, running=running)

    def report(self, item: WorkItem) -> Report:
        return Report.from_json(self.get(report_key(self.run.run_id, item.id, 1)))

    def get(self, key: str) -> bytes:
        return self.store.get(self.results, key, limit=LIMIT)[0]

    def keys(self, prefix: str) -> list[str]:
        return [found.key for found in self.store.list(self.results, prefix)]

    def rows(self, key: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.get(key).decode())))

    def manifests(self) -> list[str]:
        return [key for key in self.keys(self.hour.tables) if key.endswith("/manifest.json")]

    def latest(self) -> tuple[dict, list[dict[str, str]]]:
        """The newest manifest of the hour, and its table."""
        key = json.loads(self.get(self.hour.latest))["manifest"]
        return json.loads(self.get(key)), self.rows(key.replace("manifest.json", "index.csv"))
