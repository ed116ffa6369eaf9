"""Where pictures come from without a camera, and what a camera is asked for (row A-S16)."""

import io
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import pytest
from PIL import Image

from fieldpipe.cameras.capture.frame import Frame, now
from fieldpipe.cameras.capture.picamera import PiCamera, configure
from fieldpipe.cameras.capture.picture import Picture
from fieldpipe.cameras.capture.settings import understood
from fieldpipe.cameras.capture.simulated import Folder, Pattern
from fieldpipe.cameras.capture.sources import open_source
from fieldpipe.cameras.capture.variables import Variables
from fieldpipe.cameras.capture.video import Video
from fieldpipe.errors import ConfigurationError, PermanentError, TransientError

NEEDED = {"SS_BROKERS": "kafka", "SS_TOPIC": "t"}
ONE, TWO = b"\xff\xd8one\xff\xd9", b"\xff\xd8two, which is longer\xff\xd9"


def jpeg(size: tuple[int, int]) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", size).save(content, "JPEG")
    return content.getvalue()


class FakeCamera:
    """picamera2, as far as we use it: remembers what it was told."""

    def __init__(self, metadata: Mapping[str, Any] | None = None, fails: Exception | None = None) -> None:
        self.metadata = metadata
        self.fails = fails
        self.told: list[str] = []
        self.configuration: dict[str, Any] = {}

    def create_still_configuration(self) -> dict[str, Any]:
        return {"main": {"size": (4056, 3040), "format": "BGR888"}, "controls": {"NoiseReductionMode": 2}}

    def align_configuration(self, configuration: dict[str, Any]) -> None:
        self.told.append("align")

    def configure(self, configuration: dict[str, Any]) -> None:
        if self.fails:
            raise self.fails
        self.told.append("configure")
        self.configuration = configuration

    def start(self) -> None:
        self.told.append("start")

    def capture_file(self, file_output: BinaryIO, *, format: str) -> Mapping[str, Any] | None:
        if self.fails:
            raise self.fails
        self.told.append(f"capture {format}")
        file_output.write(ONE)
        return self.metadata

    def close(self) -> None:
        self.told.append("close")


class Transform(SimpleNamespace):
    pass


LIBCAMERA = SimpleNamespace(
    Transform=Transform,
    ColorSpace=SimpleNamespace(Sycc=lambda: "a colour space"),
    controls=SimpleNamespace(AfModeEnum=SimpleNamespace(Continuous="the enum's value")),
)


def source_of(**given: str) -> object:
    return open_source(understood(Variables({**NEEDED, **given})))


def test_a_pattern_is_a_jpeg_of_the_size_asked_for_and_moves() -> None:
    source = source_of(CAMERA_SOURCE="pattern", PICAMERA2_SIZE="QVGA")
    assert isinstance(source, Pattern)

    first, second = source.capture(), source.capture()

    for frame in (first, second):
        with Image.open(io.BytesIO(frame.picture)) as image:
            image.load()
            assert (image.format, image.size) == ("JPEG", (320, 240))
    assert first.picture != second.picture
    assert abs(now() - first.time) < 10_000_000


def test_the_time_and_the_number_in_a_pattern_are_those_of_its_frame() -> None:
    def drawn(clock: int, frames: int) -> bytes:
        source = Pattern((640, 480), clock=lambda: clock)
        return [source.capture() for _ in range(frames)][-1].picture

    assert drawn(1_700_000_000_123_456, 1) == drawn(1_700_000_000_123_456, 1)
    assert drawn(1_700_000_000_123_456, 1) != drawn(1_700_000_000_123_457, 1)


def test_a_folder_gives_its_jpegs_in_the_order_of_their_names_again_and_again(tmp_path: Path) -> None:
    small, large = jpeg((8, 8)), jpeg((16, 16))
    (tmp_path / "b.JPEG").write_bytes(small)
    (tmp_path / "a.jpg").write_bytes(large)
    (tmp_path / "c.png").write_bytes(b"no jpeg")
    source = source_of(CAMERA_SOURCE=f"folder:{tmp_path}")
    assert isinstance(source, Folder)

    assert [source.capture().picture for _ in range(3)] == [large, small, large]


def test_a_folder_without_jpegs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"there are no \.jpg files in"):
        source_of(CAMERA_SOURCE=f"folder:{tmp_path}")


@pytest.mark.parametrize(("content", "reason"), [(b"GIF89a", "is no JPEG"), (None, "cannot be read")])
def test_a_file_that_is_no_picture_is_an_error(content: bytes | None, reason: str, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(content or b"")
    source = Folder(tmp_path)
    if content is None:
        (tmp_path / "a.jpg").unlink()

    with pytest.raises(PermanentError, match=rf"a\.jpg {reason}"):
        source.capture()


@pytest.fixture
def ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in on PATH, a script of the shell: writes what `video` holds, and says its arguments in `arguments`."""
    program = tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\ncat {tmp_path}/video\necho "no more" >&2\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def test_a_video_gives_the_pictures_that_ffmpeg_writes_and_says_why_it_ended(ffmpeg: Path) -> None:
    (ffmpeg / "video").write_bytes(ONE + TWO + ONE[:-1])
    source = source_of(CAMERA_SOURCE=f"video:{ffmpeg / 'video'}", PICAMERA_FRAMERATE="2.5")
    assert isinstance(source, Video)

    assert [source.capture().picture for _ in range(2)] == [ONE, TWO]
    with pytest.raises(PermanentError, match=r"gives no more pictures of .*/video: no more$"):
        source.capture()
    source.close()
    asked = (ffmpeg / "arguments").read_text()
    assert f"-stream_loop -1 -i {ffmpeg}/video" in asked
    assert "-vf fps=2.5 -c:v mjpeg" in asked


def test_pictures_that_are_split_anywhere_are_whole(ffmpeg: Path) -> None:
    large = b"\xff\xd8" + bytes(300_000) + b"\xff\xd9"
    (ffmpeg / "video").write_bytes((large + ONE) * 3)
    source = Video.open(ffmpeg / "video", 1)

    assert [source.capture().picture for _ in range(6)] == [large, ONE] * 3
    source.close()


def test_what_ffmpeg_writes_must_be_jpegs(ffmpeg: Path) -> None:
    (ffmpeg / "video").write_bytes(b"something else\xff\xd9")
    source = Video.open(ffmpeg / "video", 1)

    with pytest.raises(PermanentError, match="is no JPEG"):
        source.capture()
    source.close()


def test_ffmpeg_and_the_video_have_to_be_there(ffmpeg: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="there is no file"):
        Video.open(ffmpeg / "video", 1)
    monkeypatch.setenv("PATH", str(ffmpeg))
    with pytest.raises(ConfigurationError, match="needs `ffmpeg` on PATH"):
        Video.open(ffmpeg / "video", 1)


def test_a_camera_is_configured_as_it_was_asked_for() -> None:
    camera = FakeCamera()
    how = Picture(
        size=(640, 480),
        format="RGB888",
        colour_space="sycc",
        buffer_count=2,
        vflip=True,
        controls={"AfMode": "Continuous", "Sharpness": 1.5, "FrameDurationLimits": (200_000, 200_000)},
    )

    configure(camera, how, LIBCAMERA)

    assert camera.told == ["align", "configure"]
    assert camera.configuration == {
        "main": {"size": (640, 480), "format": "RGB888"},
        "buffer_count": 2,
        "transform": Transform(hflip=False, vflip=True),
        "colour_space": "a colour space",
        "controls": {
            "NoiseReductionMode": 2,
            "AfMode": "the enum's value",
            "Sharpness": 1.5,
            "FrameDurationLimits": (200_000, 200_000),
        },
    }


def test_what_was_not_asked_for_is_left_to_the_camera() -> None:
    camera = FakeCamera()

    configure(camera, Picture(), LIBCAMERA)

    assert camera.configuration == camera.create_still_configuration()


@pytest.mark.parametrize(
    ("how", "fails"),
    [
        (Picture(colour_space="ultraviolet"), None),
        (Picture(controls={"AfMode": "Sometimes"}), None),
        (Picture(controls={"NoSuch": "Text"}), None),
        (Picture(controls={"NoSuch": 1}), RuntimeError("Control NoSuch is not advertised by libcamera")),
    ],
)
def test_what_a_camera_does_not_take_is_a_matter_of_settings(how: Picture, fails: Exception | None) -> None:
    with pytest.raises(
        ConfigurationError, match=r"PICAMERA2_\*: the camera does not take this: .*(?i:ultra|Some|NoSuch)"
    ):
        configure(FakeCamera(fails=fails), how, LIBCAMERA)


def test_a_picture_has_the_time_at_which_the_sensor_took_it() -> None:
    minutes_ago = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - 120_000_000_000  # it lay in a buffer
    camera = FakeCamera({"SensorTimestamp": minutes_ago})

    frame = PiCamera(camera, warm_up=0).capture()

    assert frame.picture == ONE
    assert abs(now() - 120_000_000 - frame.time) < 1_000_000
    assert camera.told == ["start", "capture jpeg"]


@pytest.mark.parametrize("metadata", [None, {}])
def test_without_the_sensors_time_it_has_that_before_it_was_taken(metadata: Mapping[str, Any] | None) -> None:
    before = now()

    frame = PiCamera(FakeCamera(metadata), warm_up=0).capture()

    assert frame == Frame(frame.time, ONE)
    assert before <= frame.time <= now()


def test_a_camera_that_fails_is_tried_again_later() -> None:
    with pytest.raises(TransientError, match="the camera gives no picture: unplugged"):
        PiCamera(FakeCamera(fails=RuntimeError("unplugged")), warm_up=0).capture()


def test_without_picamera2_it_is_said_how_to_get_it() -> None:
    with pytest.raises(ConfigurationError, match=r"apt install python3-picamera2.* CAMERA_SOURCE=pattern"):
        source_of()
