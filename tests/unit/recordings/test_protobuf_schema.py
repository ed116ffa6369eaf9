"""Protobuf schemas: which columns they make, and which are refused."""

import subprocess
import sys

import pytest
from google.protobuf import text_format
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet

from fieldpipe.recordings.decoders import decoder_for
from fieldpipe.recordings.plan import MAX_COLUMNS
from fieldpipe.recordings.protoschema import compile_protobuf
from fieldpipe.recordings.records import Schema, Topic
from fieldpipe.recordings.sidecars import Kind, kind_of
from fieldpipe.recordings.typetree import MAX_DEPTH, SchemaError

LEAF = 'message_type { name: "Leaf" field { name: "x" number: 1 label: LABEL_OPTIONAL type: TYPE_DOUBLE } }'


def schema(*texts: str) -> bytes:
    """A set of files `0.proto`, `1.proto` and so on, each given as the text of a FileDescriptorProto."""
    files = [
        text_format.Parse(f'name: "{index}.proto" syntax: "proto3" {text}', FileDescriptorProto())
        for index, text in enumerate(texts)
    ]
    return FileDescriptorSet(file=files).SerializeToString()


def holding(name: str, inner: str, number: int = 1) -> str:
    return f'field {{ name: "{name}" number: {number} label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: "{inner}" }}'


def columns(name: str, data: bytes) -> tuple[str, ...]:
    return compile_protobuf(name, data).columns


def test_columns_stand_in_the_order_of_declaration_not_of_numbers() -> None:
    data = schema(f'message_type {{ name: "Root" {holding("z", ".Leaf", 9)} {holding("a", ".Leaf", 2)} }} {LEAF}')

    assert columns("Root", data) == ("z.x", "a.x")


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_files_may_stand_in_any_order(order: tuple[int, ...]) -> None:
    texts = (
        f'package: "p" dependency: "mid" message_type {{ name: "Root" {holding("mid", ".p.Mid")} }}',
        f'package: "p" dependency: "leaf" message_type {{ name: "Mid" {holding("leaf", ".p.Leaf")} }}',
        f'package: "p" {LEAF}',
    )
    files = [text_format.Parse(f'syntax: "proto3" {text}', FileDescriptorProto()) for text in texts]
    for file, name in zip(files, ("root", "mid", "leaf"), strict=True):
        file.name = name

    assert columns("p.Root", FileDescriptorSet(file=[files[at] for at in order]).SerializeToString()) == ("mid.leaf.x",)


def test_a_message_inside_another_can_be_a_topic_of_its_own() -> None:
    data = schema(f'package: "p" message_type {{ name: "Outer" {LEAF.replace("message_type", "nested_type")} }}')

    assert columns("p.Outer.Leaf", data) == ("x",)
    assert columns(".p.Outer.Leaf", data) == ("x",)


def test_a_timestamp_that_is_another_message_is_no_time() -> None:
    own = LEAF.replace("Leaf", "Timestamp")
    root = f'message_type {{ name: "Root" {holding("at", ".google.protobuf.Timestamp")} }}'
    data = schema(f'package: "google.protobuf" {own} {root}')

    assert columns("google.protobuf.Root", data) == ("at.x",)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("Root", b"\xff\xff", "not a FileDescriptorSet"),
        ("Root", b"", "does not describe Root"),
        ("Leaf.x", schema(LEAF), "does not describe Leaf.x"),
        ("Root", schema('dependency: "other.proto"'), "'other.proto'"),
        ("Root", schema('dependency: "1.proto"', 'dependency: "0.proto"'), "contradicts itself"),
        ("Root", schema(f'message_type {{ name: "Root" {holding("leaf", ".Lost")} }}'), "contradicts itself"),
        ("Root", schema(f'message_type {{ name: "Root" {holding("a,b", ".Leaf")} }} {LEAF}'), "contradicts itself"),
        ("Root", schema('message_type { name: "Root" } message_type { name: "Root" }'), "contradicts itself"),
    ],
)
def test_what_is_no_schema_is_refused_with_a_reason(name: str, data: bytes, reason: str) -> None:
    with pytest.raises(SchemaError, match=reason):
        compile_protobuf(name, data)


def nested(levels: int, fields: int = 1) -> bytes:
    """Messages that hold one another so many levels deep, in several fields each."""
    file = FileDescriptorProto(name="0.proto", syntax="proto3")
    for level in range(levels):
        message = file.message_type.add(name=f"M{level}")
        for number in range(1, fields + 1):
            field = message.field.add(name=f"f{number}", number=number, label=FieldDescriptorProto.LABEL_OPTIONAL)
            if level + 1 < levels:
                field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".M{level + 1}"
            else:
                field.type = FieldDescriptorProto.TYPE_BOOL
    return FileDescriptorSet(file=[file]).SerializeToString()


def test_messages_nest_so_deep_and_no_deeper() -> None:
    assert columns("M0", nested(MAX_DEPTH)) == (".".join(["f1"] * MAX_DEPTH),)
    with pytest.raises(SchemaError, match="32 levels"):
        compile_protobuf("M0", nested(MAX_DEPTH + 1))


def test_a_schema_that_multiplies_is_refused() -> None:
    assert len(columns("M0", nested(12, 2))) == MAX_COLUMNS
    with pytest.raises(SchemaError, match=f"{MAX_COLUMNS} columns"):
        compile_protobuf("M0", nested(30, 2))
    listed = FileDescriptorSet.FromString(nested(30, 2))
    for field in listed.file[0].message_type[0].field:
        field.label = FieldDescriptorProto.LABEL_REPEATED
    with pytest.raises(SchemaError, match="instructions"):
        compile_protobuf("M0", listed.SerializeToString())


def topic(name: str, data: bytes) -> Topic:
    return Topic("/topic", "protobuf", Schema(name, "protobuf", data))


def test_topics_in_protobuf_find_their_decoder() -> None:
    (row,) = decoder_for(topic("Leaf", schema(LEAF))).rows(b"\x09" + bytes(6) + b"\xf8\x3f")

    assert row == ["1.5"]


def test_pictures_of_foxglove_go_to_files() -> None:
    fields = (("format", 3, "STRING"), ("data", 2, "BYTES"))
    text = " ".join(
        f'field {{ name: "{name}" number: {number} label: LABEL_OPTIONAL type: TYPE_{type_} }}'
        for name, number, type_ in fields
    )
    picture = topic(
        "foxglove.CompressedImage",
        schema(f'package: "foxglove" message_type {{ name: "CompressedImage" {text} }}'),
    )
    decoder = decoder_for(picture)

    assert kind_of(picture) is Kind.COMPRESSED
    assert decoder.rows(b"\x12\x02\xff\xd8\x1a\x03jpg") == [["jpg", ""]]
    assert decoder.binary == b"\xff\xd8"


def test_googles_library_is_only_imported_for_topics_that_need_it() -> None:
    script = "import sys; import fieldpipe.recordings.decoders; sys.exit('google.protobuf' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
