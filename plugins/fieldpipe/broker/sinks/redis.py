"""Redis: readings at the end of a stream, or of a list.

An entry of the stream has the fields id, received (nanoseconds since 1970), collector, device, content_type,
metadata (JSON) and payload (as it came); an item of the list is the JSON object of envelope.py.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError
from redis.retry import Retry

from fieldpipe.broker.reading import Reading
from fieldpipe.broker.sinks.envelope import envelope
from fieldpipe.broker.sinks.sink import Sink, SinkUnavailable
from fieldpipe.errors import ConfigurationError

TIMEOUT = 10.0  # seconds, for a connection and then for an answer
REMEMBERED = 20_000  # ids of readings that are there: more than several brokers send while one of them is away

# An id and its entry are written together or not at all. The ids are kept in the order in which they came.
# KEYS: where the readings go, their ids. ARGV: the length (0: any), how many ids are remembered, and the names of an
# entry's values besides the id (JSON; none: an item of a list); then, of each reading, its id and these values.
SCRIPT = """
local length, remembered, names = tonumber(ARGV[1]), tonumber(ARGV[2]), cjson.decode(ARGV[3])
local width = math.max(#names, 1)
local number = tonumber(redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2] or 0)
for at = 4, #ARGV, width + 1 do
  if not redis.call('ZSCORE', KEYS[2], ARGV[at]) then
    if #names == 0 then
      redis.call('RPUSH', KEYS[1], ARGV[at + 1])
    else
      local entry = {'id', ARGV[at]}
      for which, name in ipairs(names) do
        entry[#entry + 1], entry[#entry + 2] = name, ARGV[at + which]
      end
      redis.call('XADD', KEYS[1], '*', unpack(entry))
    end
    number = number + 1
    redis.call('ZADD', KEYS[2], number, ARGV[at])
  end
end
redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -(remembered + 1))
if length > 0 and #names == 0 then
  redis.call('LTRIM', KEYS[1], -length, -1)
elseif length > 0 then
  redis.call('XTRIM', KEYS[1], 'MAXLEN', '~', length)
end
"""


STREAM = json.dumps(["received", "collector", "device", "content_type", "metadata", "payload"])
_NO_ENTRY = "mend KRAKENB_REDIS_USER or KRAKENB_REDIS_PASSWORD, or let this user run scripts and write the keys"


class RedisSettings(BaseSettings):
    """Which Redis, and where in it."""

    model_config = SettingsConfigDict(
        frozen=True, env_prefix="KRAKENB_REDIS_", env_ignore_empty=True, validate_by_name=True, validate_by_alias=True
    )

    host: str  # or host:port, or an address: rediss://redis:6380 is TLS
    port: int = Field(default=6379, ge=1, le=65535)
    db: int = Field(default=0, ge=0)
    user: str | None = Field(
        default=None, validation_alias=AliasChoices("KRAKENB_REDIS_USER", "KRAKENB_REIDS_USER")
    )  # the second is how the original's code spells it
    password: SecretStr | None = None
    mode: Literal["stream", "list"] = "stream"
    key: str = "kraken"
    maxlen: int = Field(default=0, ge=0)  # readings that are kept, the newest (a stream: about so many); 0: all


GROUPS = (RedisSettings,)


class RedisSink:
    """A reading whose id is among the last 20,000 is there already."""

    name = "redis"
    at_once = 200  # Redis does nothing else meanwhile
    settle_seconds = 0.0

    def __init__(self, settings: RedisSettings, timeout: float = TIMEOUT) -> None:
        self._mode, self._length = settings.mode, settings.maxlen
        self._keys = (settings.key, f"{{{settings.key}}}:delivered")  # with braces: in a cluster on the same machine
        self._redis = _connect(settings, timeout)
        self._script = self._redis.register_script(SCRIPT)

    def deliver(self, readings: Sequence[Reading]) -> None:
        names, values = ("[]", _item) if self._mode == "list" else (STREAM, _entry)
        entries = chain.from_iterable((reading.id, *values(reading)) for reading in readings)
        try:
            self._script(self._keys, (self._length, REMEMBERED, names, *entries))
        except (AuthenticationError, NoPermissionError) as error:
            raise SinkUnavailable(f"Redis: {error} ({_NO_ENTRY})") from error
        except RedisError as error:
            advice = f" (KRAKENB_REDIS_KEY names what is no {self._mode})" if "WRONGTYPE" in str(error) else ""
            raise SinkUnavailable(f"Redis: {error}{advice}") from error

    def close(self) -> None:
        self._redis.close()


def _item(reading: Reading) -> tuple[str | int | bytes, ...]:
    return (envelope(reading).text,)


def _entry(reading: Reading) -> tuple[str | int | bytes, ...]:
    """The values that STREAM names."""
    metadata = json.dumps(reading.metadata)
    return reading.received, reading.collector, reading.device, reading.content_type, metadata, reading.payload


def open_sink(settings: RedisSettings) -> Sink:
    """Nothing is sent yet. Raises ConfigurationError."""
    try:
        return RedisSink(settings)
    except ValueError as error:
        raise ConfigurationError(f"KRAKENB_REDIS_HOST: {error}") from error


def _connect(settings: RedisSettings, timeout: float) -> Redis:
    return Redis.from_url(
        settings.host if "://" in settings.host else f"redis://{settings.host}",
        port=settings.port,  # the address wins where it has one, too
        db=settings.db,
        username=settings.user,
        password=settings.password.get_secret_value() if settings.password else None,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),  # whoever calls us repeats
    )
