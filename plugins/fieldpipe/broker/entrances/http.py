"""Readings by HTTP POST: the webhook collector, without the collector. The only entrance that knows aiohttp.

Answers 200 when a reading is on disk; 400, 401, 408, 413 are the sender's fault; 503: try again.
"""

from __future__ import annotations

import asyncio
import hmac

from aiohttp import web
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from fieldpipe import logs
from fieldpipe.broker.entrances.entrance import Take
from fieldpipe.broker.reading import BadReading, accept
from fieldpipe.broker.settings import MIB
from fieldpipe.errors import ConfigurationError, TransientError

BODY_SECONDS = 30.0  # for a whole body to come in
RETRY_SECONDS = 5
LINGER_SECONDS = 2.0  # for the rest of a body that was refused: else the sender might not read why
GRACE_SECONDS = 5.0  # for requests that are under way when it ends

log = logs.get(__name__)


class HttpSettings(BaseSettings):
    """The first two are the collector's own; it listens at all addresses, we where it is told to."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="KRKNC_WEBHOOK_")

    path: str
    port: int = Field(default=2792, ge=0, le=65535)  # 0: any that is free
    host: str = "127.0.0.1"  # 0.0.0.0: everybody in the network may send
    token: SecretStr | None = Field(default=None, min_length=1)  # senders show `Authorization: Bearer <token>`
    max_bytes: int = Field(default=16 * MIB, ge=1024)


GROUPS = (HttpSettings,)


class HttpEntrance:
    """POST <path>: a reading, of the collector `webhook`. GET /: OK, for probes. Anything else: 404."""

    def __init__(self, take: Take, settings: HttpSettings) -> None:
        self._take = take
        self._settings = settings
        self._path = "/" + settings.path.strip("/")
        self._credentials = f"Bearer {settings.token.get_secret_value()}".encode() if settings.token else None
        application = web.Application(client_max_size=settings.max_bytes)
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(
            application, access_log=None, shutdown_timeout=GRACE_SECONDS, lingering_time=LINGER_SECONDS
        )

    @property
    def address(self) -> str:
        """Where it listens, once it has started."""
        host, port, *_ = self._runner.addresses[0]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def start(self) -> None:
        """Listen. Raises ConfigurationError when the address is not ours or taken."""
        await self._runner.setup()
        where = f"{self._settings.host}:{self._settings.port}"
        try:
            await web.TCPSite(self._runner, self._settings.host, self._settings.port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise ConfigurationError(f"KRKNC_WEBHOOK_HOST, _PORT: cannot listen on {where}: {error}") from error
        log.info("http_entrance", url=self.address + self._path)

    async def stop(self) -> None:
        """After the answers to what is under way."""
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        if request.method == "POST" and request.path == self._path:
            return await self._receive(request)
        if request.method in ("GET", "HEAD") and request.path == "/":
            return web.Response(text="OK")
        return web.Response(text="Not Found", status=404)

    async def _receive(self, request: web.Request) -> web.Response:
        if not self._is_allowed(request):
            return _refuse(401, "send `Authorization: Bearer <KRKNC_WEBHOOK_TOKEN>`", WWW_Authenticate="Bearer")
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await request.read()
        except TimeoutError:
            return _refuse(408, f"the body did not come within {BODY_SECONDS:g} s", Connection="close")
        except web.HTTPRequestEntityTooLarge:
            return _refuse(413, f"the body is larger than {self._settings.max_bytes:,} bytes", Connection="close")
        return await self._pass_on(body)

    async def _pass_on(self, body: bytes) -> web.Response:
        try:
            reading = accept("webhook", "application/json", "", body)
            reading.json()
            await self._take(reading)
        except BadReading as error:
            return _refuse(400, str(error))
        except TransientError as error:
            log.warning("reading_not_taken", entrance="http", reason=str(error))
            return _refuse(503, "there is no room for it now", Retry_After=str(RETRY_SECONDS))
        return web.json_response({"status": "POST_OK"})

    def _is_allowed(self, request: web.Request) -> bool:
        if self._credentials is None:
            return True
        shown = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        return hmac.compare_digest(shown, self._credentials)


def _refuse(status: int, reason: str, **headers: str) -> web.Response:
    """`Retry_After="5"` is the header Retry-After."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.json_response({"error": reason}, status=status, headers=named)


def open_entrance(take: Take, settings: HttpSettings) -> HttpEntrance:
    """As the registry wants it."""
    return HttpEntrance(take, settings)
