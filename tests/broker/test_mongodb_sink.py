"""The sink of MongoDB, with a stub that answers as MongoDB documents it."""

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import SecretStr

from fieldpipe.broker.sinks.mongodb import MongodbSettings, MongodbSink
from fieldpipe.broker.sinks.sink import SinkRefused, SinkUnavailable
from tests.broker.mongodb_stub import MongodbStub
from tests.unit.broker.readings import reading


def sink_of(stub: MongodbStub, **options: Any) -> MongodbSink:
    return MongodbSink(MongodbSettings(host=f"127.0.0.1:{stub.port}", **options), 2)


def failed(code: int, name: str, message: str) -> Mapping[str, Any]:
    """An answer to a whole command."""
    return {"ok": 0.0, "code": code, "codeName": name, "errmsg": message}


def refused(code: int, message: str, **more: Any) -> Mapping[str, Any]:
    """An answer about the first document."""
    return {"ok": 1.0, "n": 0, "writeErrors": [{"index": 0, "code": code, "errmsg": message, **more}]}


def test_readings_go_where_they_should_and_a_majority_has_them(mongodb_stub: MongodbStub) -> None:
    sink = sink_of(mongodb_stub, database="field", collection="sensors")

    sink.deliver([reading(1), reading(2)])

    (command,) = mongodb_stub.commands
    assert (command["insert"], command["$db"], command["writeConcern"]) == ("sensors", "field", {"w": "majority"})
    assert [document["payload"] for document in mongodb_stub.documents.values()] == [{"temp": 25.6}] * 2


def test_an_address_may_say_how_many_have_to_have_them(mongodb_stub: MongodbStub) -> None:
    uri = SecretStr(f"mongodb://127.0.0.1:{mongodb_stub.port}/?w=1&journal=true")

    sink_of(mongodb_stub, uri=uri).deliver([reading(1)])

    (command,) = mongodb_stub.commands
    assert command["writeConcern"] == {"w": 1, "j": True}


@pytest.mark.parametrize(
    "answer",
    [
        failed(10107, "NotWritablePrimary", "not primary"),
        failed(91, "ShutdownInProgress", "The server is in quiesce mode and will shut down"),
        failed(13, "Unauthorized", "not authorized on kraken to execute command"),
        failed(8000, "AtlasError", "you are over your space quota"),
        refused(189, "the primary stepped down while the write was in progress"),
        {"ok": 1.0, "n": 1, "writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}},
        {"ok": 1.0, "n": 1, "writeConcernError": {"code": 79, "errmsg": "No write concern mode named 'x'"}},
    ],
    ids=lambda answer: str(answer.get("codeName", answer.get("writeErrors", answer.get("writeConcernError")))),
)
def test_a_server_that_cannot_now_gets_the_readings_later(mongodb_stub: MongodbStub, answer: Mapping[str, Any]) -> None:
    sink = sink_of(mongodb_stub)
    mongodb_stub.refusals.append(answer)

    with pytest.raises(SinkUnavailable):
        sink.deliver([reading(1), reading(2)])
    sink.deliver([reading(1), reading(2)])

    assert len(mongodb_stub.documents) == 2


@pytest.mark.parametrize(
    "answer",
    [
        refused(121, "Document failed validation"),
        refused(11000, "E11000 duplicate key error ... index: device_id_ dup key", keyPattern={"device": 1}),
        refused(11000, "E11000 duplicate key error collection: a.b index: device_id_ dup key: { : 1 }"),
        refused(52, "The dollar ($) prefixed field '$set' in 'payload.$set' is not valid for storage."),
        failed(15, "Overflow", "BSONObj exceeds maximum nested object depth: 200"),
    ],
    ids=["validation", "unique index", "unique index of an old server", "name", "depth"],
)
def test_a_document_that_the_collection_does_not_take_is_refused(
    mongodb_stub: MongodbStub, answer: Mapping[str, Any]
) -> None:
    mongodb_stub.refusals.append(answer)

    with pytest.raises(SinkRefused, match="MongoDB: "):
        sink_of(mongodb_stub).deliver([reading(1)])


def test_an_old_server_that_has_the_reading_has_it(mongodb_stub: MongodbStub) -> None:
    mongodb_stub.refusals.append(
        refused(11000, 'E11000 duplicate key error collection: a.b index: _id_ dup key: { : "1" }')
    )

    sink_of(mongodb_stub).deliver([reading(1)])


def test_a_server_that_nobody_finds_is_told_without_the_password() -> None:
    uri = SecretStr("mongodb://kraken:canary-4711@127.0.0.1:1/?serverSelectionTimeoutMS=1500")

    with pytest.raises(SinkUnavailable, match="Connection refused") as found:
        MongodbSink(MongodbSettings(uri=uri), 2).deliver([reading(1)])

    assert "canary" not in str(found.value)
