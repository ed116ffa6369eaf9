"""ROS 2 message definitions (`ros2msg` schemas) -> types.

Sources: design.ros2.org "Interface definition using .msg / .srv files". rosbag2 stores the topic of a service's events
with the plain `.srv` text (ros2/rosbag2#2365), from which the layout of the event is built here.
"""

from __future__ import annotations

import re

from fieldpipe.recordings.rosmsg import NUMBERS, Dialect, Resolver, sections, short
from fieldpipe.recordings.typetree import Kind, Struct

_RESPONSE = re.compile(r"^---[ \t]*\r?$", re.MULTILINE)
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
    "service_msgs/ServiceEventInfo": (
        "uint8 event_type\nbuiltin_interfaces/Time stamp\nchar[16] client_gid\nint64 sequence_number"
    ),
}


def parse(name: str, text: str) -> Struct:
    """The type that `text` defines for the schema `name` (`package/msg/Type`). Raises SchemaError."""
    root = short(name)
    definitions = _STANDARD | sections(root, text)
    if root.endswith("_Event") and _RESPONSE.search(definitions[root]):
        definitions |= _service_event(root, definitions[root])
    return Resolver(definitions, _DIALECT).struct(root)


def standard(name: str) -> Struct:
    """A type that ROS 2 itself needs, and recordings often leave out: `builtin_interfaces/Time` and the like."""
    return Resolver(_STANDARD, _DIALECT).struct(name)


def _service_event(root: str, text: str) -> dict[str, str]:
    request, response = _RESPONSE.split(text, maxsplit=1)
    service = root.removesuffix("_Event")
    return {
        root: f"service_msgs/ServiceEventInfo info\n{service}_Request[<=1] request\n{service}_Response[<=1] response",
        f"{service}_Request": request,
        f"{service}_Response": response,
    }
