"""SINETStream's messages, held against bytes that SINETStream 1.10 itself has written (rows A-S1 to A-S4)."""

import gzip
import zlib
from collections.abc import Callable
from typing import Literal

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from fieldpipe.cameras.message import (
    MAX_UNPACKED,
    SINGLE_OBJECT,
    BadMessage,
    Message,
    Position,
    Unseal,
    decode,
    encode,
    unpacked,
)

HERE = Position("image-sinetstream-picamera", 0, 42)
HELLO = Message(1_700_000_000_123_456, b"hello")
VERSION_2 = bytes.fromhex("c3011f9c0c91eb33664f80898182838985060a68656c6c6f")
VERSION_3 = bytes.fromhex("df0300000000c3011f9c0c91eb33664f80898182838985060a68656c6c6f")
SEALED = bytes.fromhex(  # AES-GCM, the second of two keys
    "df0300000007bacf7d49a51e8158129328a93a4fd4aa4953f65e578bc23311d9d7dfbe78007d69b786693b14d86759b45240bfa5c8f2dda7"
    "26289f4f33927f694dab9a5a7c9d"
)
SCHEMA = (
    b'{"name":"jp.ad.sinet.stream.message","type":"record","fields":'
    b'[{"name":"tstamp","type":"long"},{"name":"msg","type":"bytes"}]}'
)
JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256))


def refuse(key_version: int, _: bytes) -> bytes:
    raise BadMessage(f"the key of version {key_version} does not open it")


@pytest.mark.parametrize("value", [VERSION_2, VERSION_3])
def test_both_versions_give_the_same_message(value: bytes) -> None:
    assert decode(value, HERE) == HELLO


def test_they_are_written_byte_for_byte_as_sinetstream_does() -> None:
    assert (encode(HELLO, version=2), encode(HELLO)) == (VERSION_2, VERSION_3)


@given(st.integers(-(2**63), 2**63 - 1), st.binary(max_size=300), st.sampled_from([2, 3]))
def test_what_is_written_is_read(time: int, payload: bytes, version: Literal[2, 3]) -> None:
    assert decode(encode(Message(time, payload), version=version), HERE) == Message(time, payload)


def test_bytes_behind_a_message_are_ignored() -> None:
    assert decode(VERSION_3 + b"more", HERE) == HELLO


def test_the_fingerprint_is_that_of_the_schema() -> None:
    """CRC-64-AVRO as the specification's section "Schema fingerprints" defines it, over the canonical form."""
    empty = 0xC15D213AA4D7A795
    crc = empty
    for byte in SCHEMA:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (empty if crc & 1 else 0)

    assert crc.to_bytes(8, "little") == SINGLE_OBJECT[2:]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "0 bytes are too few for a message"),
        (SINGLE_OBJECT, "10 bytes are too few for a message"),
        (b"\xff\xd8" + bytes(20), "it begins with ffd8, not with Avro's marker c301"),
        (VERSION_2.replace(b"\x66\x4f", b"\x06\x4f"), "its schema has the fingerprint 1f9c0c91eb33064f, not "),
        (SINGLE_OBJECT + b"\xff" * 10, "a number in it does not end"),
        (SINGLE_OBJECT + b"\xff" * 9 + b"\x02\x00", "a number in it does not end"),
        (SINGLE_OBJECT + b"\x00\x0ahell", "its payload is said to be 5 bytes, 4 are there"),
        (SINGLE_OBJECT + b"\x00\x01", "its payload is said to be -1 bytes, 0 are there"),
        (VERSION_3[:6] + b"\xc3\x02" + VERSION_2[2:], "it begins with c302, not with Avro's marker c301"),
    ],
)
def test_what_is_no_message_is_refused_with_its_place_in_kafka(value: bytes, reason: str) -> None:
    with pytest.raises(BadMessage) as caught:
        decode(value, HERE)

    assert str(caught.value).startswith(f"topic image-sinetstream-picamera, partition 0, offset 42: {reason}")


@pytest.mark.parametrize("unseal", [None, lambda key_version, sealed: None])
def test_an_encrypted_message_is_handed_on_whole_by_who_has_no_key(unseal: Unseal | None) -> None:
    assert decode(SEALED, HERE, unseal) == Message(0, SEALED, sealed=7)


def test_who_has_the_key_gets_the_message_and_who_has_not_the_right_one_hears_where_it_lies() -> None:
    asked = []

    def unseal(key_version: int, sealed: bytes) -> bytes:
        asked.append((key_version, sealed))
        return VERSION_2

    assert decode(SEALED, HERE, unseal) == HELLO
    assert asked == [(7, SEALED[6:])]
    with pytest.raises(BadMessage, match=r"offset 42: the key of version 7 does not open it$"):
        decode(SEALED, HERE, refuse)


def test_an_encrypted_message_says_its_keys_version_in_front() -> None:
    assert encode(HELLO, seal=lambda inner: (0x0107, inner[::-1])) == VERSION_3[:4] + b"\x01\x07" + VERSION_2[::-1]
    with pytest.raises(ValueError, match="encryption takes version 3"):
        encode(HELLO, version=2, seal=lambda inner: (7, inner))


def test_a_key_is_not_asked_for_where_nothing_is_encrypted() -> None:
    assert decode(VERSION_3, HERE, refuse) == HELLO
    assert decode(VERSION_2, HERE, refuse) == HELLO


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, zstandard.ZstdCompressor().compress])
def test_compressed_payloads_are_known_by_their_first_bytes(pack: Callable[[bytes], bytes]) -> None:
    assert unpacked(pack(JPEG * 100)) == JPEG * 100


def test_zstd_without_a_size_in_its_head_is_unpacked_too() -> None:
    packer = zstandard.ZstdCompressor(write_content_size=False).compressobj()

    assert unpacked(packer.compress(JPEG * 1000) + packer.flush()) == JPEG * 1000


@pytest.mark.parametrize("payload", [JPEG, b"", b"x", b"x\x9cno zlib", b"\x89PNG\r\n\x1a\n", b"\x08\x1dtext"])
def test_other_payloads_stay_as_they_are(payload: bytes) -> None:
    assert unpacked(payload) == payload


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_a_damaged_one_is_refused(pack: Callable[[bytes], bytes]) -> None:
    with pytest.raises(BadMessage, match="its payload is damaged"):
        unpacked(pack(JPEG * 100)[:-5])


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_a_bomb_is_refused(pack: Callable[[bytes], bytes]) -> None:
    bomb = pack(bytes(MAX_UNPACKED + 1))

    with pytest.raises(BadMessage, match=f"more than {MAX_UNPACKED} bytes"):
        unpacked(bomb)
