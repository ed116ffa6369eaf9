"""What a message is made of: a tree of types, whatever language its schema was written in."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from fieldpipe.errors import FieldpipeError

MAX_DEPTH = 32  # of types inside types; more means a schema that contains itself, or a hostile one


class SchemaError(FieldpipeError):
    """A schema cannot be understood. It costs its topic the table, never the recording: the payloads are kept raw."""


class Kind(Enum):
    """A value that needs no further description; the value is its name in ROS 2."""

    BOOL = "bool"
    INT8 = "int8"
    UINT8 = "uint8"
    INT16 = "int16"
    UINT16 = "uint16"
    INT32 = "int32"
    UINT32 = "uint32"
    INT64 = "int64"
    UINT64 = "uint64"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    STRING = "string"
    WSTRING = "wstring"
    TIME = "time"  # int32 seconds and uint32 nanoseconds, shown as one integer of nanoseconds
    ROS1_TIME = "ros1 time"  # the same of two uint32
    ROS1_DURATION = "ros1 duration"  # the same of two int32
    BYTES = "bytes"  # of protobuf


TEXT_KINDS = (Kind.STRING, Kind.WSTRING)


class Scalar(NamedTuple):
    """One value."""

    kind: Kind


class Array(NamedTuple):
    """A fixed number of elements."""

    element: Type
    length: int

    def __eq__(self, other: object) -> bool:
        """One with a bound is something else, though its parts are the same."""
        return isinstance(other, Array) and tuple.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return tuple.__hash__(self)


class Sequence(NamedTuple):
    """Any number of elements, or at most `bound`."""

    element: Type
    bound: int | None = None

    def __eq__(self, other: object) -> bool:
        """See Array."""
        return isinstance(other, Sequence) and tuple.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return tuple.__hash__(self)


class Field(NamedTuple):
    """A member of a struct."""

    name: str
    type: Type


class Struct(NamedTuple):
    """A message, or a message inside one. `name` is `package/Type`."""

    name: str
    fields: tuple[Field, ...]


Type = Scalar | Array | Sequence | Struct
