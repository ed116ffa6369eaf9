"""All that a sensor is told, read once; whatever is wrong or is not supported is said at once."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fieldpipe.cameras.capture import schedule
from fieldpipe.cameras.capture.picture import Picture, picture
from fieldpipe.cameras.capture.stream import Packing, Stream, packing, stream
from fieldpipe.cameras.capture.variables import Variables

SIMULATED_RATE = 5.0  # pictures a second of what has no rate of its own

_SOURCES = ("picamera2", "pattern", "folder:PATH", "video:PATH")
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_UNSUPPORTED = {
    "SSCFG_": "SINETStream's config server: say in SS_* what it would say",
    "EXT_": "the original's extension tools",
}


@dataclass(frozen=True)
class SpoolSettings:
    """Where frames wait. `sync` is how many seconds of frames a power cut may cost."""

    folder: Path
    limit: int  # bytes
    when_full: Literal["oldest", "newest"]  # which frame is given up
    sync: int


@dataclass(frozen=True)
class Settings:
    """`source` and `path` say where pictures come from, `plan` when; `warnings` are for people."""

    source: str
    path: Path | None
    picture: Picture
    plan: schedule.Plan
    packing: Packing
    stream: Stream
    spool: SpoolSettings
    log_level: int
    warnings: tuple[str, ...]


def read(environment: Mapping[str, str]) -> Settings:
    """From the environment and its secrets. Raises ConfigurationError."""
    return understood(Variables.read(environment))


def understood(variables: Variables) -> Settings:
    """What the variables say. Raises ConfigurationError, which names all that is wrong with them."""
    for prefix, what in _UNSUPPORTED.items():
        for name in variables.unknown(prefix):
            variables.complain(name, f"not supported: {what}")
    source, path = _source(variables)
    how = picture(variables)
    found = Settings(
        source=source,
        path=path,
        picture=how,
        plan=_plan(variables, source, how),
        packing=packing(variables),
        stream=stream(variables),
        spool=_spool(variables),
        log_level=logging.getLevelName(variables.choice("LOG_LEVEL", _LEVELS, "INFO")),
        warnings=tuple(f"{name} is not known and does nothing" for name in _unknown(variables)),
    )
    variables.check()
    return found


def _source(variables: Variables) -> tuple[str, Path | None]:
    text = variables.text("CAMERA_SOURCE") or "picamera2"
    kind, colon, path = text.partition(":")
    if kind in ("picamera2", "pattern") and not colon:
        return kind, None
    if kind in ("folder", "video") and path:
        return kind, Path(path)
    variables.complain("CAMERA_SOURCE", f"{text!r} is none of {', '.join(_SOURCES)}")
    return "pattern", None


def _plan(variables: Variables, source: str, how: Picture) -> schedule.Plan:
    """Without a schedule a camera gives pictures at its own rate; what is simulated needs one."""
    text = variables.text("SCHEDULE")
    if text is None:
        return schedule.Interval(0 if source == "picamera2" else 1 / (how.rate or SIMULATED_RATE))
    try:
        return schedule.parse(text)
    except ValueError as error:
        variables.complain("SCHEDULE", str(error))
        return schedule.Interval(0)


def _spool(variables: Variables) -> SpoolSettings:
    when_full = variables.choice("CAMERA_SPOOL_WHEN_FULL", ("oldest", "newest"), "oldest")
    return SpoolSettings(
        folder=Path(variables.text("CAMERA_SPOOL") or "/var/lib/fieldpipe-camera"),
        limit=variables.whole("CAMERA_SPOOL_BYTES", 1 << 30, least=1 << 20),
        when_full="newest" if when_full == "newest" else "oldest",
        sync=variables.whole("CAMERA_SPOOL_SYNC", 5),
    )


def _unknown(variables: Variables) -> list[str]:
    """Once all others were asked for. CAMERA_ names the backup's too."""
    return variables.unknown("SS_", "PICAMERA2_", "PICAMERA_", "LOG_FORMAT")
