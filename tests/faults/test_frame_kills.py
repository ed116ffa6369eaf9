"""Frames on their way to tables: the pods are killed at every step they have, and run again."""

import json
import os
import signal
import subprocess
import sys
from datetime import timedelta
from typing import NamedTuple

import pytest

from fieldpipe.cameras.hours import MARKS
from fieldpipe.cameras.hourtable import INDEX
from fieldpipe.crashpoints import VARIABLE
from fieldpipe.handover import MANIFEST, RUN_VARIABLE, TRY_VARIABLE, WORK_VARIABLE, encode_work
from tests.camera_frames import record
from tests.faults.crash_points import points_of
from tests.frame_room import EIGHT, Room
from tests.servers import Store

pytestmark = pytest.mark.fault

POINTS = points_of("frames")
SECONDS = 60
LATE = EIGHT + timedelta(days=9)  # nothing is waited for any more


class FrameWorld(Room):
    """Three batches over a full hour, and frames from before them that Kafka Connect wrote."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.camera.put([record(0), record(1)])
        self.items = [
            self.camera.back_up([record(n, seconds=3590 + n), record(n + 1, seconds=3591 + n)]) for n in (5, 7)
        ]
        self.items.append(self.camera.back_up([record(9, seconds=3599), record(10, seconds=3600)]))

    def crash(self, point: str, script: str, *arguments: str) -> None:
        """Run a script as its pod does, which kills itself at the point."""
        environment = {
            **os.environ,
            **self.server.environment,
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
        every = self.store.list(self.results)
        return {info.key: info.etag for info in every if not info.key.startswith("_runs/")}

    def tables(self) -> dict[str, bytes]:
        """The newest table of each hour."""
        named = {key: json.loads(self.get(key))["manifest"] for key in self.visible() if key.endswith("/latest.json")}
        return {key: self.get(manifest.replace(MANIFEST, INDEX)) for key, manifest in named.items()}


class Undisturbed(NamedTuple):
    """What there is in the end when nothing is killed."""

    visible: dict[str, str]
    tables: dict[str, bytes]


@pytest.fixture(scope="module")
def undisturbed(store: Store) -> Undisturbed:
    world = FrameWorld(store)
    assert world.index(*world.items) == 0
    assert world.close(LATE) == 0
    assert len(world.tables()) == 2
    return Undisturbed(world.visible(), world.tables())


@pytest.mark.parametrize("point", ["frames.marked", "frames.part", "frames.part:2"])
def test_frames_whose_indexing_was_killed_are_in_the_tables_once(
    point: str, undisturbed: Undisturbed, store: Store
) -> None:
    world = FrameWorld(store)
    world.crash(point, "index_frames", "--batch")

    assert world.close(LATE) == 0  # in between, and so late that it waits for nothing
    assert world.index(*world.items) == 0
    assert world.close(LATE) == 0

    assert world.tables() == undisturbed.tables
    assert [key for key in world.visible() if key.startswith(MARKS)] == []


@pytest.mark.parametrize("point", POINTS)
def test_an_hour_whose_closing_was_killed_is_closed_by_the_next_run(
    point: str, undisturbed: Undisturbed, store: Store
) -> None:
    world = FrameWorld(store)
    world.index(*world.items)
    world.crash(point, "close_frame_hours")

    assert world.tables().items() <= undisturbed.tables.items()
    assert world.close(LATE) == 0

    assert world.visible() == undisturbed.visible
