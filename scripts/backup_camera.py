"""Back up camera topics from Kafka to the object store: what is there now, and then end.

Where a backup goes on is found in the bucket. Exit code 65: records were lost to Kafka's retention, or are no frames
(the log says which; all of them are recorded, and everything behind them was backed up). 75: try again.
"""

import argparse
from dataclasses import replace

from fieldpipe import errors, logs
from fieldpipe.cameras.backup import Backup, Share
from fieldpipe.cameras.frames import options
from fieldpipe.cameras.kafka import Kafka
from fieldpipe.errors import ConfigurationError
from fieldpipe.settings import CameraSettings, KafkaSettings, StoreSettings, read, split_topics
from fieldpipe.store import ObjectStore, StoreUnavailable


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts.backup_camera", description=__doc__)
    parser.add_argument("--topics", help="separated by commas (default: CAMERA_TOPICS)")
    parser.add_argument("--no-timestamps", action="store_true", help="write no objects with the cameras' times")
    parser.add_argument("--share", type=_share, default=Share(1, 1), metavar="PART/OF", help="of the partitions: 1/4")
    arguments = parser.parse_args()
    logs.configure("camera-backup")
    store_settings, kafka_settings, cameras = read(StoreSettings, KafkaSettings, CameraSettings)
    topics = split_topics(arguments.topics or cameras.topics)
    if not topics:
        raise ConfigurationError("CAMERA_TOPICS names no topic; name those that cameras send to")
    wanted = options(cameras)
    if arguments.no_timestamps:
        wanted = replace(wanted, timestamps=False)
    store = ObjectStore.connect(store_settings, connections=16)
    if not store.bucket_exists(cameras.bucket):
        raise StoreUnavailable(f"there is no bucket {cameras.bucket}; create it, or name another in CAMERA_BUCKET")
    store.require_conditional_writes(cameras.bucket)
    with Kafka(kafka_settings) as kafka:
        return Backup(kafka, store, cameras.bucket, wanted).run(topics, arguments.share)


def _share(text: str) -> Share:
    part, _, of = text.partition("/")
    share = Share(int(part), int(of))
    if not 1 <= share.part <= share.of:
        raise argparse.ArgumentTypeError(f"{text}: the part is one of 1 to {share.of}")
    return share


if __name__ == "__main__":
    errors.run(main)
