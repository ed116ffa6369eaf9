"""How pictures are taken: the variables PICAMERA2_* of the original, and PICAMERA_* of the one before it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from fieldpipe.cameras.capture.variables import Variables, coerced

SIZES = {
    "4K": (3840, 2160),
    "2K": (1920, 1080),
    "FHD": (1920, 1080),
    "HD": (1280, 720),
    "SVGA": (800, 600),
    "VGA": (640, 480),
    "QVGA": (320, 240),
}

_SIZE_NAMES = ("PICAMERA2_MAIN_SIZE", "PICAMERA2_SIZE", "PICAMERA_RESOLUTION")
_RATE_NAMES = ("PICAMERA2_CONTROLS_FRAME_RATE", "PICAMERA_FRAMERATE")
_LARGEST_SIDE = 16384  # pixels


@dataclass(frozen=True)
class Picture:
    """What is None is left to the source. `controls` are libcamera's, by their own names; the rate is in frames a
    second."""

    size: tuple[int, int] | None = None
    format: str | None = None
    colour_space: str | None = None
    buffer_count: int | None = None
    hflip: bool = False
    vflip: bool = False
    rate: float | None = None
    controls: Mapping[str, float | int | str | tuple[int, int]] = field(default_factory=dict)


def picture(variables: Variables) -> Picture:
    """What the variables say."""
    rate = variables.positive(*_RATE_NAMES)
    controls: dict[str, float | int | str | tuple[int, int]] = {
        _camel_case(name): coerced(text)
        for name, text in variables.beginning_with("PICAMERA2_CONTROLS_").items()
        if name != "FRAME_RATE"
    }
    if rate:
        duration = round(1_000_000 / rate)  # microseconds
        controls["FrameDurationLimits"] = (duration, duration)
    return Picture(
        size=_size(variables),
        format=variables.text("PICAMERA2_MAIN_FORMAT", "PICAMERA2_FORMAT"),
        colour_space=variables.text("PICAMERA2_COLOUR_SPACE"),
        buffer_count=variables.whole("PICAMERA2_BUFFER_COUNT", 0) or None,
        hflip=variables.text("PICAMERA2_TRANSFORM_HFLIP") not in (None, "0"),
        vflip=variables.text("PICAMERA2_TRANSFORM_VFLIP") not in (None, "0"),
        rate=rate,
        controls=controls,
    )


def _size(variables: Variables) -> tuple[int, int] | None:
    """A name, `640x480`, or `(640x480)`, which is all that the original took."""
    text = variables.text(*_SIZE_NAMES)
    if text is None or text.upper() in SIZES:
        return SIZES[text.upper()] if text else None
    found = re.fullmatch(r"\(?\s*(\d{1,5})\s*[xX]\s*(\d{1,5})\s*\)?", text)
    size = (int(found[1]), int(found[2])) if found else (0, 0)
    if not all(0 < side <= _LARGEST_SIDE for side in size):
        names = ", ".join(SIZES)
        variables.complain(_SIZE_NAMES[1], f"{text!r} is no size: WIDTHxHEIGHT, such as 640x480, or one of {names}")
    return size


def _camel_case(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))
