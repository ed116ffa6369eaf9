"""mcap + json + csv."""

import json
import sys
from pathlib import Path

from mcap.reader import make_reader
from table import Tables


def fields(value):
    """Objects are columns."""
    return value.items() if isinstance(value, dict) else None


with Path(sys.argv[1]).open("rb") as file, Tables(sys.argv[2], fields) as tables:
    for _, channel, message in make_reader(file).iter_messages():
        times = (message.log_time, message.publish_time, message.sequence)
        tables.add(channel.topic, times, json.loads(message.data))
