"""The recordings that are converted, made once from a seed and kept until `make clean`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mcap.reader import make_reader

from tests.bench.convert_json import write_json
from tests.bench.convert_peers import PROJECT, make_protobuf
from tests.bench.convert_robot import SMALL, SMALL_RATE, Camera, write_recording
from tests.bench.progress import say

DATA = PROJECT / ".cache" / "bench" / "data"
SEED = 1
_GENERATION = 1  # one more when the bytes that the writers make change
_LARGE_RATE = 3_060_000  # bytes of a second of small messages and pictures


@dataclass(frozen=True, slots=True)
class Recording:
    """A file, and what its own statistics say."""

    path: Path
    messages: int
    size: int


def ros2(messages: int) -> Recording:
    """Small ROS 2 messages, rounded up to whole seconds."""
    seconds = -(-messages // SMALL_RATE)
    return _kept(f"ros2-{seconds}s", lambda path: write_recording(path, SMALL, seed=SEED, seconds=seconds))


def camera(seconds: int) -> Recording:
    """Pictures of 100 KB, 30 a second."""
    return _kept(f"camera-{seconds}s", lambda path: write_recording(path, [Camera()], seed=SEED, seconds=seconds))


def large(size: int) -> Recording:
    """Small messages and pictures together, about `size` bytes."""
    seconds = size // _LARGE_RATE
    topics = (*SMALL, Camera())
    return _kept(f"large-{seconds}s", lambda path: write_recording(path, topics, seed=SEED, seconds=seconds))


def protobuf(messages: int) -> Recording:
    """Messages of Foxglove's schemas."""
    return _kept(f"protobuf-{messages}", lambda path: make_protobuf(path, seed=SEED, messages=messages))


def json(messages: int) -> Recording:
    """Messages of JSON."""
    return _kept(f"json-{messages}", lambda path: write_json(path, seed=SEED, messages=messages))


def _kept(name: str, write: Callable[[Path], None]) -> Recording:
    path = DATA / f"{name}-{SEED}-{_GENERATION}.mcap"
    if not path.exists():
        say(f"making {path.name}")
        DATA.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        write(unfinished)
        unfinished.rename(path)
    with path.open("rb") as file:
        summary = make_reader(file).get_summary()
    assert summary is not None
    assert summary.statistics is not None
    return Recording(path, summary.statistics.message_count, path.stat().st_size)
