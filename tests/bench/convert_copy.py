"""What a camera's recording costs when its pictures are only copied out: arguments are the recording and the folder.

The official reader, no CRC, no index, no manifest: the shortest program that a person would write.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

from mcap.reader import make_reader

_U32 = struct.Struct("<I")
_STAMP = 4 + 8  # bytes: the CDR header, and the time of the message's header


def main(recording: Path, folder: Path) -> None:
    """Write every picture into a file."""
    folder.mkdir(parents=True)
    with recording.open("rb") as file:
        for _, _, message in make_reader(file).iter_messages(log_time_order=False):
            picture = _picture(memoryview(message.data))
            (folder / f"{message.log_time}_{message.sequence}.jpg").write_bytes(picture)


def _picture(message: memoryview) -> memoryview:
    """The data of a sensor_msgs/CompressedImage, behind two strings: frame and format."""
    at = _after_text(message, _after_text(message, _STAMP))
    at += -at % 4
    (size,) = _U32.unpack_from(message, at)
    return message[at + 4 : at + 4 + size]


def _after_text(message: memoryview, at: int) -> int:
    at += -at % 4
    return at + 4 + int(_U32.unpack_from(message, at)[0])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
