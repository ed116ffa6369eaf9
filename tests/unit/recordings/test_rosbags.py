"""Every message definition that rosbags ships, in ROS's language and in IDL; its serializers make the payloads."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy
from rosbags.interfaces import Nodetype
from rosbags.interfaces.typing import FieldDesc
from rosbags.typesys import Stores, get_types_from_idl, get_typestore
from rosbags.typesys.base import normalize_fieldname
from rosbags.typesys.store import Typestore

from fieldpipe.recordings import ros1msg, ros2idl, ros2msg
from fieldpipe.recordings.decode import CdrDecoder
from fieldpipe.recordings.plan import Wire, compile_plan
from fieldpipe.recordings.typetree import Array, Field, Kind, Scalar, Sequence, Struct, Type
from tests.unit.recordings.agreement import rows
from tests.unit.recordings.messages import columns, drawn, expected, idl_files, in_idl

MESSAGES = 20  # of every type
ROS2_STORES = [store for store in Stores if store.name.startswith("ROS2")]
TIME, DURATION = "builtin_interfaces/msg/Time", "builtin_interfaces/msg/Duration"
NUMBERS = {kind.value: kind for kind in Kind} | {"char": Kind.UINT8}
PLACEHOLDER = "structure_needs_at_least_one_member"


class Shipped:
    """The definitions of one distribution as types of ours, and values of those as messages of rosbags."""

    def __init__(self, store: Typestore, *, ros1: bool = False) -> None:
        self.store = store
        own = {TIME: Kind.ROS1_TIME, DURATION: Kind.ROS1_DURATION} if ros1 else {TIME: Kind.TIME, DURATION: Kind.TIME}
        self._times = own
        self._byte = Kind.INT8 if ros1 else Kind.UINT8

    def struct(self, name: str) -> Struct:
        fields = [(own, desc) for own, desc in self.store.fielddefs[name][1] if own != PLACEHOLDER]
        return Struct(name.replace("/msg/", "/"), tuple(Field(own, self._type(desc)) for own, desc in fields))

    def message(self, name: str, value: dict[str, Any]) -> Any:
        fields = self.store.fielddefs[name][1]
        members = {normalize_fieldname(own): self._value(desc, value.get(own, 0)) for own, desc in fields}
        return self.store.types[name](**members)

    def cdr(self, name: str, value: dict[str, Any], *, little_endian: bool) -> bytes:
        return bytes(self.store.serialize_cdr(self.message(name, value), name, little_endian=little_endian))

    def ros1(self, name: str, value: dict[str, Any]) -> bytes:
        return bytes(self.store.serialize_ros1(self.message(name, value), name))

    def _type(self, desc: FieldDesc) -> Type:
        match desc:
            case Nodetype.BASE, (kind, _):
                return Scalar(self._byte if kind == "byte" else NUMBERS[kind])
            case Nodetype.NAME, name:
                return Scalar(self._times[name]) if name in self._times else self.struct(name)
            case Nodetype.ARRAY, (element, length):
                return Array(self._type(element), length)
            case _, (element, bound):
                return Sequence(self._type(element), bound or None)

    def _value(self, desc: FieldDesc, value: Any) -> Any:
        match desc:
            case Nodetype.BASE, ("byte", _):
                return (value ^ 0x80) - 0x80 if value >= 0 else value  # a signed byte in rosbags
            case Nodetype.BASE, _:
                return value
            case Nodetype.NAME, name if name in self._times:
                seconds, nanoseconds = divmod(value, 10**9)
                return self.store.types[name]((seconds ^ 2**31) - 2**31 if seconds >= 0 else seconds, nanoseconds)
            case Nodetype.NAME, name:
                return self.message(name, value)
            case _, (element, _):
                items = [self._value(element, item) for item in value]
                is_text = element[0] == Nodetype.NAME or element[1][0] == "string"
                return (
                    items
                    if is_text
                    else numpy.array(items, {"byte": "int8", "char": "uint8"}.get(element[1][0], element[1][0]))
                )


def test_every_definition_of_ros1_is_read_as_rosbags_writes_it() -> None:
    shipped = Shipped(get_typestore(Stores.ROS1_NOETIC), ros1=True)
    dice = Random(1)

    for name in shipped.store.fielddefs:
        root = shipped.struct(name)
        values = [drawn(root, dice) for _ in range(MESSAGES)]
        payloads = [shipped.ros1(name, value) for value in values]
        text, _ = shipped.store.generate_msgdef(name, ros_version=1)

        plan = compile_plan(ros1msg.parse(root.name, text), wire=Wire.ROS1)

        assert ros1msg.parse(root.name, text) == root
        assert list(plan.columns) == columns(root)
        assert rows(CdrDecoder(plan), *payloads) == [expected(root, value) for value in values]


def test_every_definition_of_ros2_is_read_as_rosbags_writes_it() -> None:
    dice = Random(2)
    seen: set[tuple[str, str]] = set()  # most are the same in every distribution

    for shipped in map(Shipped, map(get_typestore, ROS2_STORES)):
        for name in shipped.store.fielddefs:
            text, _ = shipped.store.generate_msgdef(name, ros_version=2)
            if (name, text) in seen:
                continue
            seen.add((name, text))
            root = shipped.struct(name)
            values = [drawn(root, dice) for _ in range(MESSAGES)]
            payloads = [shipped.cdr(name, value, little_endian=dice.random() < 0.5) for value in values]

            plan = compile_plan(ros2msg.parse(name, text))

            assert ros2msg.parse(name, text) == root
            assert list(plan.columns) == columns(root)
            assert rows(CdrDecoder(plan), *payloads) == [expected(root, value) for value in values]


def test_every_definition_in_idl_is_the_one_that_rosbags_reads_there() -> None:
    shipped, read = Shipped(get_typestore(Stores.ROS2_LYRICAL)), Shipped(Typestore())

    for name in shipped.store.fielddefs:
        root = shipped.struct(name)
        for inner, text in idl_files(root).items():
            if inner not in read.store.fielddefs:
                read.store.fielddefs |= get_types_from_idl(text)

        assert read.struct(name) == root
        assert ros2idl.parse(name, in_idl(root)) == root
