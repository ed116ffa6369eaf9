"""Sends events about listed objects to the webhook, in the shape that MinIO would have used."""

import json
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

import httpx

from fieldpipe.errors import TransientError
from fieldpipe.events.decisions import full_jitter
from fieldpipe.events.notification import LISTING
from fieldpipe.handover import utc_text
from fieldpipe.settings import WebhookSettings
from fieldpipe.store import ObjectInfo

BATCH = 100  # records of one body
_ATTEMPTS = 5
_PAUSE = (0.5, 8.0)  # seconds: first and longest between two attempts
_EVENT = "s3:ObjectCreated:Put"


class WebhookUnavailable(TransientError):
    """The webhook did not take the events."""


class Announcer:
    """Posts events with the webhook's token. `pause` sleeps; it may end early when the process is to stop."""

    def __init__(
        self,
        settings: WebhookSettings,
        *,
        pause: Callable[[float], object],
        chance: Callable[[], float] = random.random,
    ) -> None:
        headers = {"Content-Type": "application/json"}
        if settings.auth_token is not None:
            token = settings.auth_token.get_secret_value()
            headers["Authorization"] = token if " " in token else f"Bearer {token}"
        # The webhook is a neighbour in the cluster or on the machine: no proxy of the environment lies between.
        self._http = httpx.Client(headers=headers, timeout=httpx.Timeout(10, connect=3), trust_env=False)
        self._url = settings.url
        self._pause = pause
        self._chance = chance

    def announce(self, objects: Sequence[ObjectInfo]) -> list[str]:
        """Post the objects' events; the answers' statuses in order. Raises WebhookUnavailable after a few attempts."""
        body = json.dumps(notification(objects))
        for attempt in range(_ATTEMPTS):
            try:
                return self._post(body)
            except WebhookUnavailable:
                if attempt == _ATTEMPTS - 1:
                    raise
                self._pause(full_jitter(attempt, _PAUSE, self._chance()))
        raise AssertionError("unreachable")

    def _post(self, body: str) -> list[str]:
        try:
            response = self._http.post(self._url, content=body)
        except httpx.HTTPError as error:
            raise WebhookUnavailable(f"POST {self._url}: {type(error).__name__}: {error}") from error
        if response.status_code != httpx.codes.ACCEPTED:
            raise WebhookUnavailable(f"POST {self._url} answered {response.status_code}: {response.text[:200]}")
        return [event["status"] for event in response.json()["events"]]


def notification(objects: Sequence[ObjectInfo]) -> dict[str, Any]:
    """The body for these objects; they have at least one member."""
    first = objects[0]
    records = [_record(info) for info in objects]
    return {"EventName": _EVENT, "Key": f"{first.bucket}/{first.key}", "Records": records}


def sequencer(info: ObjectInfo) -> str:
    """Stands for this appearance of the object: another one has another LastModified."""
    modified = info.modified or datetime.fromtimestamp(0, UTC)
    return f"{int(modified.timestamp() * 1_000_000):016X}"


def _record(info: ObjectInfo) -> dict[str, Any]:
    found = {"key": quote_plus(info.key), "size": info.size, "eTag": info.etag, "sequencer": sequencer(info)}
    return {
        "eventVersion": "2.0",
        "eventSource": LISTING,
        "eventTime": utc_text(info.modified) if info.modified else "",
        "eventName": _EVENT,
        "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": info.bucket}, "object": found},
    }
