"""What must be so before a sink is registered: the worker, its plug-ins, the bucket, the topics and their messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from fieldpipe.cameras.connect import ACCESS_KEY, PLUGINS, SINK, Sink, is_reference
from fieldpipe.cameras.connect_rest import Connect
from fieldpipe.cameras.connect_sinks import ForeignConnector, existing_configuration
from fieldpipe.cameras.kafka import Kafka, KafkaUnavailable
from fieldpipe.cameras.message import BadMessage, Position, Record, decode
from fieldpipe.errors import PermanentError
from fieldpipe.settings import KafkaSettings
from fieldpipe.store import ObjectStore

Verdict = Literal["ok", "unknown", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, as a line for people."""

    verdict: Verdict
    text: str


def check(
    connect: Connect, sinks: Sequence[Sink], store: ObjectStore | None, kafka: KafkaSettings
) -> Iterator[Finding]:
    """Look at everything; `store` is None where the sinks' store is not ours. Raises TransientError, PermanentError."""
    yield Finding("ok", f"Kafka Connect {connect.version()} answers at {connect.url}")
    installed = connect.plugins()
    yield from _plugins(installed, sinks)
    for sink in sinks:
        if SINK in installed:
            yield from _validated(connect, sink)
        yield _place(connect, sink)
    yield _bucket(store, sinks[0].bucket)
    if kafka.brokers:
        with Kafka(kafka) as broker:
            for topic in sinks[0].topics:
                yield _topic(broker, topic, tolerant=bool(sinks[0].dead_letter_topic))
    else:
        yield Finding("unknown", "topics: nobody looked whether they exist and are not encrypted; set KAFKA_BROKERS")


def _plugins(installed: dict[str, str], sinks: Sequence[Sink]) -> Iterator[Finding]:
    for plugin in dict.fromkeys(name for sink in sinks for name in PLUGINS[sink.kind]):
        short = plugin.rpartition(".")[2].partition("$")[0]
        if plugin in installed:
            yield Finding("ok", f"plug-in {short} {installed[plugin]}".rstrip())
        else:
            yield Finding("wrong", f"plug-in {short} is not installed: the worker's plugin.path lacks {plugin}")


def _validated(connect: Connect, sink: Sink) -> Iterator[Finding]:
    try:
        found = connect.validate(sink.name, sink.configuration())
    except PermanentError as refused:
        yield Finding("wrong", str(refused))
        return
    for name, error in sorted(found.errors.items()):
        yield Finding("wrong", f"{sink.name}: {name}: {error}")
    if found.values.get(ACCESS_KEY) == sink.access_key and is_reference(sink.access_key):
        yield Finding(
            "wrong", f"{sink.name}: the worker cannot look up {sink.access_key}: {_provider(sink.access_key)}"
        )
    if not is_reference(sink.secret_key):
        yield Finding("unknown", f"{sink.name}: the secret key is plain text: whoever may ask the worker can read it")


def _provider(reference: str) -> str:
    name = reference.removeprefix("${").partition(":")[0]
    return f"no such key, or its properties lack config.providers={name} and config.providers.{name}.class=..."


def _place(connect: Connect, sink: Sink) -> Finding:
    try:
        existing = existing_configuration(connect, sink)
    except ForeignConnector as foreign:
        return Finding("wrong", str(foreign))
    return Finding("ok", f"connector {sink.name} {'is free to be made' if existing is None else 'is there already'}")


def _bucket(store: ObjectStore | None, bucket: str) -> Finding:
    if store is None:
        return Finding("unknown", f"bucket {bucket}: nobody looked whether it exists; its store is not MINIO_ENDPOINT")
    if store.bucket_exists(bucket):
        return Finding("ok", f"bucket {bucket} exists")
    return Finding("wrong", f"bucket {bucket} does not exist: create it, the sinks do not")


def _topic(broker: Kafka, topic: str, *, tolerant: bool) -> Finding:
    try:
        partitions = broker.topic(topic).partitions
    except KafkaUnavailable as missing:
        return Finding("wrong", str(missing))
    for partition in partitions:
        chunks = broker.read(topic, partition, broker.earliest(topic, partition))
        if sample := next((record for chunk in chunks for record in chunk.records), None):
            return _sampled(sample, Position(topic, partition, sample.offset), tolerant=tolerant)
    return Finding("unknown", f"topic {topic} exists and is empty: encrypted messages would stop the sinks")


def _sampled(record: Record, position: Position, *, tolerant: bool) -> Finding:
    """One record for all: it says whether they are encrypted, not whether all are good."""
    try:
        sealed = decode(record.value or b"", position).sealed
    except BadMessage as bad:
        consequence = "goes to the dead letter topic" if tolerant else "stops the sinks: see --dead-letter-topic"
        return Finding("unknown" if tolerant else "wrong", f"{bad}: it {consequence}")
    if sealed:
        return Finding("wrong", f"{position} is encrypted: SINETStream's converter cannot read it; camera_backup can")
    return Finding("ok", f"topic {position.topic} exists and is not encrypted")
