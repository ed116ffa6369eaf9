"""Readings as messages in Slack, or whatever speaks its incoming webhooks (docs.slack.dev/messaging).

Slack cannot tell a message that is sent again from a new one: where its answer is lost, a reading appears twice.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from http import HTTPStatus
from http.client import HTTPException

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from slack_sdk.webhook import WebhookClient, WebhookResponse

from fieldpipe.broker.reading import Reading
from fieldpipe.broker.sinks.retryafter import retry_after
from fieldpipe.broker.sinks.sink import SinkRefused, SinkUnavailable

MOST_CHARACTERS = 40_000  # of a text; Slack cuts longer ones itself, without a word
REFUSED = {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE}  # of the other errors none is this text's
REVOKED = {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
NOBODY = "user_not_found"  # with 400: KRAKENB_SLACK_CHANNEL is the @name of nobody

_CUT = " ... (cut, {:,} characters in all)"
_ROOM = len(_CUT) + 10
_HALF_ENTITY = re.compile("&[a-z]{0,3}$")
_CONTROL = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")  # and what turns the writing direction

# The client logs the URL, which is a secret, and each error that it also raises.
_silent = logging.getLogger(f"{__name__}.client")
_silent.setLevel(logging.CRITICAL + 1)


class SlackSettings(BaseSettings):
    """An incoming webhook, and as whom and where it writes, if it may choose."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="KRAKENB_SLACK_", env_ignore_empty=True)

    url: SecretStr
    channel: str = Field(default="random", min_length=1)
    username: str = Field(default="KrakenBroker", min_length=1)

    @field_validator("url")
    @classmethod
    def _is_url(cls, url: SecretStr) -> SecretStr:
        if not re.fullmatch(r"https?://[^/\s]+(/[!-~]*)?", url.get_secret_value()):
            raise ValueError("not a URL such as https://hooks.slack.com/services/T000/B000/XXXX")
        return url


class SlackSink:
    """One message per reading."""

    name = "slack"
    at_once = 1
    settle_seconds = 0.0

    def __init__(self, settings: SlackSettings, seconds: int = 30) -> None:
        """`seconds` are the longest wait for anything from Slack."""
        self._settings = settings
        # No handlers of its own for retries: the one that is set by default sends again after a lost answer.
        url = settings.url.get_secret_value()
        self._client = WebhookClient(url, timeout=seconds, logger=_silent, retry_handlers=[])

    def deliver(self, readings: Sequence[Reading]) -> None:
        """Raises SinkRefused, SinkUnavailable."""
        for reading in readings:
            self._send(text(reading))

    def close(self) -> None:
        """Nothing is held between two messages."""

    def _send(self, words: str) -> None:
        body = {"channel": self._settings.channel, "username": self._settings.username, "text": words}
        try:
            answer = self._client.send_dict(body)
        except (OSError, HTTPException, ValueError) as error:
            raise SinkUnavailable(f"Slack did not answer: {type(error).__name__}: {error}") from error
        _check(answer)


def text(reading: Reading) -> str:
    """What is written of a reading: the line of the tutorial; Slack shows `&`, `<` and `>` as they came."""
    words = f"kind={reading.kind}, provider={reading.collector}, payload={_payload(reading)}"
    words = words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")  # or a device could call @everyone
    if len(words) <= MOST_CHARACTERS:
        return words
    return _HALF_ENTITY.sub("", words[: MOST_CHARACTERS - _ROOM]) + _CUT.format(len(words))


def _payload(reading: Reading) -> str:
    try:
        words = reading.payload.decode()
    except UnicodeDecodeError:
        return f"({len(reading.payload):,} bytes of {reading.content_type or 'no content type'})"
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), words)


def _check(answer: WebhookResponse) -> None:
    status, said = answer.status_code, f"Slack answered {answer.status_code}: {answer.body.strip()[:200]}"
    if status in REVOKED or answer.body.strip() == NOBODY:
        what = "the webhook does not exist any more, or may not write there"
        raise SinkUnavailable(f"{said} ({what}: set KRAKENB_SLACK_URL and KRAKENB_SLACK_CHANNEL)")
    if status in REFUSED:
        raise SinkRefused(said)
    if status != HTTPStatus.OK:
        raise SinkUnavailable(said, retry_after(answer.headers))
    if answer.body.lstrip().startswith("<"):  # it was led to some page, by a redirect
        raise SinkUnavailable("KRAKENB_SLACK_URL leads to a web page: set the URL of an incoming webhook")


GROUPS = (SlackSettings,)


def open_sink(settings: SlackSettings) -> SlackSink:
    """Nothing is sent yet."""
    return SlackSink(settings)
