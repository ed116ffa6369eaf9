"""A camera of a Raspberry Pi, through picamera2.

Not tested on hardware: picamera2 imports only where libcamera is, on Raspberry Pi OS. What we ask of it is tested with
a stand-in. Sources: "The Picamera2 Library", 4.2 and appendices B and C; the original's `ss-camera.py`.
"""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, BinaryIO, Protocol

from fieldpipe.cameras.capture.frame import Frame, now
from fieldpipe.cameras.capture.picture import Picture
from fieldpipe.errors import ConfigurationError, TransientError

WARM_UP = 1.0  # seconds, in which exposure and white balance settle


class Camera(Protocol):
    """What we use of picamera2.Picamera2."""

    def create_still_configuration(self) -> dict[str, Any]: ...
    def align_configuration(self, configuration: dict[str, Any]) -> None: ...
    def configure(self, configuration: dict[str, Any]) -> object: ...
    def start(self) -> None: ...
    def capture_file(self, file_output: BinaryIO, *, format: str) -> Mapping[str, Any] | None: ...
    def close(self) -> None: ...


class PiCamera:
    """Gives the pictures of a camera that was configured and started."""

    def __init__(self, camera: Camera, warm_up: float = WARM_UP) -> None:
        self._camera = camera
        camera.start()
        time.sleep(warm_up)

    @classmethod
    def open(cls, how: Picture) -> PiCamera:
        """This machine's first camera. Raises ConfigurationError without picamera2, or for what it does not know."""
        try:
            import libcamera  # type: ignore[import-not-found]
            from picamera2 import Picamera2
        except ImportError as error:
            raise ConfigurationError(
                f"picamera2 cannot be imported here ({error}). On Raspberry Pi OS: apt install python3-picamera2, and "
                "an environment that sees it (python3 -m venv --system-site-packages). Elsewhere: CAMERA_SOURCE=pattern"
            ) from error
        try:
            camera = Picamera2()
        except (RuntimeError, IndexError) as error:  # none is there, or another program has it
            raise TransientError(f"the camera cannot be opened: {error}") from error
        configure(camera, how, libcamera)
        return cls(camera)

    def capture(self) -> Frame:
        """The next picture. Raises TransientError when the camera gives none."""
        content = io.BytesIO()
        before = now()
        try:
            metadata = self._camera.capture_file(content, format="jpeg")
        except (RuntimeError, OSError) as error:
            raise TransientError(f"the camera gives no picture: {error}") from error
        return Frame(_moment(metadata, before), content.getvalue())

    def close(self) -> None:
        """Let others have the camera."""
        with suppress(RuntimeError):
            self._camera.close()


def configure(camera: Camera, how: Picture, libcamera: Any) -> None:
    """Tell a camera how to take pictures. `libcamera` is the module. Raises ConfigurationError."""
    configuration = camera.create_still_configuration()
    main = configuration["main"]
    main.update({name: value for name, value in (("size", how.size), ("format", how.format)) if value is not None})
    if how.buffer_count is not None:
        configuration["buffer_count"] = how.buffer_count
    if how.hflip or how.vflip:
        configuration["transform"] = libcamera.Transform(hflip=how.hflip, vflip=how.vflip)
    try:
        if how.colour_space is not None:
            configuration["colour_space"] = getattr(libcamera.ColorSpace, how.colour_space.capitalize())()
        controls = {name: _control(name, value, libcamera.controls) for name, value in how.controls.items()}
        configuration["controls"].update(controls)
        camera.align_configuration(configuration)
        camera.configure(configuration)
    except (AttributeError, RuntimeError, ValueError) as error:
        raise ConfigurationError(f"PICAMERA2_*: the camera does not take this: {error}") from error


def _control(name: str, value: object, controls: Any) -> object:
    """A control's value; texts are names of libcamera's, such as Continuous of AfModeEnum."""
    return getattr(getattr(controls, f"{name}Enum"), value) if isinstance(value, str) else value


def _moment(metadata: Mapping[str, Any] | None, before: int) -> int:
    """When the sensor took it. picamera2 says it in nanoseconds since the machine was started."""
    since_start = (metadata or {}).get("SensorTimestamp")
    if since_start is None:
        return before
    age = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - int(since_start)
    return now() - age // 1000
