"""Events that did not say which version they are about (the manual test body has no ETag): a HEAD says it."""

from sqlalchemy import Connection, Engine

from fieldpipe import logs
from fieldpipe.events import statements as sql
from fieldpipe.events.database import transaction
from fieldpipe.store import ObjectInfo, ObjectNotFound, ObjectStore

log = logs.get(__name__)


def resolve(engine: Engine, store: ObjectStore, route: str, *, limit: int = 100) -> int:
    """Resolve the oldest unresolved rows of a route; returns how many. Raises StoreUnavailable, LedgerUnavailable."""
    with transaction(engine) as connection:
        rows = connection.execute(sql.UNRESOLVED, {"route": route, "limit": limit}).all()
    for row in rows:
        found = _stat(store, row.bucket, row.key)
        with transaction(engine) as connection:
            _settle(connection, row.id, found)
        log.info("event_resolved", object=row.id, key=row.key, etag=found.etag if found else None)
    return len(rows)


def _stat(store: ObjectStore, bucket: str, key: str) -> ObjectInfo | None:
    try:
        return store.stat(bucket, key)
    except ObjectNotFound:
        return None


def _settle(connection: Connection, object_id: int, found: ObjectInfo | None) -> None:
    if found is None:
        connection.execute(sql.RESOLVE_GONE, {"id": object_id, "reason": "no such object"})
        return
    known = connection.execute(sql.KNOWN_VERSION, {"id": object_id, "etag": found.etag}).first()
    if known is None:
        connection.execute(sql.RESOLVE, {"id": object_id, "etag": found.etag, "size": found.size})
        return
    connection.execute(sql.RESOLVE_MERGE, {"id": object_id})
    connection.execute(sql.REVIVE, {"id": known.id})
