"""Collectors of both generations, from the published protocol alone: they share nothing with ours but the wire."""

from __future__ import annotations

from collections.abc import Iterator

import grpc

SEND = "/kraken.KrakenMessage/Send"
PROCESS = "/kraken.KrakenService/ProcessKrakenRequest"


def request_v1(kind: str, provider: str, payload: str) -> bytes:
    """A KrakenMessageRequest: three texts, numbered 1 to 3."""
    return _fields(kind.encode(), provider.encode(), payload.encode())


def request_v2(collector: str, content_type: str, metadata: str, payload: bytes) -> bytes:
    """A KrakenRequest: three texts and bytes, numbered 1 to 4. The response has the same fields."""
    return _fields(collector.encode(), content_type.encode(), metadata.encode(), payload)


def status_v1(response: bytes) -> int:
    """Of a KrakenMessageResponse: a number, absent when it is 0."""
    return response[1] if response else 0


def fields_v2(response: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Of a KrakenResponse: collector_name, content_type, metadata, payload."""
    found = dict(_parsed(response))
    return found.get(1, b""), found.get(2, b""), found.get(3, b""), found.get(4, b"")


def call(channel: grpc.Channel, method: str, request: bytes, seconds: float = 10, token: str | None = None) -> bytes:
    """One call, as bytes. Raises grpc.RpcError."""
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    response: bytes = channel.unary_unary(method)(request, timeout=seconds, metadata=metadata)
    return response


def _fields(*contents: bytes) -> bytes:
    """Length-delimited fields, numbered from 1; proto3 leaves out what is empty."""
    return b"".join(
        bytes([number << 3 | 2]) + _varint(len(content)) + content
        for number, content in enumerate(contents, start=1)
        if content
    )


def _parsed(message: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(message):
        number = message[at] >> 3
        length, at = _read_varint(message, at + 1)
        yield number, message[at : at + length]
        at += length


def _varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
