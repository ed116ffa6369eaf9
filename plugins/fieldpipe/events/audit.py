"""The daily look back: are finished objects still listed, do their results still exist; and what may be forgotten.

A row lives while its object is listed, plus 30 days. Done rows are never triggered again here: a vanished result is
reported, and a person decides (`scripts.ledger reprocess`).
"""

from collections import Counter
from typing import Any

from sqlalchemy import Engine, Row, text

from fieldpipe import logs
from fieldpipe.events.database import transaction
from fieldpipe.store import ObjectInfo, ObjectNotFound, ObjectStore

PAGE = 500  # rows looked at in one go

_DUE = text(
    """
    SELECT id, bucket, key, etag, state, result, result_missing_since FROM objects
    WHERE state IN ('done', 'dead', 'gone', 'superseded') AND audit_due_at <= now()
    ORDER BY audit_due_at LIMIT :limit
    """
)
_AUDITED = text(
    """
    UPDATE objects SET
        audit_due_at = now() + interval '1 day',
        unlisted_since = CASE WHEN :listed THEN NULL ELSE COALESCE(unlisted_since, now()) END,
        result_missing_since = CASE WHEN :missing THEN COALESCE(result_missing_since, now()) END
    WHERE id = :id
    """
)
_MISSING = text("SELECT count(*) FROM objects WHERE result_missing_since IS NOT NULL")

_FORGET = {  # in portions, so that no statement runs long
    "objects": """
        DELETE FROM objects WHERE id IN (SELECT id FROM objects
        WHERE state IN ('done', 'dead', 'gone', 'superseded')
          AND unlisted_since < now() - interval '30 days' LIMIT 1000)
    """,
    "runs": """
        DELETE FROM runs WHERE run_id IN (SELECT run_id FROM runs
        WHERE state = 'closed' AND closed_at < now() - interval '90 days' LIMIT 1000)
    """,
    "history": """
        DELETE FROM history WHERE id IN (SELECT id FROM history WHERE at < now() - interval '90 days' LIMIT 10000)
    """,
    "rejected": """
        DELETE FROM rejected WHERE sha256 IN (SELECT sha256 FROM rejected
        WHERE last_at < now() - interval '90 days' LIMIT 1000)
    """,
}

log = logs.get(__name__)


def audit(engine: Engine, store: ObjectStore, output_bucket: str) -> int:
    """Look at every finished row that was not looked at for a day; how many results are missing in all.

    Raises StoreUnavailable, LedgerUnavailable; the next call goes on where this one stopped.
    """
    while True:
        with transaction(engine) as connection:
            rows = connection.execute(_DUE, {"limit": PAGE}).all()
        if not rows:
            break
        looks = [_look(store, output_bucket, row) for row in rows]
        with transaction(engine) as connection:
            connection.execute(_AUDITED, looks)
    with transaction(engine) as connection:
        missing: int = connection.execute(_MISSING).scalar_one()
    return missing


def forget(engine: Engine) -> Counter[str]:
    """Delete what has been kept long enough; how many rows of which table."""
    counts: Counter[str] = Counter()
    for table, statement in _FORGET.items():
        deleted = -1
        while deleted:
            with transaction(engine) as connection:
                deleted = connection.execute(text(statement)).rowcount
            counts[table] += deleted
    return +counts


def _look(store: ObjectStore, output_bucket: str, row: Row[Any]) -> dict[str, object]:
    source = _stat(store, row.bucket, row.key)
    missing = row.state == "done" and (row.result is None or _stat(store, output_bucket, row.result) is None)
    if missing and row.result_missing_since is None:
        log.warning("result_missing", object=row.id, key=row.key, result=row.result)
    return {"id": row.id, "listed": source is not None and source.etag == row.etag, "missing": missing}


def _stat(store: ObjectStore, bucket: str, key: str) -> ObjectInfo | None:
    try:
        return store.stat(bucket, key)
    except ObjectNotFound:
        return None
