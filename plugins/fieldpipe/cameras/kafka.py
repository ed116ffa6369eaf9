"""Kafka, as the backup reads it: the only file of the backup that knows kafka-python.

A partition is read from an offset to the end that it has when reading begins, committed records only. Groups do not
decide anything: what is committed to ours is for people who watch how far the backup is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import partial
from threading import Thread
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import (
    AuthorizationError,
    CorruptRecordError,
    KafkaError,
    KafkaTimeoutError,
    OffsetOutOfRangeError,
    SaslAuthenticationFailedError,
    UnsupportedCodecError,
)
from kafka.structs import OffsetAndMetadata

from fieldpipe import logs
from fieldpipe.cameras.message import Record
from fieldpipe.errors import ConfigurationError, PermanentError, TransientError
from fieldpipe.settings import KafkaSettings

GROUP = "fieldpipe-camera-backup"
FETCH_BYTES = 4 * 1024 * 1024  # asked for at once; one larger record comes nevertheless
MAX_RECORDS = 64  # of one chunk
WAIT_MS = 100  # how long the broker waits for records before it says that there are none
STALL_SECONDS = 30.0  # without an answer

_NO_TOPIC_ID = ("", "00000000-0000-0000-0000-000000000000")
_WRONG = (AuthorizationError, SaslAuthenticationFailedError)
_DAMAGED = (CorruptRecordError, UnsupportedCodecError)

R = TypeVar("R")

log = logs.get(__name__)


class KafkaUnavailable(TransientError):
    """The broker did not answer, or is not ready."""


class OffsetsGone(TransientError):
    """The offsets that are to be read next are no longer there."""


class Chunk(NamedTuple):
    """Records in order, and where reading goes on: offsets before `reached` that are not here hold no record."""

    records: list[Record]
    reached: int


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as the broker describes it."""

    name: str
    id: str
    partitions: tuple[int, ...]


class Kafka(AbstractContextManager["Kafka"]):
    """A connection for one thread. Close it, or use it as a context."""

    def __init__(self, settings: KafkaSettings) -> None:
        """Connect. Raises KafkaUnavailable, ConfigurationError."""
        if not settings.brokers:
            raise ConfigurationError("KAFKA_BROKERS: there are no cameras without a broker, such as kafka:9092")
        common = _connection(settings)
        broker = f"Kafka at {settings.brokers}"
        self._admin: KafkaAdminClient = _translated(broker, lambda: _in_time(lambda: KafkaAdminClient(**common)))
        self._consumer: KafkaConsumer = _translated(
            broker,
            lambda: KafkaConsumer(
                **common,
                group_id=GROUP,
                enable_auto_commit=False,
                auto_offset_reset="none",
                isolation_level="read_committed",
                allow_auto_create_topics=False,
                fetch_max_wait_ms=WAIT_MS,
                max_partition_fetch_bytes=FETCH_BYTES,
                fetch_max_bytes=FETCH_BYTES,
                metrics_enabled=False,
            ),
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(KafkaError):  # everything that matters is done
            self._consumer.close(timeout_ms=1000)
            self._admin.close()

    def topic(self, name: str) -> Topic:
        """Raises KafkaUnavailable, also for a topic that does not exist yet."""
        found = _translated(f"topic {name}", lambda: self._admin.describe_topics([name]))[0]
        if found["error_code"] or not found["partitions"]:
            raise KafkaUnavailable(f"topic {name}: there is none yet; its first frame makes it, or mend CAMERA_TOPICS")
        if str(found["topic_id"]) in _NO_TOPIC_ID:
            raise PermanentError(f"topic {name} has no id: the backup takes Kafka 2.8 or newer")
        partitions = sorted(each["partition_index"] for each in found["partitions"])
        return Topic(name, str(found["topic_id"]), tuple(partitions))

    def earliest(self, topic: str, partition: int) -> int:
        """The first offset that is still there, or the next one that will be."""
        place = TopicPartition(topic, partition)
        return int(_translated(f"{topic}/{partition}", lambda: self._consumer.beginning_offsets([place]))[place])

    def read(self, topic: str, partition: int, start: int) -> Iterator[Chunk]:
        """Everything from `start` to the end that the partition has now; nothing that comes while reading.

        Ends early where a transaction is still open. Raises KafkaUnavailable, OffsetsGone, PermanentError.
        """
        place = TopicPartition(topic, partition)
        what = f"topic {topic}, partition {partition}"
        self._consumer.assign([place])
        self._consumer.seek(place, start)
        position, end, heard = start, None, time.monotonic()
        while end is None or position < end:
            chunk = _translated(what, partial(self._poll, place, position))
            end = self._consumer.highwater(place) if end is None else end
            if chunk.reached > position:
                position, heard = chunk.reached, time.monotonic()
                yield chunk
            elif time.monotonic() - heard > STALL_SECONDS / 10 and self._open_transaction(place, position):
                log.warning("transaction_open", topic=topic, partition=partition, offset=position)
                return
            elif time.monotonic() - heard > STALL_SECONDS:
                raise KafkaUnavailable(f"{what}: nothing came for {STALL_SECONDS:.0f} s at offset {position}")

    def commit(self, topic: str, partition: int, reached: int) -> None:
        """Tell the group how far the backup is. It only helps people: an error is a line in the log."""
        offsets = {TopicPartition(topic, partition): OffsetAndMetadata(reached, "", -1)}
        try:
            self._consumer.commit(offsets, timeout_ms=5000)
        except (KafkaError, OSError) as error:
            log.warning("commit_failed", topic=topic, partition=partition, reason=str(error))

    def _poll(self, place: TopicPartition, position: int) -> Chunk:
        try:
            found = self._consumer.poll(timeout_ms=WAIT_MS, max_records=MAX_RECORDS).get(place, ())
        except OffsetOutOfRangeError as error:
            what = f"topic {place.topic}, partition {place.partition}"
            if self.earliest(place.topic, place.partition) > position:
                raise OffsetsGone(f"{what}: offset {position} was deleted; the next run records the gap") from error
            raise PermanentError(
                f"{what}: Kafka's log ends before offset {position}, up to which it is backed up: the broker lost "
                "records. New ones would be taken for those; let the cameras send to a new topic"
            ) from error
        return Chunk(
            [Record(each.offset, each.timestamp, each.value, each.key) for each in found], self._reached(place)
        )

    def _reached(self, place: TopicPartition) -> int:
        return int(self._consumer.position(place))

    def _open_transaction(self, place: TopicPartition, position: int) -> bool:
        """Whether all committed records were read. `end_offsets` knows that only for committed reads."""
        end = _translated(str(place), lambda: self._consumer.end_offsets([place]))[place]
        return int(end) <= position


def _connection(settings: KafkaSettings) -> dict[str, Any]:
    sasl: Mapping[str, Any] = {}
    if settings.security_protocol.startswith("SASL"):
        if settings.sasl_username is None or settings.sasl_password is None:
            raise ConfigurationError("KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD: the security protocol needs both")
        sasl = {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": settings.sasl_password.get_secret_value(),
        }
    return {
        "bootstrap_servers": [broker.strip() for broker in settings.brokers.split(",") if broker.strip()],
        "security_protocol": settings.security_protocol,
        "ssl_cafile": str(settings.ssl_cafile) if settings.ssl_cafile else None,
        "client_id": GROUP,
        "bootstrap_timeout_ms": int(STALL_SECONDS * 1000),
        **sasl,
    }


def _in_time(call: Callable[[], R]) -> R:
    """kafka-python 3.0.12 waits for ever where TLS is spoken to a broker without it. May go when it does not."""
    answer: Future[R] = Future()

    def run() -> None:
        try:
            answer.set_result(call())
        except Exception as error:  # noqa: BLE001 -- raised where the answer is taken
            answer.set_exception(error)

    Thread(target=run, daemon=True).start()
    try:
        return answer.result(2 * STALL_SECONDS)
    except TimeoutError as error:
        raise KafkaTimeoutError("no answer; does the broker speak KAFKA_SECURITY_PROTOCOL?") from error


def _translated(what: str, call: Callable[[], R]) -> R:
    try:
        return call()
    except _WRONG as error:
        raise ConfigurationError(f"{what}: Kafka does not let us: {error}") from error
    except _DAMAGED as error:
        raise PermanentError(f"{what}: a record cannot be read: {error}") from error
    except (KafkaError, OSError) as error:
        raise KafkaUnavailable(f"{what}: {error}") from error
