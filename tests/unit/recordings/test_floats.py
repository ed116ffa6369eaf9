"""The compiled float printer against Python's: `repr` for float64, `float32_text` of the reference for float32."""

from __future__ import annotations

import ctypes
import mmap
import multiprocessing
import random
from array import array
from collections.abc import Callable, Iterable, Iterator

import pytest

from fieldpipe.recordings.cells import float32_text
from tests.native import writing_wide, written, written_at, wrong_wide_digits

SIGNS = (0, 1)
FRACTION = {"d": 52, "f": 23}  # bits
EXPONENT = {"d": 11, "f": 8}
WORDS = {"d": "Q", "f": "I"}


def floats(code: str, words: Iterable[int]) -> array[float]:
    """Floats by their bits."""
    made: array[float] = array(code)
    made.frombytes(array(WORDS[code], words).tobytes())
    return made


def of_every_exponent(code: str, each: int) -> array[float]:
    """Floats of every exponent and both signs: the ends of the range, their neighbours, `each` between."""
    fraction, largest = FRACTION[code], (1 << FRACTION[code]) - 1
    edges = [0, 1, 2, 3, largest // 2, largest // 2 + 1, largest // 2 + 2, largest - 2, largest - 1, largest]
    choice = random.Random(1)
    return floats(
        code,
        (
            sign << (fraction + EXPONENT[code]) | exponent << fraction | bits
            for sign in SIGNS
            for exponent in range((1 << EXPONENT[code]) - 1)
            for bits in edges + [choice.getrandbits(fraction) for _ in range(each)]
        ),
    )


def neighbours(values: Iterable[float], distance: int) -> array[float]:
    """The values, and as many floats on both sides of each."""
    words = array("Q", array("d", values).tobytes())
    return floats("d", (max(word + step, 0) for word in words for step in range(-distance, distance + 1)))


def doubles() -> dict[str, array[float]]:
    """Classes of float64."""
    choice = random.Random(2)
    return {
        "every exponent": of_every_exponent("d", each=20),
        "any bits": floats("d", (choice.getrandbits(64) for _ in range(150_000))),
        "measured values": array("d", (choice.gauss(0, 10 ** choice.randrange(-4, 5)) for _ in range(50_000))),
        "subnormals": floats("d", (choice.getrandbits(choice.randrange(1, 53)) for _ in range(20_000))),
        "one bit": floats("d", (1 << bit for bit in range(63))),
        "powers of ten": neighbours((float(f"1e{exponent}") for exponent in range(-323, 309)), 5),
        "few digits": array("d", (float(f"{n}e{e}") for n in range(1, 1000) for e in range(-25, 25))),
        "hundredths": array("d", (number / 100 for number in range(-20_000, 20_000))),
        "whole numbers": array("d", (choice.getrandbits(choice.randrange(1, 64)) for _ in range(20_000))),
        "ties": array("d", (choice.getrandbits(53) / (1 << choice.randrange(12)) for _ in range(50_000))),
        "notation": neighbours((1e-5, 1e-4, 1e15, 1e16, 2.0**53, 1e17, 123456789012345680.0), 20),
        "special": array("d", (0.0, -0.0, float("nan"), -float("nan"), float("inf"), -float("inf"), 5e-324)),
    }


DOUBLES = doubles()


@pytest.fixture(autouse=True, params=[False, True], ids=["plain", "AVX-512"])
def _way(request: pytest.FixtureRequest) -> Iterator[None]:
    with writing_wide(request.param):
        yield


@pytest.mark.parametrize("at_a_time", [0, 1 << 40], ids=["each for itself", "together"])
@pytest.mark.parametrize("values", list(DOUBLES.values()), ids=list(DOUBLES))
def test_float64_is_written_as_python_writes_it(values: array[float], at_a_time: int) -> None:
    assert wrong(values, repr, at_a_time) == []


@pytest.mark.parametrize("at_a_time", [1, 2, 3, 5, 7, 8, 9, 37, 56, 57, 100])
@pytest.mark.parametrize("zeros", [0.0, 0.3, 0.5, 0.9, 0.99, 1.0])
def test_zeros_between_others_are_written_however_many_are_asked_for(zeros: float, at_a_time: int) -> None:
    choice = random.Random(4)
    some = (0.1, -2.5, 1e300, 5e-324, -0.0, float("nan"), 1e-7, 123456.789)
    values = array("d", (0.0 if choice.random() < zeros else choice.choice(some) for _ in range(2000)))

    assert wrong(values, repr, at_a_time) == []


@pytest.mark.parametrize("count", [1, 7, 8, 9, 60])
def test_nothing_is_read_behind_the_last_one(count: int) -> None:
    process = multiprocessing.get_context("fork").Process(target=written_at_the_end_of_memory, args=(count,))
    process.start()
    process.join()

    assert process.exitcode == 0


def written_at_the_end_of_memory(count: int) -> None:
    """Write numbers behind which lies a page that ends whoever reads in it."""
    page = mmap.PAGESIZE
    memory = mmap.mmap(-1, 2 * page)
    memory[:page] = array("d", [0.1] * (page // 8)).tobytes()
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(start + page), ctypes.c_size_t(page), 0) == 0

    assert written_at(start + page - 8 * count, count, at_a_time=count) == ["0.1"] * count


def test_float64_reads_back_as_the_same_bits() -> None:
    values = of_every_exponent("d", each=5)

    assert array("d", map(float, written(values))).tobytes() == values.tobytes()


def test_float32_of_every_exponent_is_written_as_the_reference_writes_it() -> None:
    values = of_every_exponent("f", each=300)

    assert wrong(values, float32_text) == []


def test_float32_subnormals_and_specials_are_written_as_the_reference_writes_them() -> None:
    choice = random.Random(3)
    subnormals = [choice.getrandbits(choice.randrange(1, 24)) for _ in range(10_000)]
    values = floats(
        "f", [*subnormals, *(1 << bit for bit in range(32)), 0xFF << 23, 0x1FF << 23, 0x1FF << 22, 0xFFFFFFFF]
    )

    assert wrong(values, float32_text) == []


def test_float32_reads_back_as_the_same_bits() -> None:
    values = of_every_exponent("f", each=100)

    assert array("f", map(float, written(values))).tobytes() == values.tobytes()


@pytest.mark.parametrize("_way", [True], indirect=True, ids=["AVX-512"])
def test_all_groups_of_eight_digits_are_written_alike() -> None:
    assert wrong_wide_digits() == 0


def wrong(values: array[float], text: Callable[[float], str], at_a_time: int = 0) -> list[tuple[str, str]]:
    """What is not written as it should be: the value in hexadecimal, and what was written."""
    lines = written(values, at_a_time)
    return [(value.hex(), line) for value, line in zip(values, lines, strict=True) if line != text(value)]
