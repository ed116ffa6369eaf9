"""The two sinks of Kafka Connect that store cameras: one for the images, one for their times.

Their configuration is that of SINETStream's demo, `setup-sink-minio.sh`, key by key; the properties are those of
Confluent's S3 sink connector. What goes beyond it is only there when it is asked for: `dead_letter_topic`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from fieldpipe.errors import ConfigurationError
from fieldpipe.settings import split_topics

Kind = Literal["image", "timestamp"]

SINK = "io.confluent.connect.s3.S3SinkConnector"
CONVERTER = "jp.ad.sinet.sinetstream.connect.converters.SinetStreamConverter"
CAST = "jp.ad.sinet.sinetstream.connect.transforms.ByteArrayCast$Value"
TIMES = "jp.ad.sinet.sinetstream.connect.transforms.MicrosecondTimestampConverter$Value"
EXTRACT = "org.apache.kafka.connect.transforms.ExtractField$Value"
PLUGINS: Mapping[Kind, tuple[str, ...]] = {
    "image": (SINK, CONVERTER, EXTRACT, CAST),
    "timestamp": (SINK, CONVERTER, EXTRACT, CAST, TIMES),
}
ACCESS_KEY, SECRET_KEY = "aws.access.key.id", "aws.secret.access.key"
EXTENSIONS: Mapping[Kind, str] = {"image": ".jpg", "timestamp": "-timestamp.txt"}

# What makes a connector the one that is meant; all else may be changed while it is there.
IDENTITY = ("connector.class", "topics", "s3.bucket.name", "transforms.ExtractField.field")

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_REFERENCE = re.compile(r"\$\{[^{}:]+:[^{}]+\}")  # Kafka's ConfigTransformer: ${provider:[path:]key}
_PARAMETERS = {"picamera": ("topic",), "android": ("topic", "sensor_data"), "perftool": ("result", "topic")}


@dataclass(frozen=True, slots=True)
class Sink:
    """One connector. The two keys are references that its worker resolves, or, if need be, plain text."""

    name: str
    kind: Kind
    topics: tuple[str, ...]
    bucket: str
    endpoint: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    region: str = "us-east-1"
    zone: str = "Asia/Tokyo"
    extension: str = ""  # that of its kind
    tasks: int = 1  # at most; more than there are partitions have nothing to do
    dead_letter_topic: str = ""  # none: one bad message stops the sink, as in the original

    def configuration(self) -> dict[str, str]:
        """As Kafka Connect keeps it."""
        return {
            "connector.class": SINK,
            "value.converter": CONVERTER,
            "format.class": "io.confluent.connect.s3.format.bytearray.ByteArrayFormat",
            "storage.class": "io.confluent.connect.s3.storage.S3Storage",
            "tasks.max": str(self.tasks),
            "flush.size": "1",
            "format.bytearray.separator": "",
            "partitioner.class": "io.confluent.connect.storage.partitioner.TimeBasedPartitioner",
            "path.format": "'year'=YYYY/'month'=MM/'day'=dd/'hour'=HH",
            "partition.duration.ms": "3600000",
            "timestamp.extractor": "Record",
            "locale": "C",
            "timezone": self.zone,
            "s3.region": self.region,
            "s3.bucket.name": self.bucket,
            "topics": ",".join(self.topics),
            "store.url": self.endpoint,
            ACCESS_KEY: self.access_key,
            SECRET_KEY: self.secret_key,
            "group.id": self.name,  # the original has it; Connect does not look at it
            **_transforms(self.kind),
            "format.bytearray.extension": self.extension or EXTENSIONS[self.kind],
            **(_tolerance(self.dead_letter_topic) if self.dead_letter_topic else {}),
        }

    def differences(self, existing: Mapping[str, str]) -> list[str]:
        """In what a connector of this name is another one than this; empty: it is this one."""
        wanted = self.configuration()
        pairs = ((name, existing.get(name, ""), wanted[name]) for name in IDENTITY)
        return [
            f"{name} is {there or 'not set'}, not {here}"
            for name, there, here in pairs
            if (set(split_topics(there)) != set(self.topics) if name == "topics" else there != here)
        ]


def checked_topics(topics: Iterable[str]) -> tuple[str, ...]:
    """The same topics. Raises ConfigurationError when there is none, or one with a name that Kafka does not take."""
    found = tuple(topics)
    wrong = [topic for topic in found if not _TOPIC.fullmatch(topic)]
    if wrong or not found:
        raise ConfigurationError(f"no topic can have this name: {wrong[0]!r}" if wrong else "no topic: name it with -t")
    return found


def topics_of(parameters: object) -> tuple[str, ...]:
    """The topics that a file of the original's `params` folder names, parsed: 01-picamera.yml, and its sisters.

    Raises ConfigurationError for what is no such file.
    """
    for section, path in _PARAMETERS.items():
        found = parameters
        for name in (section, *path):
            found = found.get(name) if isinstance(found, Mapping) else None
        if isinstance(found, str | list):
            return tuple(str(topic).strip() for topic in (found if isinstance(found, list) else [found]))
    places = ", ".join(".".join((section, *path)) for section, path in _PARAMETERS.items())
    raise ConfigurationError(f"the file with parameters names no topics: it has none of {places}")


def is_reference(value: str) -> bool:
    """Whether a value is one that the worker's configuration provider looks up: `${env:NAME}`, `${file:path:key}`."""
    return _REFERENCE.fullmatch(value) is not None


def _transforms(kind: Kind) -> dict[str, str]:
    steps = ("ExtractField", "ByteArrayCast") if kind == "image" else ("Timestamp", "ExtractField", "ByteArrayCast")
    return {
        "transforms": ",".join(steps),
        "transforms.ExtractField.type": EXTRACT,
        "transforms.ExtractField.field": "msg" if kind == "image" else "tstamp",
        "transforms.ByteArrayCast.type": CAST,
        **({} if kind == "image" else _TIMESTAMP),
    }


_TIMESTAMP = {
    "transforms.Timestamp.type": TIMES,
    "transforms.Timestamp.field": "tstamp",
    "transforms.Timestamp.format": "yyyy-MM-dd'T'HH:mm:ss.SSS",
    "transforms.Timestamp.target.type": "string",
}


def _tolerance(topic: str) -> dict[str, str]:
    return {
        "errors.tolerance": "all",
        "errors.log.enable": "true",
        "errors.deadletterqueue.topic.name": topic,
        "errors.deadletterqueue.topic.replication.factor": "-1",  # the brokers' default; Connect's is 3
        "errors.deadletterqueue.context.headers.enable": "true",  # which record it was, and why
        "behavior.on.null.values": "ignore",
    }
