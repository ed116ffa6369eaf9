"""Blocks through the executor: loaded, scanned and converted by workers, taken in and written in the order of the file.

What a block defines must be known before the next one is converted, and rows must be written in order. So each block
goes through four steps: it is loaded and scanned; in its turn, what it defines is taken in; rows are made, of a large
block by several workers; in its turn, they are written. Most blocks define nothing new: their rows are made early, with
the selection of the last block that was taken in, by the worker that has just loaded them; where that turns out to be
wrong, once more. Where there is nothing else to be done about such a block, it is taken in and written in one step, and
nobody looks at its messages one channel at a time: what Python does for each block is what workers wait for.

Every worker does whatever can be done next, and whoever finds the turn free takes it: what was just made is still in
its processor's cache, and nobody waits for a thread that only writes. What is in flight is bounded by its number and by
its memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from threading import Condition, Lock
from typing import Generic, NamedTuple, Protocol, TypeVar

from fieldpipe.recordings.chunks import ChunkDamaged, forget
from fieldpipe.recordings.container import Block, Remark
from fieldpipe.recordings.crew import work_together
from fieldpipe.recordings.executor import (
    TEXT_LIMIT,
    Content,
    Converted,
    Executor,
    Scanned,
    Selection,
    Whole,
)
from fieldpipe.recordings.records import HEADER

IN_FLIGHT = 48 * 1024 * 1024  # bytes of all blocks that are worked on, and of the text they are expected to make early
Prepared = TypeVar("Prepared")
Done = TypeVar("Done")
Step = Callable[[], None]

LOADED_AHEAD = 2  # blocks a worker that are loaded before it is their turn
CONVERTED_AHEAD = 1  # blocks a worker, or parts of one, that were taken in and wait to be converted and written
PIECE = 2 * 1024 * 1024  # bytes of records that are scanned, and converted, at a time


class Piece(NamedTuple):
    """What a block holds from a place on."""

    start: int
    scanned: Scanned


class Segment(NamedTuple):
    """Records of a block between two places that are converted with one selection."""

    start: int
    end: int
    selection: Selection


class Consumer(Protocol[Prepared]):
    """What is done with blocks, in file order. But for what says otherwise one worker at a time calls it."""

    @property
    def selection(self) -> Selection | None:
        """For a block that defines nothing new and is taken in next; None: for none."""
        ...

    def remark(self, remark: Remark) -> None:
        """The container has something to say."""
        ...

    def damaged(self, block: Block, reason: str) -> None:
        """A block could not be loaded."""
        ...

    def scanned(self, block: Block, content: Content, pieces: Sequence[Piece]) -> Sequence[Segment]:
        """Take in what a block holds; returns what shall be converted."""
        ...

    def plain(self, block: Block, content: Content, whole: Whole) -> bool:
        """Take in and write a plain block that was converted with `selection`, unless it defines something new."""
        ...

    def prepare(self, segment: Segment, content: Content, converted: Converted) -> Prepared:
        """Do what can be done before writing. Called by any worker."""
        ...

    def converted(self, segment: Segment, content: Content, converted: Converted, prepared: Prepared) -> None:
        """Write what a segment made; of one that makes much text this is called several times."""
        ...

    def catch_up(self, *, own: bool) -> bool:
        """Do some of what writing left to do, and release what was written; whether there was any.

        Called by any worker after each step, with `own` for what it wrote itself, and when it has nothing else to do.
        """
        ...


class _Waiting(NamedTuple):
    """Segments to be converted by one worker. When they are written, `frees` bytes are no longer in flight."""

    content: Content
    segments: Sequence[Segment]
    frees: int


class _Result(NamedTuple, Generic[Prepared]):
    segment: Segment
    converted: Converted
    prepared: Prepared


class _Made(NamedTuple, Generic[Prepared]):
    """What segments made as far as the limit for text let it, how many bytes of text, and what is left of them."""

    results: list[_Result[Prepared]]
    size: int
    rest: list[Segment]


class _Converting(Generic[Prepared]):
    def __init__(self, what: _Waiting) -> None:
        self.what = what
        self.made: _Made[Prepared] | None = None


class _Plain(NamedTuple):
    """A block that was converted with the usual selection and needs nothing but to be written."""

    content: Content
    whole: Whole
    selection: Selection


class _Loaded(NamedTuple, Generic[Prepared]):
    """Another block. Early: what it makes with the usual selection."""

    content: Content
    pieces: list[Piece]
    early: _Converting[Prepared] | None


class _Loading(Generic[Prepared]):
    def __init__(self, block: Block, frees: int) -> None:
        self.block = block
        self.frees = frees
        self.loaded: _Plain | _Loaded[Prepared] | ChunkDamaged | None = None


class Pipeline(Generic[Prepared]):
    """Runs blocks through `executor`, by so many workers."""

    def __init__(self, executor: Executor, workers: int, consumer: Consumer[Prepared]) -> None:
        self._executor = executor
        self._workers = workers
        self._consumer = consumer
        self._source: Iterator[Block | Remark] = iter(())
        self._following: Block | Remark | None = None
        self._usual: Selection | None = None  # of blocks that are loaded now
        self._loading: deque[_Loading[Prepared] | Remark] = deque()
        self._waiting: deque[_Waiting] = deque()
        self._converting: deque[_Converting[Prepared]] = deque()
        self._to_load: deque[_Loading[Prepared]] = deque()
        self._to_convert: deque[_Converting[Prepared]] = deque()
        self._in_flight = 0
        self._usual_size = 0  # of text: what a block made, the larger ones of late
        self._lock = Lock()
        self._changed = Condition(self._lock)
        self._is_taken = False  # the turn: whoever has it, and nobody else, changes what is above
        self._is_stopped = False

    def run(self, blocks: Iterable[Block | Remark]) -> None:
        """Returns when everything is written. Raises what the source and the consumer raise."""
        self._source = iter(blocks)
        self._following = next(self._source, None)
        work_together(self._workers, self._work, self._stop)

    def _work(self) -> None:
        """What each worker does, until everything is written."""
        is_idle = False
        with self._changed:
            while not self._is_over():
                was_idle, is_idle = is_idle, False
                if not self._is_taken and (step := self._step()):
                    self._take_turn(step)
                elif task := self._task():
                    self._do(task)
                elif was_idle:
                    self._changed.wait()
                else:  # whoever changes something meanwhile tells those who wait, not this one: it looks again
                    is_idle = not self._catch_up(own=False)

    def _take_turn(self, step: Step) -> None:
        self._is_taken = True
        self._unlocked(step)
        self._unlocked(self._load)
        self._is_taken = False
        self._changed.notify_all()
        self._catch_up(own=True)

    def _do(self, task: Step) -> None:
        self._unlocked(task)
        self._changed.notify_all()

    def _catch_up(self, *, own: bool) -> bool:
        return self._unlocked(partial(self._consumer.catch_up, own=own))

    def _unlocked(self, work: Callable[[], Done]) -> Done:
        """Do it while others may have the lock."""
        self._lock.release()
        try:
            return work()
        finally:
            self._lock.acquire()

    def _stop(self) -> None:
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    def _is_over(self) -> bool:
        is_left = self._is_taken or self._following or self._loading or self._waiting or self._converting
        return self._is_stopped or not is_left

    def _step(self) -> Step | None:
        """What can be done in turn."""
        if self._waiting and self._has_place():
            return self._convert
        if self._converting and self._converting[0].made:
            return self._write
        if self._loading and self._may_take_in(self._loading[0]):
            return self._take_in
        return self._load if self._following and self._has_room(self._following) else None

    def _task(self) -> Step | None:
        """What can be done at any time; what was loaded goes first."""
        if self._to_convert:
            return partial(self._do_convert, self._to_convert.popleft())
        return partial(self._do_load, self._to_load.popleft()) if self._to_load else None

    def _has_room(self, item: Block | Remark) -> bool:
        if not self._loading and not self._converting:
            return True
        is_small = isinstance(item, Remark) or self._in_flight + self._expected(item) <= IN_FLIGHT
        return is_small and len(self._loading) < LOADED_AHEAD * self._workers

    def _expected(self, block: Block) -> int:
        size = block.size
        return size + (self._usual_size if size <= PIECE else 0)

    def _has_place(self) -> bool:
        return len(self._converting) < CONVERTED_AHEAD * self._workers

    def _may_take_in(self, first: _Loading[Prepared] | Remark) -> bool:
        if self._waiting or not self._has_place():
            return False
        if isinstance(first, Remark):
            return True
        is_written_next = isinstance(first.loaded, _Plain)
        return first.loaded is not None and not (is_written_next and self._converting)

    def _load(self) -> None:
        while (item := self._following) and self._has_room(item):
            self._following = next(self._source, None)
            if isinstance(item, Remark):
                self._loading.append(item)
                continue
            loading: _Loading[Prepared] = _Loading(item, self._expected(item))
            self._in_flight += loading.frees
            self._loading.append(loading)
            self._to_load.append(loading)

    def _take_in(self) -> None:
        item = self._loading.popleft()
        if isinstance(item, Remark):
            self._consumer.remark(item)
            return
        assert item.loaded
        if isinstance(item.loaded, ChunkDamaged):
            self._in_flight -= item.frees
            self._consumer.damaged(item.block, str(item.loaded))
            return
        if isinstance(item.loaded, _Loaded):
            content, pieces, early = item.loaded
        elif self._write_plain(item.block, item.loaded):
            self._in_flight -= item.frees
            return
        else:
            content, pieces, early = item.loaded.content, [Piece(0, item.loaded.whole.scanned)], None
            item.loaded.whole.converted.release()
        segments = [*self._consumer.scanned(item.block, content, pieces)]
        self._usual = self._consumer.selection
        if early and early.what.segments == segments:
            self._converting.append(early)
            return
        if early:
            _release(early)
        if early or isinstance(item.loaded, _Plain):
            self._usual = None  # blocks loaded since were guessed alike: none is guessed before one was taken in again
        *groups, last = [*_groups(segments)] or [[]]
        self._waiting += [*(_Waiting(content, group, 0) for group in groups), _Waiting(content, last, item.frees)]

    def _write_plain(self, block: Block, plain: _Plain) -> bool:
        """Whether it was what it was taken for."""
        size = plain.whole.converted.size  # others may release it as soon as it is written
        if plain.selection is not self._consumer.selection:
            return False
        if not self._consumer.plain(block, plain.content, plain.whole):
            return False
        self._wrote(size)
        return True

    def _convert(self) -> None:
        while self._waiting and self._has_place():
            converting: _Converting[Prepared] = _Converting(self._waiting.popleft())
            self._converting.append(converting)
            self._to_convert.append(converting)

    def _write(self) -> None:
        item = self._converting.popleft()
        assert item.made
        results, size, rest = item.made
        self._wrote(size)
        if rest:  # goes on while what is there is written
            following: _Converting[Prepared] = _Converting(_Waiting(item.what.content, rest, item.what.frees))
            self._converting.appendleft(following)
            self._to_convert.appendleft(following)
        for one in results:
            self._consumer.converted(one.segment, item.what.content, one.converted, one.prepared)
            forget(item.what.content, one.segment.start, one.converted.stop)
        self._in_flight -= 0 if rest else item.what.frees

    def _wrote(self, size: int) -> None:
        self._usual_size = max(size, self._usual_size * 9 // 10)

    def _do_load(self, loading: _Loading[Prepared]) -> None:
        try:
            content = loading.block.load()
        except ChunkDamaged as error:
            loading.loaded = error
        else:
            loading.loaded = self._looked_at(content, loading.frees)

    def _do_convert(self, converting: _Converting[Prepared]) -> None:
        converting.made = self._converted(converting.what.content, converting.what.segments)

    def _pieces(self, content: Content) -> Iterator[Piece]:
        start, size = 0, len(content)
        while start < size:
            end = start + PIECE
            if start + HEADER.size <= size:  # a record may be longer than a piece
                end = max(end, start + HEADER.size + HEADER.unpack_from(content, start)[1])
            scanned = self._executor.scan(content, start, min(end, size))
            forget(content, start, scanned.end)
            yield Piece(start, scanned)
            if scanned.end == start:
                return
            start = scanned.end

    def _looked_at(self, content: Content, frees: int) -> _Plain | _Loaded[Prepared]:
        usual = self._usual
        if usual is None or not 0 < len(content) <= PIECE:
            return _Loaded(content, [*self._pieces(content)], None)
        whole = self._executor.whole(content, usual)
        if whole.is_plain:
            return _Plain(content, whole, usual)
        scanned, converted = whole.scanned, whole.converted
        segment = Segment(0, scanned.end, usual)
        early: _Converting[Prepared] = _Converting(_Waiting(content, [segment], frees))
        early.made = _Made([self._result(segment, content, converted)], converted.size, _rest(segment, converted))
        return _Loaded(content, [Piece(0, scanned)], early)

    def _converted(self, content: Content, segments: Sequence[Segment]) -> _Made[Prepared]:
        made: list[_Result[Prepared]] = []
        size = 0
        for index, segment in enumerate(segments):
            converted = self._executor.convert(content, segment.start, segment.end, segment.selection)
            made.append(self._result(segment, content, converted))
            size += converted.size
            rest = _rest(segment, converted)
            if rest or size >= TEXT_LIMIT:
                return _Made(made, size, [*rest, *segments[index + 1 :]])
        return _Made(made, size, [])

    def _result(self, segment: Segment, content: Content, converted: Converted) -> _Result[Prepared]:
        return _Result(segment, converted, self._consumer.prepare(segment, content, converted))


def _rest(segment: Segment, converted: Converted) -> list[Segment]:
    """What the limit for text left of it."""
    return [segment._replace(start=converted.stop)] if converted.stop < segment.end else []


def _release(converting: _Converting[Prepared]) -> None:
    assert converting.made
    for one in converting.made.results:
        one.converted.release()


def _groups(segments: Sequence[Segment]) -> Iterator[list[Segment]]:
    """Small segments together, so that a worker is not called for each."""
    group: list[Segment] = []
    size = 0
    for segment in segments:
        group.append(segment)
        size += segment.end - segment.start
        if size >= PIECE // 2:
            yield group
            group, size = [], 0
    if group:
        yield group
