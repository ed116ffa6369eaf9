"""The sensor: takes pictures, keeps them on disk until Kafka has them, and sends them as SINETStream messages."""
