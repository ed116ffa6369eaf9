"""A reading as a document of MongoDB.

    {_id: "0c1f...", received: ISODate(...), received_ns: NumberLong(...), collector: "mqtt", device: "kitchen",
     content_type: "application/json", metadata: {topic: "kitchen"}, payload: {temp: 25.6}}

A payload that is JSON is a value of BSON. Where BSON cannot hold it (an integer beyond 64 bits, a name with NUL, too
many levels), and where it is no JSON, it is the text that it was; what is no text is Binary.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import bson
from bson.errors import BSONError
from bson.int64 import Int64

from fieldpipe.broker.reading import BadReading, Reading
from fieldpipe.broker.sinks.sink import SinkRefused

LARGEST = 16 * 1024 * 1024  # bytes of a document
DEEPEST = 90  # levels of a payload; a server takes 100 of a document

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_BSON = (OverflowError, RecursionError, UnicodeError, BSONError)


def document(reading: Reading) -> bytes:
    """In BSON. Raises SinkRefused where it is too large."""
    try:
        encoded = _encoded(reading, _shallow(reading.metadata), _shallow(reading.json()))
    except (BadReading, *_NO_BSON):
        encoded = _encoded(reading, _portable(reading.metadata), _opaque(reading.payload))
    if len(encoded) > LARGEST:
        raise SinkRefused(f"a document of MongoDB has at most {LARGEST} bytes, this one would have {len(encoded)}")
    return encoded


def _encoded(reading: Reading, metadata: Any, payload: Any) -> bytes:
    members = {
        "_id": reading.id,
        "received": _EPOCH + timedelta(microseconds=reading.received // 1000),
        "received_ns": Int64(reading.received),
        "collector": reading.collector,
        "device": reading.device.encode("utf-8", "replace").decode(),
        "content_type": reading.content_type,
        "metadata": metadata,
        "payload": payload,
    }
    return bson.encode(members)


def _portable(metadata: Mapping[str, Any]) -> Any:
    """As it is, or as text where BSON cannot hold it."""
    try:
        bson.encode(_shallow(metadata))
    except _NO_BSON:
        return json.dumps(metadata)
    return metadata


def _opaque(payload: bytes) -> str | bytes:
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return payload
    return payload if "\0" in text else text


def _shallow(value: Any, left: int = DEEPEST) -> Any:
    """The value; raises RecursionError where it has more levels."""
    if isinstance(value, dict | list):
        if not left:
            raise RecursionError
        for inner in value.values() if isinstance(value, dict) else value:
            _shallow(inner, left - 1)
    return value
