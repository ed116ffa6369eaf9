"""IDL definitions (`ros2idl` schemas, and `omgidl` ones as far as they say the same) -> types.

The text holds the definitions of the message and of all that it needs, each as in its `.idl` file and under a line of
`=` and a line `IDL: package/msg/Type`. Sources: mcap.dev "Well-known schema encodings"; design.ros2.org "IDL -
Interface Definition and Language Mapping". An array of several dimensions is read as one of all its elements.
"""

from __future__ import annotations

import re
from math import prod

from fieldpipe.recordings.idl import declarations
from fieldpipe.recordings.idltokens import evaluate
from fieldpipe.recordings.idltree import (
    Constant,
    Declaration,
    Declared,
    Expression,
    Named,
    SequenceOf,
    StructOf,
    TypeSpec,
    Unsupported,
)
from fieldpipe.recordings.implied import implied
from fieldpipe.recordings.rosmsg import MAX_LENGTH, short, time_or_struct
from fieldpipe.recordings.typetree import MAX_DEPTH, Array, Field, Kind, Scalar, SchemaError, Sequence, Struct, Type

_SEPARATOR = re.compile(r"^={8,}[ \t]*\r?\n\s*IDL:[^\n]*$", re.MULTILINE)
_PLACEHOLDER = (Field("structure_needs_at_least_one_member", Scalar(Kind.UINT8)),)  # rosidl's, of empty messages
_MAX_CHAIN = 8  # constants that are made of other constants
_TIMES = ("builtin_interfaces::msg::Time", "builtin_interfaces::msg::Duration")


def parse(name: str, text: str, *, by_ros: bool = True) -> Struct:
    """The type that `text` defines for the schema `name` (`package/msg/Type`). Raises SchemaError.

    ROS itself takes no notice of annotations by which others change the layout (`@optional`, `@mutable`).
    """
    resolver = _Resolver(declarations(_SEPARATOR.sub("", text), heed_annotations=not by_ros))
    *modules, _ = name.replace("::", "/").split("/")

    def part(of: str) -> Struct:
        return resolver.struct("::".join((*modules, of.rpartition("/")[2])))

    return implied(_short(name), part)


class _Resolver:
    def __init__(self, found: dict[str, Declaration]) -> None:
        self._found = found
        self._types: dict[str, Type] = {}
        self._numbers: dict[str, int] = {}

    def struct(self, name: str) -> Struct:
        """The struct of a full name."""
        match self._found.get(name):
            case None:
                raise SchemaError(f"the definition of {name} is missing")
            case StructOf() as declared:
                return self._struct(name, declared, (name,))
            case Unsupported() as unsupported:
                raise _not_supported(name, unsupported)
        raise SchemaError(f"{name} is no struct")

    def _named(self, name: str, scope: tuple[str, ...], parents: tuple[str, ...]) -> Type:
        full = self._find(name, scope)
        if full in parents or len(parents) >= MAX_DEPTH:
            raise SchemaError(f"{full} contains itself or nests more than {MAX_DEPTH} deep")
        if full not in self._types:
            self._types[full] = self._made(full, (*parents, full))
        return self._types[full]

    def _made(self, full: str, parents: tuple[str, ...]) -> Type:
        match self._found.get(full):
            case StructOf() as struct:
                return time_or_struct(self._struct(full, struct, parents))
            case Declared() as typedef:
                return self._declared(typedef, parents)
            case Kind() as enum:
                return Scalar(enum)
            case Unsupported() as unsupported:
                raise _not_supported(full, unsupported)
            case None:
                return Scalar(Kind.TIME)
        raise SchemaError(f"{full} is no type")

    def _struct(self, full: str, struct: StructOf, parents: tuple[str, ...]) -> Struct:
        fields = tuple(Field(name, self._declared(declared, parents)) for name, declared in struct.fields)
        if struct.base:
            base = self._declared(struct.base, parents)
            if not isinstance(base, Struct):
                raise SchemaError(f"{full} builds on what is no struct")
            fields = base.fields + fields
        if len({field.name for field in fields}) != len(fields):
            raise SchemaError(f"{full} names a field twice")
        return Struct(_short(full), () if fields == _PLACEHOLDER else fields)

    def _declared(self, declared: Declared, parents: tuple[str, ...]) -> Type:
        type_ = self._type(declared.type, declared.scope, parents)
        if not declared.lengths:
            return type_
        lengths = [self._length(length, declared.scope, parents) for length in declared.lengths]
        return Array(type_, _bounded(prod(lengths), parents))

    def _type(self, spec: TypeSpec, scope: tuple[str, ...], parents: tuple[str, ...]) -> Type:
        match spec:
            case Kind():
                return Scalar(spec)
            case Named(name):
                return self._named(name, scope, parents)
            case SequenceOf(element, bound):
                inner = self._type(element, scope, (*parents, parents[-1]))  # a level, though it has no name
                return Sequence(inner, self._length(bound, scope, parents) if bound else None)
            case Unsupported():
                raise _not_supported(parents[-1], spec)

    def _length(self, expression: Expression, scope: tuple[str, ...], parents: tuple[str, ...]) -> int:
        return _bounded(evaluate(expression, lambda name: self._number(name, scope, 0)), parents)

    def _number(self, name: str, scope: tuple[str, ...], depth: int) -> int:
        """The value of a constant."""
        full = self._find(name, scope)
        if full not in self._numbers:
            constant = self._found.get(full)
            if not isinstance(constant, Constant) or depth > _MAX_CHAIN:
                raise SchemaError(f"{name} is no constant")
            self._numbers[full] = evaluate(constant.value, lambda inner: self._number(inner, constant.scope, depth + 1))
        return self._numbers[full]

    def _find(self, name: str, scope: tuple[str, ...]) -> str:
        """The full name of what a name means inside a scope."""
        if name.startswith("::"):
            scope, name = (), name[2:]
        for depth in range(len(scope), -1, -1):
            full = "::".join((*scope[:depth], name))
            if full in self._found:
                return full
        if name in _TIMES:
            return name
        raise SchemaError(f"the definition of {name} is missing")


def _bounded(length: int, parents: tuple[str, ...]) -> int:
    if not 0 < length <= MAX_LENGTH:
        raise SchemaError(f"{parents[-1]}: a list of {length} elements")
    return length


def _not_supported(where: str, unsupported: Unsupported) -> SchemaError:
    return SchemaError(f"{where}: {unsupported.what} of IDL is not supported")


def _short(full: str) -> str:
    return short(full.replace("::", "/"))
