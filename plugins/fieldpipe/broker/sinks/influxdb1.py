"""InfluxDB 1, at its own door /write; without its client, which nobody looks after any more."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from urllib.parse import urlencode

from pydantic import model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from urllib3 import PoolManager, Timeout
from urllib3.exceptions import HTTPError

from fieldpipe.broker.reading import Reading
from fieldpipe.broker.sinks.influx import AT_ONCE, TIMEOUT, Address, Secret, check, names
from fieldpipe.broker.sinks.points import line
from fieldpipe.broker.sinks.sink import Sink, SinkUnavailable

_NOT_OURS = "mend KRAKENB_INFLUXDB1_USER or _PASSWORD, or let this user write to the database"
WHAT_TO_DO = {
    401: _NOT_OURS,
    403: _NOT_OURS,
    404: "make the database (CREATE DATABASE), or mend KRAKENB_INFLUXDB1_DATABASE",
}


class Influxdb1Settings(BaseSettings):
    """Where the points go."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="KRAKENB_INFLUXDB1_", env_ignore_empty=True)

    host: Address
    database: str
    user: str | None = None
    password: Secret | None = None
    tags: str = ""  # fields that are tags instead, separated by commas

    @model_validator(mode="after")
    def _both(self) -> Influxdb1Settings:
        if (self.user is None) != (self.password is None):
            raise ValueError("KRAKENB_INFLUXDB1_USER and KRAKENB_INFLUXDB1_PASSWORD go together")
        return self


GROUPS = (Influxdb1Settings,)


class Influxdb1Sink:
    """A point that is written twice is one point, as its time is its reading's own."""

    name = "influxdb1"
    at_once = AT_ONCE
    settle_seconds = 0.0

    def __init__(self, settings: Influxdb1Settings, timeout: float = TIMEOUT) -> None:
        self._host = settings.host
        self._url = f"{settings.host}/write?{urlencode({'db': settings.database})}"  # precision: nanoseconds
        self._tags = names(settings.tags)
        # a redirect or a failure is an answer like any other: whoever calls us repeats
        self._http = PoolManager(retries=False, timeout=Timeout(timeout), headers=_authorization(settings))

    def deliver(self, readings: Sequence[Reading]) -> None:
        lines = "\n".join(line(reading, self._tags) for reading in readings)
        try:
            answer = self._http.request("POST", self._url, body=lines.encode())
        except HTTPError as error:
            raise SinkUnavailable(f"InfluxDB at {self._host}: {error}") from error
        check(answer.status, answer.headers, answer.data, WHAT_TO_DO)

    def close(self) -> None:
        self._http.clear()


def open_sink(settings: Influxdb1Settings) -> Sink:
    """Nothing is sent yet."""
    return Influxdb1Sink(settings)


def _authorization(settings: Influxdb1Settings) -> dict[str, str]:
    if settings.user is None or settings.password is None:
        return {}
    pair = f"{settings.user}:{settings.password.get_secret_value()}"
    return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
