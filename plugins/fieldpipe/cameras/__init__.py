"""Cameras: frames from a Raspberry Pi through Kafka to object storage, image and time apart, and to tables."""
