"""Readings as messages to a WebSocket server, over one connection that is kept open.

The server does not say what it has taken. A reading counts as delivered when a ping that was sent behind it is
answered: then the server's WebSocket has read the message; whether its program has seen it, nobody knows. Where the
connection ends before that, the message is sent again.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from threading import Event
from typing import Literal

from pydantic import SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from websockets.exceptions import ConnectionClosed, InvalidStatus, InvalidURI, WebSocketException
from websockets.frames import CloseCode
from websockets.protocol import State
from websockets.sync.client import ClientConnection, connect
from websockets.uri import parse_uri

from fieldpipe.broker.reading import Reading
from fieldpipe.broker.sinks.envelope import envelope
from fieldpipe.broker.sinks.retryafter import retry_after
from fieldpipe.broker.sinks.sink import SinkRefused, SinkUnavailable

REFUSED = {CloseCode.UNSUPPORTED_DATA, CloseCode.INVALID_DATA, CloseCode.MESSAGE_TOO_BIG}  # of this one message
OPEN_SECONDS = 10.0
CLOSE_SECONDS = 1.0

_POLL = 0.05  # seconds between two looks at what the server sends us, while it does not answer
_DROPPED = 1000  # messages of the server at each look

# The client logs the URL and what is sent, at the level DEBUG.
_quiet = logging.getLogger(f"{__name__}.client")
_quiet.setLevel(logging.WARNING)


class WebsocketSettings(BaseSettings):
    """The server, and what it is sent: the payload alone, or everything as JSON (see envelope.py)."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="KRAKENB_WEBSOCKET_", env_ignore_empty=True)

    url: SecretStr
    message: Literal["payload", "reading"] = "payload"

    @field_validator("url")
    @classmethod
    def _is_url(cls, url: SecretStr) -> SecretStr:
        try:
            parse_uri(url.get_secret_value())
        except InvalidURI:
            raise ValueError("not a URL such as ws://example.org:8080/readings") from None
        return url


class WebsocketSink:
    """One message per reading."""

    name = "websocket"
    at_once = 1
    settle_seconds = 0.0

    def __init__(self, settings: WebsocketSettings, seconds: float = 30) -> None:
        """`seconds` are the longest wait for anything from the server."""
        self._settings = settings
        self._seconds = seconds
        self._connection: ClientConnection | None = None

    def deliver(self, readings: Sequence[Reading]) -> None:
        """Raises SinkRefused, SinkUnavailable."""
        for reading in readings:
            self._send(message(reading, self._settings.message))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _send(self, words: str | bytes) -> None:
        connection = self._open()
        try:
            connection.send(words)
            self._await(connection, connection.ping(ack_on_close=True))
        except ConnectionClosed as error:
            self._connection = None
            code = error.rcvd.code if error.rcvd else None
            if code in REFUSED:
                raise SinkRefused(f"the WebSocket server closed with {error}") from error
            raise SinkUnavailable(f"the WebSocket connection ended before an answer: {error}") from error

    def _open(self) -> ClientConnection:
        """The connection; another one if the server has ended the last while nothing was sent."""
        if self._connection is not None:
            try:
                _drop(self._connection)
            except ConnectionClosed:
                self._connection = None
            else:
                return self._connection
        try:
            self._connection = connect(
                self._settings.url.get_secret_value(),
                compression=None,
                open_timeout=min(OPEN_SECONDS, self._seconds),
                close_timeout=min(CLOSE_SECONDS, self._seconds),
                logger=_quiet,
                legacy=True,
            )
            # A server that reads no more would hold us in `send` for ever.
            limit = round(1000 * self._seconds)
            self._connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limit)
        except InvalidStatus as error:
            said = f"KRAKENB_WEBSOCKET_URL answered {error.response.status_code} instead of opening a WebSocket"
            raise SinkUnavailable(said, retry_after(dict(error.response.headers.raw_items()))) from error
        except (OSError, WebSocketException) as error:
            raise SinkUnavailable(f"no WebSocket: {type(error).__name__}: {error}") from error
        return self._connection

    def _await(self, connection: ClientConnection, answered: Event) -> None:
        deadline = time.monotonic() + self._seconds
        while not answered.wait(_POLL):
            _drop(connection)
            if time.monotonic() > deadline:
                self.close()
                raise SinkUnavailable(f"the WebSocket server answered no ping in {self._seconds:g} s")
        if connection.state is not State.OPEN:
            _drop(connection)


def message(reading: Reading, form: Literal["payload", "reading"]) -> str | bytes:
    """What is sent of a reading: text where it is UTF-8, else bytes."""
    if form == "reading":
        return envelope(reading).text.decode()
    try:
        return reading.payload.decode()
    except UnicodeDecodeError:
        return reading.payload


def _drop(connection: ClientConnection) -> None:
    """Forget what the server has sent us, which would hold up the answers to our pings. Raises ConnectionClosed."""
    with suppress(TimeoutError):
        for _ in range(_DROPPED):
            connection.recv(timeout=0, decode=False)


GROUPS = (WebsocketSettings,)


def open_sink(settings: WebsocketSettings) -> WebsocketSink:
    """Nothing is sent yet."""
    return WebsocketSink(settings)
