"""A reading as one JSON object: what a recording keeps of it, and what a WebSocket server may be sent.

    {"id": "0c1f...", "received": "2026-11-22T15:40:00.123456789Z", "collector": "mqtt", "device": "kitchen",
     "content_type": "application/json", "metadata": {"topic": "kitchen"}, "payload": {"temp": 25.60}}

A payload that is a JSON object stands there as it came, to the byte. Any other is `text` where it is UTF-8, otherwise
`bytes` in base64. `metadata` is missing where there is none.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from fieldpipe.broker.reading import BadReading, Reading

DEEPEST = 100  # arrays and objects inside one another; the conversion of recordings takes 128

_SECOND = 1_000_000_000  # nanoseconds


class Envelope(NamedTuple):
    """The JSON text, and the value in it whose members vary from reading to reading, by their names."""

    text: bytes
    varying: Mapping[str, Any]


def envelope(reading: Reading) -> Envelope:
    """The same reading gives the same bytes."""
    members: dict[str, Any] = {
        "id": reading.id,
        "received": _moment(reading.received),
        "collector": reading.collector,
        "device": reading.device,
        "content_type": reading.content_type,
    }
    varying: dict[str, Any] = {}
    if reading.metadata:
        varying["metadata"] = members["metadata"] = _portable(reading.metadata)
    name, text, varying[name] = _content(reading)
    head = json.dumps(members, separators=(",", ":")).encode()
    return Envelope(b'%s,"%s":%s}' % (head[:-1], name.encode(), text), varying)


def _content(reading: Reading) -> tuple[str, bytes, Any]:
    """The member that has the payload: its name, its JSON text, and its value where that has members."""
    payload = reading.payload
    if not _is_text(payload):
        return "bytes", b'"%s"' % b64encode(payload), None
    value = _object(reading)
    if value is None:
        return "text", json.dumps(payload.decode()).encode(), None
    return "payload", payload.strip(), value


def _object(reading: Reading) -> dict[str, Any] | None:
    """The payload, if it is a JSON object that the conversion can read."""
    if not reading.payload.lstrip().startswith(b"{"):
        return None
    try:
        value = reading.json()
    except BadReading:
        return None
    return value if isinstance(value, dict) and not _is_deep(value) else None


def _is_text(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in payload


def _portable(metadata: Mapping[str, Any]) -> Any:
    """As it is, or words in its place where readers of JSON would stumble over it."""
    if _is_deep(metadata):
        return f"(more than {DEEPEST} objects inside one another)"
    try:
        json.dumps(metadata, allow_nan=False)
    except ValueError:  # 1e999 is JSON, but what Python makes of it is none
        return json.dumps(metadata)
    return metadata


def _is_deep(value: Any, left: int = DEEPEST) -> bool:
    if not isinstance(value, dict | list):
        return False
    inside = value.values() if isinstance(value, dict) else value
    return not left or any(_is_deep(inner, left - 1) for inner in inside)


def _moment(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, _SECOND)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09}Z"
