"""Sends messages to Kafka and waits for its answers. The only file of the sensor that knows kafka-python."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Sequence
from contextlib import closing

from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError, RecordListTooLargeError
from kafka.producer.future import FutureRecordMetadata

from fieldpipe.cameras.capture.stream import Stream
from fieldpipe.errors import PermanentError, TransientError

CONNECT_SECONDS = 5
CLOSE_SECONDS = 1
REQUEST_SECONDS = 120  # for one request and its answer: 8 MB through 1 Mbit/s take 64
DELIVERY_SECONDS = 300  # within which the client itself tries again, without duplicates
BATCH_BYTES = 256 * 1024  # of frames in one request, if there are several: each costs the way there and back
UNHEARD_MS = 30_000  # what was sent and not even acknowledged by TCP: the connection is dead
LIMIT = "max.message.bytes"  # of a topic

_LOOK_SECONDS = 0.2
_SOCKET = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNHEARD_MS),
]

GiveUp = Callable[[], bool]


class FrameTooLarge(PermanentError):
    """The message names both sizes."""


class FrameRefused(FrameTooLarge):
    """By the broker: this one, or another that went with it.

    kafka-python's idempotent producer takes one refusal for the end (3.0.12): all that it has, and will be given, is
    refused with the same words. So it is made anew, and each frame is sent alone.
    """


class KafkaUnavailable(TransientError):
    """Kafka does not take messages now."""


class Publisher:
    """Of one thread. Connects when there is something to send, and anew after every failure."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._producer: KafkaProducer | None = None
        self._limit: int | None = None
        for_people = logging.getLogger().isEnabledFor(
            logging.DEBUG
        )  # it has lines for every attempt, we have one a minute
        logging.getLogger("kafka").setLevel(logging.WARNING if for_people else logging.CRITICAL)

    def publish(self, messages: Sequence[bytes], give_up: GiveUp) -> list[FrameTooLarge | KafkaUnavailable | None]:
        """Send all of them; returns when what became of each is known. None: Kafka has it.

        When `give_up` says that there is no time left, nothing is waited for.
        """
        outcomes = self._published(messages, give_up)
        if len(messages) > 1:
            for index, outcome in enumerate(outcomes):
                if isinstance(outcome, FrameRefused):
                    outcomes[index] = self._published([messages[index]], give_up)[0]
        return outcomes

    def close(self) -> None:
        """Drop the connection and what was not sent yet."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            producer.close(timeout=0)
        except KafkaTimeoutError:  # kafka-python 3.0.12 raises where it means to drop what is on its way
            producer._sender.force_close()
            producer.close(timeout=CLOSE_SECONDS)

    def _published(self, messages: Sequence[bytes], give_up: GiveUp) -> list[FrameTooLarge | KafkaUnavailable | None]:
        try:
            producer = self._connected()
        except KafkaUnavailable as error:
            return [error] * len(messages)
        sent: list[FutureRecordMetadata | FrameTooLarge | KafkaUnavailable] = []
        for message in messages:
            sent.append(self._send(producer, message))
            if isinstance(sent[-1], KafkaUnavailable):  # it took seconds, and would take as many for each of the others
                sent += [sent[-1]] * (len(messages) - len(sent))
                break
        outcomes = [self._outcome(each, message, give_up) for each, message in zip(sent, messages, strict=True)]
        if any(isinstance(outcome, FrameRefused | KafkaUnavailable) for outcome in outcomes):
            self.close()
        return outcomes

    def _connected(self) -> KafkaProducer:
        if self._producer is None:
            stream = self._stream
            try:
                self._producer = KafkaProducer(
                    bootstrap_servers=list(stream.brokers),
                    acks=stream.acks,
                    enable_idempotence=stream.acks == "all",
                    max_request_size=stream.max_request_size,
                    bootstrap_timeout_ms=CONNECT_SECONDS * 1000,
                    max_block_ms=CONNECT_SECONDS * 1000,
                    request_timeout_ms=REQUEST_SECONDS * 1000,
                    delivery_timeout_ms=DELIVERY_SECONDS * 1000,
                    batch_size=min(BATCH_BYTES, stream.max_request_size),
                    socket_options=_SOCKET,
                    reconnect_backoff_max_ms=CONNECT_SECONDS * 1000,
                    **stream.client,
                )
            except (KafkaError, OSError) as error:
                hint = "LOG_LEVEL=DEBUG says more"  # of a wrong password: the error does not name it
                raise KafkaUnavailable(f"{','.join(stream.brokers)}: {_text(error)} ({hint})") from error
        return self._producer

    def _send(self, producer: KafkaProducer, message: bytes) -> FutureRecordMetadata | FrameTooLarge | KafkaUnavailable:
        topic = self._stream.topic
        try:
            return producer.send(topic, message)
        except MessageSizeTooLargeError:
            limit = f"SS_MAX_REQUEST_SIZE is {self._stream.max_request_size}"
            return FrameTooLarge(f"a message of {len(message)} bytes, {limit}")
        except KafkaTimeoutError:
            return KafkaUnavailable(f"no broker names topic {topic}: is it there, and may we see it?")
        except KafkaError as error:
            return KafkaUnavailable(f"topic {topic}: {_text(error)}")

    def _outcome(
        self, sent: FutureRecordMetadata | FrameTooLarge | KafkaUnavailable, message: bytes, give_up: GiveUp
    ) -> FrameTooLarge | KafkaUnavailable | None:
        if isinstance(sent, FrameTooLarge | KafkaUnavailable):
            return sent
        error = self._failure(sent, give_up)
        if isinstance(error, MessageSizeTooLargeError | RecordListTooLargeError):
            return FrameRefused(f"a message of {len(message)} bytes, {self._limit_of_broker()}")
        return KafkaUnavailable(f"topic {self._stream.topic}: {_text(error)}") if error else None

    def _failure(self, sent: FutureRecordMetadata, give_up: GiveUp) -> KafkaError | None:
        while not sent.is_done:
            if give_up():
                return KafkaTimeoutError("no answer before the end")
            try:
                sent.get(timeout=_LOOK_SECONDS)
            except KafkaError:
                continue  # of the waiting, or of the sending: then it is done
        return sent.exception

    def _limit_of_broker(self) -> str:
        if self._limit is None:
            self._limit = self._asked_limit()
        return f"{LIMIT} of topic {self._stream.topic} is {self._limit or 'smaller (and may not be asked for)'}"

    def _asked_limit(self) -> int | None:
        topic = self._stream.topic
        asked = [ConfigResource(ConfigResourceType.TOPIC, topic)]
        options = {name: it for name, it in self._stream.client.items() if name in KafkaAdminClient.DEFAULT_CONFIG}
        try:
            with closing(KafkaAdminClient(bootstrap_servers=list(self._stream.brokers), **options)) as admin:
                found = admin.describe_configs(asked, config_filter="all")
            return int(found["topic"][topic][LIMIT]["value"])
        except (KafkaError, OSError, LookupError):
            return None  # it is for the message only


def _text(error: BaseException) -> str:
    return str(error) or type(error).__name__
