"""Fields that become files of their own: pictures, and the points of clouds.

The topic's table is the index: instead of the field `data` it has `file`, `bytes` and `sha256`. Compressed pictures are
written as they are, raw ones as PNG where PNG can hold them, clouds as the bytes they are.
"""

from __future__ import annotations

from enum import Enum, auto
from pathlib import Path
from typing import NamedTuple

from fieldpipe.crashpoints import reach
from fieldpipe.recordings.cells import quoted
from fieldpipe.recordings.images import encoded, suffix_of
from fieldpipe.recordings.messages import Message, Read, SharedDecoder, Times
from fieldpipe.recordings.records import Topic
from fieldpipe.recordings.spool import Part, write_new
from fieldpipe.recordings.sums import Sum, begin

FIELD = "data"
COLUMNS = ("file", "bytes", "sha256")


class Kind(Enum):
    """What the field holds."""

    COMPRESSED = auto()
    RAW = auto()
    CLOUD = auto()


_KINDS = {
    "sensor_msgs/CompressedImage": Kind.COMPRESSED,
    "foxglove_msgs/CompressedImage": Kind.COMPRESSED,
    "foxglove/CompressedImage": Kind.COMPRESSED,
    "sensor_msgs/Image": Kind.RAW,
    "foxglove_msgs/RawImage": Kind.RAW,
    "foxglove/RawImage": Kind.RAW,
    "sensor_msgs/PointCloud2": Kind.CLOUD,
    "foxglove_msgs/PointCloud": Kind.CLOUD,
    "foxglove/PointCloud": Kind.CLOUD,
}


def kind_of(topic: Topic) -> Kind | None:
    """By the name of the topic's schema, as ROS 1, ROS 2 and protobuf write it."""
    if topic.schema is None:
        return None
    name = topic.schema.name.replace("::", "/").replace("/msg/", "/").replace(".", "/")
    return _KINDS.get(name)


class Sidecars:
    """The files of one topic, in `folder`; `name` is that folder's name beside the index."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name
        self._repeated: dict[str, int] = {}  # how often a name was wanted, of those wanted more than once
        folder.mkdir()

    def write(self, times: Times, suffix: str, content: bytes) -> str:
        """Write one file; returns its name beside the index."""
        name = self._write(f"{times.log_time}_{times.sequence}", suffix, content)
        reach("recordings.picture")
        return f"{self.name}/{name}"

    def _write(self, stem: str, suffix: str, content: bytes) -> str:
        """Many recorders leave the sequence 0: a second file of the same time gets a number."""
        name = f"{stem}.{suffix}"
        while True:
            try:
                write_new(f"{self.folder}/{name}", content)
                return name
            except FileExistsError:
                self._repeated[stem] = self._repeated.get(stem, 1) + 1
                name = f"{stem}_{self._repeated[stem]}.{suffix}"


class Prepared(NamedTuple):
    """A message whose file can be written, as soon as the file's sum is taken."""

    times: Times
    read: Read
    suffix: str
    content: bytes
    sum: Sum


class Indexed:
    """The index of a topic's files: rows with COLUMNS in the place of FIELD."""

    def __init__(self, decoder: SharedDecoder, sidecars: Sidecars, kind: Kind) -> None:
        self._decoder = decoder
        self._files = sidecars
        self._kind = kind
        self._at = decoder.columns.index(FIELD)
        self.columns = [*decoder.columns[: self._at], *COLUMNS, *decoder.columns[self._at + 1 :]]

    def prepare(self, message: Message) -> Prepared:
        """Everything but the sum, which is taken of several at once, and the writing. Raises DecodeError."""
        read = self._decoder.read(message.payload)
        suffix, content = "bin", read.binary
        if self._kind is Kind.COMPRESSED:
            suffix = suffix_of(content)
        elif self._kind is Kind.RAW and read.rows:
            suffix, content = encoded(content, dict(zip(self._decoder.columns, read.rows[0], strict=True)))
        return Prepared(message.times, read, suffix, content, begin())

    def write(self, prepared: Prepared, part: Part) -> int:
        """Write the message's file and append its rows to the index; returns their number."""
        rows = prepared.read.rows
        if not rows:
            return 0
        name = self._files.write(prepared.times, prepared.suffix, prepared.content)
        found = [*map(quoted, (name, str(len(prepared.content)), prepared.sum.hexdigest()))]
        for cells in rows:
            line = ",".join([str(prepared.times), *cells[: self._at], *found, *cells[self._at + 1 :]])
            part.write((line + "\n").encode(errors="backslashreplace"))
        return len(rows)
