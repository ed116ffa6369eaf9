"""A small grey JPEG without any imaging library: baseline, one brightness per block of 8 x 8 pixels (ITU-T T.81)."""

from __future__ import annotations

import struct

# Table K.3 of T.81: how many codes of each length there are, and the sizes of differences that they stand for
_LENGTHS = bytes([0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0])
_SIZES = bytes(range(12))
_CODES = ("00", "010", "011", "100", "101", "110", "1110", "11110", "111110", "1111110", "11111110", "111111110")
_END_OF_BLOCK = "0"  # the only code of our table for what follows the brightness


def jpeg(blocks: list[list[int]]) -> bytes:
    """A picture of rows of blocks, each 0 (black) to 255 (white)."""
    height, width = 8 * len(blocks), 8 * len(blocks[0])
    return b"".join(
        (
            b"\xff\xd8",
            _segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0"),
            _segment(0xDB, b"\0" + bytes([8] * 64)),
            _segment(0xC0, struct.pack(">BHHBBBB", 8, height, width, 1, 1, 0x11, 0)),
            _segment(0xC4, b"\x00" + _LENGTHS + _SIZES),
            _segment(0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\0"),
            _segment(0xDA, b"\1\1\0\0\x3f\0"),
            _scan(blocks),
            b"\xff\xd9",
        )
    )


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _scan(blocks: list[list[int]]) -> bytes:
    bits: list[str] = []
    before = 0
    for row in blocks:
        for brightness in row:
            level = brightness - 128  # the DC coefficient is 8 times the mean, and its quantum is 8
            bits.append(_difference(level - before) + _END_OF_BLOCK)
            before = level
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")


def _difference(value: int) -> str:
    size = abs(value).bit_length()
    if not size:
        return _CODES[0]
    return _CODES[size] + format(value if value > 0 else value + (1 << size) - 1, f"0{size}b")
