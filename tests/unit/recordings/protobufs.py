"""Protobuf schemas and messages of every kind for tests, and the cells that must come of them, taken from what Google's
parser finds in a payload.

Maps are declared as lists of entries for that parser, which is the same on the wire: it then tells their order.
"""

from __future__ import annotations

import csv
import io
import json
import random
import struct
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    Edition,
    FeatureSet,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import strategies as st
from mcap.records import Schema
from mcap_protobuf.decoder import DecoderFactory

from fieldpipe.recordings.executor import Decoder, Why
from fieldpipe.recordings.typetree import Kind
from tests.unit.recordings import agreement
from tests.unit.recordings.messages import written

Field = FieldDescriptorProto
SYNTAXES = ("proto2", "proto3", "editions")
LABELS = ("one", "optional", "list", "oneof", "map")
ROOT = "test.M0"
NUMBERS = (1, 2, 3, 4, 5, 15, 16, 127, 128, 2047, 2048, 2**29 - 1)
SCALARS = tuple(number for number in range(1, 19) if number not in (Field.TYPE_GROUP, Field.TYPE_MESSAGE))
UNPACKABLE = (Field.TYPE_STRING, Field.TYPE_BYTES, Field.TYPE_MESSAGE, Field.TYPE_GROUP)
TEXTS = ("", "plain", 'a "quoted", text', "two\nlines\r", "日本 🤖", "=1+1", "\\ \x01 \x7f", "-")
NO_KEYS = (Field.TYPE_DOUBLE, Field.TYPE_FLOAT, Field.TYPE_BYTES, Field.TYPE_ENUM)


def described(file: FileDescriptorProto) -> bytes:
    """The schema of a recorder that wrote this file's messages; imports come last, as some writers do it."""
    made = FileDescriptorSet(file=[file])
    for known in (Timestamp, Duration):
        known.DESCRIPTOR.file.CopyToProto(made.file.add())
    return made.SerializeToString()


@st.composite
def files(
    draw: st.DrawFn,
    syntaxes: tuple[str, ...] = SYNTAXES,
    labels: tuple[str, ...] = LABELS,
    scalars: tuple[int, ...] = SCALARS,
) -> FileDescriptorProto:
    """A file of some messages which hold one another."""
    syntax = draw(st.sampled_from(syntaxes))
    file = FileDescriptorProto(name="test.proto", package="test", syntax=syntax)
    file.dependency.extend(["google/protobuf/timestamp.proto", "google/protobuf/duration.proto"])
    if syntax == "editions":
        file.edition = Edition.EDITION_2023
    enum = file.enum_type.add(name="E")
    for number in (0, 1, -7, 2**31 - 1):
        enum.value.add(name=f"V{len(enum.value)}", number=number)
    messages = draw(st.integers(1, 3))
    for index in range(messages):
        message = file.message_type.add(name=f"M{index}")
        for number in draw(st.lists(st.sampled_from(NUMBERS), unique=True, min_size=0 if index else 1, max_size=6)):
            label = draw(st.sampled_from(labels))
            _add(draw, file, message, number, label, messages, scalars)
        _add_synthetic_oneofs(message)
    return file


def _add(
    draw: st.DrawFn,
    file: FileDescriptorProto,
    message: DescriptorProto,
    number: int,
    label: str,
    messages: int,
    scalars: tuple[int, ...],
) -> None:
    others = [f".test.M{index}" for index in range(messages)]
    times = [".google.protobuf.Timestamp", ".google.protobuf.Duration"]
    type_ = draw(st.sampled_from([*scalars, *others * 2, *times]))
    field = message.field.add(name=f"f{number}", number=number, label=Field.LABEL_OPTIONAL)
    if label == "map":
        keys = [kind for kind in scalars if kind not in NO_KEYS]
        entry = message.nested_type.add(name=f"F{number}Entry")
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, label=Field.LABEL_OPTIONAL, type=draw(st.sampled_from(keys)))
        _set_type(entry.field.add(name="value", number=2, label=Field.LABEL_OPTIONAL), type_)
        field.label = Field.LABEL_REPEATED
        _set_type(field, f".test.{message.name}.{entry.name}")
        return
    _set_type(field, type_)
    if label == "list":
        field.label = Field.LABEL_REPEATED
    if label == "oneof":
        if not message.oneof_decl:
            message.oneof_decl.add(name="choice")
        field.oneof_index = 0
    if file.syntax == "proto3" and label == "optional":
        field.proto3_optional = True
    if file.syntax == "proto2" and field.type == Field.TYPE_MESSAGE and draw(st.booleans()):
        field.type = Field.TYPE_GROUP
    if field.type not in UNPACKABLE and label == "list" and file.syntax != "editions" and draw(st.booleans()):
        field.options.packed = draw(st.booleans())
    if file.syntax == "editions" and label == "one" and field.type != Field.TYPE_MESSAGE:
        field.options.features.field_presence = FeatureSet.IMPLICIT
    if file.syntax == "editions" and field.type == Field.TYPE_MESSAGE and draw(st.booleans()):
        field.options.features.message_encoding = FeatureSet.DELIMITED


def _set_type(field: FieldDescriptorProto, type_: int | str) -> None:
    if isinstance(type_, str):
        field.type, field.type_name = Field.TYPE_MESSAGE, type_
        return
    field.type = type_  # type: ignore[assignment]
    if type_ == Field.TYPE_ENUM:
        field.type_name = ".test.E"


def _add_synthetic_oneofs(message: DescriptorProto) -> None:
    """What protoc adds for `optional` in proto3, behind the other oneofs."""
    for field in message.field:
        if field.proto3_optional:
            field.oneof_index = len(message.oneof_decl)
            message.oneof_decl.add(name=f"_{field.name}")


def official(file: FileDescriptorProto) -> Callable[[bytes], Message]:
    """The official decoder of ROOT, whose maps are lists of entries."""
    twin = FileDescriptorProto.FromString(file.SerializeToString())
    for message in twin.message_type:
        for entry in message.nested_type:
            entry.options.map_entry = False
    decode = DecoderFactory().decoder_for("protobuf", Schema(1, described(twin), "protobuf", ROOT))
    assert decode is not None
    return decode


def repacked(file: FileDescriptorProto) -> FileDescriptorProto:
    """The same with numbers in lists packed where they were not, and the other way round."""
    turned = FileDescriptorProto.FromString(file.SerializeToString())
    for message in turned.message_type:
        for field in message.field:
            if field.label == Field.LABEL_REPEATED and field.type not in UNPACKABLE and file.syntax != "editions":
                packed = field.options.packed if field.options.HasField("packed") else file.syntax == "proto3"
                field.options.packed = not packed
    return turned


def payload(empty: Message, chance: random.Random, pieces: int = 1) -> bytes:
    """A message of this type with chosen values; in pieces its fields come in any order, and several times."""
    made = b""
    for _ in range(pieces):
        message = type(empty)()
        _fill(message, chance, 0)
        made += message.SerializePartialToString(deterministic=True)
    return made


def _fill(message: Message, chance: random.Random, depth: int) -> None:
    for field in message.DESCRIPTOR.fields:
        if chance.random() < 0.3 or (field.message_type and depth > 3):
            continue
        if field.is_repeated:
            target = getattr(message, field.name)
            for _ in range(chance.randrange(4)):
                if field.message_type:
                    _fill(target.add(), chance, depth + 1)
                else:
                    target.append(_value(field, chance))
        elif field.message_type:
            inner = getattr(message, field.name)
            inner.SetInParent()
            _fill(inner, chance, depth + 1)
        else:
            setattr(message, field.name, _value(field, chance))


def _value(field: FieldDescriptor, chance: random.Random) -> Any:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_BOOL:
            return chance.random() < 0.5
        case FieldDescriptor.CPPTYPE_ENUM:
            return chance.choice((0, 1, -7, 2**31 - 1))
        case FieldDescriptor.CPPTYPE_FLOAT:
            return chance.choice((0.0, -0.0, 0.1, _bits("f", chance.getrandbits(32))))
        case FieldDescriptor.CPPTYPE_DOUBLE:
            return chance.choice((0.0, -0.0, 0.1, float("inf"), _bits("d", chance.getrandbits(64))))
        case FieldDescriptor.CPPTYPE_STRING:
            text = chance.choice(TEXTS)
            return text.encode() if field.type == FieldDescriptor.TYPE_BYTES else text
    size = 64 if field.cpp_type in (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64) else 32
    number = chance.choice((0, 1, 2 ** (size - 1) - 1, chance.getrandbits(size - 1), chance.getrandbits(10)))
    if field.cpp_type in (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64):
        return chance.choice((number, ~number))
    return chance.choice((number, number + 2 ** (size - 1)))


def _bits(code: str, bits: int) -> float:
    value: float = struct.unpack(f"<{code}", bits.to_bytes(struct.calcsize(code), "little"))[0]
    return value


def read(decoder: Decoder, payload: bytes) -> tuple[list[list[str]], Why | None]:
    """The cells of a payload's rows as all executors make them, and why it is left to the caller, if it is."""
    text, _, left = agreement.converted(decoder, [payload])
    rows = [row[3:] for row in csv.reader(io.StringIO(text.decode(), newline=""), strict=True)]
    return rows, left[0].why if left else None


def columns(message: Descriptor, path: str = "", inside: tuple[str, ...] = ()) -> list[str]:
    """The names of the cells of `expected`."""
    found: list[str] = []
    for field in message.fields:
        name = f"{path}{field.name}"
        if _is_flat(field, (*inside, message.full_name)):
            found += columns(field.message_type, f"{name}.", (*inside, message.full_name))
        else:
            found.append(name)
    return found


def expected(message: Message, inside: tuple[str, ...] = ()) -> list[str]:
    """The cells of a message that Google's parser read, as a reader of CSV returns them."""
    kind = message.DESCRIPTOR
    inside = (*inside, kind.full_name)
    cells: list[str] = []
    for field in kind.fields:
        is_absent = not field.is_repeated and field.has_presence and not message.HasField(field.name)
        if _is_flat(field, inside):
            inner = getattr(message, field.name)
            cells += [""] * len(columns(field.message_type, "", inside)) if is_absent else expected(inner, inside)
        elif is_absent:
            cells.append("")
        elif field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated:
            cells.append(_text(getattr(message, field.name)))
        else:
            text = _member(message, field)
            cells.append(text.strip('"') if text in ('"nan"', '"inf"', '"-inf"') else text)
    return cells


def _is_flat(field: FieldDescriptor, inside: tuple[str, ...]) -> bool:
    kind = field.message_type
    if field.is_repeated or not kind or kind.file.package == "google.protobuf":
        return False
    return bool(kind.fields) and kind.full_name not in inside


def _member(message: Message, field: FieldDescriptor) -> str:
    """A field inside JSON."""
    value = getattr(message, field.name)
    if field.is_repeated:
        return "[" + ",".join(_json(field, element) for element in value) + "]"
    # what a map's entry does not say is the default
    is_entry = message.DESCRIPTOR.name.endswith("Entry")
    return "null" if field.has_presence and not is_entry and not message.HasField(field.name) else _json(field, value)


def _json(field: FieldDescriptor, value: Any) -> str:
    if isinstance(value, Message):
        if value.DESCRIPTOR.file.package == "google.protobuf":
            return str(value.seconds * 10**9 + value.nanos)  # type: ignore[attr-defined]
        return "{" + ",".join(f'"{each.name}":{_member(value, each)}' for each in value.DESCRIPTOR.fields) + "}"
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_BYTES:
            return json.dumps(list(value), separators=(",", ":"))
        case FieldDescriptor.CPPTYPE_STRING:
            return json.dumps(_text(value), ensure_ascii=False)
        case FieldDescriptor.CPPTYPE_BOOL:
            return written(Kind.BOOL, value)
        case FieldDescriptor.CPPTYPE_FLOAT:
            text = written(Kind.FLOAT32, value)
        case FieldDescriptor.CPPTYPE_DOUBLE:
            text = written(Kind.FLOAT64, value)
        case _:
            return repr(value)
    return f'"{text}"' if text in ("nan", "inf", "-inf") else text


def _text(value: str | bytes) -> str:
    """Google's library returns texts of proto2 that are not UTF-8 as bytes."""
    return value if isinstance(value, str) else value.decode(errors="backslashreplace")
