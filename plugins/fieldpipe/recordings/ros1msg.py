"""ROS 1 message definitions (`ros1msg` schemas) -> types.

Sources: wiki.ros.org/msg and genmsg. `time` and `duration` are built in; `char` is an unsigned byte, `byte` a signed
one; `Header` is the one of std_msgs in every package (it was roslib's before, REP 100).
"""

from __future__ import annotations

from fieldpipe.recordings.rosmsg import NUMBERS, Dialect, Resolver, sections, short
from fieldpipe.recordings.typetree import Kind, Struct

_HEADER = "std_msgs/Header"
_DIALECT = Dialect(
    NUMBERS
    | {
        "string": Kind.STRING,
        "time": Kind.ROS1_TIME,
        "duration": Kind.ROS1_DURATION,
        "char": Kind.UINT8,
        "byte": Kind.INT8,
    },
    {"Header": _HEADER, "roslib/Header": _HEADER},
)
_STANDARD = {_HEADER: "uint32 seq\ntime stamp\nstring frame_id"}


def parse(name: str, text: str) -> Struct:
    """The type that `text` defines for the schema `name` (`package/Type`). Raises SchemaError."""
    root = short(name)
    return Resolver(_STANDARD | sections(root, text), _DIALECT).struct(root)
