"""SINETStream's encryption of messages, both ways: AES in the modes GCM and EAX, with keys or with a password.

    sealed            salt (8 bytes), nonce (16), ciphertext, tag (16 bytes in GCM, 8 in EAX)
    associated data   salt, nonce
    key               given, one for each version; or PBKDF2-HMAC-SHA256 of the password and the salt, 10,000 times,
                      128 bits, and the version is 1

Source: SINETStream 1.10, `crypto.py` (its defaults). A message does not say its mode: only the right one gives the tag.
SINETStream's own reader does not look at the tag; ours refuses a message whose tag is wrong.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Literal

from Cryptodome.Cipher import AES
from Cryptodome.Cipher._mode_eax import EaxMode
from Cryptodome.Cipher._mode_gcm import GcmMode

from fieldpipe.cameras.message import BadMessage, Unseal
from fieldpipe.errors import ConfigurationError

Mode = Literal["GCM", "EAX"]

PASSWORD_VERSION = 1
PASSWORD_BITS = 128
KEY_SIZES = (16, 24, 32)  # bytes

_SALT, _NONCE = 8, 16  # bytes
_TAG: dict[Mode, int] = {"GCM": 16, "EAX": 8}  # bytes; in the order in which they are tried
_ROUNDS = 10_000
_REMEMBERED = 1024  # salts: a writer keeps its own as long as it runs, and each costs milliseconds


def parse_keys(text: str, variable: str = "CAMERA_KEYS") -> dict[int, bytes]:
    """`7=BASE64,8=BASE64`: the key of each version. Raises ConfigurationError, which never shows what was given."""
    keys: dict[int, bytes] = {}
    for count, entry in enumerate(filter(None, map(str.strip, text.split(","))), start=1):
        version, _, key = entry.partition("=")
        try:
            number, content = int(version), base64.b64decode(key, validate=True)
        except ValueError:
            raise ConfigurationError(f"{variable}: entry {count} is not version=key, the key in base64") from None
        if number in keys or not 0 < number <= 0xFFFF:
            wrong = f"the version of entry {count} is not one of 1 to 65535, or is there twice"
            raise ConfigurationError(f"{variable}: {wrong}")
        if len(content) not in KEY_SIZES:
            wrong = f"the key of version {number} is {len(content)} bytes, not 16, 24 or 32"
            raise ConfigurationError(f"{variable}: {wrong}")
        keys[number] = content
    return keys


def unsealer(keys: Mapping[int, bytes], password: str | None) -> Unseal:
    """What `message.decode` opens messages with. A key that is given comes before the password."""
    derive = lru_cache(_REMEMBERED)(partial(_derived, password)) if password else None

    def unseal(version: int, sealed: bytes) -> bytes | None:
        if key := keys.get(version):
            return _opened(version, sealed, key)
        if derive and version == PASSWORD_VERSION:
            return _opened(version, sealed, derive(sealed[:_SALT]))
        return None

    return unseal


class Sealer:
    """What `message.encode` seals messages with. The nonce is random, the salt of one Sealer is always the same."""

    def __init__(self, key: bytes, version: int, mode: Mode = "GCM", *, salt: bytes | None = None) -> None:
        self._key = key
        self._version = version
        self._mode = mode
        self._salt = salt or secrets.token_bytes(_SALT)

    @classmethod
    def with_password(cls, password: str, mode: Mode = "GCM") -> Sealer:
        """Seals with the key that follows from a password."""
        salt = secrets.token_bytes(_SALT)
        return cls(_derived(password, salt), PASSWORD_VERSION, mode, salt=salt)

    def __call__(self, inner: bytes) -> tuple[int, bytes]:
        """The key's version, and what is sealed with it."""
        nonce = secrets.token_bytes(_NONCE)
        content, tag = _cipher(self._mode, self._key, self._salt, nonce).encrypt_and_digest(inner)
        return self._version, b"".join((self._salt, nonce, content, tag))


def _opened(version: int, sealed: bytes, key: bytes) -> bytes:
    salt, nonce, content = sealed[:_SALT], sealed[_SALT : _SALT + _NONCE], sealed[_SALT + _NONCE :]
    for mode, size in _TAG.items():
        if len(content) < size:
            continue
        try:
            return _cipher(mode, key, salt, nonce).decrypt_and_verify(content[:-size], content[-size:])
        except ValueError:
            continue
    raise BadMessage(f"its key (version {version}) does not open it: the key is another one, or the message is damaged")


def _cipher(mode: Mode, key: bytes, salt: bytes, nonce: bytes) -> GcmMode | EaxMode:
    size = _TAG[mode]
    cipher: GcmMode | EaxMode = (
        AES.new(key, AES.MODE_GCM, nonce=nonce, mac_len=size)
        if mode == "GCM"
        else AES.new(key, AES.MODE_EAX, nonce=nonce, mac_len=size)
    )
    cipher.update(salt)
    cipher.update(nonce)
    return cipher


def _derived(password: str, salt: bytes) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ROUNDS, PASSWORD_BITS // 8)
