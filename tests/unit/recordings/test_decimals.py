"""The compiled reader of JSON numbers against Python's `float`, bit for bit."""

from __future__ import annotations

import math
import random
import struct
from array import array
from collections.abc import Iterator
from decimal import Context, Decimal

import pytest

from tests.native import read

EXACT = Context(prec=1200)


def texts() -> dict[str, list[str]]:
    """Classes of JSON numbers."""
    choice = random.Random(1)
    numbers = [any_float(choice) for _ in range(20_000)]
    return {
        "written by repr": [repr(number) for number in numbers],
        "any count of digits": [f"{number:.{choice.randrange(40)}e}" for number in numbers],
        "fixed": [f"{choice.gauss(0, 10 ** choice.randrange(-5, 20)):.{choice.randrange(25)}f}" for _ in range(20_000)],
        "whole": [str(choice.getrandbits(choice.randrange(1, 200))) for _ in range(20_000)],
        "few digits": [f"{choice.randrange(10**5)}e{choice.randrange(-350, 320)}" for _ in range(20_000)],
        "19 digits": [f"{choice.randrange(10**19)}e{choice.randrange(-360, 310)}" for _ in range(20_000)],
        "between floats": [text for number in numbers[:3000] for text in around_the_middle(number, choice)],
        "between whole floats": [
            str(((2**53 + choice.getrandbits(53)) * 2 + 1 << choice.randrange(12)) + choice.randrange(-1, 2))
            for _ in range(20_000)
        ],
    }


def any_float(choice: random.Random) -> float:
    """A finite one, of any sign and size."""
    return from_bits(choice.getrandbits(1) << 63 | choice.randrange(2047 << 52))


def around_the_middle(number: float, choice: random.Random) -> Iterator[str]:
    """What lies halfway to the next float, a little more, a little less, and the first of its digits."""
    middle = EXACT.divide(EXACT.add(Decimal(number), Decimal(math.nextafter(number, 0.0))), Decimal(2))
    little = Decimal(1).scaleb(middle.adjusted() - choice.randrange(17, 800), EXACT)
    for decimal in (middle, EXACT.add(middle, little), EXACT.subtract(middle, little)):
        yield str(decimal)
    yield f"{middle:.{choice.randrange(16, 30)}e}"


def from_bits(bits: int) -> float:
    """A float64 by its bits."""
    made: float = struct.unpack("<d", struct.pack("<Q", bits))[0]
    return made


TEXTS = texts()


@pytest.mark.parametrize("numbers", list(TEXTS.values()), ids=list(TEXTS))
def test_a_number_is_the_float64_nearest_to_it(numbers: list[str]) -> None:
    found = zip(numbers, read(numbers), strict=True)

    assert [(text, value.hex()) for text, value in found if value.hex() != float(text).hex()] == []


@pytest.mark.parametrize(
    "text",
    [
        *("0", "-0", "0.0", "-0.0e7", "0e999", "5e-324", "2.4703282292062327e-324", "2.4703282292062328e-324"),
        *("2.2250738585072011e-308", "2.2250738585072014e-308", "1.7976931348623157e308", "1.7976931348623158e308"),
        *("1.7976931348623159e308", "-1e309", "1e400", "-1e-400", "1e99999999999999999999", "1e-99999999999999999999"),
        *("1E5", "1E+05", "1e-0", "9007199254740993", "18446744073709551615", "18446744073709551616"),
        pytest.param(f"1{'0' * 500}e-500", id="one with many zeros"),
        pytest.param(f"0.{'0' * 500}1e501", id="one behind many zeros"),
        pytest.param("9" * 800, id="many nines"),
        pytest.param(f"0.{'9' * 800}", id="one less a little"),
        pytest.param(f"0.1{'0' * 800}1", id="a tenth and a little"),
    ],
)
def test_the_ends_of_the_range_are_what_python_takes_them_for(text: str) -> None:
    assert read([text]).tobytes() == array("d", [float(text)]).tobytes()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        ".",
        ".5",
        "5.",
        "1e",
        "1e+",
        "e5",
        "--1",
        "+1",
        "1 ",
        " 1",
        "1.e5",
        "1.5.5",
        "nan",
        "0x1",
        "1e5.5",
        "1_0",
        "1,5",
    ],
)
def test_what_is_no_number_is_refused(text: str) -> None:
    assert read([text]) == array("d")
