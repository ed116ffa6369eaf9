"""The files of a result, as they are described in its manifest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from fieldpipe.recordings.spool import Part


class Output(NamedTuple):
    """A finished file. Of an index, the files that it names lie in `folder` and belong under `pictures`."""

    name: str
    path: Path
    kind: str  # table, pictures, clouds, raw, raw_index
    topic: str
    schema: str
    rows: int
    size: int
    sha256: str
    pictures: str = ""
    folder: Path | None = None

    @classmethod
    def of(cls, part: Part, name: str, kind: str, *, topic: str = "", schema: str = "", rows: int = 0) -> Output:
        """A part of a spool to which nothing is added any more."""
        part.finish()
        return cls(name, part.path, kind, topic, schema, rows, part.size, part.sha256)

    def files(self) -> Iterator[tuple[str, Path]]:
        """The file, and the folder of those beside it, by name."""
        yield self.name, self.path
        if self.folder:
            yield self.pictures, self.folder

    def described(self) -> dict[str, Any]:
        """For the manifest."""
        return {
            "name": self.name,
            "kind": self.kind,
            "topic": self.topic,
            "schema": self.schema,
            "rows": self.rows,
            "sha256": self.sha256,
            "bytes": self.size,
        }
