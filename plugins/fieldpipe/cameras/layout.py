"""Where the objects of a camera backup lie, and what stands in those with the time: as Kafka Connect's S3 sink has it.

    topics/<topic>/year=2023/month=11/day=15/hour=07/<topic>+<partition>+<offset, ten digits>.jpg
    topics/<topic>/year=2023/month=11/day=15/hour=07/<topic>+<partition>+<offset, ten digits>-timestamp.txt

A topic that was deleted and made again goes on below `topics-2`, then `topics-3`: its offsets begin anew.
The hour is that of the Kafka record, in a zone of one's choice; the text is the camera's own time, in UTC. Sources:
Confluent's S3 sink connector, "Object names"; SINETStream's demo, `setup-sink-minio.sh`, and its TimestampConverter.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

from fieldpipe.cameras.message import BadMessage, Position

IMAGE = ".jpg"
TIMESTAMP = "-timestamp.txt"
SEALED = ".sealed"  # an encrypted message, whole: nobody gave us its key
ROOT = "topics"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def stem(position: Position, record_time: int, zone: tzinfo, *, epoch: int = 1) -> str:
    """What the keys of a record's objects begin with. `record_time` is Kafka's, in milliseconds since 1970.

    Raises BadMessage for a time that no calendar has (years 1 to 9999).
    """
    topic, partition, offset = position
    hour = _moment(record_time * 1000, zone, position)
    folder = f"year={hour:%Y}/month={hour:%m}/day={hour:%d}/hour={hour:%H}"
    return f"{root(epoch)}/{topic}/{folder}/{topic}+{partition}+{offset:010d}"


def root(epoch: int) -> str:
    """Where the objects of a topic's life lie."""
    return ROOT if epoch == 1 else f"{ROOT}-{epoch}"


def timestamp_text(time: int, position: Position) -> str:
    """A camera's time (microseconds since 1970) as the sink writes it: UTC without saying so, 23 characters.

    Java's division goes towards zero: before 1970 the milliseconds are the later ones. Raises BadMessage.
    """
    milliseconds = time // 1000 if time >= 0 else -(-time // 1000)
    moment = _moment(milliseconds * 1000, UTC, position)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds")


def rfc3339_text(time: int, position: Position, zone: tzinfo) -> str:
    """A camera's time (microseconds since 1970) with all its digits and the zone's offset. Raises BadMessage."""
    return _moment(time, zone, position).isoformat(timespec="microseconds")


def _moment(microseconds: int, zone: tzinfo, position: Position) -> datetime:
    try:
        return (_EPOCH + timedelta(microseconds=microseconds)).astimezone(zone)
    except OverflowError as error:
        raise BadMessage(f"{position}: {microseconds} microseconds from 1970 are no time of this calendar") from error
