"""Cameras are on as a whole, or off: where Kafka is, which topics, and the way there."""

import re
from collections.abc import Iterator

from fieldpipe.deploy.fields import Object, contents
from fieldpipe.deploy.objects import Manifests
from fieldpipe.deploy.rules.fault import Fault, fault
from fieldpipe.deploy.rules.settings import PLACEHOLDER, UNHASHED

NEEDED = ("KAFKA_BROKERS", "CAMERA_TOPICS")
WAY = "to-kafka"
_BROKERS = re.compile(r"[\w.-]+:\d+(,[\w.-]+:\d+)*")


def cameras_are_whole(manifests: Manifests) -> Iterator[Fault]:
    """Who switches cameras on says where Kafka is and which topics, and takes the component that leads there."""
    config = manifests.get("ConfigMap", UNHASHED)
    values = {name: str(contents(config).get(name) or "") for name in NEEDED} if config else {}
    way = manifests.get("NetworkPolicy", WAY)
    if config and (way or any(values.values())):
        yield from _incomplete(config, values)
        if way is None:
            yield fault(config, "has cameras on, and no pod is let out to Kafka: take components/cameras")


def _incomplete(config: Object, values: dict[str, str]) -> Iterator[Fault]:
    for name, value in values.items():
        if not value:
            yield fault(config, f"{name} is not set, and cameras are on: the overlay's config.env")
        elif PLACEHOLDER.search(value):
            yield fault(config, f"{name} is {value}, which stands for yours")
    if (brokers := values["KAFKA_BROKERS"]) and not _BROKERS.fullmatch(brokers):
        yield fault(config, f"KAFKA_BROKERS is {brokers}, not host:port, separated by commas")
