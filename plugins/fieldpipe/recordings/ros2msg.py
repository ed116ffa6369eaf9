"""ROS 2 message definitions (`ros2msg` schemas) -> types.

Source: design.ros2.org "Interface definition using .msg / .srv / .action files". The text may also be that of a service
or an action, of which the type is built in `implied.py`.
"""

from __future__ import annotations

import re

from fieldpipe.recordings.implied import implied, written
from fieldpipe.recordings.rosmsg import NUMBERS, Dialect, Resolver, sections, short
from fieldpipe.recordings.typetree import Kind, SchemaError, Struct

_BAR = re.compile(r"^---[ \t]*\r?$", re.MULTILINE)
_PARTS = {2: ("_Request", "_Response"), 3: ("_Goal", "_Result", "_Feedback")}
_DIALECT = Dialect(
    NUMBERS
    | {
        "string": Kind.STRING,
        "wstring": Kind.WSTRING,
        "byte": Kind.UINT8,
        "char": Kind.UINT8,  # an unsigned byte since ROS 2 (rosidl_adapter maps it to IDL's uint8)
    }
)
_STANDARD = {
    "builtin_interfaces/Time": "int32 sec\nuint32 nanosec",
    "builtin_interfaces/Duration": "int32 sec\nuint32 nanosec",
}


def parse(name: str, text: str) -> Struct:
    """The type that `text` defines for the schema `name` (`package/msg/Type`). Raises SchemaError."""
    root = short(name)
    definitions = _STANDARD | sections(root, text)
    parts = _BAR.split(definitions[root])
    if len(parts) == 1:
        return Resolver(definitions, _DIALECT).struct(root)
    if len(parts) not in _PARTS:
        raise SchemaError(f"{root}: neither a service nor an action has {len(parts)} parts")
    base = written(root)
    definitions |= {base + suffix: part for suffix, part in zip(_PARTS[len(parts)], parts, strict=True)}
    return implied(root, Resolver(definitions, _DIALECT).struct)
