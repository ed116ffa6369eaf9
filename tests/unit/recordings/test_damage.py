"""Payloads of any type, whole and damaged: both executors make the same rows of them, or refuse the same ones."""

from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fieldpipe.recordings.decode import CdrDecoder
from fieldpipe.recordings.encode import encode, encode_ros1
from fieldpipe.recordings.plan import Shape, Wire, compile_plan
from fieldpipe.recordings.typetree import Kind, Scalar, Sequence, Struct
from tests.unit.recordings.agreement import converted
from tests.unit.recordings.messages import NUMBERS, drawn, roots

MESSAGES, DAMAGES = 5, 20
CDR = (*NUMBERS, Kind.STRING, Kind.WSTRING, Kind.TIME)
ROS1 = (*NUMBERS, Kind.STRING, Kind.ROS1_TIME, Kind.ROS1_DURATION)
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=80, suppress_health_check=SLOW)
@given(roots(CDR), st.integers(0, 2**32))
def test_damaged_cdr_is_the_same_to_both_executors(root: Struct, seed: int) -> None:
    dice = Random(seed)
    layout = {"little_endian": dice.random() < 0.7, "xcdr2": dice.random() < 0.3}
    whole = [encode(root, drawn(root, dice), **layout) for _ in range(MESSAGES)]
    damaged = [damage(dice.choice(whole), dice) for _ in range(DAMAGES)]
    plan = compile_plan(root, shape(root, dice))

    text, _, left = converted(CdrDecoder(plan, formula_safe=dice.random() < 0.5), [*whole, *damaged])

    assert text.count(b"0,0,0") >= MESSAGES
    assert len(left) <= DAMAGES


@settings(max_examples=80, suppress_health_check=SLOW)
@given(roots(ROS1, bounds=False), st.integers(0, 2**32))
def test_damaged_ros1_is_the_same_to_both_executors(root: Struct, seed: int) -> None:
    dice = Random(seed)
    whole = [encode_ros1(root, drawn(root, dice)) for _ in range(MESSAGES)]
    damaged = [damage(dice.choice(whole), dice) for _ in range(DAMAGES)]
    plan = compile_plan(root, shape(root, dice), wire=Wire.ROS1)

    text, _, left = converted(CdrDecoder(plan, formula_safe=dice.random() < 0.5), [*whole, *damaged])

    assert text.count(b"0,0,0") >= MESSAGES
    assert len(left) <= DAMAGES


def shape(root: Struct, dice: Random) -> Shape:
    """Any choice that a person may make about the type's table."""
    lists = paths(root, "")
    binary = [path for path, type_ in lists.items() if type_ == Sequence(Scalar(Kind.UINT8))]
    return Shape(
        binary=dice.choice([*binary, None]),
        explode=frozenset(path for path in lists if dice.random() < 0.3),
        base64=dice.random() < 0.5,
    )


def paths(struct: Struct, start: str) -> dict[str, Sequence]:
    """The lists of a message that are columns."""
    found: dict[str, Sequence] = {}
    for field in struct.fields:
        if isinstance(field.type, Sequence):
            found[start + field.name] = field.type
        if isinstance(field.type, Struct):
            found |= paths(field.type, f"{start}{field.name}.")
    return found


def damage(payload: bytes, dice: Random) -> bytes:
    """Cut, lengthened, or with bytes that were not there."""
    content = bytearray(payload)
    for _ in range(dice.choice((1, 1, 1, 2, 5))):
        at = dice.randrange(len(content) + 1)
        match dice.randrange(4):
            case 0:
                del content[at:]
            case 1:
                content[at:at] = dice.choice((b"\0", bytes(8), b"\xff", b"\xd8\0", dice.randbytes(3)))
            case 2:
                content[at : at + 1] = dice.randbytes(1)
            case _:
                content[at : at + 4] = dice.choice((0, 1, 2, 3, 255, 2**31, 2**32 - 1)).to_bytes(4, "little")
    return bytes(content)
