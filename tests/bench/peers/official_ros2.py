"""mcap + mcap-ros2-support + csv."""

import sys
from pathlib import Path

from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from table import Tables, slots

with Path(sys.argv[1]).open("rb") as file, Tables(sys.argv[2], slots) as tables:
    reader = make_reader(file, decoder_factories=[DecoderFactory()])
    for _, channel, message, decoded in reader.iter_decoded_messages():
        tables.add(channel.topic, (message.log_time, message.publish_time, message.sequence), decoded)
