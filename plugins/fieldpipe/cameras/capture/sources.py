"""Where frames come from: the one source that was chosen."""

from __future__ import annotations

from fieldpipe.cameras.capture.frame import Source
from fieldpipe.cameras.capture.picamera import PiCamera
from fieldpipe.cameras.capture.picture import SIZES
from fieldpipe.cameras.capture.settings import SIMULATED_RATE, Settings
from fieldpipe.cameras.capture.simulated import Folder, Pattern
from fieldpipe.cameras.capture.video import Video


def open_source(settings: Settings) -> Source:
    """Raises ConfigurationError when it cannot be had here, TransientError when it may be had later."""
    how = settings.picture
    if settings.source == "picamera2":
        return PiCamera.open(how)
    if settings.path is None:
        return Pattern(how.size or SIZES["VGA"])
    if settings.source == "folder":
        return Folder(settings.path)
    return Video.open(settings.path, how.rate or SIMULATED_RATE)
