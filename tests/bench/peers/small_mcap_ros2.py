"""small-mcap + mcap-ros2-support-fast + csv."""

import sys
from pathlib import Path

from mcap_ros2_support_fast.decoder import DecoderFactory
from small_mcap import read_message_decoded
from table import Tables, slots

with Path(sys.argv[1]).open("rb") as file, Tables(sys.argv[2], slots) as tables:
    for found in read_message_decoded(file, decoder_factories=[DecoderFactory()]):
        message = found.message
        tables.add(
            found.channel.topic, (message.log_time, message.publish_time, message.sequence), found.decoded_message
        )
