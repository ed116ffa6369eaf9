"""Writes powers.hpp, the powers of ten that floats are written and read with: `python make_powers.py > powers.hpp`.

The smallest and largest are those that reading (decimals.hpp) and writing (floats.hpp) need.
"""

SMALLEST, LARGEST = -342, 324


def power(exponent: int) -> int:
    """10**exponent as a whole number of 128 bits, rounded up; what it is to be multiplied with is a power of two."""
    if exponent < 0:
        divisor: int = 10**-exponent
        return -(-(1 << (127 + divisor.bit_length())) // divisor)  # no power of ten but 1 is one of two
    value: int = 10**exponent
    bits = value.bit_length()
    return value << (128 - bits) if bits <= 128 else -(-value >> (bits - 128))


def header() -> str:
    """The text of powers.hpp."""
    entries = (power(exponent) for exponent in range(SMALLEST, LARGEST + 1))
    lines = [f"    {{0x{entry >> 64:016X}, 0x{entry & (1 << 64) - 1:016X}}}," for entry in entries]
    return "\n".join([*HEAD, *lines, *TAIL])


HEAD = [
    "// Powers of ten to 128 bits, made by make_powers.py; test_powers.py computes every one of them anew.",
    "#pragma once",
    "",
    "#include <cstdint>",
    "",
    "namespace fieldpipe {",
    "",
    "struct Power {",
    "  uint64_t high, low;",
    "};",
    "",
    f"constexpr int SMALLEST_POWER = {SMALLEST}, LARGEST_POWER = {LARGEST};",
    "",
    "// 10^exponent = (high * 2^64 + low) * 2^(floor(log2(10^exponent)) - 127), rounded up; 2^63 <= high.",
    "// From 10^0 to 10^55 it is exact.",
    "inline constexpr Power POWERS[] = {",
]
TAIL = [
    "};",
    "",
    "inline const Power& power_of_ten(int exponent) { return POWERS[exponent - SMALLEST_POWER]; }",
    "",
    "}  // namespace fieldpipe",
    "",
]

if __name__ == "__main__":
    print(header(), end="")
