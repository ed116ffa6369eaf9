"""The number functions of the compiled executor, as native/testing.hpp exports them for tests."""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec

import pytest

_MAX_NUMBER = 41  # bytes a number, with the end of the line


def written(values: array[float]) -> list[str]:
    """The text of every float64 (`array("d")`) or float32 (`array("f")`)."""
    write = _library().fieldpipe_write_doubles if values.typecode == "d" else _library().fieldpipe_write_floats
    address, count = values.buffer_info()
    text = ctypes.create_string_buffer(_MAX_NUMBER * count)
    size = write(ctypes.c_void_p(address), ctypes.c_uint64(count), text)
    return text.raw[:size].decode("ascii").splitlines()


@contextmanager
def writing_wide(on: bool) -> Iterator[None]:
    """Digits are written by AVX-512, which is skipped where there is none, or as on a machine that has none."""
    if not _library().fieldpipe_write_wide(on):
        pytest.skip("this processor has no AVX-512 with IFMA and VBMI")
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
