"""The number functions of the compiled executor, as native/testing.hpp exports them for tests."""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec

import pytest

_MAX_NUMBER = 41  # bytes a number, with the comma


def written(values: array[float], at_a_time: int = 0) -> list[str]:
    """The text of every float64 (`array("d")`) or float32 (`array("f")`).

    `at_a_time`: so many are asked for together, as of a message, which may look ahead; 0: each for itself.
    """
    address, count = values.buffer_info()
    if values.typecode == "d":
        return written_at(address, count, at_a_time)
    text = ctypes.create_string_buffer(_MAX_NUMBER * count)
    size = _library().fieldpipe_write_floats(ctypes.c_void_p(address), ctypes.c_uint64(count), text)
    return _cells(text.raw[:size])


def written_at(address: int, count: int, at_a_time: int) -> list[str]:
    """The same of float64 that lie there."""
    text = ctypes.create_string_buffer(_MAX_NUMBER * count)
    numbers = ctypes.c_uint64(count), text, ctypes.c_uint64(at_a_time)
    size = _library().fieldpipe_write_doubles(ctypes.c_void_p(address), *numbers)
    return _cells(text.raw[:size])


def _cells(text: bytes) -> list[str]:
    return text.decode("ascii").split(",")[:-1]


@contextmanager
def writing_wide(on: bool) -> Iterator[None]:
    """Digits are written by AVX-512, which is skipped where there is none, or as on a machine that has none."""
    if not _library().fieldpipe_write_wide(on):
        pytest.skip("this processor has no AVX-512 with IFMA, VBMI and VBMI2")
    yield
    _library().fieldpipe_write_wide(True)


def wrong_wide_digits() -> int:
    """How many of all numbers below 10^8 AVX-512 does not write as the rest does."""
    return int(_library().fieldpipe_wrong_wide_digits())


def read(texts: Sequence[str]) -> array[float]:
    """The float64 of every text up to the first that is no number."""
    lines = "".join(f"{text}\n" for text in texts).encode()
    values = array("d", bytes(8 * len(texts)))
    count = _library().fieldpipe_read_doubles(
        lines, ctypes.c_uint64(len(lines)), ctypes.c_void_p(values.buffer_info()[0])
    )
    return values[:count]


@cache
def _library() -> ctypes.CDLL:
    found = find_spec("fieldpipe.recordings._native")
    if found is None or found.origin is None:
        pytest.skip("the compiled executor is not built: install a C++ compiler and the package anew")
    library = ctypes.CDLL(found.origin)
    library.fieldpipe_write_wide.restype, library.fieldpipe_write_wide.argtypes = ctypes.c_bool, [ctypes.c_bool]
    for name in ("write_doubles", "write_floats", "read_doubles", "wrong_wide_digits"):
        getattr(library, f"fieldpipe_{name}").restype = ctypes.c_uint64
    return library
