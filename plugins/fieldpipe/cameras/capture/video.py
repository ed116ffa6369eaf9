"""A video as a source: ffmpeg, a program of its own, makes JPEG pictures of it, from the beginning again and again."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import IO

from fieldpipe.cameras.capture.frame import JPEG, Frame, now
from fieldpipe.errors import ConfigurationError, PermanentError

LARGEST = 64 * 1024 * 1024  # bytes of a picture

_END = b"\xff\xd9"  # of a JPEG; ffmpeg writes no thumbnails, which would have ends of their own
_AT_ONCE = 64 * 1024
_STOP_SECONDS = 5.0


class Video:
    """The pictures that ffmpeg writes. It waits while nobody reads, so no more than a few are ever in memory."""

    def __init__(self, program: str, file: Path, rate: float) -> None:
        self._file = file
        self._rest = b""
        self._complaints: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 -- `close` closes it
        self._process = subprocess.Popen(
            [
                *(program, "-nostdin", "-loglevel", "error", "-stream_loop", "-1", "-i", str(file)),
                *("-an", "-vf", f"fps={rate:g}", "-c:v", "mjpeg", "-q:v", "3", "-f", "image2pipe", "pipe:1"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
        )

    @classmethod
    def open(cls, file: Path, rate: float) -> Video:
        """So many pictures of each second. Raises ConfigurationError without ffmpeg, or the file."""
        program = shutil.which("ffmpeg")
        if program is None:
            raise ConfigurationError("CAMERA_SOURCE=video:... needs `ffmpeg` on PATH (apt install ffmpeg)")
        if not file.is_file():
            raise ConfigurationError(f"CAMERA_SOURCE: there is no file {file}")
        return cls(program, file, rate)

    def capture(self) -> Frame:
        """The next one. Raises PermanentError when ffmpeg has ended, or what it writes is no JPEG."""
        picture = self._picture()
        if not picture.startswith(JPEG):
            raise PermanentError(f"what ffmpeg makes of {self._file} is no JPEG")
        return Frame(now(), picture)

    def close(self) -> None:
        """End ffmpeg."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()
        self._complaints.close()

    @property
    def _output(self) -> IO[bytes]:
        assert self._process.stdout
        return self._process.stdout

    def _picture(self) -> bytes:
        content, looked_at = bytearray(self._rest), 0
        while (end := content.find(_END, looked_at)) < 0:
            looked_at = max(0, len(content) - 1)
            more = self._output.read1(_AT_ONCE)  # type: ignore[attr-defined]  # a BufferedReader
            if not more or len(content) > LARGEST:
                raise PermanentError(f"ffmpeg gives no more pictures of {self._file}: {self._reason()}")
            content += more
        self._rest = bytes(content[end + len(_END) :])
        return bytes(content[: end + len(_END)])

    def _reason(self) -> str:
        self._complaints.seek(0)
        lines = self._complaints.read().decode(errors="replace").split("\n")
        return " ".join(" ".join(lines).split())[:500] or "it said nothing"
