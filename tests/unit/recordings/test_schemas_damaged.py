"""Schemas that are damaged or hostile: a plan or a reason why there is none, soon, and nothing else."""

from collections.abc import Callable
from contextlib import suppress
from random import Random
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldpipe.recordings import ros1msg, ros2idl, ros2msg
from fieldpipe.recordings.plan import Shape, Wire, compile_plan
from fieldpipe.recordings.typetree import Kind, SchemaError, Struct
from tests.unit.recordings.messages import NUMBERS, in_idl, in_ros1, in_ros2, roots

BAR = "=" * 80
PIECES = (
    *("::", "<", ">", "[", "]", "(", "{", "}", ";", '"', "/*", "=", "#", "\n", "\0", "é", "99999999999"),
    *(
        "---\n",
        "@key ",
        "@bit_bound ",
        "@optional ",
        "enum E { A }; ",
        "union U {}; ",
        "const long C = C; ",
        "sequence<",
    ),
    *("typedef T U; ", "struct S : T {}; ", "map<long, long> ", "wchar "),
)
SIZE = 100_000  # bytes: what takes time by its square takes minutes
Parse = Callable[[str, str], Struct]


def compiled(parse: Parse, text: str) -> None:
    """There is a plan, or a SchemaError says why not; any other exception fails the test."""
    with suppress(SchemaError):
        root = parse("test_msgs/msg/Root", text)
        compile_plan(root, Shape(explode=frozenset(["m0"])))
        compile_plan(root, wire=Wire.ROS1)


@settings(max_examples=150)
@given(roots((*NUMBERS, Kind.STRING)), st.integers(0, 2**32))
def test_any_damage_leaves_a_plan_or_a_reason(root: Struct, seed: int) -> None:
    dice = Random(seed)
    for write, parse in ((in_ros1, ros1msg.parse), (in_ros2, ros2msg.parse), (in_idl, ros2idl.parse)):
        text = write(root)
        for _ in range(10):
            compiled(parse, damage(text, dice))


def damage(text: str, dice: Random) -> str:
    for _ in range(dice.choice((1, 2, 5))):
        start, end = sorted(dice.randrange(len(text) + 1) for _ in range(2))
        end = min(end, start + dice.choice((0, 1, 10, 1000)))
        text = text[:start] + dice.choice(("", *PIECES, text[start:end] * 2)) + text[end:]
    return text


def messages(levels: int, width: int) -> str:
    """Messages of which each holds the next one many times; the last one is empty."""
    parts = [f"MSG: test_msgs/L{n}\n" + "".join(f"L{n + 1} f{i}\n" for i in range(width)) for n in range(levels)]
    return f"\n{BAR}\n".join(["L0 root", *parts, f"MSG: test_msgs/L{levels}\n"])


def structs(levels: int, width: int) -> str:
    inner = "".join(f"struct L{n} {{" + "".join(f"L{n + 1} f{i};" for i in range(width)) + "};" for n in range(levels))
    return f"module test_msgs {{ module msg {{ struct Root {{ L0 root; }}; {inner} struct L{levels} {{}}; }}; }};"


@pytest.mark.parametrize("parse", [ros1msg.parse, ros2msg.parse, ros2idl.parse])
@pytest.mark.parametrize(
    "text",
    [
        messages(30, 20),
        structs(30, 20),
        "int8 a\n" * (SIZE // 7),
        "[" * SIZE,
        "/*" * (SIZE // 2),
        '"\\' * (SIZE // 2),
        "'\\" * (SIZE // 2),
        f"{BAR}\n" * (SIZE // 81),
        f"{BAR}\nMSG: t/A\n" * (SIZE // 90),
        f"{BAR}\nIDL: t/A\n" * (SIZE // 90),
        "@key " * (SIZE // 5),
        "@a(" * (SIZE // 3),
        " " * SIZE,
        "a" * SIZE,
        "int8" + " " * (SIZE - 8) + "!",
        "module test_msgs { module msg {" + "struct Root {};" * (SIZE // 15) + "};};",
        "const long A = " + "(" * (SIZE - 20),
        "struct Root { long a[" + "1+" * (SIZE // 2 - 20) + "1]; };",
        "struct Root { long a[" + "-" * (SIZE - 40) + "1]; };",
        "struct Root { " + "long a[1]" + "[1]" * (SIZE // 3 - 20) + "; };",
        "---\n" * (SIZE // 4),
    ],
    ids=lambda text: text[:20],
)
def test_hostile_schemas_take_no_time(parse: Parse, text: str) -> None:
    started = process_time()

    compiled(parse, text)

    assert process_time() - started < 10  # a hang, not a figure
