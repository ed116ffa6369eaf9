"""Floats in JSON, by both executors: whatever their text is, they appear as `repr` writes them."""

import math
import random
from collections.abc import Callable

import pytest

from fieldpipe.recordings.jsonplan import compile_json
from fieldpipe.recordings.jsonrows import JsonDecoder
from tests.unit.recordings import agreement

MESSAGES, NUMBERS = 20, 500

Make = Callable[[random.Random], float]
MAKES: dict[str, Make] = {
    "of the field": lambda dice: dice.gauss(0, 10 ** dice.randrange(-4, 8)),
    "of all sizes": lambda dice: dice.uniform(-1, 1) * 10.0 ** dice.randrange(-8, 25),
    "near powers of two": lambda dice: math.ldexp(1 + dice.randrange(-2, 3) * 2**-52, dice.randrange(-14, 54)),
    "of few bits": lambda dice: math.ldexp(dice.getrandbits(dice.randrange(1, 54)), dice.randrange(-60, 2)),
}


def as_it_is(number: float, _dice: random.Random) -> str:
    return repr(number)


def with_other_digits(number: float, dice: random.Random) -> str:
    text = repr(number)
    if "e" in text:
        return text
    cut = dice.randrange(3)
    kept = text[: len(text) - cut] if "." in text[: len(text) - cut - 1] else text
    return kept + "".join(dice.choice("0123456789") for _ in range(dice.randrange(4)))


def with_more_or_fewer_digits(number: float, dice: random.Random) -> str:
    return f"{number:.{dice.randrange(1, 22)}f}"


@pytest.mark.parametrize("write", [as_it_is, with_other_digits, with_more_or_fewer_digits])
@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
def test_floats_appear_as_repr_writes_them(make: Make, write: Callable[[float, random.Random], str]) -> None:
    dice = random.Random(1)
    messages = [[write(make(dice), dice) for _ in range(NUMBERS)] for _ in range(MESSAGES)]

    rows = agreement.rows(JsonDecoder(compile_json()), *(f"[{','.join(texts)}]".encode() for texts in messages))

    assert [row[0][1:-1].split(",") for row in rows] == [[repr(float(text)) for text in texts] for texts in messages]
