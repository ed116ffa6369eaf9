"""How pictures are sent: the variables SS_* of the original, which stand for SINETStream's configuration.

`SS_X__Y` stands for its parameter `x: {y: ...}`. Sources: SINETStream 1.10, user guide, "Configuration files" and
"Kafka-specific parameters"; its code where they are silent.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import zstandard

from fieldpipe.cameras.capture.variables import Variables
from fieldpipe.cameras.message import Message, Seal, encode
from fieldpipe.cameras.sealing import PASSWORD_BITS, Mode, Sealer, parse_keys
from fieldpipe.errors import ConfigurationError

MAX_REQUEST_SIZE = 1_048_576  # bytes, as kafka-python and SINETStream have it

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_CONSISTENCIES = ("AT_LEAST_ONCE", "AT_MOST_ONCE", "EXACTLY_ONCE")
_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_DERIVATION = {"ALGORITHM": "pbkdf2", "SALT_BYTES": "8", "ITERATION": "10000", "PRF": "HMAC-SHA256"}

Compress = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Packing:
    """What a picture becomes before it is sent."""

    message_format: Literal[2, 3] = 3
    compress: Compress | None = None
    seal: Seal | None = field(default=None, repr=False)

    def pack(self, time: int, picture: bytes) -> bytes:
        """A SINETStream message. `time` is in microseconds since 1970."""
        payload = self.compress(picture) if self.compress else picture
        return encode(Message(time, payload), version=self.message_format, seal=self.seal)


@dataclass(frozen=True)
class Stream:
    """Where messages go. `acks` is Kafka's; `client` are the names and values of kafka-python for its connections."""

    brokers: tuple[str, ...]
    topic: str
    acks: Literal["all", 0]
    max_request_size: int
    client: Mapping[str, object] = field(repr=False)


def stream(variables: Variables) -> Stream:
    """Where messages go, as the variables say it."""
    variables.choice("SS_TYPE", ("kafka",), "kafka")
    variables.choice("SS_VALUE_TYPE", ("byte_array",), "byte_array")
    if variables.flag("SS_USER_DATA_ONLY"):
        variables.complain("SS_USER_DATA_ONLY", "pictures without their time are not supported")
    brokers = tuple(filter(None, (broker.strip() for broker in variables.required("SS_BROKERS").split(","))))
    topic = variables.required("SS_TOPIC")
    if topic and not _TOPIC.fullmatch(topic):
        variables.complain("SS_TOPIC", f"{topic!r} is no topic: letters, digits, dots, hyphens, underscores")
    consistency = variables.choice("SS_CONSISTENCY", _CONSISTENCIES, "AT_LEAST_ONCE")
    size = variables.whole("SS_MAX_REQUEST_SIZE", MAX_REQUEST_SIZE, least=1024)
    return Stream(brokers, topic, 0 if consistency == "AT_MOST_ONCE" else "all", size, _client(variables))


def packing(variables: Variables) -> Packing:
    """What a picture becomes, as the variables say it."""
    message_format: Literal[2, 3] = 2 if variables.choice("SS_MESSAGE_FORMAT", ("2", "3"), "3") == "2" else 3
    seal = _seal(variables)
    if seal and message_format == 2:
        variables.complain("SS_DATA_ENCRYPTION", "encryption takes SS_MESSAGE_FORMAT=3")
    return Packing(message_format, _compress(variables), seal)


def _client(variables: Variables) -> dict[str, object]:
    """TLS and SASL by the names of SINETStream (`tls`), or, before those, of kafka-python."""
    tls = variables.flag("SS_TLS") or variables.has_any("SS_TLS__")
    protocol = variables.choice("SS_SECURITY_PROTOCOL", _PROTOCOLS, "SSL" if tls else "PLAINTEXT")
    options: dict[str, object] = {
        "security_protocol": protocol,
        "client_id": variables.text("SS_CLIENT_ID") or "fieldpipe-camera",
        "ssl_check_hostname": variables.flag("SS_SSL_CHECK_HOSTNAME", default=_checks_hostname(variables)),
        "ssl_cafile": variables.text("SS_SSL_CAFILE", "SS_TLS__CA_CERTS"),
        "ssl_certfile": variables.text("SS_SSL_CERTFILE", "SS_TLS__CERTFILE"),
        "ssl_keyfile": variables.text("SS_SSL_KEYFILE", "SS_TLS__KEYFILE"),
        "ssl_password": variables.text("SS_SSL_PASSWORD"),
        "ssl_ciphers": variables.text("SS_SSL_CIPHERS", "SS_TLS__CIPHERS"),
        "sasl_plain_username": variables.text("SS_SASL_PLAIN_USERNAME"),
        "sasl_plain_password": variables.text("SS_SASL_PLAIN_PASSWORD"),
    }
    mechanism = variables.text("SS_SASL_MECHANISM")
    if protocol.startswith("SASL_"):
        options["sasl_mechanism"] = variables.choice("SS_SASL_MECHANISM", _MECHANISMS, "PLAIN")
        for name in ("SS_SASL_PLAIN_USERNAME", "SS_SASL_PLAIN_PASSWORD"):
            variables.required(name)
    elif mechanism:
        variables.complain("SS_SASL_MECHANISM", "it takes SS_SECURITY_PROTOCOL=SASL_SSL or SASL_PLAINTEXT")
    if tls and not protocol.endswith("SSL"):
        variables.complain("SS_SECURITY_PROTOCOL", f"{protocol} is without TLS, and SS_TLS asks for it")
    for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile"):
        file = options[name]
        if file and not Path(str(file)).is_file():
            variables.complain(f"SS_{name.upper()}", f"there is no file {file}")
    return {name: value for name, value in options.items() if value is not None}


def _checks_hostname(variables: Variables) -> bool:
    return variables.flag("SS_TLS__CHECK_HOSTNAME", default=True)


def _compress(variables: Variables) -> Compress | None:
    algorithm = variables.choice("SS_COMPRESSION__ALGORITHM", ("gzip", "zstd"), "gzip")
    level = variables.whole("SS_COMPRESSION__LEVEL", 0)
    if not variables.flag("SS_DATA_COMPRESSION"):
        return None
    if level > (9 if algorithm == "gzip" else zstandard.MAX_COMPRESSION_LEVEL):
        variables.complain("SS_COMPRESSION__LEVEL", f"{algorithm} has no level {level}")
    if algorithm == "zstd":
        return zstandard.ZstdCompressor(level=level or 3).compress
    return lambda picture: zlib.compress(picture, level or zlib.Z_DEFAULT_COMPRESSION)  # what SINETStream calls gzip


def _seal(variables: Variables) -> Seal | None:
    """Encryption as it was asked for, or a complaint: never none instead of some."""
    if not variables.flag("SS_DATA_ENCRYPTION"):
        if variables.text("SS_DATA_ENCRYPTION") is None and variables.has_any("SS_CRYPTO__"):
            variables.complain("SS_DATA_ENCRYPTION", "there are SS_CRYPTO__ variables: say true, or false")
        return None
    variables.choice("SS_CRYPTO__ALGORITHM", ("AES",), "AES")
    variables.choice("SS_CRYPTO__PADDING", ("none", "NoPadding"), "none")
    for name, only in _DERIVATION.items():
        variables.choice(f"SS_CRYPTO__KEY_DERIVATION__{name}", (only,), only)
    variables.required("SS_CRYPTO__MODE")
    mode: Mode = "EAX" if variables.choice("SS_CRYPTO__MODE", ("GCM", "EAX"), "GCM") == "EAX" else "GCM"
    bits = variables.text("SS_CRYPTO__KEY_LENGTH")
    key, password = variables.text("SS_CRYPTO__KEY"), _password(variables)
    if (key is None) == (password is None):
        variables.complain("SS_CRYPTO__KEY", "either it or SS_CRYPTO__PASSWORD is needed, and not both")
    elif password is not None:
        if bits not in (None, str(PASSWORD_BITS)):
            variables.complain("SS_CRYPTO__KEY_LENGTH", f"of a password's key only {PASSWORD_BITS} is supported")
        return Sealer.with_password(password, mode)
    elif key is not None:
        return _keyed(variables, key, bits, mode)
    return None


def _password(variables: Variables) -> str | None:
    path = variables.text("SS_CRYPTO__PASSWORD__PATH")
    if path is None:
        return variables.text("SS_CRYPTO__PASSWORD", "SS_CRYPTO__PASSWORD__VALUE")
    try:
        return Path(path).read_text()
    except OSError as error:
        variables.complain("SS_CRYPTO__PASSWORD__PATH", str(error))
        return ""


def _keyed(variables: Variables, text: str, bits: str | None, mode: Mode) -> Seal | None:
    """With the newest of the keys, as SINETStream does."""
    try:
        keys = parse_keys(text, "SS_CRYPTO__KEY")
    except ConfigurationError as error:
        variables.complain(*str(error).split(": ", 1))
        return None
    version = max(keys)
    if bits not in (None, str(len(keys[version]) * 8)):
        variables.complain("SS_CRYPTO__KEY_LENGTH", f"{bits} is not the length of SS_CRYPTO__KEY")
    return Sealer(keys[version], version, mode)
