"""The webhook's Flask application: `POST /minio-event` and what operations need beside it.

Answers (docs/protocol.md): 202 once everything is stored, whatever it was; 401 for a wrong token; 503 when the ledger
could not store. Never anything else for a body that MinIO could send, because it would repeat that event for ever.
"""

import json
import time
from collections.abc import Callable

from flask import Flask, Response, request
from prometheus_client import CONTENT_TYPE_LATEST

from fieldpipe import logs
from fieldpipe.errors import TransientError
from fieldpipe.events.receive import Answer, Receiver
from webhook.access import Access
from webhook.body import Incomplete, TooLarge, read_body
from webhook.metrics import Metrics

SERVICE = "minio-webhook-receiver"
EVENT_PATH = "/minio-event"
ENDPOINTS = [EVENT_PATH, "/health", "/ready", "/metrics"]
RETRY_AFTER = "3"  # seconds; also MinIO's own pause

log = logs.get(__name__)


def create_app(receiver: Receiver, access: Access, metrics: Metrics) -> Flask:
    """Build the application from its parts."""
    app = Flask("webhook", static_folder=None)
    app.add_url_rule(EVENT_PATH, view_func=_event_view(receiver, access, metrics), methods=["POST", "HEAD"])
    app.add_url_rule("/", "index", lambda: {"service": SERVICE, "endpoints": ENDPOINTS})
    app.add_url_rule("/health", "health", lambda: {"status": "healthy", "service": SERVICE})
    app.add_url_rule("/ready", "ready", lambda: _ready(receiver))
    app.add_url_rule("/metrics", "metrics", lambda: Response(metrics.render(), content_type=CONTENT_TYPE_LATEST))
    return app


def _event_view(receiver: Receiver, access: Access, metrics: Metrics) -> Callable[[], Response]:
    def minio_event() -> Response:
        started = time.perf_counter()
        environ = request.environ
        if environ["REQUEST_METHOD"] == "HEAD":  # MinIO's look whether somebody is here
            return Response(status=200)
        if not access.allows(environ.get("HTTP_AUTHORIZATION"), environ.get("REMOTE_ADDR")):
            metrics.refused(401)
            return _json({"error": "wrong or missing token"}, 401, Connection="close")  # its body is not read
        try:
            answers = _take(receiver)
        except Incomplete:
            metrics.refused(400)
            return _json({"error": "the body ended early or came too slowly"}, 400, Connection="close")
        except TransientError as error:
            metrics.refused(503)
            log.warning("event_not_stored", error=str(error))
            return _json({"error": str(error)}, 503, **{"Retry-After": RETRY_AFTER})
        metrics.answered(answers, time.perf_counter() - started)
        return _json({"events": [_answer(answer) for answer in answers]}, 202)

    return minio_event


def _take(receiver: Receiver) -> list[Answer]:
    length = request.environ.get("CONTENT_LENGTH")
    body = read_body(request.environ["wsgi.input"], int(length) if length else None)
    if isinstance(body, TooLarge):
        return receiver.reject(sha256=body.sha256, reason="body too large", size=body.size, head=body.head)
    return receiver.receive(body)


def _ready(receiver: Receiver) -> Response:
    reason = receiver.not_ready()
    return _json({"ready": True}, 200) if reason is None else _json({"ready": False, "reason": reason}, 503)


def _answer(answer: Answer) -> dict[str, str | None]:
    return {"bucket": answer.bucket, "key": answer.key, "status": answer.status, "reason": answer.reason}


def _json(value: object, status: int, **headers: str) -> Response:
    return Response(json.dumps(value), status, headers, content_type="application/json")
