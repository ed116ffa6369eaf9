"""Readings as documents of MongoDB."""

import json
from datetime import UTC, datetime

import bson
import pytest

from fieldpipe.broker.sinks.documents import LARGEST, document
from fieldpipe.broker.sinks.sink import SinkRefused
from tests.unit.broker.readings import START, reading


def test_a_reading_is_a_document_with_its_id() -> None:
    found = bson.decode(
        document(reading(1, b'{"temp":25.60,"n":[1,null]}', collector="mqtt", metadata='{"topic":"hall"}'))
    )

    assert found == {
        "_id": f"{1:032x}",
        "received": datetime(2025, 11, 22, 15, 40, 0, 124000),
        "received_ns": START + 1_000_000,
        "collector": "mqtt",
        "device": "hall",
        "content_type": "application/json",
        "metadata": {"topic": "hall"},
        "payload": {"temp": 25.6, "n": [1, None]},
    }


DEEP = b'{"a":' * 91 + b"1" + b"}" * 91


@pytest.mark.parametrize(
    ("payload", "stored"),
    [
        (b"25.6", 25.6),
        (b'{"a.b":1,"$set":{"$where":2}}', {"a.b": 1, "$set": {"$where": 2}}),
        (b'{"n":9223372036854775807}', {"n": 2**63 - 1}),
        (b'{"n":9223372036854775808}', '{"n":9223372036854775808}'),
        (b'{"a\\u0000b":1}', '{"a\\u0000b":1}'),
        (b'{"a":"\\ud800"}', '{"a":"\\ud800"}'),
        (b'{"a":NaN}', '{"a":NaN}'),
        (b'{"a":1e999}', {"a": float("inf")}),
        (DEEP, DEEP.decode()),
        (b"[" * 100_000, "[" * 100_000),
        (b"door opened", "door opened"),
        (b"", ""),
        (b"\xff\xd8\xff", b"\xff\xd8\xff"),
        (b"\0\0", b"\0\0"),
        (b"5\0", b"5\0"),
    ],
)
def test_a_payload_is_kept_as_bson_or_as_it_was(payload: bytes, stored: object) -> None:
    assert bson.decode(document(reading(payload=payload)))["payload"] == stored


@pytest.mark.parametrize("metadata", ['{"n":9223372036854775808}', '{"a\\u0000b":"c"}', '{"device":"\\ud800"}'])
def test_metadata_that_is_no_bson_is_kept_as_text(metadata: str) -> None:
    found = bson.decode(document(reading(metadata=metadata)))

    assert json.loads(found["metadata"]) == json.loads(metadata)


def test_a_reading_that_is_larger_than_a_document_is_refused() -> None:
    document(reading(payload=bytes(LARGEST - 1024)))

    with pytest.raises(SinkRefused, match="at most 16777216 bytes"):
        document(reading(payload=bytes(LARGEST)))


def test_times_are_told_in_utc() -> None:
    found = bson.decode(document(reading()), bson.CodecOptions(tz_aware=True))

    assert found["received"] == datetime.fromtimestamp(START // 10**6 / 1000, UTC)
