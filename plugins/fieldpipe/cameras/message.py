"""SINETStream's messages, versions 2 and 3: what a Kafka record of a camera holds.

    version 3   DF 03 00 00, key version (2 bytes, big-endian; 0: not encrypted), what version 2 is
    version 2   C3 01, fingerprint of the schema (8 bytes), record
    record      time (long; microseconds since 1970, 0: not set), payload (bytes); both as Avro's binary encoding says

Sources: SINETStream 1.10, `packet.py` and `marshal.py`; Avro 1.11 specification, "Binary encoding" and "Single object
encoding". SINETStream's own page about the format prints another fingerprint; its readers refuse that one.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Literal, NamedTuple

import zstandard

from fieldpipe.errors import PermanentError

VERSION_3 = b"\xdf\x03\x00\x00"
SINGLE_OBJECT = (
    b"\xc3\x01\x1f\x9c\x0c\x91\xeb\x33\x66\x4f"  # Avro's marker, and the fingerprint of SINETStream's schema
)
MAX_UNPACKED = 256 * 1024 * 1024  # bytes of a payload that was compressed

_KEY_VERSION = slice(len(VERSION_3), len(VERSION_3) + 2)
_LONGEST_LONG = 10  # bytes
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_AT_ONCE = 4096  # bytes of zstd: they become at most half of MAX_UNPACKED
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32  # zlib finds out which of the two it is

Unseal = Callable[[int, bytes], bytes | None]
"""Decrypts: key version, sealed bytes -> what version 2 is, None without a key of that version. Raises BadMessage."""

Seal = Callable[[bytes], tuple[int, bytes]]
"""Encrypts: what version 2 is -> key version, sealed bytes."""


class Position(NamedTuple):
    """Where a record lies in Kafka."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"topic {self.topic}, partition {self.partition}, offset {self.offset}"


class Record(NamedTuple):
    """One record as Kafka has it. `time` is Kafka's, in milliseconds since 1970. A tombstone has no value."""

    offset: int
    time: int
    value: bytes | None
    key: bytes | None = None


class BadMessage(PermanentError):
    """A record is no message of SINETStream. The text names the record once `decode` has passed it on."""


class Message(NamedTuple):
    """One message. `time` is when it was published, in microseconds since 1970; 0: nobody said.

    `sealed` is the version of the key that it is encrypted with: the payload is then the whole record, as it came, and
    there is no time. 0: it is not encrypted, or was decrypted.
    """

    time: int
    payload: bytes
    sealed: int = 0


def decode(value: bytes, position: Position, unseal: Unseal | None = None) -> Message:
    """The message that a record's value holds. An encrypted one without its key is handed on as it is.

    Bytes behind the message are ignored, as SINETStream does. Raises BadMessage.
    """
    try:
        version, inner = _unwrapped(value)
        if not version:
            return _record(inner)
        opened = unseal(version, inner) if unseal else None
        return Message(0, value, sealed=version) if opened is None else _record(opened)
    except BadMessage as error:
        raise BadMessage(f"{position}: {error}") from error


def encode(message: Message, *, version: Literal[2, 3] = 3, seal: Seal | None = None) -> bytes:
    """A record's value, byte for byte as SINETStream writes it.

    Raises ValueError for an encrypted one of version 2: nobody could see that it is encrypted.
    """
    inner = SINGLE_OBJECT + _long_bytes(message.time) + _long_bytes(len(message.payload)) + message.payload
    if version == 2:
        if seal:
            raise ValueError("encryption takes version 3")
        return inner
    key_version, inner = seal(inner) if seal else (0, inner)
    return VERSION_3 + key_version.to_bytes(2, "big") + inner


def unpacked(payload: bytes) -> bytes:
    """A payload without its compression (gzip, zlib or zstd, by their own first bytes); others as they are.

    Raises BadMessage for a compressed one that is damaged, or is larger than MAX_UNPACKED.
    """
    if payload.startswith(_ZSTD):
        return _bounded("zstd", lambda: _zstd(payload))
    if payload.startswith(_GZIP):
        return _bounded("gzip", lambda: _inflated(payload))
    if _may_be_zlib(payload):
        try:
            return _bounded("zlib", lambda: _inflated(payload))
        except BadMessage:
            return payload  # two bytes are little evidence: it begins like that by chance
    return payload


def _unwrapped(value: bytes) -> tuple[int, bytes]:
    """The key's version, and what it is in. What has no prefix is version 2."""
    if len(value) <= _KEY_VERSION.stop or not value.startswith(VERSION_3):
        return 0, value
    return int.from_bytes(value[_KEY_VERSION], "big"), value[_KEY_VERSION.stop :]


def _record(inner: bytes) -> Message:
    if len(inner) <= len(SINGLE_OBJECT):
        raise BadMessage(f"{len(inner)} bytes are too few for a message")
    if not inner.startswith(SINGLE_OBJECT[:2]):
        raise BadMessage(f"it begins with {inner[:2].hex()}, not with Avro's marker c301")
    if not inner.startswith(SINGLE_OBJECT):
        raise BadMessage(f"its schema has the fingerprint {inner[2:10].hex()}, not SINETStream's 1f9c0c91eb33664f")
    time, start = _long(inner, len(SINGLE_OBJECT))
    size, start = _long(inner, start)
    if not 0 <= size <= len(inner) - start:
        raise BadMessage(f"its payload is said to be {size} bytes, {len(inner) - start} are there")
    return Message(time, inner[start : start + size])


def _long(content: bytes, start: int) -> tuple[int, int]:
    """A number, and where it ends: seven bits a byte, the lowest first, then the sign in the lowest bit."""
    number = 0
    for index, byte in enumerate(content[start : start + _LONGEST_LONG]):
        number |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            if number >> 64:
                break
            return (number >> 1) ^ -(number & 1), start + index + 1
    raise BadMessage("a number in it does not end")


def _long_bytes(number: int) -> bytes:
    number = number << 1 if number >= 0 else ~(number << 1)
    content = bytearray()
    while number > 0x7F:
        content.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*content, number])


def _may_be_zlib(payload: bytes) -> bool:
    """RFC 1950, 2.2: deflate with a window of at most 32 KiB; the first two bytes are a multiple of 31."""
    head = int.from_bytes(payload[:2], "big")
    return len(payload) > 2 and head >> 8 & 0x0F == 8 and head >> 12 <= 7 and head % 31 == 0


def _bounded(kind: str, unpack: Callable[[], bytes]) -> bytes:
    try:
        content = unpack()
    except (zlib.error, zstandard.ZstdError, EOFError) as error:
        raise BadMessage(f"its payload is damaged {kind}: {error}") from error
    if len(content) > MAX_UNPACKED:
        raise BadMessage(f"its payload unpacks to more than {MAX_UNPACKED} bytes")
    return content


def _inflated(payload: bytes) -> bytes:
    stream = zlib.decompressobj(_GZIP_OR_ZLIB)
    content = stream.decompress(payload, MAX_UNPACKED + 1)
    if not stream.eof and len(content) <= MAX_UNPACKED:
        raise EOFError("it ends early")
    return content


def _zstd(payload: bytes) -> bytes:
    stream = zstandard.ZstdDecompressor().decompressobj()
    content = bytearray()
    for start in range(0, len(payload), _AT_ONCE):
        content += stream.decompress(payload[start : start + _AT_ONCE])
        if stream.eof or len(content) > MAX_UNPACKED:
            return bytes(content)
    raise EOFError("it ends early")
