"""The shared library that `native/` is built into, called through ctypes, which releases the GIL unless told not to."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from ctypes import POINTER, Structure, c_int, c_ssize_t, c_void_p
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from fieldpipe.recordings.executor import Content

Signature = tuple[type | None, tuple[type, ...]]
"""What a function returns and takes."""


class Unavailable(Exception):
    """There is no native code that this package could use; the text says why."""


@cache
def library() -> ctypes.CDLL:
    """The library. Raises Unavailable."""
    folder = Path(__file__).parent
    found = [path for suffix in EXTENSION_SUFFIXES if (path := folder / f"_native{suffix}").exists()]
    if not found:
        raise Unavailable("it was not built, which takes a C++ compiler")
    try:
        return ctypes.CDLL(str(found[0]))
    except OSError as error:
        raise Unavailable(f"{found[0].name} cannot be loaded: {error}") from error


def declare(library: ctypes.CDLL, functions: Mapping[str, Signature]) -> None:
    """Say what the functions called `fieldpipe_<name>` return and take. Raises Unavailable if there is none."""
    try:
        for name, (returned, taken) in functions.items():
            function = getattr(library, f"fieldpipe_{name}")
            function.restype, function.argtypes = returned, taken
    except AttributeError as error:
        raise Unavailable(f"it was built from other sources than these: {error}") from error


class _Buffer(Structure):
    """Py_buffer of Python's stable ABI."""

    _fields_ = (
        ("buf", c_void_p),
        ("obj", ctypes.py_object),
        ("len", c_ssize_t),
        ("itemsize", c_ssize_t),
        ("readonly", c_int),
        ("ndim", c_int),
        *((name, c_void_p) for name in ("format", "shape", "strides", "suboffsets", "internal")),
    )


_get_buffer = ctypes.PYFUNCTYPE(c_int, ctypes.py_object, POINTER(_Buffer), c_int)(
    ("PyObject_GetBuffer", ctypes.pythonapi)
)
_release_buffer = ctypes.PYFUNCTYPE(None, POINTER(_Buffer))(("PyBuffer_Release", ctypes.pythonapi))


class Addresses:
    """Where the bytes of each content are; they stay there for the time of the context."""

    __slots__ = ("_buffers", "_contents")

    def __init__(self, *contents: Content | memoryview) -> None:
        self._contents = contents
        self._buffers = (_Buffer * len(contents))()

    def __enter__(self) -> list[int]:
        try:
            for content, buffer in zip(self._contents, self._buffers, strict=True):
                _get_buffer(content, buffer, 0)
        except BaseException:
            self.__exit__()
            raise
        return [buffer.buf or 0 for buffer in self._buffers]

    def __exit__(self, *_: object) -> None:
        for buffer in self._buffers:  # one that was not got holds nothing
            _release_buffer(buffer)


def check(success: bool) -> None:
    """Native functions return false when memory is short. Raises MemoryError."""
    if not success:
        raise no_memory()


def no_memory() -> MemoryError:
    """What to raise then."""
    return MemoryError("the native code got no memory")
