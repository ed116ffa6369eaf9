"""Types that ROS 2 makes of `.srv` and `.action` files without anybody writing them down.

The events of a service are what introspection publishes of it; an action is a topic of feedback and two services.
Sources: REP 2012; design.ros2.org "Actions"; rosidl_parser/definition.py. rosbag2 stores such topics with the text of
the service or action itself (ros2/rosbag2#2365).
"""

from __future__ import annotations

from collections.abc import Callable

from fieldpipe.recordings.typetree import Array, Field, Kind, Scalar, Sequence, Struct, Type

_INFO = Struct(
    "service_msgs/ServiceEventInfo",
    (
        Field("event_type", Scalar(Kind.UINT8)),
        Field("stamp", Scalar(Kind.TIME)),
        Field("client_gid", Array(Scalar(Kind.UINT8), 16)),
        Field("sequence_number", Scalar(Kind.INT64)),
    ),
)
_GOAL_ID = Field("goal_id", Struct("unique_identifier_msgs/UUID", (Field("uuid", Array(Scalar(Kind.UINT8), 16)),)))
_ACCEPTANCE = (Field("accepted", Scalar(Kind.BOOL)), Field("stamp", Scalar(Kind.TIME)))
_SUFFIXES = ("_FeedbackMessage", "_SendGoal_Event", "_GetResult_Event", "_Event")


def written(name: str) -> str:
    """The name of the service or action that implies the type `name`; the name itself if nothing does."""
    for suffix in _SUFFIXES:
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return name


def implied(name: str, part: Callable[[str], Struct]) -> Struct:
    """The type `name`; `part` finds those that were written (`Name_Request`, `Name_Goal` and so on), or raises."""
    base = written(name)
    match name.removeprefix(base):
        case "_FeedbackMessage":
            return _struct(name, _GOAL_ID, Field("feedback", part(f"{base}_Feedback")))
        case "_SendGoal_Event":
            request = _struct(f"{base}_SendGoal_Request", _GOAL_ID, Field("goal", part(f"{base}_Goal")))
            return _event(name, request, _struct(f"{base}_SendGoal_Response", *_ACCEPTANCE))
        case "_GetResult_Event":
            result = Field("status", Scalar(Kind.INT8)), Field("result", part(f"{base}_Result"))
            request = _struct(f"{base}_GetResult_Request", _GOAL_ID)
            return _event(name, request, _struct(f"{base}_GetResult_Response", *result))
        case "_Event":
            return _event(name, part(f"{base}_Request"), part(f"{base}_Response"))
    return part(name)


def _event(name: str, request: Struct, response: Struct) -> Struct:
    fields: dict[str, Type] = {"info": _INFO, "request": Sequence(request, 1), "response": Sequence(response, 1)}
    return _struct(name, *(Field(own, type_) for own, type_ in fields.items()))


def _struct(name: str, *fields: Field) -> Struct:
    return Struct(name, fields)
