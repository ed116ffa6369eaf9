"""Close the hours of camera topics: one table and one contact sheet for each hour that is over.

    python -m scripts.close_frame_hours             # hours that ended at least 10 minutes ago; nothing is done twice
    python -m scripts.close_frame_hours --now       # also hours that are not over, as they are now

Looks at the hours that have new parts, and, for the topics of CAMERA_TOPICS, at the last two days for frames that Kafka
Connect wrote. Needs MINIO_ENDPOINT, MINIO_ACCESS_KEY and MINIO_SECRET_KEY. Exit codes: 0; 65 an hour cannot be closed
(the log says why; the others are); 75 try again later.
"""

import argparse
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from fieldpipe import errors, logs
from fieldpipe.cameras.closing import Buckets, Closer
from fieldpipe.cameras.frames import options
from fieldpipe.cameras.reading import AT_ONCE
from fieldpipe.settings import BucketSettings, CameraSettings, StoreSettings, read, split_topics
from fieldpipe.store import ObjectStore, StoreUnavailable


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--ended", dest="now", action="store_false", help="only hours that are over (the default)")
    which.add_argument("--now", action="store_true", help="also hours that are not over")
    arguments = parser.parse_args()
    logs.configure("close_frame_hours")
    store_settings, buckets, cameras = read(StoreSettings, BucketSettings, CameraSettings)
    where = Buckets(cameras.bucket, buckets.processed_bucket)
    store = ObjectStore.connect(store_settings, connections=16)
    if not store.bucket_exists(cameras.bucket):
        raise StoreUnavailable(f"there is no bucket {cameras.bucket}; create it, or name another in CAMERA_BUCKET")
    with ThreadPoolExecutor(AT_ONCE) as reads:
        closer = Closer(store, where, options(cameras).zone, reads, datetime.now(UTC))
        return closer.close_all(split_topics(cameras.topics), running=arguments.now)


if __name__ == "__main__":
    errors.run(main)
