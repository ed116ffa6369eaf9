"""Readings from an MQTT server that a site has: we subscribe, at QoS 1. The only file that knows paho.

A message is acknowledged when it is on disk, and not before: whatever dies, the server keeps it in our session and
sends it again, so that a message may come twice, but is not lost. While there is no room nothing is acknowledged. What
was published at QoS 0 nobody repeats.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from fieldpipe import logs
from fieldpipe.broker.entrances.entrance import Take
from fieldpipe.broker.entrances.mqttsettings import MqttSettings
from fieldpipe.broker.reading import BadReading, Reading, accept
from fieldpipe.errors import ConfigurationError, PermanentError

QOS = 1
AT_ONCE = 100  # messages that are stored together
WAITING = (
    1000  # messages that wait to be stored: more of QoS 0 are dropped; of QoS 1 the server sends so many at a time
)
GRACE_SECONDS = 5.0  # for what is being stored when it ends
PAUSES = (0.1, 5.0)  # seconds: first and longest, while there is no room
RECONNECT_SECONDS = (1, 30)  # first and longest

log = logs.get(__name__)


GROUPS = (MqttSettings,)


class _Arrival(NamedTuple):
    """A message that is to be acknowledged on the connection that it came by: on another its number is another's."""

    reading: Reading
    number: int
    qos: int
    connection: int


class MqttEntrance:
    """paho has a thread of its own, which puts what arrives into a queue; a task stores it, and acknowledges."""

    def __init__(self, take: Take, settings: MqttSettings) -> None:
        self._take = take
        self._settings = settings
        self._client = _client(settings)
        self._client.on_connect = self._connected
        self._client.on_connect_fail = self._not_connected
        self._client.on_disconnect = self._disconnected
        self._client.on_subscribe = self._subscribed
        self._client.on_message = self._arrived
        self._lock = threading.Lock()
        self._connection = self._waiting = 0
        self._away = self._full = self._subscription = False
        self.dropped = 0  # messages of QoS 0

    async def start(self) -> None:
        """Connect, and go on trying: a server that is not there yet is no mistake."""
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[_Arrival | None] = asyncio.Queue()
        self._work = asyncio.create_task(self._store_all())
        self._client.connect_async(self._settings.host, self._settings.real_port)
        self._client.loop_start()
        log.info("mqtt_entrance", host=self._settings.host, topics=self._settings.topics)

    async def stop(self) -> None:
        """Store and acknowledge what arrived, for GRACE_SECONDS; the server keeps the rest."""
        self._queue.put_nowait(None)
        await asyncio.wait([self._work], timeout=GRACE_SECONDS)
        self._work.cancel()
        await asyncio.wait([self._work])
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    def is_subscribed(self) -> bool:
        """Whether the server sends us what is published."""
        return self._subscription

    def _connected(
        self, client: Client, _: Any, flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            log.error("mqtt_refused", host=self._settings.host, reason=str(reason))
            return
        self._away = False
        log.info("mqtt_connected", host=self._settings.host, session_present=flags.session_present)
        client.subscribe([(topic, QOS) for topic in self._settings.topics])

    def _not_connected(self, _client: Client, _: Any) -> None:
        if not self._away:
            log.warning("mqtt_away", host=self._settings.host)
        self._away = True

    def _disconnected(
        self, _client: Client, _: Any, _flags: DisconnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        with self._lock:
            self._connection += 1
        self._subscription = False
        if reason.is_failure:
            log.warning("mqtt_disconnected", host=self._settings.host, reason=str(reason))

    def _subscribed(
        self, _client: Client, _: Any, _number: int, reasons: Sequence[ReasonCode], _properties: Properties | None
    ) -> None:
        for topic, reason in zip(self._settings.topics, reasons, strict=True):
            if reason.is_failure:
                log.error("mqtt_topic_refused", topic=topic, reason=str(reason))
        self._subscription = True

    def _arrived(self, client: Client, _: Any, message: MQTTMessage) -> None:
        if len(message.payload) > self._settings.max_bytes:
            log.error("mqtt_too_large", topic=message.topic, size=len(message.payload), limit=self._settings.max_bytes)
            client.ack(message.mid, message.qos)  # else it would come again and again
            return
        if message.qos == 0 and self._waiting >= WAITING:
            self.dropped += 1
            if self.dropped % WAITING == 1:
                log.error("mqtt_dropped", messages=self.dropped, why="there is no room, and QoS 0 does not wait")
            return
        arrival = _Arrival(_reading(message), message.mid, message.qos, self._connection)
        with self._lock:
            self._waiting += 1
        self._loop.call_soon_threadsafe(self._queue.put_nowait, arrival)

    async def _store_all(self) -> None:
        while True:
            batch = [await self._queue.get()]
            while not self._queue.empty() and len(batch) < AT_ONCE:
                batch.append(self._queue.get_nowait())
            arrivals = [arrival for arrival in batch if arrival is not None]
            await self._store(arrivals)
            for arrival in arrivals:  # in the order they came, as MQTT demands
                self._acknowledge(arrival)
            if len(arrivals) < len(batch):
                return

    async def _store(self, arrivals: Sequence[_Arrival]) -> None:
        """Until all are on disk, however long that takes."""
        waiting = [arrival.reading for arrival in arrivals]
        pause = PAUSES[0]
        while True:
            outcomes = await asyncio.gather(*map(self._take, waiting), return_exceptions=True)
            failed = [(r, o) for r, o in zip(waiting, outcomes, strict=True) if isinstance(o, BaseException)]
            for reading, error in failed:
                if isinstance(error, PermanentError):
                    log.error("mqtt_message_refused", reading=reading.id, reason=str(error))
            failed = [(reading, error) for reading, error in failed if not isinstance(error, PermanentError)]
            self._tell(failed[0][1] if failed else None)
            waiting = [reading for reading, _ in failed]
            if not waiting:
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, PAUSES[1])

    def _tell(self, error: BaseException | None) -> None:
        if error and not self._full:
            log.warning("mqtt_waits", reason=f"{type(error).__name__}: {error}", what="messages are not acknowledged")
        elif self._full and not error:
            log.info("mqtt_goes_on")
        self._full = error is not None

    def _acknowledge(self, arrival: _Arrival) -> None:
        with self._lock:  # nobody reconnects meanwhile
            self._waiting -= 1
            if arrival.qos and arrival.connection == self._connection:
                self._client.ack(arrival.number, arrival.qos)


def _client(settings: MqttSettings) -> Client:
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=settings.client_id,
        clean_session=False,
        protocol=MQTTProtocolVersion.MQTTv311,
        manual_ack=True,
    )
    client.suppress_exceptions = True  # of our callbacks: they would end its thread
    client.on_log = _tell_of_bugs
    client.reconnect_delay_set(*RECONNECT_SECONDS)
    if settings.user:
        client.username_pw_set(settings.user, settings.password.get_secret_value() if settings.password else None)
    if settings.tls:
        files = [None if path is None else str(path) for path in (settings.ca, settings.cert, settings.key)]
        try:
            client.tls_set(files[0], files[1], files[2])
        except OSError as error:
            raise ConfigurationError(f"KRKNC_MQTT_CA, _CERT, _KEY: {error}") from error
    return client


def _tell_of_bugs(_client: Client, _: Any, _level: int, text: str) -> None:
    if text.startswith("Caught exception"):
        log.error("mqtt_bug", reason=text)


def _reading(message: MQTTMessage) -> Reading:
    """The payload untouched; the content type is what it looks like, as MQTT 3 does not say."""
    metadata = json.dumps({"topic": message.topic, "qos": message.qos, "retain": message.retain})
    reading = accept("mqtt", "application/json", metadata, bytes(message.payload))
    try:
        reading.json()
    except BadReading:
        return replace(reading, content_type=_other_type(reading.payload))
    return reading


def _other_type(payload: bytes) -> str:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return "application/octet-stream"
    return "text/plain"


def open_entrance(take: Take, settings: MqttSettings) -> MqttEntrance:
    """As the registry wants it. Raises ConfigurationError when a file of TLS is not what it should be."""
    return MqttEntrance(take, settings)
