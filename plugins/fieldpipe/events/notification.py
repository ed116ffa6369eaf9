"""What a store's notification says: bytes in, events out. Pure; the one place that knows the shape of a notification.

Source of the format: MinIO's `internal/event` package and AWS's "Event message structure" (S3 user guide). Both send
`Records`, each with a query-escaped key, which is decoded exactly once here. Anything that can never become an event
comes back as a `Refusal` with its reason instead of an exception, because one bad record must not cost its neighbours.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import unquote_plus

LISTING = "fieldpipe:listing"  # the eventSource of what event-sync sends

_SOURCES = {"minio:s3": "minio", "aws:s3": "aws", LISTING: "listing"}
_CREATED = "ObjectCreated:"
_MAX_KEY_BYTES = 1024  # S3's limit
_MAX_FIELD_BYTES = 1024
_MAX_ETAG_BYTES = 256  # it is part of an index, whose rows are limited
_MAX_SIZE = 2**63 - 1


class Status(StrEnum):
    """What became of one event."""

    RECORDED = "recorded"
    DUPLICATE = "duplicate"
    IGNORED = "ignored"  # not for us: a removal, no route, our own output
    DEAD = "dead"  # can never be accepted; kept for people to look at


@dataclass(frozen=True, slots=True)
class Event:
    """An object version came to be. `etag` is None when the sender did not say; `size` in bytes."""

    bucket: str
    key: str
    etag: str | None
    name: str
    source: str  # minio, aws, listing, manual
    version_id: str | None = None
    size: int | None = None
    sequencer: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A record, or a whole body, that is no event for us. `status` is IGNORED or DEAD."""

    status: Status
    reason: str
    bucket: str | None = None
    key: str | None = None


def parse_notification(body: bytes) -> list[Event | Refusal]:
    """The events of a notification in its order, a Refusal in the place of each record that is none."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        return [_dead(f"not JSON: {type(error).__name__}")]
    if not isinstance(document, dict):
        return [_dead("not a JSON object")]
    if document.get("Event") == "s3:TestEvent":
        return [Refusal(Status.IGNORED, "test event")]
    records = document.get("Records")
    if not isinstance(records, list):
        return [_dead("no Records")]
    return [_event(record, document) for record in records]


def storable(text: str) -> bool:
    """Whether a database can hold this text: no NUL, no lone surrogate."""
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _event(record: Any, document: dict[str, Any]) -> Event | Refusal:
    try:
        s3 = record["s3"]
        bucket, escaped, found = s3["bucket"]["name"], s3["object"]["key"], s3["object"]
    except (KeyError, TypeError):
        return _dead("a record without s3.bucket.name and s3.object.key")
    if not (isinstance(bucket, str) and bucket and isinstance(escaped, str) and escaped):
        return _dead("bucket name or key is empty or no text")
    try:
        key = unquote_plus(escaped, errors="strict")
    except UnicodeDecodeError:
        return Refusal(Status.DEAD, "key is not UTF-8", bucket, escaped)
    if not (storable(bucket) and storable(key)):
        return Refusal(Status.DEAD, "bucket name or key holds NUL or a lone surrogate", bucket, key)
    if len(key.encode()) > _MAX_KEY_BYTES or len(bucket.encode()) > _MAX_FIELD_BYTES:
        return Refusal(Status.DEAD, f"bucket name or key is longer than {_MAX_KEY_BYTES} bytes", bucket, key)
    name = _text(record.get("eventName")) or _text(document.get("EventName")) or ""
    name = name.removeprefix("s3:")
    if not name.startswith(_CREATED):
        return Refusal(Status.IGNORED, f"not the creation of an object: {name!a}", bucket, key)
    return Event(
        bucket=bucket,
        key=key,
        etag=(_text(found.get("eTag"), _MAX_ETAG_BYTES) or "").strip('"') or None,
        name=name,
        source=_SOURCES.get(str(record.get("eventSource")), "manual"),
        version_id=_text(found.get("versionId")),
        size=_size(found.get("size")),
        sequencer=_text(found.get("sequencer")),
    )


def _dead(reason: str) -> Refusal:
    return Refusal(Status.DEAD, reason)


def _text(value: Any, limit: int = _MAX_FIELD_BYTES) -> str | None:
    """An optional field. What cannot be stored is as good as not said: a HEAD can still find it out."""
    fits = isinstance(value, str) and value and storable(value) and len(value.encode()) <= limit
    return value if fits else None


def _size(value: Any) -> int | None:
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_SIZE
    return value if fits else None
