"""The brokers that tests use are what they are taken for."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from tests.kafka_servers import Kafka, admin


def produce(address: str, topic: str, *values: bytes) -> None:
    with closing(KafkaProducer(bootstrap_servers=address, max_request_size=16_000_000)) as producer:
        for value in values:
            producer.send(topic, value, partition=0)
        producer.flush(timeout=20)


def consume(address: str, topic: str, count: int) -> list[bytes]:
    with closing(KafkaConsumer(bootstrap_servers=address, auto_offset_reset="earliest")) as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        found: list[bytes] = []
        while len(found) < count:
            records = consumer.poll(timeout_ms=10_000)
            assert records, f"{len(found)} of {count} came"
            found += [record.value for batch in records.values() for record in batch]
    return found


def test_what_goes_in_comes_out_also_frames_of_9_megabytes(any_kafka: Kafka) -> None:
    topic = any_kafka.create_topic(f"t-{uuid4().hex[:8]}")
    values = [b"small", bytes(9_000_000), b"last"]

    produce(any_kafka.address, topic, *values)

    assert consume(any_kafka.address, topic, 3) == values


def test_a_topic_has_the_partitions_asked_for_until_it_is_deleted(any_kafka: Kafka) -> None:
    topic = any_kafka.create_topic(f"t-{uuid4().hex[:8]}", 3)
    with closing(admin(any_kafka.address)) as client:
        (described,) = client.describe_topics([topic])
        assert len(described["partitions"]) == 3

        any_kafka.delete_topic(topic)

        assert topic not in client.list_topics()


@pytest.mark.kafka
@pytest.mark.fault
def test_apache_kafka_keeps_what_it_had_when_it_was_killed(
    apache_kafka_factory: Callable[[Path], Kafka], tmp_path: Path
) -> None:
    broker = apache_kafka_factory(tmp_path)
    topic = broker.create_topic("kept")
    produce(broker.address, topic, b"1", b"2")

    broker.kill()
    broker.start()

    produce(broker.address, topic, b"3")
    assert consume(broker.address, topic, 3) == [b"1", b"2", b"3"]
