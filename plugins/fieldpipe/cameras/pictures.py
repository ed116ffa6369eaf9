"""Looking at pictures, whatever they are: their size and brightness, and small copies. The only file that knows Pillow.

What is read comes from outside. Few formats are tried, and never those that start programs; a picture is decoded as
small as its format allows (JPEG: an eighth), and not at all when even that is too large.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from io import BytesIO
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont, ImageStat

from fieldpipe.cameras.message import BadMessage, unpacked

MAX_PIXELS = 50_000_000  # that are decoded: 50 MB of brightness, 150 MB of colours
THUMBNAIL = (160, 120)
COLUMNS = 10

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
_NO_PICTURE, _DAMAGED, _TOO_LARGE = "no picture", "a damaged picture", "a picture with too many pixels"
_MARGIN, _LABEL, _TITLE = 6, 16, 30
_GROUND, _INK, _EMPTY = "white", "black", "#dddddd"


class Look(NamedTuple):
    """What was seen. `brightness` is the mean, 0 (black) to 255 (white). `reason`: why there is nothing to see."""

    width: int | None = None
    height: int | None = None
    brightness: float | None = None
    reason: str = ""


class Tile(NamedTuple):
    """One picture of a contact sheet; None: it is gone."""

    payload: bytes | None
    label: str


class _NotSeen(Exception):
    """Says why."""


def look(payload: bytes) -> Look:
    """Measure the picture that a camera sent, compressed or not."""
    try:
        with _opened(payload) as picture:
            width, height = picture.size
            return Look(width, height, round(ImageStat.Stat(_decoded(picture, "L", (1, 1))).mean[0], 1))
    except _NotSeen as error:
        return Look(reason=str(error))


def contact_sheet(title: str, tiles: Iterable[Tile]) -> bytes:
    """A PNG with the pictures in rows, each with its label. One picture is in memory at a time, but for its copy."""
    copies = [(_thumbnail(payload), label) for payload, label in tiles]
    rows = -(-len(copies) // COLUMNS)
    width, height = THUMBNAIL[0] + _MARGIN, THUMBNAIL[1] + _LABEL + _MARGIN
    font = ImageFont.load_default(16)
    across = max(min(len(copies), COLUMNS) * width, int(font.getlength(title)) + _MARGIN)
    sheet = Image.new("RGB", (across + _MARGIN, _TITLE + rows * height + _MARGIN), _GROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, _MARGIN), title, fill=_INK, font=font)
    for number, (copy, label) in enumerate(copies):
        left, top = _MARGIN + number % COLUMNS * width, _TITLE + number // COLUMNS * height
        sheet.paste(copy, (left + (THUMBNAIL[0] - copy.width) // 2, top + (THUMBNAIL[1] - copy.height) // 2))
        draw.text((left, top + THUMBNAIL[1] + 1), label, fill=_INK, font=ImageFont.load_default(12))
    file = BytesIO()
    sheet.save(file, "PNG", optimize=True)
    return file.getvalue()


def _thumbnail(payload: bytes | None) -> Image.Image:
    try:
        if payload is not None:
            with _opened(payload) as picture:
                copy = _decoded(picture, "RGB", THUMBNAIL)
                copy.thumbnail(THUMBNAIL)
                return copy
    except _NotSeen:
        pass
    return Image.new("RGB", THUMBNAIL, _EMPTY)


def _opened(payload: bytes) -> Image.Image:
    try:
        content = unpacked(payload)
    except BadMessage as error:
        raise _NotSeen(str(error)) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # `_decoded` looks at the size that counts
            return Image.open(BytesIO(content), formats=_FORMATS)
    except Image.DecompressionBombError as error:
        raise _NotSeen(_TOO_LARGE) from error
    except Exception as error:  # whatever a decoder says to bytes from anywhere
        raise _NotSeen(_NO_PICTURE) from error


def _decoded(picture: Image.Image, mode: str, size: tuple[int, int]) -> Image.Image:
    """The pixels, no fewer than `size`, and no more than the decoder must make for that."""
    picture.draft(mode, size)
    if picture.width * picture.height > MAX_PIXELS:
        raise _NotSeen(_TOO_LARGE)
    try:
        return picture.convert(mode)
    except Exception as error:
        raise _NotSeen(_DAMAGED) from error
