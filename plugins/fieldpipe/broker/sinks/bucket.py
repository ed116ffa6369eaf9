"""Readings become recordings in the bucket of recordings, and so tables, as a robot's recordings do.

Each reading is in exactly one recording, over crashes too. An object is named after its first reading, and created but
never replaced: where it is there already, it is asked which readings it holds, and the others go into the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from fieldpipe.broker.reading import Reading
from fieldpipe.broker.sinks import recording
from fieldpipe.broker.sinks.sink import SinkUnavailable
from fieldpipe.errors import FieldpipeError
from fieldpipe.settings import StoreSettings
from fieldpipe.store import ObjectStore

MIB = 1024 * 1024
RECORDING_BYTES = 8 * MIB  # of the payloads of one recording, if it has more than one reading
LARGEST = 256 * MIB  # bytes of an object that is read again: what was recorded is never larger

_SECOND = 1_000_000_000  # nanoseconds


class RecordingSettings(BaseSettings):
    """Where recordings go, and when one is full."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="KRAKENB_", env_ignore_empty=True)

    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")  # exists already
    bucket_prefix: str = Field(default="broker", pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$")
    bucket_readings: int = Field(default=1000, ge=1, le=100_000)
    bucket_seconds: float = Field(default=60, ge=0)


class BucketSink:
    """Safe against a store that has taken an object and could not say so, and against being called again."""

    name = "bucket"

    def __init__(self, settings: RecordingSettings, store: ObjectStore, most_bytes: int = RECORDING_BYTES) -> None:
        self.at_once = settings.bucket_readings
        self.settle_seconds = settings.bucket_seconds
        self._settings = settings
        self._store = store
        self._most_bytes = most_bytes
        self._is_probed = False
        self._found: set[str] = set()  # ids in the last object that was there already: maybe more than were asked for

    def deliver(self, readings: Sequence[Reading]) -> None:
        """Raises SinkUnavailable."""
        try:
            self._probe()
            left = [reading for reading in readings if reading.id not in self._found]
            while left:
                left = self._write(left)
        except FieldpipeError as error:
            raise SinkUnavailable(str(error)) from error

    def close(self) -> None:
        """Connections of the store end with the process."""

    def _probe(self) -> None:
        """Once: a store that replaces where it should create would make tables of some readings twice."""
        if not self._is_probed:
            if not self._store.bucket_exists(self._settings.bucket):
                raise SinkUnavailable(f"no bucket {self._settings.bucket}: create it, or set KRAKENB_BUCKET to another")
            self._store.require_conditional_writes(self._settings.bucket)
            self._is_probed = True

    def _write(self, left: list[Reading]) -> list[Reading]:
        """Make one recording of the first ones; returns those that are in none yet."""
        bucket, key = self._settings.bucket, self._key(left[0])
        first = left[: _fitting(left, self._most_bytes)]
        content = recording.record(first)
        if self._store.create(bucket, key, content, content_type="application/octet-stream"):
            return left[len(first) :]
        del content
        self._found = self._ids(bucket, key)
        if left[0].id not in self._found:
            raise SinkUnavailable(f"{bucket}/{key} is there, without the reading it is named after: move it away")
        return [reading for reading in left if reading.id not in self._found]

    def _ids(self, bucket: str, key: str) -> set[str]:
        try:
            return recording.ids(self._store.get(bucket, key, limit=LARGEST)[0])
        except recording.NotOurs as error:
            raise SinkUnavailable(f"{bucket}/{key} is there and no recording of ours, move it away: {error}") from error

    def _key(self, first: Reading) -> str:
        day = datetime.fromtimestamp(first.received // _SECOND, UTC)
        return f"{self._settings.bucket_prefix}/{day:%Y-%m-%d}/{first.received:019}-{first.id}.mcap"


def _fitting(readings: Sequence[Reading], most_bytes: int) -> int:
    """How many of the first go into one recording: one at least."""
    size = 0
    for count, reading in enumerate(readings):
        size += len(reading.payload)
        if size > most_bytes and count:
            return count
    return len(readings)


GROUPS = (RecordingSettings, StoreSettings)


def open_sink(settings: RecordingSettings, store: StoreSettings) -> BucketSink:
    """Nothing is sent yet. Raises ConfigurationError."""
    return BucketSink(settings, ObjectStore.connect(store, connections=1))
