"""SHA-256 sums of several streams at once, where the native code was built and the processor can do it.

The standard library takes one stream after the other, at what one stream allows: see native/sha256.hpp.
"""

from __future__ import annotations

import ctypes
from collections import defaultdict
from collections.abc import Iterable, Sequence
from ctypes import POINTER, Structure, c_bool, c_char, c_uint8, c_uint32, c_uint64, c_void_p, pointer
from functools import cache
from typing import Protocol

from fieldpipe.recordings.nativecode import Addresses, Signature, Unavailable, check, declare, library

Bytes = bytes | memoryview
SIZE = 32  # bytes of a sum


class Sum(Protocol):
    """The sum of one stream."""

    def update(self, content: Bytes, /) -> None:
        """More of the stream."""
        ...

    def hexdigest(self) -> str:
        """The sum of everything that came so far."""
        ...


def begin() -> Sum:
    """The sum of a stream of which nothing came yet."""
    if native := _native():
        return NativeSum(native)
    import hashlib  # here: it brings OpenSSL, a twentieth of a converter's start

    return hashlib.sha256()


def of(content: Bytes) -> str:
    """The sum of all there is, in hex."""
    made = begin()
    made.update(content)
    return made.hexdigest()


def update(pieces: Iterable[tuple[Sum, Bytes]]) -> None:
    """More of any number of streams, each in its order."""
    together: defaultdict[NativeSum, list[Bytes]] = defaultdict(list)
    for made, content in pieces:
        if isinstance(made, NativeSum):
            together[made].append(content)
        else:
            made.update(content)
    if together:
        _update([(made, content) for made, contents in together.items() for content in contents])


class _Digest(Structure):
    """Laid out as in native/sha256.hpp, as is the next."""

    _fields_ = (("state", c_uint32 * 8), ("size", c_uint64), ("rest", c_uint8 * 64))


class _Piece(Structure):
    _fields_ = (("digest", POINTER(_Digest)), ("data", c_void_p), ("size", c_uint64))


_FUNCTIONS: dict[str, Signature] = {
    "sha256_available": (c_bool, ()),
    "sha256_layout": (c_uint64, ()),
    "sha256_begin": (None, (POINTER(_Digest),)),
    "sha256_update": (c_bool, (POINTER(_Piece), c_uint64)),
    "sha256_finish": (c_bool, (POINTER(_Digest), POINTER(c_char))),
}


@cache
def _native() -> ctypes.CDLL | None:
    """The native code, if this machine can run it."""
    try:
        found = library()
        declare(found, _FUNCTIONS)
    except Unavailable:
        return None
    layout = ctypes.sizeof(_Digest) << 32 | ctypes.sizeof(_Piece)
    return found if found.fieldpipe_sha256_available() and found.fieldpipe_sha256_layout() == layout else None


class NativeSum:
    """A sum in native code, which adds to several at once."""

    def __init__(self, native: ctypes.CDLL) -> None:
        self.native = native
        self.digest = pointer(_Digest())
        native.fieldpipe_sha256_begin(self.digest)

    def update(self, content: Bytes, /) -> None:
        """See Sum."""
        _update([(self, content)])

    def hexdigest(self) -> str:
        """See Sum."""
        made = (c_char * SIZE)()
        check(self.native.fieldpipe_sha256_finish(self.digest, made))
        return made.raw.hex()


def _update(pieces: Sequence[tuple[NativeSum, Bytes]]) -> None:
    """Those of one stream follow one another."""
    with Addresses(*[content for _, content in pieces]) as addresses:
        native = [
            _Piece(made.digest, address, len(content))
            for (made, content), address in zip(pieces, addresses, strict=True)
        ]
        update = pieces[0][0].native.fieldpipe_sha256_update
        check(update((_Piece * len(native))(*native), len(native)))
