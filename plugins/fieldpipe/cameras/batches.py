"""Which records go into one manifest: from where the last one ended, until there are enough.

Where a batch ends depends on its records alone, or on where reading ended; never on a clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from fieldpipe.cameras.frames import Objects
from fieldpipe.cameras.manifests import DeadRecord, Frame, Manifest, Range, Stream

MAX_RECORDS = 1000
MAX_BYTES = 64 * 1024 * 1024  # of objects; the record that goes beyond is the last one


@dataclass(slots=True)
class Batch:
    """The records that came so far. Offsets must grow; `first` is where the batch begins, record or not."""

    stream: Stream
    first: int
    entries: list[Frame | DeadRecord] = field(default_factory=list)
    size: int = 0
    reached: int = -1

    def __post_init__(self) -> None:
        self.reached = self.first

    def add(self, objects: Objects) -> None:
        self.entries.append(objects.entry)
        self.size += objects.size
        self.reached = objects.entry.offset + 1

    @property
    def full(self) -> bool:
        return len(self.entries) >= MAX_RECORDS or self.size >= MAX_BYTES

    def manifest(self) -> Manifest:
        """What becomes of `first` to the last offset that was reached."""
        return Manifest(
            self.stream,
            self.first,
            self.reached - 1,
            frames=tuple(entry for entry in self.entries if isinstance(entry, Frame)),
            dead=tuple(entry for entry in self.entries if isinstance(entry, DeadRecord)),
            holes=tuple(_holes(self.first, self.reached, [entry.offset for entry in self.entries])),
        )


def _holes(first: int, reached: int, offsets: list[int]) -> list[Range]:
    starts = [first, *(offset + 1 for offset in offsets)]
    ends = [*offsets, reached]
    return [Range(start, end - 1) for start, end in zip(starts, ends, strict=True) if start < end]
