"""What Kraken Collectors say and are answered, in both generations of their protocol (proto3, package `kraken`).

Pure: bytes in, a Reading out, and back. The services' names differ, so that one port serves both.

    service KrakenMessage { rpc Send(KrakenMessageRequest) returns (KrakenMessageResponse); }            2023 to 2025
    service KrakenService { rpc ProcessKrakenRequest(KrakenRequest) returns (KrakenResponse); }          since 2025-02
"""

from __future__ import annotations

import json
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from fieldpipe.broker.reading import BadReading, Reading, Reply, accept

SEND = ("kraken.KrakenMessage", "Send")
PROCESS = ("kraken.KrakenService", "ProcessKrakenRequest")

STORED, FAILED = 1, 0  # the status of generation 1

_TYPES = {
    "string": FieldDescriptorProto.TYPE_STRING,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
    "int32": FieldDescriptorProto.TYPE_INT32,
}
_KRAKEN = {"collector_name": "string", "content_type": "string", "metadata": "string", "payload": "bytes"}
_MESSAGES = {
    "KrakenMessageRequest": {"kind": "string", "provider": "string", "payload": "string"},
    "KrakenMessageResponse": {"status": "int32"},
    "KrakenRequest": _KRAKEN,
    "KrakenResponse": _KRAKEN,
}
"""Fields in the order of their numbers, which begin at 1."""


def read_send(data: bytes) -> Reading:
    """A KrakenMessageRequest. Raises BadReading. The payload is text; what kind of text, nobody says."""
    request = _parse("KrakenMessageRequest", data)
    return accept(
        request.provider, "text/plain", "", request.payload.encode(), kind=request.kind or "collector", generation=1
    )


def write_status(status: int) -> bytes:
    """A KrakenMessageResponse."""
    return _bytes("KrakenMessageResponse", status=status)


def read_process(data: bytes) -> Reading:
    """A KrakenRequest. Raises BadReading."""
    request = _parse("KrakenRequest", data)
    return accept(request.collector_name, request.content_type, request.metadata, request.payload)


def write_reply(reading: Reading, reply: Reply | None) -> bytes:
    """A KrakenResponse. None, when no handler had anything to say, is one without a collector: none passes it on."""
    if reply is None:
        return _NOTHING_SAID
    return _bytes(
        "KrakenResponse",
        collector_name=reading.collector if reply.collector is None else reply.collector,
        content_type=reply.content_type,
        metadata=json.dumps(dict(reply.metadata or {})),
        payload=reply.payload,
    )


def _describe() -> DescriptorPool:
    file = FileDescriptorProto(name="kraken.proto", package="kraken", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = DescriptorProto(name=name)
        for number, (field, kind) in enumerate(fields.items(), start=1):
            label = FieldDescriptorProto.LABEL_OPTIONAL
            message.field.add(name=field, number=number, type=_TYPES[kind], label=label)
        file.message_type.append(message)
    pool = DescriptorPool()  # of our own: whoever imports the published protocol beside us has these names too
    pool.Add(file)
    return pool


_POOL = _describe()
_CLASSES: dict[str, Any] = {name: GetMessageClass(_POOL.FindMessageTypeByName(f"kraken.{name}")) for name in _MESSAGES}


def _parse(name: str, data: bytes) -> Any:
    try:
        return _CLASSES[name].FromString(data)
    except DecodeError as error:
        raise BadReading(f"this is no {name}: {error}") from error


def _bytes(name: str, **fields: Any) -> bytes:
    data: bytes = _CLASSES[name](**fields).SerializeToString()
    return data


_NOTHING_SAID = _bytes("KrakenResponse", metadata="{}")
