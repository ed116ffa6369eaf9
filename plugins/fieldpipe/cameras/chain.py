"""How far a backup is: found in the bucket, nowhere else. The manifests of a stream are its memory and its commit."""

from __future__ import annotations

from fieldpipe import logs
from fieldpipe.cameras.manifests import Epoch, Manifest, Stream, epochs_prefix, manifests_prefix
from fieldpipe.crashpoints import reach
from fieldpipe.errors import TransientError
from fieldpipe.store import ObjectStore

MAX_EPOCH, MAX_MANIFEST = 64 * 1024, 64 * 1024 * 1024  # bytes

log = logs.get(__name__)


class Overtaken(TransientError):
    """Another run has committed these offsets. It goes on from there; this one need not."""


class Chain:
    """The manifests of a bucket."""

    def __init__(self, store: ObjectStore, bucket: str) -> None:
        self._store = store
        self._bucket = bucket

    def epoch(self, topic: str, topic_id: str) -> int:
        """Which life of the topic this is: that of its id, or a new one. Raises StoreUnavailable."""
        while True:
            known = [self._epoch(info.key) for info in self._store.list(self._bucket, epochs_prefix(topic))]
            found = next((each.epoch for each in known if each.topic_id == topic_id), None)
            if found is not None:
                return found
            new = Epoch(topic, max((each.epoch for each in known), default=0) + 1, topic_id)
            if self._store.create(self._bucket, new.key, new.to_json()):
                log.info("epoch_begun", topic=topic, epoch=new.epoch, topic_id=topic_id)
                reach("cameras.epoch")
                return new.epoch

    def next_offset(self, stream: Stream) -> int | None:
        """The first offset that no manifest covers; None before the first manifest."""
        prefix = manifests_prefix(stream)
        for folder in sorted(self._store.folders(self._bucket, prefix), reverse=True):
            keys = [info.key for info in self._store.list(self._bucket, prefix + folder)]
            if keys:  # some stores show folders that nothing is in any more
                return self._manifest(max(keys)).last + 1
        return None

    def commit(self, manifest: Manifest) -> None:
        """Create the manifest. Raises Overtaken when these offsets are another run's."""
        content = manifest.to_json()
        if self._store.create(self._bucket, manifest.key, content):
            reach("cameras.manifest")
            return
        theirs, _ = self._store.get(self._bucket, manifest.key, limit=MAX_MANIFEST)
        if theirs != content:  # equal: ours, and the answer to an earlier attempt was lost; or theirs, and no matter
            raise Overtaken(f"{manifest.key} was committed by another run, which goes on from there")

    def _epoch(self, key: str) -> Epoch:
        return Epoch.from_json(self._store.get(self._bucket, key, limit=MAX_EPOCH)[0])

    def _manifest(self, key: str) -> Manifest:
        return Manifest.from_json(self._store.get(self._bucket, key, limit=MAX_MANIFEST)[0])
