"""Saves pictures of the camera collector, which are raw RGB, as JPEG files below images/."""

from pathlib import Path

from PIL import Image

from fieldpipe.broker.handlers import Handler, Reading, Reply

FOLDER = Path("images")  # in the folder that the broker runs in


class CameraBroker(Handler):
    """A picture too short for its size is passed by, of one too long the rest is cut off."""

    async def on(self, reading: Reading) -> Reply | None:
        width, height = reading.metadata.get("width"), reading.metadata.get("height")
        if not isinstance(width, int) or not isinstance(height, int) or width < 1 or height < 1:
            return None
        size = width * height * 3
        if len(reading.payload) < size:
            return None
        FOLDER.mkdir(parents=True, exist_ok=True)
        path = FOLDER / f"{reading.received // 10**9}-{reading.id}.jpg"  # no two readings have one id
        Image.frombytes("RGB", (width, height), reading.payload[:size]).save(path, "JPEG", quality=85)
        metadata = {"response_type": "simple", "saved_image": str(path), "source_broker": "CameraBroker"}
        return Reply(b"\x00", "text/plain", metadata)
