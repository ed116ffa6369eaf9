"""The number functions of the compiled executor, as native/testing.hpp exports them for tests."""

from __future__ import annotations

import ctypes
from array import array
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


@cache
def _library() -> ctypes.CDLL:
    found = find_spec("fieldpipe.recordings._native")
    if found is None or found.origin is None:
        pytest.skip("the compiled executor is not built: install a C++ compiler and the package anew")
    library = ctypes.CDLL(found.origin)
    library.fieldpipe_write_doubles.restype = library.fieldpipe_write_floats.restype = ctypes.c_uint64
    return library
