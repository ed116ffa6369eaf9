"""Make a recording as a robot would: real MCAP with IMU, joints, odometry, transforms, camera and diagnostics.

    python -m scripts.generate_recording --out run.mcap
    python -m scripts.generate_recording --upload            # to the bucket raw-data, as robot_log_<time>.mcap
    python -m scripts.generate_recording --upload --key site1/run7.mcap --seconds 60

With --seed the content is the same every time, times included. --upload needs MINIO_ENDPOINT, MINIO_ACCESS_KEY and
MINIO_SECRET_KEY.
"""

import argparse
import random
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from fieldpipe import errors
from fieldpipe.recordings.synthetic import SECOND, STREAMS, write_recording
from fieldpipe.settings import StoreSettings, read
from fieldpipe.store import ObjectStore

SEEDED_START = 1_767_225_600 * SECOND  # 2026-01-01T00:00:00Z


def main() -> int:
    """Read the command line, write or upload a recording."""
    arguments = parse_arguments()
    key = arguments.key or datetime.now().astimezone().strftime("robot_log_%Y%m%d_%H%M%S.mcap")
    if arguments.upload:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "recording.mcap"
            generate(path, arguments)
            upload(path, arguments.bucket, key)
    else:
        generate(arguments.out or Path(key), arguments)
    return 0


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, metavar="PATH", help="the file (default: robot_log_<time>.mcap)")
    parser.add_argument("--upload", action="store_true", help="put it into the bucket instead of a file")
    parser.add_argument("--bucket", default="raw-data", help="for --upload (default: raw-data)")
    parser.add_argument("--key", help="for --upload (default: robot_log_<time>.mcap)")
    parser.add_argument("--seed", type=int, help="the same seed gives the same bytes (default: from now)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--seconds", type=float, default=10.0, help="how long the recording is (default: 10)")
    length.add_argument("--messages", type=int, help="about how many messages it has")
    return parser.parse_args()


def generate(path: Path, arguments: argparse.Namespace) -> None:
    """Write the recording and say so."""
    seconds = arguments.messages / sum(stream.rate for stream in STREAMS) if arguments.messages else arguments.seconds
    seeded = arguments.seed is not None
    seed = arguments.seed if seeded else random.SystemRandom().randrange(2**32)
    with path.open("wb") as file:
        written = write_recording(file, seed=seed, start=SEEDED_START if seeded else time.time_ns(), seconds=seconds)
    if not arguments.upload:
        print(f"{path}: {written:,} messages, {path.stat().st_size:,} bytes", file=sys.stderr)


def upload(path: Path, bucket: str, key: str) -> None:
    """Put the recording into the bucket and print where it is."""
    (settings,) = read(StoreSettings)
    store = ObjectStore.connect(settings)
    store.ensure_bucket(bucket)
    store.upload(bucket, key, path)
    print(f"s3://{bucket}/{key}")


if __name__ == "__main__":
    errors.run(main)
