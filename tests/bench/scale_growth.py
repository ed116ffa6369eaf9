"""What grows with the number of objects: rows of the ledger, a pass of event-sync, the daily look back.

    python -m tests.bench.scale_growth      # about two minutes; with a `minio` on PATH that store too

The ledger's rows live their whole life here, in runs of a hundred; objects are one byte each.
"""

import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import Engine, text

from fieldpipe import errors
from fieldpipe.events import database
from fieldpipe.events.announce import Announcer
from fieldpipe.events.audit import audit
from fieldpipe.events.database import transaction
from fieldpipe.events.migrations import migrate
from fieldpipe.events.reconcile import Reconciler
from fieldpipe.events.routes import load_routes
from fieldpipe.local import marks
from fieldpipe.local.display import columns
from fieldpipe.settings import LedgerSettings, WebhookSettings
from tests.bench.alone import MARK
from tests.bench.progress import say
from tests.servers import Store, start_minio, start_postgres, start_seaweed

OBJECTS = 5_000
ROWS = 50_000
CHUNK = 1000
RAW, PROCESSED = "raw-data", "processed-data"

_RECEIVE = text(
    """
    INSERT INTO objects (route, bucket, key, etag, size, sequencer, event_name, source, state)
    SELECT 'recordings', 'raw-data', 'site-7/robot-' || n % 50 || '/2026-01-05/recording-' || n || '.mcap',
           md5(n::text), 1048576, upper(left(md5(n::text), 16)), 's3:ObjectCreated:Put', 'minio', 'received'
    FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS n
    """
)
_LISTED = text(
    """
    INSERT INTO objects (route, bucket, key, etag, event_name, source, state, result, audit_due_at)
    SELECT 'recordings', 'raw-data', l.key, l.etag, 's3:ObjectCreated:Put', 'listing', 'done', l.key, now()
    FROM unnest(CAST(:keys AS text[]), CAST(:etags AS text[])) AS l (key, etag)
    """
)
_RUNS = text(
    """
    WITH members AS (
        SELECT id, bucket, key, etag, 'fp.recordings.' || left(md5((id / 100)::text), 24) AS run
        FROM objects WHERE state = 'received'
    ), made AS (
        INSERT INTO runs (run_id, route, dag_id, conf, state)
        SELECT run, 'recordings', 'recording_to_csv', jsonb_build_object('run', run, 'objects', jsonb_agg(
            jsonb_build_object('id', id, 'bucket', bucket, 'key', key, 'etag', etag, 'received', now()))), 'closed'
        FROM members GROUP BY run ON CONFLICT DO NOTHING
    )
    INSERT INTO run_members (run_id, object_id, attempt) SELECT run, id, 1 FROM members
    """
)
_STEP = text(
    """
    UPDATE objects SET state = :new, state_at = now(), run_id = 'fp.recordings.' || left(md5((id / 100)::text), 24),
        result = CASE WHEN :new = 'done' THEN replace(key, '.mcap', '/') || left(etag, 12) || '-p1/manifest.json' END
    WHERE state = :old
    """
)
_SIZE = text("SELECT sum(pg_total_relation_size(CAST(name AS regclass))) FROM unnest(CAST(:tables AS text[])) AS name")


def main() -> int:
    """Measure and print the table."""
    with ExitStack() as cleanup:
        cleanup.callback(marks.sweep, MARK)
        folder = Path(tempfile.mkdtemp(prefix="fp-bench-"))
        cleanup.callback(shutil.rmtree, folder)
        folder.chmod(0o711)  # PostgreSQL's unprivileged user has to pass
        postgres = start_postgres(folder / "p", folder / "s", MARK)
        cleanup.callback(postgres.stop)

        def ledger() -> Engine:
            engine = database.connect(LedgerSettings(url=SecretStr(postgres.create_database())), process="bench")
            cleanup.callback(engine.dispose)
            migrate(engine)
            return engine

        rows = [("figure", "measured"), *_bytes(ledger())]
        stores: dict[str, Callable[[], Store]] = {"SeaweedFS": lambda: start_seaweed(folder / "w", folder / "x", MARK)}
        if shutil.which("minio"):
            stores["MinIO"] = lambda: start_minio(folder / "m", MARK, {})
        for name, start in stores.items():
            say(f"{name} with {OBJECTS} objects")
            store = start()
            cleanup.callback(store.stop)
            rows += [(f"{name}: {figure}", value) for figure, value in _passes(store, ledger())]
    print(columns(rows))
    return 0


def _bytes(engine: Engine) -> list[tuple[str, str]]:
    say(f"{ROWS} rows")
    for first in range(0, ROWS, CHUNK):
        with transaction(engine) as connection:
            connection.execute(_RECEIVE, {"first": first, "last": first + CHUNK - 1})
            connection.execute(_RUNS)
        for old, new in (("received", "claimed"), ("claimed", "dispatched"), ("dispatched", "done")):
            with transaction(engine) as connection:
                connection.execute(_STEP, {"old": old, "new": new})
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM objects"))  # as autovacuum does, in smaller steps
    figures = {"row": ["objects"], "runs and history": ["runs", "run_members", "history"]}
    with transaction(engine) as connection:
        sizes = {name: connection.execute(_SIZE, {"tables": tables}).scalar_one() for name, tables in figures.items()}
    return [(f"ledger, bytes of an object's {name}", f"{size / ROWS:.0f}") for name, size in sizes.items()]


def _passes(store: Store, engine: Engine) -> list[tuple[str, str]]:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: store.client.put(RAW, f"site-7/{n:06}.mcap", b"x"), range(OBJECTS)))
    begin = time.perf_counter()
    listed = list(store.client.list(RAW))
    listing = time.perf_counter() - begin
    with transaction(engine) as connection:
        connection.execute(_LISTED, {"keys": [info.key for info in listed], "etags": [info.etag for info in listed]})
        connection.execute(text("ANALYZE objects"))
    announcer = Announcer(WebhookSettings(), pause=lambda _: None)
    reconciler = Reconciler(engine, store.client, load_routes(None, output_bucket=PROCESSED), announcer)
    begin = time.perf_counter()
    counts = reconciler.sync()
    comparing = time.perf_counter() - begin
    assert counts == {"listed": OBJECTS}, counts
    begin = time.perf_counter()
    audit(engine, store.client, RAW)  # where the sources stand for their results
    looking = time.perf_counter() - begin
    pages = OBJECTS / 1000
    return [
        ("list 1,000 objects", f"{listing / pages * 1000:.0f} ms"),
        ("list and compare 1,000 objects", f"{comparing / pages * 1000:.0f} ms"),
        ("look back at 1,000 objects", f"{looking / pages:.2f} s"),
    ]


if __name__ == "__main__":
    errors.run(main)
