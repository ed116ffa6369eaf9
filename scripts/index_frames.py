"""Index the frames of a camera backup: each batch's manifest becomes parts of the hours' tables.

    python -m scripts.index_frames --batch      # a pod: the manifests named in FIELDPIPE_WORK

Needs MINIO_ENDPOINT, MINIO_ACCESS_KEY and MINIO_SECRET_KEY. Exit codes: 0 indexed; 65 cannot be indexed: an image is
missing, or is not the manifest's; 75 try again later.
"""

import argparse

from fieldpipe import errors, logs
from fieldpipe.cameras.frames import options
from fieldpipe.cameras.index import index_batch
from fieldpipe.handover import WORK_VARIABLE
from fieldpipe.settings import CameraSettings, read
from fieldpipe.work import assignment


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", action="store_true", required=True, help=f"index the manifests of {WORK_VARIABLE}")
    parser.parse_args()
    logs.configure("index_frames")
    (cameras,) = read(CameraSettings)
    return index_batch(*assignment(), options(cameras).zone)


if __name__ == "__main__":
    errors.run(main)
