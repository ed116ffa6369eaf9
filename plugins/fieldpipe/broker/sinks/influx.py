"""What both versions of InfluxDB have in common: how their answer to a write is understood, and some settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, SecretStr
from urllib3.util import parse_url

from fieldpipe.broker.sinks.retryafter import retry_after
from fieldpipe.broker.sinks.sink import SinkRefused, SinkUnavailable

WRITTEN = 204
REFUSED = (400, 413, 422)  # no line protocol or a conflict of types, too large (together), a conflict of types
TIMEOUT = 10.0  # seconds, for a connection and then for the answer
AT_ONCE = 500  # lines of one request

_LONGEST = 300  # characters of an answer that are told


def check(status: int, headers: Mapping[str, str], body: bytes | str | None, what_to_do: Mapping[int, str]) -> None:
    """Returns when the points are written. Raises SinkRefused, SinkUnavailable."""
    if status == WRITTEN:
        return
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body or ""
    answer = " ".join(f"InfluxDB answered {status}: {text[:_LONGEST]}".split())
    if status in REFUSED:
        raise SinkRefused(answer)
    advice = f" ({what_to_do[status]})" if status in what_to_do else ""
    raise SinkUnavailable(answer + advice, retry_after(headers))


def names(text: str) -> frozenset[str]:
    """Of a list that is separated by commas."""
    return frozenset(name for each in text.split(",") if (name := each.strip()))


def _address(text: str) -> str:
    if not text.startswith(("http://", "https://")) or not parse_url(text).host:
        raise ValueError("an address with its scheme, as http://influxdb:8086")
    return text.rstrip("/")


Address = Annotated[str, AfterValidator(_address)]
Secret = Annotated[SecretStr, AfterValidator(lambda secret: SecretStr(secret.get_secret_value().strip()))]
"""Without the line's end that it has where it came from a file: no header can hold one."""
