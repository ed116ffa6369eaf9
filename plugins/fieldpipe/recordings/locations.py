"""Where results go: a folder, or a place in a bucket. Both take files first and the manifest, once, last."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Protocol

from fieldpipe.crashpoints import reach
from fieldpipe.errors import PermanentError

SCHEME = "s3://"


class ObjectPlace(NamedTuple):
    """An object, or a prefix, in a bucket."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}"


def parse(text: str) -> Path | ObjectPlace:
    """A local path, or `s3://bucket/key`. Raises PermanentError."""
    if not text.startswith(SCHEME):
        return Path(text)
    bucket, _, key = text.removeprefix(SCHEME).partition("/")
    if not bucket or not key:
        raise PermanentError(f"{text}: give a bucket and a key, as in s3://raw-data/run1.mcap")
    return ObjectPlace(bucket, key)


class Target(Protocol):
    """A place for the results of one recording."""

    def upload(self, files: Iterable[tuple[str, Path]]) -> None:
        """Put finished files there, by name, and folders with the files in them. They may be gone afterwards."""
        ...

    def create(self, name: str, content: bytes) -> bool:
        """Put a small file there that must not exist yet. False: it does."""
        ...

    def read(self, name: str) -> bytes | None:
        """A small file that is there, or None."""
        ...

    def where(self, name: str) -> str:
        """How a person finds a file."""
        ...


class FolderTarget:
    """A local folder. Files appear under their names when they are complete."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def upload(self, files: Iterable[tuple[str, Path]]) -> None:
        """Move the files, which must lie in the same file system: `workspace(folder)` does."""
        for name, path in files:
            self._move(path, self.folder / name)
            reach("recordings.uploaded")

    def _move(self, path: Path, target: Path) -> None:
        try:
            path.replace(target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            for file in path.iterdir():  # an earlier run left some of them there
                file.replace(target / file.name)

    def create(self, name: str, content: bytes) -> bool:
        """Write the file unless it exists."""
        try:
            with (self.folder / name).open("xb") as file:
                file.write(content)
        except FileExistsError:
            return False
        return True

    def read(self, name: str) -> bytes | None:
        """The file's content, if it exists."""
        path = self.folder / name
        return path.read_bytes() if path.exists() else None

    def where(self, name: str) -> str:
        """Its path."""
        return str(self.folder / name)
