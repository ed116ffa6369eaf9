"""Readings are POSTed to a URL: the payload as it came, and in headers what else is known of it.

Content-Type            the reading's
Idempotency-Key         the reading's id; the same when it is sent again after a lost answer
X-Fieldpipe-Collector   and X-Fieldpipe-Device, percent-encoded where they are not printable ASCII
X-Fieldpipe-Received    nanoseconds since 1970
X-Fieldpipe-Metadata    JSON, in ASCII
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import quote, urlsplit

import urllib3
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from fieldpipe.broker.reading import Reading
from fieldpipe.broker.sinks.retryafter import retry_after
from fieldpipe.broker.sinks.sink import SinkRefused, SinkUnavailable

CONNECT_SECONDS = 5.0
LATER = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
ADDRESS = {
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
    HTTPStatus.GONE,
}
"""What is wrong with the URL or the token, and would be with every reading."""

_PRINTABLE = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
_MEDIA_TYPE = re.compile(r"[!-~]+/[ -~]+")
_ANSWER = 64 * 1024  # bytes of an answer that are read; with more of them the connection is not used again


class WebhookSettings(BaseSettings):
    """Where, and the token that is sent along."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="KRAKENB_WEBHOOK_", env_ignore_empty=True)

    url: SecretStr
    token: SecretStr | None = Field(default=None, min_length=1)

    @field_validator("url")
    @classmethod
    def _is_url(cls, url: SecretStr) -> SecretStr:
        parts = urlsplit(url.get_secret_value())
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("not a URL such as https://example.org/readings")
        if "@" in parts.netloc:
            raise ValueError("a name and a password in it are not sent; use KRAKENB_WEBHOOK_TOKEN")
        return url


class WebhookSink:
    """One request per reading, over one connection that is kept open."""

    name = "webhook"
    at_once = 1
    settle_seconds = 0.0

    def __init__(self, settings: WebhookSettings, seconds: float = 30) -> None:
        """`seconds` are the longest wait for anything from the server."""
        self._url = settings.url.get_secret_value()
        token = settings.token
        self._own = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
        timeout = urllib3.Timeout(connect=min(CONNECT_SECONDS, seconds), read=seconds)
        self._pool = urllib3.PoolManager(maxsize=1, retries=False, timeout=timeout)

    def deliver(self, readings: Sequence[Reading]) -> None:
        """Raises SinkRefused, SinkUnavailable."""
        for reading in readings:
            self._send(reading)

    def close(self) -> None:
        self._pool.clear()

    def _send(self, reading: Reading) -> None:
        sent = headers(reading) | self._own
        try:
            answer = self._pool.request(
                "POST", self._url, body=reading.payload, headers=sent, redirect=False, preload_content=False
            )
            words = answer.read(_ANSWER, decode_content=False)
            answer.release_conn() if len(words) < _ANSWER else answer.close()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise SinkUnavailable(f"KRAKENB_WEBHOOK_URL did not answer: {type(error).__name__}") from error
        _check(answer, words)


def headers(reading: Reading) -> dict[str, str]:
    """Of the request. None of it can end a line and begin another header."""
    named = {
        "Content-Type": reading.content_type,
        "Idempotency-Key": reading.id,
        "X-Fieldpipe-Collector": quote(reading.collector, safe=_PRINTABLE, errors="backslashreplace"),
        "X-Fieldpipe-Device": quote(reading.device, safe=_PRINTABLE, errors="backslashreplace"),
        "X-Fieldpipe-Received": str(reading.received),
        "X-Fieldpipe-Metadata": json.dumps(reading.metadata),
    }
    if not _MEDIA_TYPE.fullmatch(reading.content_type):
        named["Content-Type"] = "application/octet-stream"
    return named


def _check(answer: urllib3.BaseHTTPResponse, words: bytes) -> None:
    status = answer.status
    said = f"KRAKENB_WEBHOOK_URL answered {status}: {words[:200].decode(errors='replace').strip()}"
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return
    if status < HTTPStatus.BAD_REQUEST:
        raise SinkUnavailable(f"{said} (redirects are not followed: set it to where it leads)")
    if status in ADDRESS:
        raise SinkUnavailable(f"{said} (set KRAKENB_WEBHOOK_URL and KRAKENB_WEBHOOK_TOKEN)")
    if status in LATER or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise SinkUnavailable(said, retry_after(answer.headers))
    raise SinkRefused(said)


GROUPS = (WebhookSettings,)


def open_sink(settings: WebhookSettings) -> WebhookSink:
    """Nothing is sent yet."""
    return WebhookSink(settings)
