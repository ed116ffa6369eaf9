"""From the body of a request to answers: parse, route, record. What the webhook calls."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine

from fieldpipe import logs
from fieldpipe.crashpoints import reach
from fieldpipe.events.database import LedgerUnavailable, Unstorable, transaction
from fieldpipe.events.ingest import BODY_KEPT, Arrival, RejectedBody, record
from fieldpipe.events.migrations import is_migrated
from fieldpipe.events.notification import Event, Refusal, Status, parse_notification
from fieldpipe.events.routes import Routes
from fieldpipe.events.writer import GroupWriter

_FAILURE_COUNTS = 10.0  # seconds for which a failed commit makes the process not ready

log = logs.get(__name__)

LOOP_GUARD = "our own output never triggers"
NO_ROUTE = "no route for this object"


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one event of a body."""

    bucket: str | None
    key: str | None
    status: Status
    reason: str = ""


class Receiver:
    """Records notifications. Safe to share between threads; create it after forking, as it starts a thread."""

    def __init__(self, engine: Engine, routes: Routes) -> None:
        self._engine = engine
        self._routes = routes
        self._writer: GroupWriter[Arrival | RejectedBody, Status] = GroupWriter(self._commit)
        self._failed_at: float | None = None

    def receive(self, body: bytes) -> list[Answer]:
        """Store what the body says; one answer per record. Raises LedgerUnavailable: nothing may be acknowledged."""
        try:
            return self._receive(body)
        except Unstorable as error:  # a case that parsing does not know: it must not block what comes behind it
            log.exception("event_unstorable")
            digest = hashlib.sha256(body).hexdigest()
            return self.reject(sha256=digest, reason=ascii(str(error)), size=len(body), head=body)

    def _receive(self, body: bytes) -> list[Answer]:
        found = [self._route(event) for event in parse_notification(body)]
        items: list[Arrival | RejectedBody] = [arrival for arrival in found if isinstance(arrival, Arrival)]
        reasons = sorted(
            {answer.reason for answer in found if isinstance(answer, Answer) and answer.status is Status.DEAD}
        )
        if reasons:
            digest = hashlib.sha256(body).hexdigest()
            items.append(RejectedBody(digest, "; ".join(sorted(reasons)), len(body), body[:BODY_KEPT]))
        statuses = iter(self._writer.submit(items) if items else ())
        return [
            entry if isinstance(entry, Answer) else Answer(entry.event.bucket, entry.event.key, next(statuses))
            for entry in found
        ]

    def reject(self, *, sha256: str, reason: str, size: int, head: bytes) -> list[Answer]:
        """Store that a body could not even be read as a whole. Raises LedgerUnavailable."""
        self._writer.submit([RejectedBody(sha256, reason, size, head[:BODY_KEPT])])
        return [Answer(None, None, Status.DEAD, reason)]

    def not_ready(self) -> str | None:
        """Why events cannot be stored now, or None."""
        try:
            with transaction(self._engine) as connection:
                if not is_migrated(connection):
                    return "the ledger is not migrated: python -m scripts.ledger migrate"
        except LedgerUnavailable as error:
            return str(error)
        failed_at = self._failed_at
        if failed_at is not None and time.monotonic() - failed_at < _FAILURE_COUNTS:
            return "the last commit failed"
        return None

    def _route(self, event: Event | Refusal) -> Arrival | Answer:
        if isinstance(event, Refusal):
            return Answer(event.bucket, event.key, event.status, event.reason)
        route = self._routes.match(event.bucket, event.key)
        if route is not None:
            return Arrival(route.name, event)
        guarded = self._routes.is_output(event.bucket, event.key)
        return Answer(event.bucket, event.key, Status.IGNORED, LOOP_GUARD if guarded else NO_ROUTE)

    def _commit(self, items: Sequence[Arrival | RejectedBody]) -> list[Status]:
        try:
            with transaction(self._engine) as connection:
                statuses = record(connection, items)
                reach("webhook.before_commit")
        except LedgerUnavailable:
            self._failed_at = time.monotonic()
            raise
        self._failed_at = None
        reach("webhook.after_commit")
        return statuses
