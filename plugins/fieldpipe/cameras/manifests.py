"""What a batch of a camera backup commits: its manifest. Whoever finds one finds every object that it names.

    _epochs/<topic>/<epoch, six digits>.json                    which life of the topic that is: its id in Kafka
    _manifests/<topic>/<epoch>/<partition>/<folder>/<first offset, 20 digits>.json
    _dead/<topic>/<epoch>/<partition>/<offset, 20 digits>.json  what is no frame, and why; `.bin` beside it: its value

The manifests of a partition are a chain: each begins behind the last offset of the one before it, so every offset is
covered exactly once. They are created, never replaced: of two runs that work on the same offsets one wins. A folder
holds FOLDER offsets, so that the end of the chain is found by two short listings, however long it is.

A manifest holds no clock and nothing about the run that wrote it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal, NamedTuple

from fieldpipe.errors import PermanentError
from fieldpipe.handover import canonical_json

MANIFESTS, EPOCHS, DEAD = "_manifests", "_epochs", "_dead"
FOLDER = 10_000  # offsets

Kind = Literal["frames", "gap"]
"""What happened to the offsets: they were read, or Kafka had deleted them before we could."""

_KINDS: dict[str, Kind] = {"frames": "frames", "gap": "gap"}


class Stream(NamedTuple):
    """A partition in one life of its topic. A topic that was deleted and made again has another id: the next epoch."""

    topic: str
    partition: int
    epoch: int  # from 1
    topic_id: str


class Frame(NamedTuple):
    """One record that became objects."""

    offset: int
    record_time: int  # Kafka's, milliseconds since 1970
    time: int | None  # the camera's, microseconds since 1970; None: it did not say
    image: str  # key
    size: int  # bytes of the image
    sha256: str
    timestamp: str | None  # key; None: none was written
    sealed: int = 0  # version of the key that the object is encrypted with; 0: it is not


class DeadRecord(NamedTuple):
    """One record that is no frame. `key` is where its coordinates and the reason lie."""

    offset: int
    reason: str
    key: str


class Range(NamedTuple):
    """Offsets, both ends included."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What became of the offsets `first` to `last` of a stream. Frames and dead records are in order of offsets.

    `holes` are offsets without a record: compacted, of an aborted transaction, or Kafka's own marks.
    """

    stream: Stream
    first: int
    last: int
    kind: Kind = "frames"
    frames: tuple[Frame, ...] = ()
    dead: tuple[DeadRecord, ...] = ()
    holes: tuple[Range, ...] = ()

    @property
    def key(self) -> str:
        return manifest_key(self.stream, self.first)

    def to_json(self) -> bytes:
        """One byte sequence for one manifest."""
        return canonical_json(
            {
                **self.stream._asdict(),
                "kind": self.kind,
                "first": self.first,
                "last": self.last,
                "frames": [frame._asdict() for frame in self.frames],
                "dead": [record._asdict() for record in self.dead],
                "holes": self.holes,
            }
        )

    @classmethod
    def from_json(cls, content: bytes) -> Manifest:
        """Raises PermanentError for what is no manifest of ours."""
        try:
            value = json.loads(content)
            return cls(
                Stream(*(value[name] for name in Stream._fields)),
                int(value["first"]),
                int(value["last"]),
                _KINDS[value["kind"]],
                tuple(Frame(**frame) for frame in value["frames"]),
                tuple(DeadRecord(**record) for record in value["dead"]),
                tuple(Range(*hole) for hole in value["holes"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise PermanentError(f"this is no manifest of a camera backup: {content[:200]!r}") from error


@dataclass(frozen=True, slots=True)
class Epoch:
    """One life of a topic. `topic_id` is Kafka's UUID; empty where the broker has none."""

    topic: str
    epoch: int
    topic_id: str

    @property
    def key(self) -> str:
        return f"{EPOCHS}/{self.topic}/{self.epoch:06d}.json"

    def to_json(self) -> bytes:
        return canonical_json(asdict(self))

    @classmethod
    def from_json(cls, content: bytes) -> Epoch:
        """Raises PermanentError for what is no epoch of ours."""
        try:
            return cls(**json.loads(content))
        except (ValueError, TypeError) as error:
            raise PermanentError(f"this is no epoch of a camera backup: {content[:200]!r}") from error


def epochs_prefix(topic: str) -> str:
    """Where the epochs of a topic lie."""
    return f"{EPOCHS}/{topic}/"


def manifests_prefix(stream: Stream) -> str:
    """Where the folders of a stream's manifests lie."""
    return f"{MANIFESTS}/{stream.topic}/{stream.epoch}/{stream.partition}/"


def manifest_key(stream: Stream, first: int) -> str:
    """Where the manifest that begins with this offset lies."""
    return f"{manifests_prefix(stream)}{first // FOLDER:016d}/{first:020d}.json"


def dead_key(stream: Stream, offset: int) -> str:
    """What the keys of a dead record's objects are without their suffix."""
    return f"{DEAD}/{stream.topic}/{stream.epoch}/{stream.partition}/{offset:020d}"
