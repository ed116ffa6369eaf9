"""roboto-mcap-codec (Rust) to Arrow, flattened, written by Arrow's CSV writer: a pass over the file per topic.

A list of fixed length becomes columns, as Arrow can do that; there is one time per message and no sequence number.
"""

import json
import sys
from pathlib import Path

import mcap_codec
import pyarrow
import pyarrow.compute
from mcap.reader import make_reader
from pyarrow import csv


def main(source, folder):
    """Convert every topic."""
    folder.mkdir(parents=True)
    with source.open("rb") as file:

        def read(offset, length):
            file.seek(offset)
            return file.read(length)

        for channel in make_reader(file).get_summary().channels.values():
            name = channel.topic.strip("/").replace("/", "__")
            convert(read, source.stat().st_size, channel.topic, folder / f"{name}.csv")


def convert(read, size, topic, path):
    """Write one table, batch by batch."""
    writer = None
    with mcap_codec.open_mcap_file(
        read,
        size,
        channel=mcap_codec.TopicName(topic),
        timestamp=mcap_codec.TimestampSource("message_log_time"),
    ) as cursor:
        for batch in cursor:
            flat = pyarrow.record_batch(
                dict(leaf for name in batch.schema.names for leaf in leaves(name, batch.column(name)))
            )
            writer = writer or csv.CSVWriter(path, flat.schema)
            writer.write(flat)
    if writer:
        writer.close()


def leaves(name, column):
    """The columns that CSV can hold, with their names."""
    kind = column.type
    if pyarrow.types.is_struct(kind):
        for field, child in zip(kind, column.flatten(), strict=True):
            yield from leaves(f"{name}.{field.name}", child)
    elif pyarrow.types.is_fixed_size_list(kind):
        for index in range(kind.list_size):
            yield f"{name}[{index}]", pyarrow.compute.list_element(column, index)
    elif pyarrow.types.is_list(kind):
        yield name, pyarrow.array([json.dumps(value) for value in column.to_pylist()])
    else:
        yield name, column


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
