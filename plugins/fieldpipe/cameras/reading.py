"""Images read and measured, several at once, with bounded memory: so many are held as are read, one is decoded."""

from __future__ import annotations

import hashlib
import threading
from typing import NamedTuple

from fieldpipe.cameras.pictures import Look, look
from fieldpipe.errors import PermanentError
from fieldpipe.store import ObjectNotFound, ObjectStore

AT_ONCE = 8  # the threads that callers should have for this


class Seen(NamedTuple):
    """What an image's object holds."""

    sha256: str
    look: Look


class ImageReader:
    """Safe to share between threads."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._decoding = threading.Lock()

    def see(self, bucket: str, key: str, size: int, *, sealed: int = 0) -> Seen:
        """Read an image of this size and measure it. Raises PermanentError when it is missing, or larger."""
        try:
            content, _ = self._store.get(bucket, key, limit=size)
        except ObjectNotFound as error:
            raise PermanentError(f"the image {bucket}/{key} is missing") from error
        digest = hashlib.sha256(content).hexdigest()
        if sealed:
            return Seen(digest, Look(reason=f"sealed with key version {sealed}"))
        with self._decoding:
            return Seen(digest, look(content))
