"""The table of powers of ten, against arithmetic that is exact."""

import re
import subprocess
import sys
from fractions import Fraction
from math import ceil
from pathlib import Path

import fieldpipe.recordings

NATIVE = Path(fieldpipe.recordings.__file__).parent / "native"
SMALLEST, LARGEST = -342, 324

ENTRIES = [
    int(high + low, 16)
    for high, low in re.findall(r"\{0x([0-9A-F]{16}), 0x([0-9A-F]{16})\}", (NATIVE / "powers.hpp").read_text())
]


def test_the_table_is_what_its_program_makes() -> None:
    made = subprocess.run([sys.executable, NATIVE / "make_powers.py"], check=True, capture_output=True, text=True)

    assert made.stdout == (NATIVE / "powers.hpp").read_text()


def test_every_entry_is_its_power_of_ten_rounded_up_to_128_bits() -> None:
    exponents = range(SMALLEST, LARGEST + 1)
    shifts = [127 - (exponent * 1741647 >> 19) for exponent in exponents]  # floats.hpp has the logarithm from there

    assert [
        ceil(Fraction(10) ** exponent * Fraction(2) ** shift) for exponent, shift in zip(exponents, shifts, strict=True)
    ] == ENTRIES
    assert all(entry.bit_length() == 128 for entry in ENTRIES)
