"""The compiled executor: `native/executor.cpp` as a shared library, called through ctypes.

Converting releases the GIL. Scanning does not: a chunk takes about as long as waiting for the GIL.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections.abc import Callable, Iterator
from ctypes import POINTER, Structure, byref, c_bool, c_char_p, c_int32, c_uint32, c_uint64, c_void_p
from enum import Enum
from functools import cache
from itertools import chain
from typing import NamedTuple

from fieldpipe.recordings.executor import (
    FOREVER,
    TEXT_LIMIT,
    Content,
    Converted,
    Decoder,
    Defined,
    Left,
    Rows,
    Scanned,
    Selection,
    Tally,
    Totals,
    Whole,
    Why,
)
from fieldpipe.recordings.nativecode import (
    Addresses,
    Signature,
    Unavailable,
    check,
    declare,
    library,
    no_memory,
)
from fieldpipe.recordings.plan import Form, Instruction, Op, Plan, Wire
from fieldpipe.recordings.typetree import Kind

_INTERVALS = 256
_ANY = 2**64 - 1  # a count or bound that is not given
_SKIP, _ASK = -1, -2
_NONE = len(Kind)  # a kind that is not given
_READ_ONLY = 0x100  # PyBUF_READ
_KEPT = 2  # results a thread that nobody needs


class NativeInstruction(Structure):
    """Laid out as in native/plan.hpp; so are the others, as in native/executor.cpp."""

    _fields_ = (
        *((name, c_uint64) for name in ("count", "bound", "least")),
        *((name, c_uint32) for name in ("op", "kind", "body", "text", "size")),
        *((name, c_uint32) for name in ("cells", "number", "form", "optional", "oneof")),
    )


class _Tally(Structure):
    _fields_ = (
        ("channel", c_uint64),
        *((name, c_uint64) for name in ("messages", "size", "first", "last", "least", "most", "backwards")),
        *((name, c_uint64) for name in ("shortest", "longest")),
        ("intervals", c_uint64 * _INTERVALS),
    )


class _Defined(Structure):
    _fields_ = (("opcode", c_uint64), ("start", c_uint64), ("end", c_uint64))


class _ScanView(Structure):
    _fields_ = (
        ("end", c_uint64),
        ("tallies", POINTER(_Tally)),
        ("tally_count", c_uint64),
        ("definitions", POINTER(_Defined)),
        ("definition_count", c_uint64),
        ("refused", POINTER(_Defined)),
        ("refused_count", c_uint64),
    )


class _Table(Structure):
    _fields_ = (
        ("text", c_void_p),
        *((name, c_uint64) for name in ("size", "channel", "rows", "escaped")),
    )


class _Left(Structure):
    _fields_ = tuple((name, c_uint64) for name in ("why", "channel", "start", "end"))


class _Request(Structure):
    _fields_ = (
        ("content", c_void_p),
        ("start", c_uint64),
        ("end", c_uint64),
        ("actions", POINTER(c_int32)),
        ("channels", c_uint64),
        ("plans", POINTER(c_void_p)),
        ("first_time", c_uint64),
        ("last_time", c_uint64),
        ("limit", c_uint64),
    )


class _ResultView(Structure):
    _fields_ = (
        ("stop", c_uint64),
        ("tables", POINTER(_Table)),
        ("table_count", c_uint64),
        ("left", POINTER(_Left)),
        ("left_count", c_uint64),
    )


class _WholeView(Structure):
    _fields_ = (("scanned", _ScanView), ("converted", _ResultView), ("is_plain", c_uint64))


_FUNCTIONS: dict[str, Signature] = {
    "names": (c_char_p, ()),
    "layout": (c_uint64, ()),
    "plan": (c_void_p, (POINTER(NativeInstruction), c_uint64, c_char_p, c_uint64, c_uint32, c_uint32)),
    "plan_free": (None, (c_void_p,)),
    "scan_new": (c_void_p, ()),
    "scan_free": (None, (c_void_p,)),
    "scan": (c_bool, (c_void_p, c_uint64, c_uint64, c_void_p, POINTER(_ScanView))),
    "scan_add": (c_bool, (c_void_p, c_void_p)),
    "scan_show": (None, (c_void_p, POINTER(_ScanView))),
    "whole_new": (c_void_p, ()),
    "whole_free": (None, (c_void_p,)),
    "whole": (c_bool, (POINTER(_Request), c_void_p, POINTER(_WholeView))),
    "result_new": (c_void_p, ()),
    "result_free": (None, (c_void_p,)),
    "convert": (c_bool, (POINTER(_Request), c_void_p, POINTER(_ResultView))),
}


@cache
def load() -> CompiledExecutor:
    """The compiled executor. Raises Unavailable."""
    return CompiledExecutor(library())


class CompiledExecutor:
    """Runs plans in native code; see executor.Executor."""

    def __init__(self, library: ctypes.CDLL) -> None:
        declare(library, _FUNCTIONS)
        self._library = library
        if library.fieldpipe_names() != _names() or library.fieldpipe_layout() != _layout():
            raise Unavailable("it was built from other sources than these")
        returned, taken = _FUNCTIONS["scan"]
        self._scan = ctypes.PYFUNCTYPE(returned, *taken)(("fieldpipe_scan", library))
        self._scans: list[_Handle] = []
        self._pools = _Pools()
        self._preparing = threading.Lock()
        self._plans: weakref.WeakKeyDictionary[Decoder, _Handle] = weakref.WeakKeyDictionary()
        self._selections: weakref.WeakKeyDictionary[Selection, _Actions] = weakref.WeakKeyDictionary()

    def scan(self, content: Content, start: int, end: int) -> Scanned:
        """See Executor.scan."""
        handle = self._scans.pop() if self._scans else self._handle("scan")
        view = _ScanView()
        with Addresses(content) as (address,):
            check(self._scan(address, start, end, handle.pointer, byref(view)))
        scanned = _scanned(view)
        self._scans.append(handle)
        return scanned

    def convert(self, content: Content, start: int, end: int, selection: Selection) -> Converted:
        """See Executor.convert."""
        pool = self._pools.results
        handle = pool.pop() if pool else self._handle("result")
        view = _ResultView()
        with Addresses(content) as (address,):
            request = self._request(address, start, end, selection)
            check(self._library.fieldpipe_convert(byref(request), handle.pointer, byref(view)))
        return _Compiled(view, handle, pool)

    def whole(self, content: Content, selection: Selection) -> Whole:
        """See Executor.whole."""
        pool = self._pools.wholes
        handle = pool.pop() if pool else self._handle("whole")
        view = _WholeView()
        with Addresses(content) as (address,):
            request = self._request(address, 0, len(content), selection)
            check(self._library.fieldpipe_whole(byref(request), handle.pointer, byref(view)))
        return _Whole(view, handle, pool)

    def totals(self) -> Totals:
        """See Executor.totals."""
        return _Totals(self._library, self._handle)

    def _request(self, address: int, start: int, end: int, selection: Selection) -> _Request:
        actions = self._selections.get(selection)
        if actions is None:
            with self._preparing:  # another one, made at the same time, would be gone while it is used
                actions = self._selections.get(selection) or self._prepare(selection)
        return _Request(
            address,
            start,
            end,
            actions.by_channel,
            len(actions.by_channel),
            actions.plans,
            max(selection.start, 0),
            min(selection.end - 1, FOREVER),
            TEXT_LIMIT,
        )

    def _prepare(self, selection: Selection) -> _Actions:
        decoders = dict.fromkeys(decoder for decoder in selection.decoders.values() if decoder is not None)
        numbers = {decoder: number for number, decoder in enumerate(decoders)}
        handles = [self._plan(decoder) for decoder in decoders]
        by_channel = (c_int32 * (max(selection.decoders, default=-1) + 1))()
        ctypes.memset(by_channel, 0xFF, ctypes.sizeof(by_channel))
        if selection.start < selection.end:
            for channel, decoder in selection.decoders.items():
                by_channel[channel] = _ASK if decoder is None else numbers[decoder]
        made = _Actions(by_channel, (c_void_p * len(handles))(*(handle.pointer for handle in handles)), handles)
        self._selections[selection] = made
        return made

    def _plan(self, decoder: Decoder) -> _Handle:
        if decoder not in self._plans:
            program, texts = native_program(decoder.plan)
            wire, safe = number(decoder.plan.wire), decoder.formula_safe
            pointer = self._library.fieldpipe_plan(program, len(program), texts, len(texts), wire, safe)
            self._plans[decoder] = _Handle(pointer, self._library.fieldpipe_plan_free)
        return self._plans[decoder]

    def _handle(self, what: str) -> _Handle:
        new, free = (getattr(self._library, f"fieldpipe_{what}_{action}") for action in ("new", "free"))
        return _Handle(new(), free)


class _Handle:
    """A native object, freed with this one."""

    def __init__(self, pointer: int | None, free: Callable[[int], None]) -> None:
        if pointer is None:
            raise no_memory()
        self.pointer = pointer
        weakref.finalize(self, free, pointer)


class _Pools(threading.local):
    """Some results that nobody needs, for the thread that filled them.

    Processors that share no cache take twice as long for writing where another one has written.
    """

    def __init__(self) -> None:
        self.results: list[_Handle] = []
        self.wholes: list[_Handle] = []


class _Actions(NamedTuple):
    """A selection in native form. The plans live as long as this does."""

    by_channel: ctypes.Array[c_int32]
    plans: ctypes.Array[c_void_p]
    owners: list[_Handle]


class _Compiled(Converted):
    """Texts in the memory of a native result, which another call may have once they are released."""

    def __init__(self, view: _ResultView, handle: _Handle, pool: list[_Handle]) -> None:
        super().__init__(
            view.stop,
            [Rows(t.channel, t.rows, t.escaped, _memory(t.text, t.size)) for t in view.tables[: view.table_count]],
            [Left(Why(m.why), m.channel, m.start, m.end) for m in view.left[: view.left_count]],
        )
        self._handle = handle
        self._pool = pool

    def release(self) -> None:
        """Give the memory back."""
        self.rows = []
        if len(self._pool) < _KEPT:
            self._pool.append(self._handle)
        del self._handle


class _Whole:
    """See executor.Whole. What was scanned is to be asked for before what was converted is released."""

    def __init__(self, view: _WholeView, handle: _Handle, pool: list[_Handle]) -> None:
        self.is_plain = bool(view.is_plain)
        self.converted: Converted = _Compiled(view.converted, handle, pool)
        self.handle = handle
        self._view = view

    @property
    def definitions(self) -> list[Defined]:
        """See Whole."""
        return _definitions(self._view.scanned)

    @property
    def scanned(self) -> Scanned:
        """See Whole."""
        return _scanned(self._view.scanned)


class _Totals:
    """See executor.Totals."""

    def __init__(self, library: ctypes.CDLL, new: Callable[[str], _Handle]) -> None:
        self._library = library
        self._new = new
        self._total: _Handle | None = None

    def add(self, whole: Whole) -> None:
        """See Totals."""
        assert isinstance(whole, _Whole)
        self._total = self._total or self._new("scan")
        check(self._library.fieldpipe_scan_add(self._total.pointer, whole.handle.pointer))

    def take(self) -> dict[int, Tally]:
        """See Totals."""
        if self._total is None:
            return {}
        view = _ScanView()
        self._library.fieldpipe_scan_show(self._total.pointer, byref(view))
        taken = _scanned(view).tallies
        self._total = None
        return taken


def native_program(plan: Plan) -> tuple[ctypes.Array[NativeInstruction], bytes]:
    """A plan's instructions one after the other, each followed by those of its body, and their texts."""
    texts = bytearray()
    program = [*chain.from_iterable(_flat(instruction, texts) for instruction in plan.program)]
    return (NativeInstruction * len(program))(*program), bytes(texts)


def _flat(instruction: Instruction, texts: bytearray) -> Iterator[NativeInstruction]:
    body = [*chain.from_iterable(_flat(inner, texts) for inner in instruction.body)]
    text = instruction.text.encode()
    if instruction.op is Op.LITERAL:  # a piece of JSON in a cell that stands in quotes itself
        text = text.replace(b'"', b'""')
    position = len(texts)
    texts += text
    yield NativeInstruction(
        count=_ANY if instruction.count is None else min(instruction.count, _ANY - 1),
        bound=_ANY if instruction.bound is None else min(instruction.bound, _ANY - 1),
        least=min(instruction.least, _ANY - 1),
        op=number(instruction.op),
        kind=_NONE if instruction.kind is None else number(instruction.kind),
        body=len(body),
        text=position,
        size=len(text),
        cells=instruction.cells,
        number=instruction.number,
        form=number(instruction.form),
        optional=instruction.optional,
        oneof=instruction.oneof,
    )
    yield from body


def _scanned(view: _ScanView) -> Scanned:
    return Scanned(
        end=view.end,
        definitions=_definitions(view),
        tallies={tally.channel: _tally(tally) for tally in view.tallies[: view.tally_count]},
        refused=[(message.start, message.end) for message in view.refused[: view.refused_count]],
    )


def _definitions(view: _ScanView) -> list[Defined]:
    return [Defined(d.opcode, d.start, d.end) for d in view.definitions[: view.definition_count]]


def _tally(native: _Tally) -> Tally:
    used = native.intervals[native.shortest : native.longest + 1]
    tally = Tally()
    tally.messages = native.messages
    tally.size = native.size
    tally.first = native.first
    tally.last = native.last
    tally.least = native.least
    tally.most = native.most
    tally.backwards = native.backwards
    tally.intervals = {index: count for index, count in enumerate(used, native.shortest) if count}
    return tally


def _layout() -> int:
    scan_view, instruction, tally, request = map(ctypes.sizeof, (_ScanView, NativeInstruction, _Tally, _Request))
    return scan_view << 48 | instruction << 32 | tally << 16 | request


@cache
def number(member: Enum) -> int:
    """How the native side writes a member of the enumerations that it knows."""
    return list(type(member)).index(member)


def _names() -> bytes:
    """What `fieldpipe_names` must say: both sides count the members of these enumerations."""
    kinds: tuple[type[Enum], ...] = (Wire, Op, Form, Kind)
    return "|".join(" ".join(kind.__members__) for kind in kinds).encode()


_memory_view = ctypes.PYFUNCTYPE(ctypes.py_object, c_void_p, ctypes.c_ssize_t, ctypes.c_int)(
    ("PyMemoryView_FromMemory", ctypes.pythonapi)
)


def _memory(address: int | None, size: int) -> memoryview:
    made: memoryview = _memory_view(address, size, _READ_ONLY) if address else memoryview(b"")
    return made
