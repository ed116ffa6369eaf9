"""What stands in for a camera where there is none: a test pattern, and a folder of pictures."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from fieldpipe.cameras.capture.frame import JPEG, Frame, now
from fieldpipe.errors import ConfigurationError, PermanentError

QUALITY = 85  # of pictures that we draw
GRID = 40  # pixels

_SUFFIXES = (".jpg", ".jpeg")
_DARK, _LIGHT, _RED = (32, 48, 64), (224, 232, 240), (208, 64, 48)


class Pattern:
    """A test pattern that moves, with the time and the number of the frame in it."""

    def __init__(self, size: tuple[int, int], clock: Callable[[], int] = now) -> None:
        self._size = size
        self._clock = clock
        self._numbers = itertools.count(1)
        self._font = ImageFont.load_default(max(10, size[1] // 20))
        self._ground = _ground(size)

    def capture(self) -> Frame:
        """Never fails."""
        moment, number = self._clock(), next(self._numbers)
        image = self._ground.copy()
        draw = ImageDraw.Draw(image)
        width, height = self._size
        left = number * GRID // 4 % width
        draw.rectangle((left, height // 2, left + GRID, height // 2 + GRID), fill=_RED)
        text = f"{datetime.fromtimestamp(moment / 1e6, UTC):%Y-%m-%d %H:%M:%S.%f}  frame {number}"
        draw.text((GRID // 4, GRID // 4), text, fill=_DARK, font=self._font)
        content = io.BytesIO()
        image.save(content, "JPEG", quality=QUALITY)
        return Frame(moment, content.getvalue())

    def close(self) -> None:
        """Nothing to be done."""


class Folder:
    """The JPEG files of a folder in the order of their names, again and again."""

    def __init__(self, folder: Path, clock: Callable[[], int] = now) -> None:
        files = sorted(file for file in folder.glob("*") if file.suffix.lower() in _SUFFIXES)
        if not files:
            raise ConfigurationError(f"CAMERA_SOURCE: there are no .jpg files in {folder}")
        self._files = itertools.cycle(files)
        self._clock = clock

    def capture(self) -> Frame:
        """Raises PermanentError for a file that cannot be read, or is no JPEG."""
        file = next(self._files)
        try:
            picture = file.read_bytes()
        except OSError as error:
            raise PermanentError(f"{file} cannot be read: {error}") from error
        if not picture.startswith(JPEG):
            raise PermanentError(f"{file} is no JPEG")
        return Frame(self._clock(), picture)

    def close(self) -> None:
        """Nothing to be done."""


def _ground(size: tuple[int, int]) -> Image.Image:
    """What does not move: a grid."""
    image = Image.new("RGB", size, _LIGHT)
    draw = ImageDraw.Draw(image)
    for x in range(0, size[0], GRID):
        draw.line((x, 0, x, size[1]), fill=_DARK)
    for y in range(0, size[1], GRID):
        draw.line((0, y, size[0], y), fill=_DARK)
    return image
