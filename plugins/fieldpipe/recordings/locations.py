"""Where results go: a folder, or a place in a bucket. Both take files first and the manifest, once, last."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fieldpipe.errors import PermanentError
from fieldpipe.store import ObjectNotFound, ObjectStore

SCHEME = "s3://"
MAX_SMALL = 64 * 1024 * 1024  # bytes of a manifest: 4,096 topics make a few


@dataclass(frozen=True, slots=True)
class ObjectPlace:
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

    def upload(self, name: str, path: Path, content_type: str) -> None:
        """Put a finished file there."""
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
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def upload(self, name: str, path: Path, content_type: str) -> None:  # noqa: ARG002 -- files have no content type
        """Copy the file."""
        target = self._folder / name
        target.parent.mkdir(exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".part-")
        os.close(handle)
        try:
            shutil.copyfile(path, temporary)
            Path(temporary).chmod(0o644)
            os.replace(temporary, target)  # noqa: PTH105 -- both are names of the same folder
        except OSError:
            Path(temporary).unlink()
            raise

    def create(self, name: str, content: bytes) -> bool:
        """Write the file unless it exists."""
        try:
            with (self._folder / name).open("xb") as file:
                file.write(content)
        except FileExistsError:
            return False
        return True

    def read(self, name: str) -> bytes | None:
        """The file's content, if it exists."""
        path = self._folder / name
        return path.read_bytes() if path.exists() else None

    def where(self, name: str) -> str:
        """Its path."""
        return str(self._folder / name)


class BucketTarget:
    """Keys under a prefix."""

    def __init__(self, store: ObjectStore, bucket: str, prefix: str) -> None:
        self._store = store
        self._bucket = bucket
        self._prefix = prefix

    def upload(self, name: str, path: Path, content_type: str) -> None:
        """Upload the file."""
        self._store.upload(self._bucket, self._prefix + name, path, content_type=content_type)

    def create(self, name: str, content: bytes) -> bool:
        """Create the object unless it exists."""
        return self._store.create(self._bucket, self._prefix + name, content)

    def read(self, name: str) -> bytes | None:
        """The object's content, if it exists."""
        try:
            return self._store.get(self._bucket, self._prefix + name, limit=MAX_SMALL)[0]
        except ObjectNotFound:
            return None

    def where(self, name: str) -> str:
        """Its address."""
        return str(ObjectPlace(self._bucket, self._prefix + name))
