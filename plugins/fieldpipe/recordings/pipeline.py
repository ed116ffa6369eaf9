"""Blocks through the executor: loaded, scanned and converted by workers, taken in and written in the order of the file.

What a block defines must be known before the next one is converted, and rows must be written in order. So each block
goes through four steps: it is loaded and scanned; in its turn, what it defines is taken in; rows are made, of a large
block by several workers; in its turn, they are written. Every worker does whatever can be done next, and whoever finds
the turn free takes it: what was just made is still in its processor's cache, and nobody waits for a thread that only
writes. What is in flight is bounded by its number and by its memory.
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
from fieldpipe.recordings.executor import TEXT_LIMIT, Content, Converted, Executor, Scanned, Selection
from fieldpipe.recordings.records import HEADER

IN_FLIGHT = 48 * 1024 * 1024  # bytes of all blocks that are worked on
Prepared = TypeVar("Prepared")
Step = Callable[[], None]

AHEAD = 1  # blocks a worker that are loaded, and that are converted, before it is their turn
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
    """What is done with blocks, in file order. All but `prepare` and `catch_up` is called by one worker at a time."""

    def remark(self, remark: Remark) -> None:
        """The container has something to say."""
        ...

    def damaged(self, block: Block, reason: str) -> None:
        """A block could not be loaded."""
        ...

    def scanned(self, block: Block, content: Content, pieces: Sequence[Piece]) -> Sequence[Segment]:
        """Take in what a block holds; returns what shall be converted."""
        ...

    def prepare(self, segment: Segment, content: Content, converted: Converted) -> Prepared:
        """Do what can be done before writing. Called by any worker."""
        ...

    def converted(self, segment: Segment, content: Content, converted: Converted, prepared: Prepared) -> None:
        """Write what a segment made; of one that makes much text this is called several times."""
        ...

    def catch_up(self) -> None:
        """Do what writing left to do, and release what was written. Called after each turn, by any worker."""
        ...


class _Loading:
    def __init__(self, block: Block) -> None:
        self.block = block
        self.loaded: tuple[Content, list[Piece]] | ChunkDamaged | None = None


class _Waiting(NamedTuple):
    """Segments to be converted by one worker. When they are written, `frees` bytes are no longer in flight."""

    content: Content
    segments: Sequence[Segment]
    frees: int


class _Made(NamedTuple, Generic[Prepared]):
    segment: Segment
    converted: Converted
    prepared: Prepared


class _Converting(Generic[Prepared]):
    def __init__(self, what: _Waiting) -> None:
        self.what = what
        self.made: tuple[list[_Made[Prepared]], list[Segment]] | None = None


class Pipeline(Generic[Prepared]):
    """Runs blocks through `executor`, by so many workers."""

    def __init__(self, executor: Executor, workers: int, consumer: Consumer[Prepared]) -> None:
        self._executor = executor
        self._workers = workers
        self._consumer = consumer
        self._ahead = AHEAD * workers
        self._source: Iterator[Block | Remark] = iter(())
        self._following: Block | Remark | None = None
        self._loading: deque[_Loading | Remark] = deque()
        self._waiting: deque[_Waiting] = deque()
        self._converting: deque[_Converting[Prepared]] = deque()
        self._to_load: deque[_Loading] = deque()
        self._to_convert: deque[_Converting[Prepared]] = deque()
        self._in_flight = 0
        self._changed = Condition(Lock())
        self._unlocked = _Unlocked(self._changed)
        self._is_taken = False  # the turn: whoever has it, and nobody else, changes what is above
        self._is_stopped = False

    def run(self, blocks: Iterable[Block | Remark]) -> None:
        """Returns when everything is written. Raises what the source and the consumer raise."""
        self._source = iter(blocks)
        self._following = next(self._source, None)
        work_together(self._workers, self._work, self._stop)

    def _work(self) -> None:
        """What each worker does, until everything is written."""
        with self._changed:
            while not self._is_over():
                if not self._is_taken and (step := self._step()):
                    self._take_turn(step)
                elif task := self._task():
                    with self._unlocked:
                        task()
                    self._changed.notify_all()
                else:
                    self._changed.wait()

    def _take_turn(self, step: Step) -> None:
        self._is_taken = True
        with self._unlocked:
            step()
        self._is_taken = False
        self._changed.notify_all()
        with self._unlocked:
            self._consumer.catch_up()

    def _stop(self) -> None:
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    def _is_over(self) -> bool:
        is_left = self._is_taken or self._following or self._loading or self._waiting or self._converting
        return self._is_stopped or not is_left

    def _step(self) -> Step | None:
        """What can be done in turn."""
        if self._waiting and len(self._converting) < self._ahead:
            return self._convert
        if self._converting and self._converting[0].made:
            return self._write
        if self._loading and self._may_take_in(self._loading[0]):
            return self._take_in
        if self._following and self._has_room(self._following):
            return self._load
        return None

    def _task(self) -> Step | None:
        """What can be done at any time; what was loaded goes first."""
        if self._to_convert:
            return partial(self._do_convert, self._to_convert.popleft())
        return partial(self._do_load, self._to_load.popleft()) if self._to_load else None

    def _has_room(self, item: Block | Remark) -> bool:
        if not self._loading and not self._converting:
            return True
        is_small = isinstance(item, Remark) or self._in_flight + item.size <= IN_FLIGHT
        return is_small and len(self._loading) < self._ahead

    def _may_take_in(self, first: _Loading | Remark) -> bool:
        return not self._waiting and (isinstance(first, Remark) or first.loaded is not None)

    def _load(self) -> None:
        item, self._following = self._following, next(self._source, None)
        assert item
        if isinstance(item, Remark):
            self._loading.append(item)
            return
        self._in_flight += item.size
        loading = _Loading(item)
        self._loading.append(loading)
        self._to_load.append(loading)

    def _take_in(self) -> None:
        item = self._loading.popleft()
        if isinstance(item, Remark):
            self._consumer.remark(item)
            return
        assert item.loaded
        if isinstance(item.loaded, ChunkDamaged):
            self._in_flight -= item.block.size
            self._consumer.damaged(item.block, str(item.loaded))
            return
        content, pieces = item.loaded
        *groups, last = [*_groups(self._consumer.scanned(item.block, content, pieces))] or [[]]
        self._waiting += [*(_Waiting(content, group, 0) for group in groups), _Waiting(content, last, item.block.size)]

    def _convert(self) -> None:
        while self._waiting and len(self._converting) < self._ahead:
            converting = _Converting[Prepared](self._waiting.popleft())
            self._converting.append(converting)
            self._to_convert.append(converting)

    def _write(self) -> None:
        item = self._converting.popleft()
        assert item.made
        made, rest = item.made
        if rest:  # goes on while what is there is written
            following = _Converting[Prepared](_Waiting(item.what.content, rest, item.what.frees))
            self._converting.appendleft(following)
            self._to_convert.appendleft(following)
        for one in made:
            self._consumer.converted(one.segment, item.what.content, one.converted, one.prepared)
            forget(item.what.content, one.segment.start, one.converted.stop)
        self._in_flight -= 0 if rest else item.what.frees

    def _do_load(self, loading: _Loading) -> None:
        try:
            content = loading.block.load()
        except ChunkDamaged as error:
            loading.loaded = error
        else:
            loading.loaded = content, [*self._pieces(content)]

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

    def _converted(self, content: Content, segments: Sequence[Segment]) -> tuple[list[_Made[Prepared]], list[Segment]]:
        """What the segments made as far as the limit for text let it, and what is left of them."""
        made: list[_Made[Prepared]] = []
        size = 0
        for index, segment in enumerate(segments):
            converted = self._executor.convert(content, segment.start, segment.end, segment.selection)
            made.append(_Made(segment, converted, self._consumer.prepare(segment, content, converted)))
            size += sum(len(rows.text) for rows in converted.rows)
            if converted.stop < segment.end:
                return made, [Segment(converted.stop, segment.end, segment.selection), *segments[index + 1 :]]
            if size >= TEXT_LIMIT:
                return made, list(segments[index + 1 :])
        return made, []


class _Unlocked:
    """Others may have the lock for the time of the context."""

    def __init__(self, lock: Condition) -> None:
        self._lock = lock

    def __enter__(self) -> None:
        self._lock.release()

    def __exit__(self, *_: object) -> None:
        self._lock.acquire()


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
