"""What the fuzzer starts from: plans of every wire format, and payloads that they can read."""

from __future__ import annotations

import ctypes
import json
import struct
from pathlib import Path
from random import Random

from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from fieldpipe.recordings.compiled import native_program, number
from fieldpipe.recordings.encode import encode
from fieldpipe.recordings.jsonplan import compile_json
from fieldpipe.recordings.plan import PLAIN, Plan, Shape, Wire, compile_plan
from fieldpipe.recordings.protoschema import compile_protobuf
from fieldpipe.recordings.ros2msg import parse
from fieldpipe.recordings.typetree import Struct
from tests.unit.recordings import protobufs

_SEPARATOR = "\n" + "=" * 80 + "\n"
EVERYTHING = (
    "bool a\nint8 b\nuint8 c\nint16 d\nuint16 e\nint32 f\nuint32 g\nint64 h\nuint64 i\nfloat32 j\nfloat64 k\n"
    "string l\nwstring m\nbuiltin_interfaces/Time n\nfloat64[9] o\nstring[2] p\nuint8[] q\nfloat32[] r\nbool[<=3] s\n"
    "string[] t\nwstring[] u\nfloat64[70] v\nInner w\nInner[] x\nEmpty y\nEmpty[] z"
    f"{_SEPARATOR}MSG: fuzz/Inner\nuint8 a\nfloat64 b\nstring c\nuint8[] d\nint16[] e\nbuiltin_interfaces/Time[] f"
    f"{_SEPARATOR}MSG: fuzz/Empty\n"
)
VALUE = {
    **dict.fromkeys("bcdefghi", 7),
    "a": True,
    "j": 0.1,
    "k": 1 / 3,
    "l": 'a "text", 日本',
    "m": "wide 🤖",
    "n": -1,
    "o": [0.0, 1e300, -5e-324, 0.01, 123.0, 1e16, 1e-5, float("nan"), float("-inf")],
    "p": ["", "=1+1"],
    "q": bytes(range(20)),
    "r": [0.5, float("inf")],
    "s": [True, False],
    "t": ["", "x", '"\\\n\x01'],
    "u": ["", "y"],
    "v": [0.25] * 70,
    "w": {"a": 1, "b": 2.5, "c": "c", "d": b"\1\2", "e": [-1], "f": [1]},
    "x": [{"a": 1, "b": 2.5, "c": "c", "d": b"", "e": [], "f": []}] * 2,
    "y": {},
    "z": [{}] * 3,
}
JSON_SCHEMA = {
    "type": "object",
    "properties": {
        "stamp": {"type": "object", "properties": {"sec": {"type": "integer"}, "nsec": {"type": "integer"}}},
        "name": {"type": "string"},
        "at": {"type": "object", "properties": {"x": {"type": "number"}, "y": {"type": "number"}}},
        "q": {"type": "string", "contentEncoding": "base64"},
        "x": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "number"}}}},
    },
}
JSON_PAYLOADS = (
    b'{"stamp":{"sec":1,"nsec":2},"name":"a \\ud83e\\udd16 \\"b\\", c","at":{"x":1.5,"y":-2e-7},'
    b'"q":"AQI=","x":[{"a":1}]}',
    b' [ 1 , -0, 1E400, NaN, "\\ud800", {"a": null, "a": true}, 12345678901234567890123, 0.1234567890123456789 ] ',
)
SHAPES = (PLAIN, Shape(base64=True), Shape(explode=frozenset({"x"})), Shape(binary="q"))


def write(folder: Path) -> tuple[Path, Path]:
    """Write the plans and the first inputs; returns the file of plans and the folder of inputs."""
    inputs = folder / "inputs"
    inputs.mkdir(parents=True, exist_ok=True)
    plans = folder / "plans"
    chosen = _plans()
    plans.write_bytes(struct.pack("<Q", len(chosen)) + b"".join(_native(plan) for plan, _ in chosen))
    for which, (_, payloads) in enumerate(chosen):
        for index, payload in enumerate(payloads):
            (inputs / f"payload-{which}-{index}").write_bytes(bytes([which]) + payload)
    block = b"".join(_message(which, payload) for which, (_, payloads) in enumerate(chosen) for payload in payloads)
    (inputs / "block").write_bytes(b"\xff" + block + b"\x03" + struct.pack("<Q", 3) + b"abc")
    return plans, inputs


def _plans() -> list[tuple[Plan, list[bytes]]]:
    root = parse("fuzz/Everything", EVERYTHING)
    cdr = [
        encode(root, VALUE, little_endian=little, xcdr2=xcdr2) for little in (True, False) for xcdr2 in (True, False)
    ]
    in_order = [(compile_plan(root, shape, wire=wire), cdr) for shape in SHAPES for wire in (Wire.CDR, Wire.ROS1)]
    empty = (compile_plan(Struct("fuzz/Empty", ())), [b"\0\1\0\0\0"])
    in_json = [(compile_json(json.dumps(JSON_SCHEMA).encode(), shape), [*JSON_PAYLOADS]) for shape in SHAPES]
    return [*in_order, empty, *in_json, (compile_json(), [*JSON_PAYLOADS]), *_protobuf()]


def _protobuf() -> list[tuple[Plan, list[bytes]]]:
    """Fields of every type, once and repeated, and messages, maps and times in one another."""
    file = FileDescriptorProto(name="fuzz.proto", package="test", syntax="proto2")
    file.dependency.extend(["google/protobuf/timestamp.proto", "google/protobuf/duration.proto"])
    enum = file.enum_type.add(name="E")
    for value in (0, 1, -7, 2**31 - 1):  # those that `protobufs.payload` chooses from
        enum.value.add(name=f"V{len(enum.value)}", number=value)
    message = file.message_type.add(name="M0")
    messages = (".test.M0", ".google.protobuf.Timestamp", ".google.protobuf.Duration")
    for label in (Field.LABEL_OPTIONAL, Field.LABEL_REPEATED):
        for type_ in (*protobufs.SCALARS, *messages):
            field = message.field.add(name=f"f{len(message.field)}", number=1 + len(message.field), label=label)
            field.type = type_ if isinstance(type_, int) else Field.TYPE_MESSAGE
            if field.type in (Field.TYPE_MESSAGE, Field.TYPE_ENUM):
                field.type_name = type_ if isinstance(type_, str) else ".test.E"
    empty = protobufs.official(file)
    chance = Random(1)
    payloads = [protobufs.payload(empty(b""), chance) for _ in range(10)]
    return [(compile_protobuf(protobufs.ROOT, protobufs.described(file), shape), payloads) for shape in SHAPES[:2]]


def _native(plan: Plan) -> bytes:
    program, texts = native_program(plan)
    head = struct.pack("<4Q", number(plan.wire), len(texts) % 2, len(plan.columns), len(program))
    return head + ctypes.string_at(program, ctypes.sizeof(program)) + struct.pack("<Q", len(texts)) + texts


def _message(channel: int, payload: bytes) -> bytes:
    return b"\5" + struct.pack("<QHIQQ", 22 + len(payload), channel, 1, 2, 3) + payload
