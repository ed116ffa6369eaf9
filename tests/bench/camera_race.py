"""Frames per second: our backup and a straightforward consumer, in turns, over the same topic."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

from fieldpipe.errors import PermanentError
from tests.bench.camera_field import Field, Run
from tests.bench.progress import say

CONSUMER = Path(__file__).parent / "peers" / "camera_consumer.py"
SIZE = 100_000  # bytes of a frame


@dataclass(frozen=True)
class Race:
    """Frames per second, medians; `peak` in bytes, the most of all rounds."""

    ours: float
    theirs: float
    peak: int
    their_peak: int
    spread: str


def race(field: Field, frames: int, theirs: int, rounds: int) -> Race:
    """Ours gets `frames`, the other the first `theirs` of them; start and end of the process count."""
    topic = field.topic()
    field.send(topic, frames, SIZE)
    ours: list[tuple[float, int]] = []
    others: list[tuple[float, int]] = []
    for number in range(1, rounds + 1):
        bucket, their_bucket = field.bucket(), field.bucket()
        mine = field.back_up(topic, bucket)
        other = _consume(field, topic, their_bucket, theirs)
        _require_same_objects(field, bucket, their_bucket, theirs)
        ours.append((frames / mine.seconds, mine.peak))
        others.append((theirs / other.seconds, other.peak))
        say(f"round {number}: ours {ours[-1][0]:.0f} frames/s, the other {others[-1][0]:.0f}")
    rates, their_rates = [rate for rate, _ in ours], [rate for rate, _ in others]
    spread = f"{min(rates):.0f} to {max(rates):.0f}, {min(their_rates):.0f} to {max(their_rates):.0f}"
    return Race(
        statistics.median(rates),
        statistics.median(their_rates),
        max(peak for _, peak in ours),
        max(peak for _, peak in others),
        spread,
    )


def _consume(field: Field, topic: str, bucket: str, frames: int) -> Run:
    endpoint = field.store.settings.endpoint.partition("://")[2]
    arguments = (str(CONSUMER), field.kafka.address, topic, endpoint, bucket, str(frames))
    return field.run(field.start(arguments, {}))


def _require_same_objects(field: Field, ours: str, theirs: str, frames: int) -> None:
    """What the other wrote is what we wrote, to the byte."""
    mine = {info.key: info.etag for info in field.store.client.list(ours, "topics/")}
    others = {info.key: info.etag for info in field.store.client.list(theirs)}
    if len(others) != 2 * frames or not others.items() <= mine.items():
        raise PermanentError("the two backups did not write the same objects")
