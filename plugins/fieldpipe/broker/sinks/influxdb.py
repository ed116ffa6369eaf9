"""InfluxDB 2 (and its like: InfluxDB 1.8 and 3 take the same writes), through its own client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import influxdb_client
from influxdb_client.client.exceptions import InfluxDBError
from influxdb_client.rest import ApiException
from influxdb_client.service import write_service
from pydantic_settings import BaseSettings, SettingsConfigDict
from urllib3.exceptions import HTTPError

from fieldpipe.broker.reading import Reading
from fieldpipe.broker.sinks.influx import AT_ONCE, TIMEOUT, Address, Secret, check, names
from fieldpipe.broker.sinks.points import line
from fieldpipe.broker.sinks.sink import Sink, SinkUnavailable

_NOT_OURS = "KRAKENB_INFLUXDB_API_TOKEN is not one that may write to this bucket"
_NO_PLACE = "make the bucket, or mend KRAKENB_INFLUXDB_BUCKET or KRAKENB_INFLUXDB_ORG"
LINES = "text/plain; charset=utf-8"
WHAT_TO_DO = {401: _NOT_OURS, 403: _NOT_OURS, 404: _NO_PLACE}


class InfluxdbSettings(BaseSettings):
    """Where the points go."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="KRAKENB_INFLUXDB_", env_ignore_empty=True)

    host: Address
    api_token: Secret
    org: str
    bucket: str
    tags: str = ""  # fields that are tags instead, separated by commas


GROUPS = (InfluxdbSettings,)


class InfluxdbSink:
    """A point that is written twice is one point, as its time is its reading's own."""

    name = "influxdb"
    at_once = AT_ONCE
    settle_seconds = 0.0

    def __init__(self, settings: InfluxdbSettings, timeout: float = TIMEOUT) -> None:
        token = settings.api_token.get_secret_value()
        self._host, self._org, self._bucket = settings.host, settings.org, settings.bucket
        self._tags = names(settings.tags)
        package: Any = influxdb_client  # without types
        service: Any = write_service
        self._client = package.InfluxDBClient(settings.host, token, timeout=round(timeout * 1000))
        # What the client's WriteApi calls, which would not tell the status; and a page that some other server answers
        # with 200 is no success.
        self._write = service.WriteService(self._client.api_client).post_write_with_http_info

    def deliver(self, readings: Sequence[Reading]) -> None:
        lines = "\n".join(line(reading, self._tags) for reading in readings).encode()
        try:
            _, status, headers = self._write(self._org, self._bucket, lines, precision="ns", content_type=LINES)
        except ApiException as error:
            check(error.status, error.headers, error.body, WHAT_TO_DO)
        except (InfluxDBError, HTTPError) as error:
            raise SinkUnavailable(f"InfluxDB at {self._host}: {error}") from error
        else:
            check(status, headers, None, WHAT_TO_DO)

    def close(self) -> None:
        self._client.api_client.last_response = None  # it would hold its connection
        self._client.close()


def open_sink(settings: InfluxdbSettings) -> Sink:
    """Nothing is sent yet."""
    return InfluxdbSink(settings)
