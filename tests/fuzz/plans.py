"""What the fuzzer starts from: plans of every wire format, and payloads that they can read."""

from __future__ import annotations

import ctypes
import struct
from pathlib import Path

from fieldpipe.recordings.compiled import native_program, number
from fieldpipe.recordings.encode import encode
from fieldpipe.recordings.plan import PLAIN, Plan, Shape, Wire, compile_plan
from fieldpipe.recordings.ros2msg import parse
from fieldpipe.recordings.typetree import Struct

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
    return [*in_order, empty]


def _native(plan: Plan) -> bytes:
    program, texts = native_program(plan)
    head = struct.pack("<4Q", number(plan.wire), len(texts) % 2, len(plan.columns), len(program))
    return head + ctypes.string_at(program, ctypes.sizeof(program)) + struct.pack("<Q", len(texts)) + texts


def _message(channel: int, payload: bytes) -> bytes:
    return b"\5" + struct.pack("<QHIQQ", 22 + len(payload), channel, 1, 2, 3) + payload
