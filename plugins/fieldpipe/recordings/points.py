"""Clouds of points -> a row per point (`sensor_msgs/PointCloud2`, docs.ros.org).

The columns are the fields that the first cloud declares. Its points are packed without gaps, so that an executor can
run a plan over them like over any other message: the fields of a point are the elements of an exploded list.
"""

from __future__ import annotations

import csv
import json
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from mcap.opcode import Opcode

from fieldpipe.recordings.decode import CdrDecoder
from fieldpipe.recordings.executor import DecodeError, Executor, Selection
from fieldpipe.recordings.messages import Message, Read, SharedDecoder, Times
from fieldpipe.recordings.plan import WIDTHS, Shape, Wire, compile_plan
from fieldpipe.recordings.records import HEADER, MESSAGE
from fieldpipe.recordings.spool import Part
from fieldpipe.recordings.typetree import Array, Field, Kind, Scalar, SchemaError, Sequence, Struct, Type

FIELDS = {"fields", "width", "height", "point_step", "row_step", "is_bigendian", "data"}
AT_ONCE = 16 * 1024  # points
MAX_OVERLAP = 2  # times the size of a point, that its fields may have together
_LIST = "points"
_KINDS = {  # PointField.datatype
    1: Kind.INT8,
    2: Kind.UINT8,
    3: Kind.INT16,
    4: Kind.UINT16,
    5: Kind.INT32,
    6: Kind.UINT32,
    7: Kind.FLOAT32,
    8: Kind.FLOAT64,
}


class _Member(NamedTuple):
    """A field of a point: so many values of a kind from byte `offset` on."""

    name: str
    offset: int
    kind: Kind
    values: int

    @property
    def size(self) -> int:
        return WIDTHS[self.kind] * self.values

    @property
    def type(self) -> Type:
        return Scalar(self.kind) if self.values == 1 else Array(Scalar(self.kind), self.values)


class _Cloud(NamedTuple):
    """`height` rows of `row_step` bytes, each with `width` points of `step` bytes."""

    members: list[_Member]
    width: int
    height: int
    step: int
    row_step: int
    is_big: bool


class PreparedPoints(NamedTuple):
    """A message whose points can be written."""

    times: Times
    read: Read
    members: list[_Member]
    points: bytes


class Points:
    """Writes the points of clouds that `decoder` reads. `begin` is called once, with the columns of the first cloud."""

    def __init__(self, decoder: SharedDecoder, executor: Executor, begin: Callable[[list[str]], None]) -> None:
        self.columns: list[str] = []
        self._begin = begin
        self._decoder = decoder
        self._executor = executor
        self._members: list[_Member] | None = None
        self._selection = Selection({})

    def prepare(self, message: Message) -> PreparedPoints:
        """Everything but the writing; any thread may do that. Raises DecodeError."""
        read = self._decoder.read(message.payload)
        try:
            cloud = _cloud(dict(zip(self._decoder.columns, read.rows[0], strict=True)))
        except (KeyError, TypeError, ValueError, StopIteration) as error:
            raise DecodeError("its fields are not those of a cloud") from error
        return PreparedPoints(message.times, read, cloud.members, _packed(cloud, read.binary))

    def write(self, prepared: PreparedPoints, part: Part) -> int:
        """Append a row per point; returns their number. Raises DecodeError for other fields than the first cloud's."""
        if self._members is None:
            self._define(prepared.members)
        if prepared.members != self._members:
            raise DecodeError("its points have other fields than those of the first cloud")
        size = sum(member.size for member in prepared.members)
        for at in range(0, len(prepared.points), AT_ONCE * size):
            self._write(prepared.times, prepared.points[at : at + AT_ONCE * size], size, part)
        return len(prepared.points) // size

    def _define(self, members: list[_Member]) -> None:
        point = Struct("point", tuple(Field(member.name, member.type) for member in members))
        cloud = Struct("cloud", (Field(_LIST, Sequence(point)),))
        try:
            plan = compile_plan(cloud, Shape(explode=frozenset({_LIST})), wire=Wire.ROS1)
        except SchemaError as error:
            raise DecodeError(str(error)) from error
        self.columns = [column.removeprefix(f"{_LIST}.") for column in plan.columns]
        self._selection = Selection({0: CdrDecoder(plan)})
        self._members = members
        self._begin(self.columns)

    def _write(self, times: Times, points: bytes, size: int, part: Part) -> None:
        count = struct.pack("<I", len(points) // size)
        head = MESSAGE.pack(0, *times)
        record = HEADER.pack(Opcode.MESSAGE, len(head) + len(count) + len(points)) + head + count + points
        converted = self._executor.convert(record, 0, len(record), self._selection)
        (rows,) = converted.rows
        part.write(rows.text)
        part.later(converted.release)


def _cloud(cells: Mapping[str, str]) -> _Cloud:
    (fields,) = next(csv.reader([cells["fields"]]))
    width, height, step, row_step = (int(cells[name]) for name in ("width", "height", "point_step", "row_step"))
    members = [_member(field) for field in json.loads(fields)]
    if not members or any(member.offset + member.size > step for member in members):
        raise DecodeError(f"its fields do not fit into points of {step} bytes")
    if sum(member.size for member in members) > MAX_OVERLAP * step:
        raise DecodeError("its fields lie over one another")
    return _Cloud(members, width, height, step, row_step, is_big=cells["is_bigendian"] in ("1", "true"))


def _member(field: Mapping[str, Any]) -> _Member:
    name, offset, count = str(field["name"]), int(field["offset"]), int(field["count"])
    return _Member(name, offset, _KINDS[field["datatype"]], max(count, 1))  # some drivers leave the count 0


def _packed(cloud: _Cloud, data: bytes) -> bytes:
    """The points one after the other, little-endian, without what lies between fields."""
    line = cloud.width * cloud.step
    if cloud.height * cloud.row_step != len(data) or line > cloud.row_step:
        raise DecodeError(f"{len(data)} bytes are not {cloud.height} rows of {cloud.width} points")
    if cloud.row_step != line:
        data = b"".join(data[at : at + line] for at in range(0, len(data), cloud.row_step))
    planes = [*_planes(cloud)]
    if planes == [*range(cloud.step)]:
        return data
    packed = bytearray(cloud.width * cloud.height * len(planes))
    for at, plane in enumerate(planes):
        packed[at :: len(planes)] = data[plane :: cloud.step]
    return bytes(packed)


def _planes(cloud: _Cloud) -> Iterator[int]:
    """For every byte of a packed point, which byte of the point in the cloud it is."""
    for member in cloud.members:
        width = WIDTHS[member.kind]
        for start in range(member.offset, member.offset + member.size, width):
            element = range(start, start + width)
            yield from reversed(element) if cloud.is_big else element
