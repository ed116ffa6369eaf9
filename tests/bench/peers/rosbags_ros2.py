"""rosbags + csv. It gives one time per message and no sequence number."""

import sys
from pathlib import Path

from rosbags.highlevel import AnyReader
from table import Tables


def fields(value):
    """Decoded messages are dataclasses."""
    return value.__dict__.items() if hasattr(value, "__dataclass_fields__") else None


with AnyReader([Path(sys.argv[1])]) as reader, Tables(sys.argv[2], fields) as tables:
    for connection, time, payload in reader.messages():
        tables.add(connection.topic, (time, time, 0), reader.deserialize(payload, connection.msgtype))
