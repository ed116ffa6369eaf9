"""A protobuf schema (a binary FileDescriptorSet, protobuf.dev) -> the plan of its topic's table.

Fields are columns in the order of their declaration, messages inside messages as dotted paths; what is repeated, and
maps as lists of `key` and `value`, are one cell of JSON. So is a message that holds its own kind, and one without
fields, which only tells that it is there. Timestamps and durations are one integer of nanoseconds, enums their numbers.
"""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from fieldpipe.recordings.plan import MAX_COLUMNS, MAX_INSTRUCTIONS, PLAIN, Form, Instruction, Op, Plan, Shape, Wire
from fieldpipe.recordings.typetree import MAX_DEPTH, Kind, SchemaError

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, FieldDescriptor
    from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

_TIMES = ("google.protobuf.Timestamp", "google.protobuf.Duration")
_BYTES = 12
# FieldDescriptorProto.Type (google/protobuf/descriptor.proto): what a value is and how it is written
_TYPES: dict[int, tuple[Kind | None, Form]] = {
    1: (Kind.FLOAT64, Form.FIXED),
    2: (Kind.FLOAT32, Form.FIXED),
    3: (Kind.INT64, Form.VARINT),
    4: (Kind.UINT64, Form.VARINT),
    5: (Kind.INT32, Form.VARINT),
    6: (Kind.UINT64, Form.FIXED),
    7: (Kind.UINT32, Form.FIXED),
    8: (Kind.BOOL, Form.VARINT),
    9: (Kind.STRING, Form.LENGTH),
    10: (None, Form.GROUP),
    11: (None, Form.LENGTH),
    _BYTES: (Kind.BYTES, Form.LENGTH),
    13: (Kind.UINT32, Form.VARINT),
    14: (Kind.INT32, Form.VARINT),  # enum
    15: (Kind.INT32, Form.FIXED),
    16: (Kind.INT64, Form.FIXED),
    17: (Kind.INT32, Form.ZIGZAG),
    18: (Kind.INT64, Form.ZIGZAG),
}


def compile_protobuf(name: str, schema: bytes, shape: Shape = PLAIN) -> Plan:
    """The plan of the message `name` (its full name) that `schema` describes.

    Raises SchemaError for what is no FileDescriptorSet or does not describe it, and for more than anybody can use.
    """
    compiler = _Compiler(shape)
    fields = compiler.fields(_described(name, schema), "", ())
    return Plan(tuple(compiler.columns), (fields,), Wire.PROTOBUF)


def _described(name: str, schema: bytes) -> Descriptor:
    """The message as Google's library understands it: names resolved, features of editions and syntaxes applied."""
    # here, because it takes 15 ms that only recordings with protobuf need
    from google.protobuf import descriptor_pb2
    from google.protobuf.descriptor_pool import DescriptorPool
    from google.protobuf.message import DecodeError

    pool = DescriptorPool()
    try:
        for file in _by_import(descriptor_pb2.FileDescriptorSet.FromString(schema)):
            pool.Add(file)
        return pool.FindMessageTypeByName(name.removeprefix("."))
    except DecodeError as error:
        raise SchemaError(f"the schema is not a FileDescriptorSet: {error}") from error
    except KeyError as error:
        raise SchemaError(f"the schema does not describe {name}") from error
    except (CycleError, TypeError) as error:
        raise SchemaError(f"the schema contradicts itself or is incomplete: {error}") from error


def _by_import(descriptors: FileDescriptorSet) -> list[FileDescriptorProto]:
    """The files, each behind those that it imports."""
    files = {file.name: file for file in descriptors.file}
    order = TopologicalSorter({name: file.dependency for name, file in files.items()}).static_order()
    return [files[name] for name in order if name in files]


class _Compiler:
    def __init__(self, shape: Shape) -> None:
        self.columns: list[str] = []
        self._shape = shape
        self._exploded = False
        self._instructions = 0

    def fields(self, message: Descriptor, path: str, inside: tuple[str, ...]) -> Instruction:
        """A message on the top level: cells for each of its fields. `inside` names the messages around it."""
        inside = _deeper(inside, message)
        before = len(self.columns)
        prefix = f"{path}." if path else ""
        body = tuple(self._column(field, prefix + field.name, inside) for field in message.fields)
        return self._count(Instruction(Op.FIELDS, body=body, cells=len(self.columns) - before))

    def _column(self, field: FieldDescriptor, path: str, inside: tuple[str, ...]) -> Instruction:
        """A field on the top level."""
        before = len(self.columns)
        if not field.is_repeated:
            body = self._value(field, path, inside)
        elif path in self._shape.explode and not self._exploded:
            self._exploded = True
            element = self._value(field, path, inside)
            body = (Instruction(Op.ROWS, count=None, body=element, cells=len(self.columns) - before),)
        else:
            self._add(path)
            body = self._inside_json(field, ())
        return self._field(field, body, cells=len(self.columns) - before)

    def _value(self, field: FieldDescriptor, path: str, inside: tuple[str, ...]) -> tuple[Instruction, ...]:
        """The columns that one value makes, and what fills them."""
        message = _message(field)
        if message and message.fields and message.full_name not in inside:
            return (self.fields(message, path, inside),)
        self._add(path)
        if message:
            return (self._count(Instruction(Op.JSON, body=(self._object(message, ()),))),)
        if path == self._shape.binary and field.type == _BYTES:
            return (Instruction(Op.BYTES),)
        return self._inside_json(field, ())

    def _inside_json(self, field: FieldDescriptor, outside: tuple[str, ...]) -> tuple[Instruction, ...]:
        """What writes one value of a field: nothing that its kind does not say, or a message."""
        message = _message(field)
        if not message:
            return (Instruction(Op.BASE64),) if self._shape.base64 and field.type == _BYTES else ()
        if message.full_name in outside:
            return (Instruction(Op.AGAIN, count=len(outside) - 1 - outside.index(message.full_name)),)
        return (self._object(message, outside),)

    def _object(self, message: Descriptor, outside: tuple[str, ...]) -> Instruction:
        """A message inside JSON; `outside` names the ones around it there."""
        outside = _deeper(outside, message)
        body = tuple(self._field(field, self._inside_json(field, outside)) for field in message.fields)
        return self._count(Instruction(Op.FIELDS, body=body))

    def _field(self, field: FieldDescriptor, body: tuple[Instruction, ...], cells: int = 1) -> Instruction:
        kind, form = _TYPES[field.type]
        oneof = field.containing_oneof
        return self._count(
            Instruction(
                Op.FIELD,
                kind=Kind.TIME if _is_time(field) else kind,
                count=None if field.is_repeated else 1,
                text=field.name,
                body=body,
                cells=cells,
                number=field.number,
                form=form,
                optional=_is_optional(field),
                oneof=oneof.index + 1 if oneof and len(oneof.fields) > 1 else 0,
            )
        )

    def _count(self, instruction: Instruction) -> Instruction:
        self._instructions += 1
        if self._instructions > MAX_INSTRUCTIONS:
            raise SchemaError(f"the schema needs more than {MAX_INSTRUCTIONS} instructions")
        return instruction

    def _add(self, column: str) -> None:
        self.columns.append(column)
        if len(self.columns) > MAX_COLUMNS:
            raise SchemaError(f"the schema makes more than {MAX_COLUMNS} columns")


def _deeper(messages: tuple[str, ...], message: Descriptor) -> tuple[str, ...]:
    if len(messages) == MAX_DEPTH:
        raise SchemaError(f"the schema nests messages more than {MAX_DEPTH} levels deep")
    return (*messages, message.full_name)


def _is_optional(field: FieldDescriptor) -> bool:
    """Whether a field can be absent, which the two of a map's entry cannot."""
    owner = field.containing_type
    return field.has_presence and not (owner and owner.GetOptions().map_entry)


def _message(field: FieldDescriptor) -> Descriptor | None:
    """The message that a field holds, if it is not shown as a single value."""
    return None if _is_time(field) else field.message_type


def _is_time(field: FieldDescriptor) -> bool:
    message = field.message_type
    if not message or message.full_name not in _TIMES:
        return False
    described = [(inner.number, inner.type, inner.is_repeated) for inner in message.fields]
    return described == [(1, 3, False), (2, 5, False)]  # int64 seconds, int32 nanos
