"""Reads a request's body within a bound."""

import hashlib
from dataclasses import dataclass
from typing import IO

LIMIT = 8 * 1024 * 1024  # bytes that a notification may have
CEILING = 64 * 1024 * 1024  # bytes that are read at all, to know what it was that was too large
_BLOCK = 256 * 1024


class Incomplete(Exception):
    """The client stopped, or was cut off, before the end of the body."""


@dataclass(frozen=True, slots=True)
class TooLarge:
    """A body above the limit: what can be said about it without keeping it."""

    sha256: str
    size: int  # of what was read
    head: bytes


def read_body(stream: IO[bytes], length: int | None) -> bytes | TooLarge:
    """The body; `length` is its Content-Length, None when it comes in chunks. Raises Incomplete."""
    content = stream.read(LIMIT + 1 if length is None else min(length, LIMIT + 1))
    if len(content) > LIMIT:
        return _too_large(stream, content, length)
    if length is not None and len(content) < length:
        raise Incomplete
    return content


def _too_large(stream: IO[bytes], start: bytes, length: int | None) -> TooLarge:
    digest = hashlib.sha256(start)
    size = len(start)
    while size < CEILING and (block := stream.read(_BLOCK)):
        digest.update(block)
        size += len(block)
    if length is not None and size < min(length, CEILING):
        raise Incomplete
    return TooLarge(digest.hexdigest(), size, start)
