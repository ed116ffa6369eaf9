"""What is seen of a picture, and of what is none."""

import gzip
import zlib
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fieldpipe.cameras.pictures import THUMBNAIL, Look, Tile, contact_sheet, look
from tests.camera_frames import picture


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
@pytest.mark.parametrize("size", [(1, 1), (641, 479)])
def test_a_picture_has_a_size_and_a_brightness(kind: str, size: tuple[int, int]) -> None:
    assert look(picture(200, size, kind)) == Look(*size, 200.0)


def test_brightness_is_the_mean_of_the_whole_picture() -> None:
    image = Image.new("RGB", (640, 480), "black")
    image.paste("white", (0, 0, 320, 480))
    file = BytesIO()
    image.save(file, "JPEG")

    assert look(file.getvalue()).brightness == pytest.approx(127.5, abs=1)


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_a_compressed_picture_is_looked_at(pack) -> None:
    assert look(pack(picture(7))) == Look(64, 48, 7.0)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "no picture"),
        (b'{"temperature": 21.5}', "no picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no picture"),  # Pillow would start Ghostscript
        (picture(9, (640, 480))[:-200], "a damaged picture"),
        (picture(0, (8000, 8000), "PNG"), "a picture with too many pixels"),
        (picture(0, (15000, 15000), "PNG"), "a picture with too many pixels"),
    ],
    ids=["empty", "json", "postscript", "cut", "large", "huge"],
)
def test_what_cannot_be_looked_at_says_why(payload: bytes, reason: str) -> None:
    assert look(payload) == Look(reason=reason)


@given(st.sampled_from(["JPEG", "PNG", "WEBP", "BMP", "TIFF"]), st.data())
def test_damage_is_a_reason_and_never_an_error(kind: str, data: st.DataObject) -> None:
    content = bytearray(picture(99, (32, 24), kind))
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=6)):
        content[place] = data.draw(st.integers(0, 255))

    seen = look(bytes(content[: data.draw(st.integers(0, len(content)))]))

    assert (seen.width is None) == bool(seen.reason)


def test_a_contact_sheet_has_its_pictures_in_rows() -> None:
    sheet = Image.open(BytesIO(contact_sheet("title", [Tile(picture(0, (800, 600)), "07:00:00")] * 11)))

    middle = THUMBNAIL[0] // 2, THUMBNAIL[1] // 2
    assert sheet.size[0] > 10 * THUMBNAIL[0]
    assert 2 * THUMBNAIL[1] < sheet.size[1] < 3 * THUMBNAIL[1]
    assert sheet.getpixel((middle[0], 30 + middle[1])) == (0, 0, 0)


@pytest.mark.parametrize("payload", [None, b"no picture"])
def test_a_picture_that_is_gone_leaves_its_place_empty(payload: bytes | None) -> None:
    sheet = Image.open(BytesIO(contact_sheet("title", [Tile(payload, "07:00:00")])))

    assert sheet.getpixel((THUMBNAIL[0] // 2, THUMBNAIL[1] // 2 + 30)) == (0xDD, 0xDD, 0xDD)
