"""The sensor: take pictures, keep them on disk until Kafka has them, send them as SINETStream messages.

    python -m scripts.capture_camera                    what the environment says (docs/cameras.md, edge/camera.env)
    python -m scripts.capture_camera --frames 100       so many pictures, and end when all are sent

Without a camera: CAMERA_SOURCE=pattern, folder:PATH or video:PATH. SIGTERM and Ctrl-C end it: what cannot be sent
within five seconds stays in the spool. Exit codes: 0 ended; 65 it cannot be as it was asked for; 75 start it again.
"""

import argparse
import os
import signal

from fieldpipe import errors, logs
from fieldpipe.cameras.capture import settings
from fieldpipe.cameras.capture.ending import Ending
from fieldpipe.cameras.capture.sensor import STOP_SECONDS, Sensor
from fieldpipe.cameras.capture.sources import open_source


def main() -> int:
    """Read the command line and the environment, and do what they say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, metavar="N", help="end after so many pictures (for ever)")
    given = parser.parse_args()
    found = settings.read(os.environ)
    logs.configure("capture_camera", level=found.log_level)
    for warning in found.warnings:
        logs.get(__name__).warning("setting_ignored", reason=warning)
    ending = Ending()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.begin(STOP_SECONDS))
    Sensor(found, ending).run(lambda: open_source(found), given.frames)
    return 0


if __name__ == "__main__":
    errors.run(main)
