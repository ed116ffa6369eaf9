"""Encrypted messages, held against bytes that SINETStream 1.10 itself has written."""

import base64
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldpipe.cameras.message import BadMessage, Message, Position, decode, encode
from fieldpipe.cameras.sealing import Mode, Sealer, parse_keys, unsealer
from fieldpipe.errors import ConfigurationError

HERE = Position("image-sinetstream-picamera", 0, 42)
HELLO = Message(1_700_000_000_123_456, b"hello")
KEYS = {1: bytes(range(16)), 7: bytes(range(16, 32))}
PASSWORD = "secret"
GCM_KEY, GCM_PASSWORD, EAX_KEY, EAX_PASSWORD = map(
    bytes.fromhex,
    (
        "df0300000007bacf7d49a51e8158129328a93a4fd4aa4953f65e578bc23311d9d7dfbe78007d69b786693b14d86759b45240bfa5c8f2dda7"
        "26289f4f33927f694dab9a5a7c9d",
        "df0300000001f7b516fbaf80d2af1c56bb744094cdb0fae4196e3625df1305e94cb7a7a72495e44f8ee9111786757b611b712eb6cff4a776"
        "aef74e37dfb41bab0c4ddeea51fe",
        "df03000000079ae1f73b96f9f18f74bda4adef0f1a4737ef9ad7fb51320da506aec9bfa2c77da3a31127aecc6aa07d957ece1616fbda8230"
        "4ea444ce48de",
        "df030000000124e5a084d059d4912fe1f4dfb56e5aa723b11060f32145082e5ba66bf020aad75dd602a1a128dea4ddbcf5b7bfd5dbc85e6f"
        "ee11bfef09a8",
    ),
)


@pytest.mark.parametrize("value", [GCM_KEY, EAX_KEY])
def test_what_sinetstream_sealed_with_a_key_is_opened_with_it(value: bytes) -> None:
    assert decode(value, HERE, unsealer(KEYS, None)) == HELLO


@pytest.mark.parametrize("value", [GCM_PASSWORD, EAX_PASSWORD])
def test_what_sinetstream_sealed_with_a_password_is_opened_with_it(value: bytes) -> None:
    assert decode(value, HERE, unsealer({7: KEYS[7]}, PASSWORD)) == HELLO


@pytest.mark.parametrize(
    ("value", "keys", "password"),
    [(GCM_KEY, {}, PASSWORD), (GCM_KEY, {1: KEYS[1]}, None), (GCM_PASSWORD, {7: KEYS[7]}, None), (EAX_KEY, {}, None)],
)
def test_without_the_key_of_that_version_a_message_stays_sealed(
    value: bytes, keys: Mapping[int, bytes], password: str | None
) -> None:
    assert decode(value, HERE, unsealer(keys, password)) == Message(0, value, sealed=value[5])


@pytest.mark.parametrize(
    ("value", "keys", "password"),
    [
        (GCM_KEY, {7: KEYS[1]}, None),
        (EAX_KEY, {7: KEYS[1]}, None),
        (EAX_PASSWORD, {}, "another"),
        (GCM_PASSWORD, KEYS, PASSWORD),  # a key that is given comes first
        (GCM_KEY[:30], KEYS, None),
        (GCM_KEY[:10], KEYS, None),
        (EAX_PASSWORD[:10], {}, PASSWORD),
    ],
)
def test_what_the_key_does_not_open_is_a_bad_message(
    value: bytes, keys: Mapping[int, bytes], password: str | None
) -> None:
    with pytest.raises(BadMessage, match=rf"offset 42: its key \(version {value[5]}\) does not open it"):
        decode(value, HERE, unsealer(keys, password))


@pytest.mark.parametrize("value", [GCM_KEY, EAX_KEY])
def test_one_changed_bit_anywhere_is_noticed(value: bytes) -> None:
    unseal = unsealer(KEYS, None)
    for place in range(6, len(value)):
        changed = bytearray(value)
        changed[place] ^= 1
        with pytest.raises(BadMessage, match="does not open it"):
            decode(bytes(changed), HERE, unseal)


@given(st.binary(max_size=300), st.sampled_from(["GCM", "EAX"]), st.sampled_from([16, 24, 32]))
def test_what_we_seal_we_open(payload: bytes, mode: Mode, size: int) -> None:
    sealed = encode(Message(1, payload), seal=Sealer(bytes(size), 9, mode))

    assert sealed[:6] == bytes.fromhex("df0300000009")
    assert decode(sealed, HERE, unsealer({9: bytes(size)}, None)) == Message(1, payload)


@pytest.mark.parametrize("mode", ["GCM", "EAX"])
def test_what_we_seal_with_a_password_we_open_with_it(mode: Mode) -> None:
    seal = Sealer.with_password(PASSWORD, mode)
    first, second = encode(HELLO, seal=seal), encode(HELLO, seal=seal)

    assert (first[:14], len(first)) == (second[:14], len(second))  # one salt: its key is derived once
    assert first[14:30] != second[14:30]  # a nonce of its own for each
    assert decode(first, HERE, unsealer({}, PASSWORD)) == decode(second, HERE, unsealer({}, PASSWORD)) == HELLO


def test_keys_are_read_with_their_versions() -> None:
    text = f" 1={base64.b64encode(KEYS[1]).decode()}, 7={base64.b64encode(KEYS[7]).decode()},"

    assert parse_keys(text) == KEYS
    assert parse_keys("") == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("7:c2VjcmV0", "entry 1 is not version=key, the key in base64"),
        ("1=AAAAAAAAAAAAAAAAAAAAAA==,seven=c2VjcmV0", "entry 2 is not version=key, the key in base64"),
        ("7=c2VjcmV0!", "entry 1 is not version=key, the key in base64"),
        ("7=c2VjcmV0", "the key of version 7 is 6 bytes, not 16, 24 or 32"),
        ("0=c2VjcmV0c2VjcmV0c2VjcQ==", "the version of entry 1 is not one of 1 to 65535, or is there twice"),
        ("65536=c2VjcmV0c2VjcmV0c2VjcQ==", "the version of entry 1 is not one of 1 to 65535, or is there twice"),
        (
            "7=AAAAAAAAAAAAAAAAAAAAAA==,7=c2VjcmV0c2VjcmV0c2VjcQ==",
            "the version of entry 2 is not one of 1 to 65535, or is there twice",
        ),
    ],
)
def test_wrong_keys_are_refused_without_showing_them(text: str, reason: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_keys(text)

    assert str(caught.value) == f"CAMERA_KEYS: {reason}"
    assert "c2VjcmV0" not in str(caught.value)
    assert caught.value.__cause__ is None
