"""Frames on their way to tables: the pods are killed at every step they have, and run again."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import NamedTuple

import pytest

from fieldpipe.cameras.closing import Buckets, Closer
from fieldpipe.cameras.hours import MARKS
from fieldpipe.cameras.hourtable import INDEX
from fieldpipe.cameras.index import index_batch
from fieldpipe.crashpoints import VARIABLE
from fieldpipe.handover import MANIFEST, RUN_VARIABLE, TRY_VARIABLE, WORK_VARIABLE, encode_work
from fieldpipe.work import Run
from tests.camera_frames import ZONE, CameraBucket, empty, record
from tests.faults.crash_points import points_of
from tests.servers import Store

pytestmark = pytest.mark.fault

POINTS = points_of("frames")
SECONDS = 60


class FrameWorld:
    """Three batches over a full hour, and frames from before them that Kafka Connect wrote."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.camera = CameraBucket(store.client, "frame-kills-cameras")
        self.results = "frame-kills-results"
        empty(store.client, self.results)
        self.camera.put([record(0), record(1)])
        self.items = [
            self.camera.back_up([record(n, seconds=3590 + n), record(n + 1, seconds=3591 + n)]) for n in (5, 7)
        ]
        self.items.append(self.camera.back_up([record(9, seconds=3599), record(10, seconds=3600)]))

    def index(self) -> int:
        return index_batch(self.items, Run(self.store.client, self.results, "fp.frames.1", 1), ZONE)

    def close(self) -> int:
        with ThreadPoolExecutor(4) as reads:
            buckets = Buckets(self.camera.name, self.results)
            return Closer(self.store.client, buckets, ZONE, reads, datetime.now(UTC)).close_all([])

    def crash(self, point: str, script: str, *arguments: str) -> None:
        """Run a script as its pod does, which kills itself at the point."""
        environment = {
            **os.environ,
            **self.store.environment,
            "FIELDPIPE_PROCESSED_BUCKET": self.results,
            "CAMERA_BUCKET": self.camera.name,
            RUN_VARIABLE: "fp.frames.1",
            TRY_VARIABLE: "1",
            WORK_VARIABLE: encode_work(self.items),
            VARIABLE: point,
        }
        command = [sys.executable, "-m", f"scripts.{script}", *arguments]
        ended = subprocess.run(command, env=environment, timeout=SECONDS, check=False)
        assert ended.returncode == -signal.SIGKILL, f"it never came to {point}"

    def visible(self) -> dict[str, str]:
        """All results, by key, with their ETags; reports are of no consequence here."""
        every = self.store.client.list(self.results)
        return {info.key: info.etag for info in every if not info.key.startswith("_runs/")}

    def latest(self) -> dict[str, str]:
        """The table that is the newest of each hour."""
        named = {key: self._read(key) for key in self.visible() if key.endswith("/latest.json")}
        return {key: self._read(json.loads(text)["manifest"].replace(MANIFEST, INDEX)) for key, text in named.items()}

    def _read(self, key: str) -> str:
        return self.store.client.get(self.results, key, limit=1_000_000)[0].decode()


class Undisturbed(NamedTuple):
    """What there is in the end when nothing is killed."""

    visible: dict[str, str]
    latest: dict[str, str]


@pytest.fixture(scope="module")
def undisturbed(store: Store) -> Undisturbed:
    world = FrameWorld(store)
    assert world.index() == 0
    assert world.close() == 0
    assert len(world.latest()) == 2
    return Undisturbed(world.visible(), world.latest())


@pytest.mark.parametrize("point", ["frames.marked", "frames.part", "frames.part:2"])
def test_frames_whose_indexing_was_killed_are_in_the_tables_once(
    point: str, undisturbed: Undisturbed, store: Store
) -> None:
    world = FrameWorld(store)
    world.crash(point, "index_frames", "--batch")

    assert world.close() == 0  # in between, and so late that it waits for nothing
    assert world.index() == 0
    assert world.close() == 0

    assert world.latest() == undisturbed.latest
    assert [key for key in world.visible() if key.startswith(MARKS)] == []


@pytest.mark.parametrize("point", POINTS)
def test_an_hour_whose_closing_was_killed_is_closed_by_the_next_run(
    point: str, undisturbed: Undisturbed, store: Store
) -> None:
    world = FrameWorld(store)
    world.index()
    world.crash(point, "close_frame_hours")

    assert world.latest().items() <= undisturbed.latest.items()
    assert world.close() == 0

    assert world.visible() == undisturbed.visible
