"""From an object put into an idle stack to its readable result, hop by hop."""

import io
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from fieldpipe.events.database import transaction
from fieldpipe.handover import MANIFEST, PIPELINE_VERSION, result_prefix
from fieldpipe.recordings.synthetic import SECOND, write_recording
from fieldpipe.store import ObjectNotFound
from tests.bench.airflow import DAG
from tests.bench.stack import BenchStack

START = 1_767_225_600 * SECOND  # 2026-01-01T00:00:00Z
POLL_SECONDS = 0.02
LIMIT_SECONDS = 120.0
REST_SECONDS = 1.5  # between two recordings: the stack comes to rest, and they do not keep step with its polls

_ROW = text(
    """
    SELECT EXTRACT(EPOCH FROM o.received_at)::float AS received, EXTRACT(EPOCH FROM r.sent_at)::float AS sent, o.run_id
    FROM objects o JOIN runs r USING (run_id) WHERE o.key = :key
    """
)


@dataclass(frozen=True)
class Journey:
    """Seconds of each hop of one recording; they add up to `total`."""

    event: float  # put .. event in the ledger
    sent: float  # .. run in Airflow
    task: float  # .. its task runs
    result: float  # .. manifest visible

    @property
    def total(self) -> float:
        return self.event + self.sent + self.task + self.result


def recording(seed: int, seconds: float) -> bytes:
    """A recording with several topics."""
    buffer = io.BytesIO()
    write_recording(buffer, seed=seed, start=START, seconds=seconds)
    return buffer.getvalue()


def journeys(stack: BenchStack, count: int) -> Iterator[Journey]:
    """Put recordings one at a time, each when the one before is through and the stack has come to rest."""
    for number in range(count):
        yield _journey(stack, f"latency/{time.time_ns()}.mcap", recording(seed=number, seconds=2))
        stack.airflow.await_idle(DAG)
        time.sleep(REST_SECONDS + number % 10 / 10)


def _journey(stack: BenchStack, key: str, content: bytes) -> Journey:
    put = time.time()
    etag = stack.store.put("raw-data", key, content)
    visible = _await_object(stack, result_prefix(key, etag, PIPELINE_VERSION) + MANIFEST)
    with transaction(stack.ledger) as connection:
        row = connection.execute(_ROW, {"key": key}).one()
    (task,) = stack.airflow.tasks(DAG, row.run_id)
    started = datetime.fromisoformat(task["start_date"]).timestamp()
    return Journey(row.received - put, row.sent - row.received, started - row.sent, visible - started)


def _await_object(stack: BenchStack, key: str) -> float:
    """When the object was first seen (unix time). Raises TimeoutError."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < deadline:
        try:
            stack.store.stat("processed-data", key)
        except ObjectNotFound:
            time.sleep(POLL_SECONDS)
        else:
            return time.time()
    raise TimeoutError(f"{key} was not there after {LIMIT_SECONDS:.0f} s: see the stack's logs")
