"""The gRPC side: both generations of the protocol and the health service on one port. The only file that knows gRPC.

A reading is acknowledged when it is on disk. What went wrong is the sender's (INVALID_ARGUMENT, UNAUTHENTICATED), too
much at once (RESOURCE_EXHAUSTED), ours for the moment (UNAVAILABLE), or a handler's (DEADLINE_EXCEEDED).
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, Protocol, TypeAlias

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import OVERALL_HEALTH
from grpc_health.v1.health import aio as health

from fieldpipe import logs
from fieldpipe.broker.handlers.lane import Counts
from fieldpipe.broker.intake import Intake
from fieldpipe.broker.protocol import FAILED, PROCESS, SEND, STORED, read_process, read_send, write_reply, write_status
from fieldpipe.broker.reading import BadReading, Reading, Reply
from fieldpipe.broker.settings import BrokerSettings
from fieldpipe.broker.spool import SpoolFull, SpoolUnavailable
from fieldpipe.errors import ConfigurationError, TransientError

AT_ONCE = 1000  # calls; more are refused, RESOURCE_EXHAUSTED
GRACE_SECONDS = 5.0  # for calls that are under way when it ends

log = logs.get(__name__)

Call: TypeAlias = "grpc.aio.ServicerContext"


class Handlers(Protocol):
    """Who may answer a reading, and react to it."""

    async def ask(self, reading: Reading) -> Reply | None:
        """Their answer. Raises TransientError when none came in time."""

    def counts(self) -> Mapping[str, Counts]:
        """What they did since the start, by name."""


class Service:
    """What the two calls do."""

    def __init__(
        self,
        intake: Intake,
        handlers: Handlers,
        token: str | None = None,
        answered: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._intake = intake
        self._handlers = handlers
        self._credentials = f"Bearer {token}".encode() if token else None
        self._answered = answered
        self._asking: set[asyncio.Task[Any]] = set()  # asyncio itself holds no reference

    async def send(self, data: bytes, call: Call) -> bytes:
        """Generation 1: acknowledged when it is stored; handlers are asked afterwards, nobody hears their answer."""
        try:
            await self._stored(read_send, data, call, self.take)
        except SpoolUnavailable as error:
            log.warning("reading_not_stored", reason=str(error))
            self._answered("FAILED")
            return write_status(FAILED)
        self._answered("OK")
        return write_status(STORED)

    async def process(self, data: bytes, call: Call) -> bytes:
        """Generation 2: acknowledged, with the answer of the handlers, when it is stored."""
        try:
            reading = await self._stored(read_process, data, call, self._intake.take)
        except SpoolUnavailable as error:
            log.warning("reading_not_stored", reason=str(error))
            await self._refuse(call, grpc.StatusCode.UNAVAILABLE, str(error))
        try:
            reply = await self._handlers.ask(reading)
        except TransientError as error:  # it is stored, and goes to its sinks
            await self._refuse(call, grpc.StatusCode.DEADLINE_EXCEEDED, str(error))
        self._answered("OK")
        return write_reply(reading, reply)

    async def take(self, reading: Reading) -> Reading:
        """For ways in that pass no answer on: handlers are asked afterwards. Raises SpoolFull, SpoolUnavailable."""
        stored = await self._intake.take(reading)
        task = asyncio.create_task(self._ask_quietly(stored))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        return stored

    async def _stored(
        self,
        read: Callable[[bytes], Reading],
        data: bytes,
        call: Call,
        take: Callable[[Reading], Awaitable[Reading]],
    ) -> Reading:
        if self._credentials and not _is_shown(self._credentials, call):
            await self._refuse(call, grpc.StatusCode.UNAUTHENTICATED, "send `authorization: Bearer <KRAKENB_TOKEN>`")
        try:
            return await take(read(data))
        except BadReading as error:
            await self._refuse(call, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except SpoolFull as error:
            await self._refuse(call, grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))

    async def _refuse(self, call: Call, code: grpc.StatusCode, reason: str) -> NoReturn:
        self._answered(code.name)
        await call.abort(code, reason)
        raise AssertionError("abort raises")

    async def _ask_quietly(self, reading: Reading) -> None:
        try:
            await self._handlers.ask(reading)
        except TransientError as error:
            log.warning("handlers_too_slow", reading=reading.id, reason=str(error))


class Listener(NamedTuple):
    """A server that listens, not yet serving."""

    server: grpc.aio.Server
    address: str
    health: health.HealthServicer


def listen(service: Service, settings: BrokerSettings) -> Listener:
    """Raises ConfigurationError when the address or the certificates are not what they should be."""
    server = grpc.aio.server(
        options=(
            ("grpc.max_receive_message_length", settings.max_message_bytes),
            ("grpc.max_send_message_length", settings.max_message_bytes),
            ("grpc.so_reuseport", 0),  # of two brokers on one port the second has to fail
        ),
        maximum_concurrent_rpcs=AT_ONCE,
    )
    for (name, method), call in {SEND: service.send, PROCESS: service.process}.items():
        handler = {method: grpc.unary_unary_rpc_method_handler(call)}  # bytes: what is no message is the sender's fault
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handler),))
    healthy = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    try:
        credentials = _credentials(settings)
        if credentials:
            port = server.add_secure_port(settings.grpc_host, credentials)
        else:
            port = server.add_insecure_port(settings.grpc_host)
    except RuntimeError as error:
        raise ConfigurationError(f"KRAKENB_GRPC_HOST: cannot listen on {settings.grpc_host}: {error}") from error
    return Listener(server, f"{settings.grpc_host.rpartition(':')[0]}:{port}", healthy)


async def set_serving(listener: Listener, *, serving: bool) -> None:
    """What the health service says, of the whole and of each service."""
    status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
    for name in (OVERALL_HEALTH, SEND[0], PROCESS[0]):
        await listener.health.set(name, status)


def _credentials(settings: BrokerSettings) -> grpc.ServerCredentials | None:
    if settings.tls_cert is None and settings.tls_key is None and settings.tls_client_ca is None:
        return None
    if settings.tls_cert is None or settings.tls_key is None:
        raise ConfigurationError("TLS takes both KRAKENB_TLS_CERT and KRAKENB_TLS_KEY")
    pair = (_content(settings.tls_key, "KRAKENB_TLS_KEY"), _content(settings.tls_cert, "KRAKENB_TLS_CERT"))
    roots = _content(settings.tls_client_ca, "KRAKENB_TLS_CLIENT_CA") if settings.tls_client_ca else None
    return grpc.ssl_server_credentials([pair], root_certificates=roots, require_client_auth=roots is not None)


def _content(path: Path, variable: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{variable}: {path} cannot be read: {error.strerror}") from error


def _is_shown(credentials: bytes, call: Call) -> bool:
    shown = dict(call.invocation_metadata() or ()).get("authorization", b"")
    return hmac.compare_digest(shown.encode() if isinstance(shown, str) else shown, credentials)
