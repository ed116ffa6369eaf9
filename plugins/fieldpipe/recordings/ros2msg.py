"""ROS 2 message definitions (`ros2msg` schemas) -> types.

The text is the root definition and, separated by lines of `=`, every definition that it needs, each under a line
`MSG: package/Type`. Sources: design.ros2.org "Interface definition using .msg / .srv files"; mcap.dev "Well-known
schema encodings". rosbag2 stores the topic of a service's events with the plain `.srv` text (ros2/rosbag2#2365), from
which the layout of the event is built here.
"""

from __future__ import annotations

import re

from fieldpipe.recordings.typetree import MAX_DEPTH, Array, Field, Kind, Scalar, SchemaError, Sequence, Struct, Type

_SEPARATOR = re.compile(r"^={8,}[ \t]*\r?$", re.MULTILINE)
_TITLE = re.compile(r"\A\s*(?:MSG|SRV):[ \t]*(\S+)[ \t]*\r?$", re.MULTILINE)
_RESPONSE = re.compile(r"^---[ \t]*\r?$", re.MULTILINE)
_LINE = re.compile(
    r"(?P<type>[A-Za-z][\w/]*)(?:<=(?P<text_bound>\d+))?(?P<list>\[(?P<upto><=)?(?P<length>\d*)\])?"
    r"\s+(?P<name>[A-Za-z]\w*)\s*(?P<rest>.*)"
)
_KINDS = {kind.value: kind for kind in Kind if kind is not Kind.TIME} | {
    "byte": Kind.UINT8,
    "char": Kind.UINT8,  # an unsigned byte since ROS 2 (rosidl_adapter maps it to IDL's uint8)
}
_TIME = Struct("", (Field("sec", Scalar(Kind.INT32)), Field("nanosec", Scalar(Kind.UINT32))))
_STANDARD = {
    "builtin_interfaces/Time": "int32 sec\nuint32 nanosec",
    "builtin_interfaces/Duration": "int32 sec\nuint32 nanosec",
    "service_msgs/ServiceEventInfo": (
        "uint8 event_type\nbuiltin_interfaces/Time stamp\nchar[16] client_gid\nint64 sequence_number"
    ),
}


def parse(name: str, text: str) -> Struct:
    """The type that `text` defines for the schema `name` (`package/msg/Type`). Raises SchemaError."""
    root = _short(name)
    definitions = _definitions(root, text)
    if root.endswith("_Event") and _RESPONSE.search(definitions[root]):
        definitions |= _service_event(root, definitions[root])
    return _Resolver(definitions).struct(root, ())


def _definitions(root: str, text: str) -> dict[str, str]:
    """The sections of the text by their short name; the first one is the root's, whatever its title says."""
    found = dict(_STANDARD)
    sections = _SEPARATOR.split(text)
    if not sections[0].strip() and len(sections) > 1:
        sections = sections[1:]
    for section in sections[1:]:
        if title := _TITLE.match(section):
            found[_short(title[1])] = section[title.end() :]
    title = _TITLE.match(sections[0])
    found[root] = sections[0][title.end() :] if title else sections[0]
    return found


def _service_event(root: str, text: str) -> dict[str, str]:
    request, response = _RESPONSE.split(text, maxsplit=1)
    service = root.removesuffix("_Event")
    return {
        root: f"service_msgs/ServiceEventInfo info\n{service}_Request[<=1] request\n{service}_Response[<=1] response",
        f"{service}_Request": request,
        f"{service}_Response": response,
    }


class _Resolver:
    def __init__(self, definitions: dict[str, str]) -> None:
        self._definitions = definitions
        self._structs: dict[str, Struct] = {}
        self._by_bare_name: dict[str, list[str]] = {}
        for name in definitions:
            self._by_bare_name.setdefault(name.rpartition("/")[2], []).append(name)

    def struct(self, name: str, parents: tuple[str, ...]) -> Struct:
        if name in parents or len(parents) >= MAX_DEPTH:
            raise SchemaError(f"{name} contains itself or nests more than {MAX_DEPTH} deep")
        if name not in self._structs:
            package = name.rpartition("/")[0]
            matches = [match for line in self._definitions[name].splitlines() if (match := _field(line, name))]
            fields = tuple(Field(match["name"], self._type(match, package, (*parents, name))) for match in matches)
            if len({field.name for field in fields}) != len(fields):
                raise SchemaError(f"{name} names a field twice")
            self._structs[name] = Struct(name, fields)
        return self._structs[name]

    def _type(self, match: re.Match[str], package: str, parents: tuple[str, ...]) -> Type:
        element = self._element(match["type"], package, parents)
        if match["text_bound"] and match["type"] not in ("string", "wstring"):
            raise SchemaError(f"{match[0]!r}: only strings have a bound of their own")
        if match["list"] is None:
            return element
        length = int(match["length"]) if match["length"] else None
        if match["upto"] or length is None:
            if match["upto"] and length is None:
                raise SchemaError(f"{match[0]!r}: a bound without a number")
            return Sequence(element, length)
        if length == 0:
            raise SchemaError(f"{match[0]!r}: an array needs a length above 0")
        return Array(element, length)

    def _element(self, name: str, package: str, parents: tuple[str, ...]) -> Type:
        if name in _KINDS:
            return Scalar(_KINDS[name])
        struct = self.struct(self._find(name, package), parents)
        is_time = struct.name in ("builtin_interfaces/Time", "builtin_interfaces/Duration")
        return Scalar(Kind.TIME) if is_time and struct.fields == _TIME.fields else struct

    def _find(self, name: str, package: str) -> str:
        short = _short(name) if "/" in name else f"{package}/{name}"
        if short in self._definitions:
            return short
        same = self._by_bare_name.get(name, [])
        if len(same) != 1:
            raise SchemaError(f"the definition of {short} is missing")
        return same[0]


def _field(line: str, owner: str) -> re.Match[str] | None:
    """The parts of a field's line; None for a constant, a comment or an empty line."""
    text = line.partition("#")[0].strip()
    if not text:
        return None
    match = _LINE.fullmatch(text)
    if match is None:
        raise SchemaError(f"{owner}: cannot read the line {text[:200]!r}")
    is_constant = match["rest"].startswith("=")
    return None if is_constant else match


def _short(name: str) -> str:
    """`package/msg/Type` -> `package/Type`."""
    package, _, rest = name.partition("/")
    return f"{package}/{rest.rpartition('/')[2]}" if rest else package
