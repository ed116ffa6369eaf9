"""Fields that become files of their own: pictures, and the points of clouds.

The topic's table is the index: instead of the field `data` it has `file`, `bytes` and `sha256`. Compressed pictures are
written as they are, raw ones as PNG where PNG can hold them, clouds as the bytes they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import Enum, auto
from pathlib import Path

from fieldpipe.crashpoints import reach
from fieldpipe.recordings.cells import quoted
from fieldpipe.recordings.executor import Decoder
from fieldpipe.recordings.images import encoded, suffix_of
from fieldpipe.recordings.messages import Message
from fieldpipe.recordings.records import Topic
from fieldpipe.recordings.spool import Part

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

    def __init__(self, folder: Path, name: str, kind: Kind) -> None:
        self.folder = folder
        self.name = name
        self._kind = kind
        self._repeated: dict[str, int] = {}  # how often a name was wanted, of those wanted more than once
        folder.mkdir()

    def store(self, log_time: int, sequence: int, content: bytes, fields: Mapping[str, str]) -> tuple[str, str, str]:
        """Write one file; returns the cells of COLUMNS. `fields` are the cells of its message by column."""
        suffix = suffix_of(content) if self._kind is Kind.COMPRESSED else "bin"
        if self._kind is Kind.RAW:
            suffix, content = encoded(content, fields)
        name = self._write(f"{log_time}_{sequence}", suffix, content)
        reach("recordings.picture")
        return f"{self.name}/{name}", str(len(content)), hashlib.sha256(content).hexdigest()

    def _write(self, stem: str, suffix: str, content: bytes) -> str:
        """Many recorders leave the sequence 0: a second file of the same time gets a number."""
        name = f"{stem}.{suffix}"
        while True:
            try:
                with open(f"{self.folder}/{name}", "xb", buffering=0) as file:  # noqa: PTH123 -- a tenth of the time
                    file.write(content)
                return name
            except FileExistsError:
                self._repeated[stem] = self._repeated.get(stem, 1) + 1
                name = f"{stem}_{self._repeated[stem]}.{suffix}"


class Indexed:
    """The index of a topic's files: rows with COLUMNS in the place of FIELD."""

    def __init__(self, decoder: Decoder, sidecars: Sidecars) -> None:
        self._decoder = decoder
        self._files = sidecars
        self._fields = decoder.plan.columns
        self._at = self._fields.index(FIELD)
        self.columns = [*self._fields[: self._at], *COLUMNS, *self._fields[self._at + 1 :]]

    def write(self, message: Message, part: Part) -> int:
        """Store the message's file and append its rows to the index; returns their number. Raises DecodeError."""
        rows = self._decoder.rows(message.payload)
        if not rows:
            return 0
        fields = dict(zip(self._fields, rows[0], strict=True))
        stored = self._files.store(message.log_time, message.sequence, self._decoder.binary, fields)
        found = [*map(quoted, stored)]
        for cells in rows:
            line = ",".join([message.times, *cells[: self._at], *found, *cells[self._at + 1 :]])
            part.write((line + "\n").encode(errors="backslashreplace"))
        return len(rows)
