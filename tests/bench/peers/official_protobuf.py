"""mcap + mcap-protobuf-support + csv."""

import sys
from pathlib import Path

from google.protobuf.message import Message
from mcap.reader import make_reader
from mcap_protobuf.decoder import DecoderFactory
from table import Tables


def fields(value):
    """Decoded messages are protobuf's own."""
    if not isinstance(value, Message):
        return None
    return [(field.name, getattr(value, field.name)) for field in value.DESCRIPTOR.fields]


with Path(sys.argv[1]).open("rb") as file, Tables(sys.argv[2], fields) as tables:
    reader = make_reader(file, decoder_factories=[DecoderFactory()])
    for _, channel, message, decoded in reader.iter_decoded_messages():
        tables.add(channel.topic, (message.log_time, message.publish_time, message.sequence), decoded)
