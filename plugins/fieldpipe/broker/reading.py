"""A reading: one message of a device, whichever way it came in."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from time import time_ns
from typing import Any, Literal

from fieldpipe.errors import PermanentError

Generation = Literal[1, 2]
"""Of the protocol: 1 is KrakenMessage/Send (2023 to 2025), 2 is KrakenService/ProcessKrakenRequest."""

PEER = "peer_addr"
DEVICE_NAMES = ("device", "device_name", "camera_name", "topic", PEER)
"""Where collectors say in a reading's metadata which device it is of, the first that is there counts."""


_ADDRESS = re.compile(r"(\[.*\]|[^:]+):[0-9]+")  # and a port
_ids = Random()  # noqa: S311 -- seeded by the system at the start; ids are to be different, they are no secret


class BadReading(PermanentError):
    """What came in is no reading. The message says why, for whoever sent it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One message. Nobody changes it on its way; `id` is the same at every attempt to deliver it."""

    id: str  # 32 hexadecimal digits, given when it came in
    received: int  # nanoseconds since 1970
    collector: str  # webhook, mqtt, serial, camera ...: what generation 1 calls the provider
    content_type: str
    metadata: Mapping[str, Any]
    payload: bytes
    kind: str = "collector"  # generation 1 says it, and says nothing else
    generation: Generation = 2

    @property
    def device(self) -> str:
        """Which device of the collector it is of; empty where the collector does not say."""
        name = next((name for name in DEVICE_NAMES if self.metadata.get(name)), None)
        if name is None:
            return ""
        said = str(self.metadata[name])
        address = _ADDRESS.fullmatch(said) if name == PEER else None
        return address[1] if address else said  # each connection has another port

    @property
    def text(self) -> str:
        """The payload as text, for people; what is no UTF-8 is replaced."""
        return self.payload.decode("utf-8", "replace")

    def json(self) -> Any:
        """The payload, parsed. Raises BadReading where it is no JSON."""
        try:
            # of bytes, Python would try UTF-16 too, and two bytes of a sensor could be a number
            return _json.decode(self.payload.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise BadReading(f"the payload is no JSON: {error}") from error


@dataclass(frozen=True, slots=True)
class Reply:
    """What a handler answers. Collectors look at `collector` and at `response_type` in the metadata."""

    payload: bytes = b""
    content_type: str = "application/json"
    metadata: Mapping[str, Any] | None = None
    collector: str | None = None  # None: the one that the reading came from


def accept(
    collector: str,
    content_type: str,
    metadata: str,
    payload: bytes,
    *,
    kind: str = "collector",
    generation: Generation = 2,
    clock: Callable[[], int] = time_ns,
) -> Reading:
    """A reading from what came in, at the edge. Raises BadReading."""
    if not collector:
        raise BadReading("collector_name (provider) is empty: say which collector it comes from")
    return Reading(
        id=f"{_ids.getrandbits(128):032x}",
        received=clock(),
        collector=collector,
        content_type=content_type,
        metadata=_metadata(metadata),
        payload=payload,
        kind=kind,
        generation=generation,
    )


def _metadata(text: str) -> Mapping[str, Any]:
    if not text:
        return {}
    try:
        found = _json.decode(text)
    except (ValueError, RecursionError) as error:
        raise BadReading(f"metadata is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise BadReading(f"metadata is no JSON object but a {type(found).__name__}")
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


_json = json.JSONDecoder(parse_constant=_refuse)
