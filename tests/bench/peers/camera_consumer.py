"""A camera backup as one writes it in an afternoon: of each record put the image, put its time, commit the offset.

python camera_consumer.py BROKERS TOPIC ENDPOINT BUCKET FRAMES          keys in MINIO_ACCESS_KEY, MINIO_SECRET_KEY
"""

import os
import sys
from datetime import UTC, datetime
from io import BytesIO
from uuid import uuid4
from zoneinfo import ZoneInfo

from kafka import KafkaConsumer
from minio import Minio

from fieldpipe.cameras.message import Position, decode

TOKYO = ZoneInfo("Asia/Tokyo")


def main(brokers: str, topic: str, endpoint: str, bucket: str, frames: str) -> None:
    store = Minio(endpoint, os.environ["MINIO_ACCESS_KEY"], os.environ["MINIO_SECRET_KEY"], secure=False)
    consumer = KafkaConsumer(
        topic,
        bootstrap_servers=brokers,
        group_id=f"afternoon-{uuid4().hex}",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    for count, record in enumerate(consumer, start=1):
        message = decode(record.value, Position(topic, record.partition, record.offset))
        hour = datetime.fromtimestamp(record.timestamp / 1000, TOKYO)
        name = f"topics/{topic}/{hour:year=%Y/month=%m/day=%d/hour=%H}/{topic}+{record.partition}+{record.offset:010d}"
        moment = datetime.fromtimestamp(message.time / 1_000_000, UTC).replace(tzinfo=None)
        time = moment.isoformat(timespec="milliseconds").encode()
        store.put_object(bucket, f"{name}.jpg", BytesIO(message.payload), len(message.payload), "image/jpeg")
        store.put_object(bucket, f"{name}-timestamp.txt", BytesIO(time), len(time), "text/plain")
        consumer.commit()
        if count == int(frames):
            break
    consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
