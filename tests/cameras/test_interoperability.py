"""SINETStream 1.10 itself reads what we write, and we read what it writes, through real brokers."""

import zlib
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import uuid4

import pytest
import zstandard
from kafka import KafkaConsumer, KafkaProducer
from kafka.structs import TopicPartition

from fieldpipe.cameras.message import Message, Position, Seal, Unseal, decode, encode, unpacked
from fieldpipe.cameras.sealing import Mode, Sealer, unsealer
from tests.kafka_servers import Kafka
from tests.sinetstream.original import Original, Parameters, Sent, original

JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 400 + b"\xff\xd9"
TEXT = "温度 21.5".encode()
TIMES = (1_700_000_000_123_456, 1_700_000_000_999_999)  # microseconds; they survive that SINETStream takes floats
KEYS = {1: b"an older version", 7: b"sixteen bytes ok"}
PASSWORD = "correct horse"


@dataclass(frozen=True)
class Form:
    """One way to write a message, in SINETStream's words and in ours."""

    parameters: Parameters
    payload: bytes = JPEG
    version: Literal[2, 3] = 3
    pack: Callable[[bytes], bytes] = bytes
    mode: Mode | None = None
    secret: dict[str, Any] = field(default_factory=dict)

    @property
    def theirs(self) -> Parameters:
        crypto = {"data_encryption": True, "crypto": {"algorithm": "AES", "mode": self.mode, **self.secret}}
        return self.parameters | {"message_format": self.version} | (crypto if self.mode else {})

    @property
    def seal(self) -> Seal | None:
        if self.mode is None:
            return None
        return Sealer.with_password(PASSWORD, self.mode) if "password" in self.secret else Sealer(KEYS[7], 7, self.mode)

    @property
    def key_version(self) -> int:
        if self.mode is None:
            return 0
        return 1 if "password" in self.secret else 7

    @property
    def unseal(self) -> Unseal | None:
        return unsealer({}, PASSWORD) if "password" in self.secret else unsealer(KEYS, None)


ZLIB, ZSTD = zlib.compress, zstandard.ZstdCompressor().compress
BY_ZLIB = {"data_compression": True, "compression": {"algorithm": "gzip"}}  # their word for zlib's format
BY_ZSTD = {"data_compression": True, "compression": {"algorithm": "zstd"}}
AS_TEXT = {"value_type": "text"}
BY_KEY = {"keys": {str(version): b64encode(key).decode() for version, key in KEYS.items()}}
BY_PASSWORD = {"password": PASSWORD}

FORMS = {
    "image": Form({}),
    "image in version 2": Form({}, version=2),
    "text": Form(AS_TEXT, TEXT),
    "text in version 2": Form(AS_TEXT, TEXT, version=2),
    "zlib": Form(BY_ZLIB, pack=ZLIB),
    "zlib in version 2": Form(BY_ZLIB, version=2, pack=ZLIB),
    "zstd": Form(BY_ZSTD, pack=ZSTD),
    "text by zstd in version 2": Form(BY_ZSTD | AS_TEXT, TEXT, version=2, pack=ZSTD),
    "GCM by key": Form({}, mode="GCM", secret=BY_KEY),
    "GCM by password": Form({}, mode="GCM", secret=BY_PASSWORD),
    "EAX by key": Form({}, mode="EAX", secret=BY_KEY),
    "EAX by password": Form({}, mode="EAX", secret=BY_PASSWORD),
    "text by zlib and GCM": Form(BY_ZLIB | AS_TEXT, TEXT, pack=ZLIB, mode="GCM", secret=BY_KEY),
}
TO_APACHE = ("image", "text by zlib and GCM")  # a broker does not look into a value: two ways in and out of it suffice


def forms(names: Iterable[str]) -> pytest.MarkDecorator:
    """Each of these forms by the embedded stack's broker, and some of them by Apache's too."""
    tansu, apache = [], []
    for name in names:
        tansu.append(pytest.param("tansu", FORMS[name], id=name))
        if name in TO_APACHE:
            apache.append(pytest.param("apache_kafka", FORMS[name], id=f"Apache: {name}", marks=pytest.mark.kafka))
    return pytest.mark.parametrize(("broker", "form"), tansu + apache, indirect=["broker"], scope="module")


@pytest.fixture(scope="module")
def broker(request: pytest.FixtureRequest) -> Kafka:
    """Each broker, for all its tests of this file."""
    running: Kafka = request.getfixturevalue(request.param)
    return running


@pytest.fixture(scope="module")
def theirs(broker: Kafka) -> Iterator[Original]:
    """SINETStream, connected to the broker."""
    with original(broker.address) as running:
        yield running


@pytest.fixture
def topic(broker: Kafka) -> str:
    """A topic of the test's own."""
    return broker.create_topic(f"camera-{uuid4().hex[:8]}")


def messages(form: Form) -> Sent:
    """What is sent: two messages that differ."""
    return [(form.payload, TIMES[0]), (form.payload + b"!", TIMES[1])]


def values(broker: Kafka, topic: str, count: int) -> list[bytes]:
    """The first values of a topic, as they lie there."""
    with closing(KafkaConsumer(bootstrap_servers=broker.address, auto_offset_reset="earliest")) as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        found: list[bytes] = []
        while len(found) < count:
            batch = [record.value for records in consumer.poll(timeout_ms=10_000).values() for record in records]
            assert batch, f"{len(found)} of {count} came"
            found += batch
    return found


@forms(FORMS)
def test_we_read_what_sinetstream_writes(form: Form, broker: Kafka, theirs: Original, topic: str) -> None:
    theirs.write(topic, messages(form), form.theirs)

    found = [
        decode(value, Position(topic, 0, offset), form.unseal) for offset, value in enumerate(values(broker, topic, 2))
    ]

    assert [(unpacked(message.payload), message.time) for message in found] == messages(form)


@forms(FORMS)
def test_sinetstream_reads_what_we_write(form: Form, broker: Kafka, theirs: Original, topic: str) -> None:
    with closing(KafkaProducer(bootstrap_servers=broker.address)) as producer:
        for payload, time in messages(form):
            value = encode(Message(time, form.pack(payload)), version=form.version, seal=form.seal)
            producer.send(topic, value, partition=0)
        producer.flush(timeout=20)

    assert theirs.read(topic, 2, form.theirs) == messages(form)


@forms(name for name, form in FORMS.items() if form.mode)
def test_who_has_no_key_hands_an_encrypted_message_on(form: Form, broker: Kafka, theirs: Original, topic: str) -> None:
    theirs.write(topic, messages(form), form.theirs)

    (value, _) = values(broker, topic, 2)

    assert decode(value, Position(topic, 0, 0)) == Message(0, value, sealed=form.key_version)
