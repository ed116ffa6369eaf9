"""Results in the object store; see locations.Target."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from itertools import chain, islice
from pathlib import Path

from fieldpipe.crashpoints import reach
from fieldpipe.recordings.locations import ObjectPlace
from fieldpipe.store import ObjectNotFound, ObjectStore

UPLOADS_AT_ONCE = 256  # waiting for the executor; a recording may have 100,000 pictures
MAX_SMALL = 64 * 1024 * 1024  # bytes of a manifest: 4,096 topics make a few


class BucketTarget:
    """Keys under a prefix. Files are uploaded by `uploads`."""

    def __init__(self, store: ObjectStore, bucket: str, prefix: str, uploads: Executor) -> None:
        self._store = store
        self._bucket = bucket
        self._prefix = prefix
        self._uploads = uploads

    def upload(self, files: Iterable[tuple[str, Path]]) -> None:
        """Upload the files."""
        following = chain.from_iterable(_each_file(*one) for one in files)
        while block := list(islice(following, UPLOADS_AT_ONCE)):
            list(self._uploads.map(self._upload, block))

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

    def _upload(self, file: tuple[str, Path]) -> None:
        name, path = file
        content_type = "text/csv; charset=utf-8" if name.endswith(".csv") else mimetypes.guess_type(name)[0]
        content_type = content_type or "application/octet-stream"
        self._store.upload(self._bucket, self._prefix + name, path, content_type=content_type)
        reach("recordings.uploaded")


def _each_file(name: str, path: Path) -> Iterator[tuple[str, Path]]:
    """A file; of a folder, those in it."""
    if path.is_dir():
        yield from ((f"{name}/{inner.name}", inner) for inner in sorted(path.iterdir()))
    else:
        yield name, path
