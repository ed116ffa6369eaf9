"""Recordings with topics in protobuf, written by the official writer, as files."""

import csv
import io

from google.protobuf import text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct, Value
from mcap.writer import Writer as PlainWriter
from mcap_protobuf.writer import Writer

from tests.unit.recordings import protobufs
from tests.unit.recordings.conftest import Convert

ODD = FileDescriptorProto(name="odd.proto", package="test", syntax="proto3")
text_format.Parse(
    'message_type { name: "M0" field { name: "a" number: 1 label: LABEL_OPTIONAL type: TYPE_INT32 } }', ODD
)


def test_topics_become_tables_with_the_columns_of_their_schemas(convert: Convert) -> None:
    file = io.BytesIO()
    with Writer(file) as writer:
        for time in range(3):
            writer.write_message("/struct", Struct(fields={"k": Value(number_value=time)}), time, time + 10, time)
            writer.write_message("/duration", Duration(seconds=time, nanos=5), time, time, time)

    made = convert(file.getvalue())

    assert made.rows("duration.csv") == [
        "log_time,publish_time,sequence,seconds,nanos",
        "0,0,0,0,5",
        "1,1,1,1,5",
        "2,2,2,2,5",
    ]
    rows = list(csv.reader(io.StringIO(made.files["struct.csv"].decode())))
    names = ("null_value", "number_value", "string_value", "bool_value", "struct_value", "list_value")
    values = ",".join(f'"{name}":{"2.0" if name == "number_value" else "null"}' for name in names)
    assert rows[0] == ["log_time", "publish_time", "sequence", "fields"]
    assert rows[3] == ["2", "12", "2", f'[{{"key":"k","value":{{{values}}}}}]']
    assert made.manifest["errors"] == []


def test_payloads_that_are_refused_and_those_with_more_fields_are_kept_raw(convert: Convert) -> None:
    payloads = [b"\x08\x01", b"\x08\x02\x10\x07", b"\x08"]
    file = io.BytesIO()
    writer = PlainWriter(file)
    writer.start()
    schema = writer.register_schema(protobufs.ROOT, "protobuf", protobufs.described(ODD))
    channel = writer.register_channel("/odd", "protobuf", schema)
    for time, payload in enumerate(payloads):
        writer.add_message(channel, time, payload, time, time)
    writer.finish()

    made = convert(file.getvalue())

    assert made.rows("odd.csv") == ["log_time,publish_time,sequence,a", "0,0,0,1", "1,1,1,2"]
    assert made.files["odd.raw.bin"] == payloads[1] + payloads[2]
