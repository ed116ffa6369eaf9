"""Pictures in messages: which file they make. Compressed ones are what they are, raw ones become PNG.

A raw picture in an encoding that PNG cannot hold keeps its bytes (`.bin`).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

_BEGINNINGS = ((b"\xff\xd8\xff", "jpg"), (b"\x89PNG\r\n\x1a\n", "png"), (b"GIF8", "gif"), (b"BM", "bmp"))
# sensor_msgs/image_encodings.hpp -> PNG: bits per channel, colour type, whether blue comes first
_PNG = {
    "mono8": (8, 0, False),
    "8UC1": (8, 0, False),
    "mono16": (16, 0, False),
    "16UC1": (16, 0, False),
    "rgb8": (8, 2, False),
    "8UC3": (8, 2, False),
    "bgr8": (8, 2, True),
    "rgba8": (8, 6, False),
    "bgra8": (8, 6, True),
    "bayer_rggb8": (8, 0, False),
    "bayer_bggr8": (8, 0, False),
    "bayer_gbrg8": (8, 0, False),
    "bayer_grbg8": (8, 0, False),
}
_CHANNELS = {0: 1, 2: 3, 6: 4}


def suffix_of(content: bytes) -> str:
    """What the file of a compressed picture is called, by its first bytes."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "webp"
    return next((suffix for beginning, suffix in _BEGINNINGS if content.startswith(beginning)), "bin")


def encoded(content: bytes, fields: Mapping[str, str]) -> tuple[str, bytes]:
    """A raw picture as PNG, or unchanged if it is not what its fields say or PNG has no such thing; the suffix first.

    `fields` are the cells of its message by column.
    """
    try:
        width, height, step = (int(fields[name]) for name in ("width", "height", "step"))
    except (KeyError, ValueError):  # the schema has the name of an image and is none
        return "bin", content
    if fields.get("encoding") not in _PNG or not width or not height:
        return "bin", content
    bits, colour, blue_first = _PNG[fields["encoding"]]
    line = width * _CHANNELS[colour] * bits // 8
    if step < line or step * height != len(content):
        return "bin", content
    pixels = bytearray(b"".join(content[at : at + line] for at in range(0, step * height, step)))
    if blue_first:
        channels = _CHANNELS[colour]
        pixels[0::channels], pixels[2::channels] = pixels[2::channels], pixels[0::channels]
    if bits == 16 and fields.get("is_bigendian", "0") == "0":
        pixels[0::2], pixels[1::2] = pixels[1::2], pixels[0::2]
    return "png", _png(width, height, bits, colour, pixels)


def _png(width: int, height: int, bits: int, colour: int, pixels: bytearray) -> bytes:
    """W3C PNG specification: signature, IHDR, IDAT (every line behind a filter byte, here none), IEND."""
    line = len(pixels) // height
    lines = b"".join(b"\0" + pixels[at : at + line] for at in range(0, len(pixels), line))
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(kind, body) for kind, body in chunks)


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
