"""What IDL declares, as it was written: names are not looked up yet, expressions not evaluated."""

from __future__ import annotations

from dataclasses import dataclass

from fieldpipe.recordings.typetree import Kind

Expression = tuple[str, ...]
"""Its words, in order."""


@dataclass(frozen=True, slots=True)
class Unsupported:
    """Something of IDL that we do not read."""

    what: str


@dataclass(frozen=True, slots=True)
class Named:
    """A type by its name, as it was written."""

    name: str


@dataclass(frozen=True, slots=True)
class SequenceOf:
    """A sequence; its bound is an expression, empty if there is none."""

    element: TypeSpec
    bound: Expression


@dataclass(frozen=True, slots=True)
class Declared:
    """A field or typedef: its type, the lengths of its array, and the modules that names in both are looked up in."""

    type: TypeSpec
    lengths: tuple[Expression, ...]
    scope: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StructOf:
    """A struct: the one whose fields come first, if there is one, and its own fields by name."""

    base: Declared | None
    fields: tuple[tuple[str, Declared], ...]


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant that was not evaluated yet."""

    value: Expression
    scope: tuple[str, ...]


TypeSpec = Kind | Named | SequenceOf | Unsupported
Declaration = StructOf | Declared | Constant | Kind | Unsupported  # a Kind: an enum
