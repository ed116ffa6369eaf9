"""event-sync: lists what the routes want, compares with the ledger and announces what the ledger has not seen.

Notifications can be lost, and some stores send none; only a listing promises that nothing is forgotten. Memory does
not grow with the bucket: objects come page by page and leave in batches.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from threading import Event
from typing import TypeVar

from sqlalchemy import Engine, text

from fieldpipe import logs
from fieldpipe.errors import TransientError
from fieldpipe.events.announce import BATCH, Announcer, sequencer
from fieldpipe.events.database import transaction
from fieldpipe.events.notification import storable
from fieldpipe.events.routes import Routes
from fieldpipe.store import ObjectInfo, ObjectNotFound, ObjectStore

PAGE = 1000  # objects that one query asks the ledger about
SHARE = 5  # listing takes at most one part in so many of the time

# Missing, or finished as gone or superseded at an earlier appearance than the one that is listed now.
_UNSEEN = text(
    """
    SELECT a.position::int
    FROM unnest(CAST(:routes AS text[]), CAST(:keys AS text[]), CAST(:etags AS text[]), CAST(:sequencers AS text[]))
         WITH ORDINALITY AS a (route, key, etag, sequencer, position)
    LEFT JOIN objects o ON o.bucket = :bucket AND o.key = a.key AND o.etag = a.etag AND o.route = a.route
    WHERE o.id IS NULL OR o.state IN ('gone', 'superseded') AND o.sequencer IS DISTINCT FROM a.sequencer
    ORDER BY a.position
    """
)

Item = TypeVar("Item")

log = logs.get(__name__)


class Reconciler:
    """Compares a store with the ledger. `sync` is one pass over all buckets of the routes."""

    def __init__(self, engine: Engine, store: ObjectStore, routes: Routes, announcer: Announcer) -> None:
        self._engine = engine
        self._store = store
        self._routes = routes
        self._announcer = announcer

    def sync(self) -> Counter[str]:
        """Announce what is missing; how many objects were `listed`, and the webhook's answers by status.

        Raises StoreUnavailable, LedgerUnavailable, WebhookUnavailable; what was announced before stays announced.
        """
        counts: Counter[str] = Counter()
        for bucket in self._routes.buckets:
            for batch in _batches(self._unseen(bucket, counts), BATCH):
                counts.update(self._announcer.announce(batch))
        return counts

    def watch(self, seconds: float, stop: Event, after_pass: Callable[[], None] = lambda: None) -> None:
        """Pass after pass until `stop` is set, at least `seconds` apart."""
        while not stop.is_set():
            started = time.monotonic()
            try:
                counts = self.sync()
                if counts["recorded"]:
                    log.info("objects_announced", **counts)
                after_pass()
            except TransientError as error:
                log.warning("pass_failed", error=str(error))
            stop.wait(pause_after(time.monotonic() - started, seconds))

    def _unseen(self, bucket: str, counts: Counter[str]) -> Iterator[ObjectInfo]:
        for page in _batches(self._routed(bucket), PAGE):
            counts["listed"] += len(page)
            with transaction(self._engine) as connection:
                positions = connection.execute(_UNSEEN, {"bucket": bucket, **self._columns(page)}).scalars().all()
            yield from (page[position - 1] for position in positions)

    def _routed(self, bucket: str) -> Iterator[ObjectInfo]:
        try:
            for info in chain.from_iterable(self._store.list(bucket, each) for each in self._routes.prefixes(bucket)):
                if not storable(info.key):
                    log.warning("key_not_storable", bucket=bucket, key=ascii(info.key))
                elif self._routes.match(bucket, info.key):
                    yield info
        except ObjectNotFound:
            if bucket in self._routes.required_buckets:
                log.warning("bucket_missing", bucket=bucket)

    def _columns(self, page: list[ObjectInfo]) -> dict[str, list[str]]:
        routes = [self._routes.match(info.bucket, info.key) for info in page]
        return {
            "routes": [route.name for route in routes if route],
            "keys": [info.key for info in page],
            "etags": [info.etag for info in page],
            "sequencers": [sequencer(info) for info in page],
        }


def pause_after(elapsed: float, seconds: float) -> float:
    """How long to rest after a pass, so that passes stay within their share of the time."""
    return max(seconds, elapsed * (SHARE - 1))


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch
