"""Types and messages of every kind for tests: made by hypothesis, written in each schema language, and the cells that
must come of them, written independently of the library's code."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence as Many
from hashlib import sha256
from random import Random
from typing import Any

from hypothesis import strategies as st
from numpy import float32

from fieldpipe.recordings.plan import MAX_FLAT_ARRAY
from fieldpipe.recordings.typetree import Array, Field, Kind, Scalar, Sequence, Struct, Type

RANGES = {
    Kind.INT8: (-(2**7), 2**7 - 1),
    Kind.UINT8: (0, 2**8 - 1),
    Kind.INT16: (-(2**15), 2**15 - 1),
    Kind.UINT16: (0, 2**16 - 1),
    Kind.INT32: (-(2**31), 2**31 - 1),
    Kind.UINT32: (0, 2**32 - 1),
    Kind.INT64: (-(2**63), 2**63 - 1),
    Kind.UINT64: (0, 2**64 - 1),
    Kind.TIME: (0, 2**31 * 10**9 - 1),  # the official library knows no negative ones
    Kind.ROS1_TIME: (0, 2**32 * 10**9 - 1),
    Kind.ROS1_DURATION: (-(2**31) * 10**9, 2**31 * 10**9 - 1),
}
NUMBERS = (
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
TIMES = (Kind.TIME, Kind.ROS1_TIME, Kind.ROS1_DURATION)
LETTERS = "aB 7_,;'\"\\\n\r\t/{}[]=+-@\x01\x7fäß€日ロ🤖\u2028"
BAR = "=" * 80


def roots(kinds: Many[Kind], *, bounds: bool = True) -> st.SearchStrategy[Struct]:
    """Messages of these kinds, of structs, arrays and sequences of them. `bounds`: some sequences have one."""
    types = st.lists(_types(kinds, bounds, 0), min_size=1, max_size=6)
    return types.map(lambda chosen: _struct("test_msgs/Root", "m", chosen))


def drawn(type_: Type, dice: Random) -> Any:
    """A value of a type: dicts, lists, numbers and texts; times are nanoseconds."""
    match type_:
        case Scalar(Kind.BOOL):
            return dice.random() < 0.5
        case Scalar(Kind.FLOAT32):
            return _drawn_float("<f", "<I", dice)
        case Scalar(Kind.FLOAT64):
            return _drawn_float("<d", "<Q", dice)
        case Scalar(Kind.STRING | Kind.WSTRING):
            return "".join(dice.choices(LETTERS, k=dice.choice((0, 1, 2, 5, 20))))
        case Scalar(kind):
            least, most = RANGES[kind]
            return dice.choice((least, most, least + dice.randrange(100), dice.randint(least, most)))
        case Struct(_, fields):
            return {field.name: drawn(field.type, dice) for field in fields}
        case Array(element, length):
            return [drawn(element, dice) for _ in range(length)]
        case Sequence(element, bound):
            return [drawn(element, dice) for _ in range(dice.randrange(4 if bound is None else min(4, bound + 1)))]


def _drawn_float(code: str, bits: str, dice: Random) -> float:
    """A float of round, special or any bits."""
    special = (0.0, -0.0, math.nan, math.inf, -math.inf, 1e-45, 5e-324, 1e22, 123456.789, 1.0, 1 / 3)
    size = struct.calcsize(bits)
    raw = struct.pack(code, dice.choice(special)) if dice.random() < 0.3 else dice.randbytes(size)
    value: float = struct.unpack(code, raw)[0]
    return value if value == value else math.nan  # one NaN is as good as another, and only one survives Python


def expected(type_: Type, value: Any) -> list[str]:
    """The cells of a message, as a reader of CSV returns them."""
    if isinstance(type_, Struct):
        return [cell for field in type_.fields for cell in expected(field.type, value[field.name])]
    if isinstance(type_, Scalar):
        return [written(type_.kind, value)]
    if isinstance(type_, Array) and isinstance(type_.element, Scalar) and type_.length <= MAX_FLAT_ARRAY:
        return [written(type_.element.kind, item) for item in value]
    return [json_text(type_, value)]


def columns(type_: Type, path: str = "") -> list[str]:
    """The names of those cells."""
    if isinstance(type_, Struct):
        start = f"{path}." if path else ""
        return [column for field in type_.fields for column in columns(field.type, start + field.name)]
    if isinstance(type_, Array) and isinstance(type_.element, Scalar) and type_.length <= MAX_FLAT_ARRAY:
        return [f"{path}[{index}]" for index in range(type_.length)]
    return [path]


def json_text(type_: Type, value: Any) -> str:
    """A value inside a cell of JSON."""
    match type_:
        case Struct(_, fields):
            inner = (f'"{field.name}":{json_text(field.type, value[field.name])}' for field in fields)
            return "{" + ",".join(inner) + "}"
        case Array(element) | Sequence(element):
            return "[" + ",".join(json_text(element, item) for item in value) + "]"
        case Scalar(Kind.STRING):
            return json.dumps(value, ensure_ascii=False)
        case Scalar(kind):
            text = written(kind, value)
            return f'"{text}"' if text in ("nan", "inf", "-inf") else text


def written(kind: Kind, value: Any) -> str:
    """A value as a cell."""
    if kind is Kind.FLOAT32:
        return repr(float(str(float32(value))))
    if kind is Kind.BOOL:
        return "true" if value else "false"
    return value if kind is Kind.STRING else repr(value)


def in_ros1(root: Struct) -> str:
    """The type as a recorder of ROS 1 stores it."""
    return _msg_text(root, {Kind.ROS1_TIME: "time", Kind.ROS1_DURATION: "duration"})


def in_ros2(root: Struct) -> str:
    """The type as a recorder of ROS 2 stores it."""
    return _msg_text(root, {Kind.TIME: "builtin_interfaces/Time"})


def in_idl(root: Struct) -> str:
    """The type as rosidl writes it in IDL, and rosbag2 stores it."""
    return "".join(f"{BAR}\nIDL: {name}\n{text}" for name, text in idl_files(root).items())


def idl_files(root: Struct) -> dict[str, str]:
    """The IDL of a message and of all that it needs, by their names in ROS 2."""
    return {_full(struct): _idl_file(struct) for struct in [root, *_inner(root)]}


def _types(kinds: Many[Kind], bounds: bool, depth: int) -> st.SearchStrategy[Type]:
    element: st.SearchStrategy[Type] = st.sampled_from(kinds).map(Scalar)
    if depth < 3:
        element = element | _structs(kinds, bounds, depth + 1)
    lengths = st.sampled_from([1, 2, 3, 64, 65]) if depth == 0 else st.integers(1, 3)
    made = [element, st.builds(Array, element, lengths), element.map(Sequence)]
    return st.one_of(*made, st.builds(Sequence, element, st.integers(3, 5))) if bounds else st.one_of(*made)


def _structs(kinds: Many[Kind], bounds: bool, depth: int) -> st.SearchStrategy[Struct]:
    """Structs with names of their own, so that every one becomes a definition."""
    types = st.lists(_types(kinds, bounds, depth), max_size=4)
    return types.map(lambda made: _struct(f"test_msgs/S{sha256(repr(made).encode()).hexdigest()[:12]}", "f", made))


def _struct(name: str, prefix: str, types: Many[Type]) -> Struct:
    return Struct(name, tuple(Field(f"{prefix}{index}", type_) for index, type_ in enumerate(types)))


def _inner(struct: Struct) -> list[Struct]:
    """Every struct that this one needs, once."""
    found: dict[str, Struct] = {}
    for field in struct.fields:
        element = field.type.element if isinstance(field.type, Array | Sequence) else field.type
        if isinstance(element, Struct):
            found |= {each.name: each for each in [element, *_inner(element)]}
    return list(found.values())


def _msg_text(root: Struct, times: dict[Kind, str]) -> str:
    def name(type_: Type) -> str:
        match type_:
            case Scalar(kind):
                return times.get(kind, kind.value)
            case Struct(full):
                return full
            case Array(element, length):
                return f"{name(element)}[{length}]"
            case Sequence(element, bound):
                return f"{name(element)}[{'' if bound is None else f'<={bound}'}]"

    def body(struct: Struct) -> str:
        return "".join(f"{name(field.type)} {field.name}\n" for field in struct.fields) + "\n"

    return body(root) + "".join(f"{BAR}\nMSG: {struct.name}\n{body(struct)}" for struct in _inner(root))


_IDL_NAMES = {
    Kind.BOOL: "boolean",
    Kind.FLOAT32: "float",
    Kind.FLOAT64: "double",
    Kind.TIME: "builtin_interfaces::msg::Time",
}


def _idl_file(struct: Struct) -> str:
    """Arrays are typedefs in front of the struct; a struct has a member at least."""
    typedefs: dict[str, str] = {}

    def name(type_: Type) -> str:
        match type_:
            case Scalar(kind):
                return _IDL_NAMES.get(kind, kind.value)
            case Struct():
                return _full(type_).replace("/", "::")
            case Sequence(element, bound):
                return f"sequence<{name(element)}{'' if bound is None else f', {bound}'}>"
            case Array(element, length):
                plain = name(element).replace("::", "__")
                if plain != name(element):
                    typedefs[plain] = f"typedef {name(element)} {plain};"
                typedefs[f"{plain}__{length}"] = f"typedef {plain} {plain}__{length}[{length}];"
                return f"{plain}__{length}"

    members = [
        f'@verbatim (language="comment", text="; }}" "\\n")\n{name(each.type)} {each.name};' for each in struct.fields
    ]
    lines = [*typedefs.values(), f"struct {struct.name.rpartition('/')[2]} {{"]
    lines += [*members] or ["uint8 structure_needs_at_least_one_member;"]
    package = struct.name.partition("/")[0]
    return "\n".join([f"module {package} {{ module msg {{", *lines, "};", "}; };", ""])


def _full(struct: Struct) -> str:
    package, _, bare = struct.name.partition("/")
    return f"{package}/msg/{bare}"
