"""Message definitions of ROS -> types: what the languages of ROS 1 and ROS 2 have in common.

The text is the root definition and, separated by lines of `=`, every definition that it needs, each under a line
`MSG: package/Type`. Source: mcap.dev, "Well-known schema encodings".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from fieldpipe.recordings.typetree import MAX_DEPTH, Array, Field, Kind, Scalar, SchemaError, Sequence, Struct, Type

MAX_LENGTH = 2**32 - 1  # elements: payloads count them with four bytes

NUMBERS = {
    kind.value: kind
    for kind in (
        Kind.BOOL,
        Kind.INT8,
        Kind.UINT8,
        Kind.INT16,
        Kind.UINT16,
        Kind.INT32,
        Kind.UINT32,
        Kind.INT64,
        Kind.UINT64,
        Kind.FLOAT32,
        Kind.FLOAT64,
    )
}

_SEPARATOR = re.compile(r"^={8,}[ \t]*\r?$", re.MULTILINE)
_TITLE = re.compile(r"\A\s*(?:MSG|SRV|ACTION):[ \t]*(\S+)[ \t]*\r?$", re.MULTILINE)
_ANNOTATIONS = re.compile(r"\s*(?:@\w+\s*)*", re.ASCII)  # @key, @optional: ROS writes the same bytes without them
_LINE = re.compile(
    r"(?P<type>[A-Za-z][\w/]*)(?:<=(?P<text_bound>\d+))?(?P<list>\[(?P<upto><=)?(?P<length>\d*)\])?"
    r"\s+(?P<name>[A-Za-z]\w*)\s*(?P<rest>.*)",
    re.ASCII,
)
_TIME_FIELDS = (Field("sec", Scalar(Kind.INT32)), Field("nanosec", Scalar(Kind.UINT32)))
_TIMES = ("builtin_interfaces/Time", "builtin_interfaces/Duration")


class Dialect(NamedTuple):
    """`kinds` by the names of built-in types; `aliases`: types that are meant whatever package they are used in."""

    kinds: Mapping[str, Kind]
    aliases: Mapping[str, str] = MappingProxyType({})


def sections(root: str, text: str) -> dict[str, str]:
    """The definitions of a text by their short name; the first one is the root's, whatever its title says."""
    found: dict[str, str] = {}
    parts = _SEPARATOR.split(text)
    if not parts[0].strip() and len(parts) > 1:
        parts = parts[1:]
    for part in parts[1:]:
        if title := _TITLE.match(part):
            found[short(title[1])] = part[title.end() :]
    title = _TITLE.match(parts[0])
    found[root] = parts[0][title.end() :] if title else parts[0]
    return found


def short(name: str) -> str:
    """`package/msg/Type` -> `package/Type`."""
    package, _, rest = name.partition("/")
    return f"{package}/{rest.rpartition('/')[2]}" if rest else package


def time_or_struct(struct: Struct) -> Type:
    """A time of ROS 2 is one value."""
    return Scalar(Kind.TIME) if struct.name in _TIMES and struct.fields == _TIME_FIELDS else struct


class Resolver:
    """Makes types of definitions (their texts by short name)."""

    def __init__(self, definitions: Mapping[str, str], dialect: Dialect) -> None:
        self._definitions = definitions
        self._dialect = dialect
        self._structs: dict[str, Struct] = {}
        self._by_bare_name: dict[str, list[str]] = {}
        for name in definitions:
            self._by_bare_name.setdefault(name.rpartition("/")[2], []).append(name)

    def struct(self, name: str, parents: tuple[str, ...] = ()) -> Struct:
        """The type of a short name. Raises SchemaError."""
        if name not in self._definitions:
            raise SchemaError(f"the definition of {name} is missing")
        if name in parents or len(parents) >= MAX_DEPTH:
            raise SchemaError(f"{name} contains itself or nests more than {MAX_DEPTH} deep")
        if name not in self._structs:
            package = name.rpartition("/")[0]
            matches = [match for line in self._definitions[name].splitlines() if (match := _field(line, name))]
            fields = tuple(Field(match["name"], self._type(match, package, (*parents, name))) for match in matches)
            if len({member.name for member in fields}) != len(fields):
                raise SchemaError(f"{name} names a field twice")
            self._structs[name] = Struct(name, fields)
        return self._structs[name]

    def _type(self, match: re.Match[str], package: str, parents: tuple[str, ...]) -> Type:
        element = self._element(match["type"], package, parents)
        if match["text_bound"] and match["type"] not in ("string", "wstring"):
            raise SchemaError(f"{match[0]!r}: only strings have a bound of their own")
        if match["list"] is None:
            return element
        length = _length(match["length"]) if match["length"] else None
        if match["upto"] or length is None:
            if match["upto"] and length is None:
                raise SchemaError(f"{match[0]!r}: a bound without a number")
            return Sequence(element, length)
        if length == 0:
            raise SchemaError(f"{match[0]!r}: an array needs a length above 0")
        return Array(element, length)

    def _element(self, name: str, package: str, parents: tuple[str, ...]) -> Type:
        if name in self._dialect.kinds:
            return Scalar(self._dialect.kinds[name])
        return time_or_struct(self.struct(self._find(name, package), parents))

    def _find(self, name: str, package: str) -> str:
        alias = self._dialect.aliases.get(name, "")
        if alias in self._definitions:
            return alias
        full = short(name) if "/" in name else f"{package}/{name}"
        if full in self._definitions:
            return full
        same = self._by_bare_name.get(name, [])
        if len(same) != 1:
            raise SchemaError(f"the definition of {full} is missing")
        return same[0]


def _field(line: str, owner: str) -> re.Match[str] | None:
    """The parts of a field's line; None for a constant, a comment or an empty line."""
    text = _ANNOTATIONS.sub("", line.partition("#")[0], count=1).strip()
    if not text:
        return None
    match = _LINE.fullmatch(text)
    if match is None:
        raise SchemaError(f"{owner}: cannot read the line {text[:200]!r}")
    is_constant = match["rest"].startswith("=")
    return None if is_constant else match


def _length(digits: str) -> int:
    length = int(digits) if len(digits) <= len(str(MAX_LENGTH)) else MAX_LENGTH + 1
    if length > MAX_LENGTH:
        raise SchemaError(f"a list of {digits[:20]} elements is more than {MAX_LENGTH}")
    return length
