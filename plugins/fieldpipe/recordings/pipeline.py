"""Blocks through the executor: loaded, scanned and converted by workers, taken in and written in the order of the file.

What a block defines must be known before the next one is converted, and rows must be written in order. So each block
goes through four steps: a worker loads and scans it; the caller takes in what it defines; workers make rows, of a large
block several at a time; the caller writes them. What is in flight is bounded by its number and by its memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from fieldpipe.recordings.chunks import ChunkDamaged, forget
from fieldpipe.recordings.container import Block, Remark
from fieldpipe.recordings.crew import Crew, Task
from fieldpipe.recordings.executor import TEXT_LIMIT, Content, Converted, Executor, Scanned, Selection
from fieldpipe.recordings.records import HEADER

IN_FLIGHT = 48 * 1024 * 1024  # bytes of all blocks that are worked on
Prepared = TypeVar("Prepared")

AHEAD = 3  # blocks a worker that are loaded, or converted, before they are asked for: writing takes longer now and then
PIECE = 2 * 1024 * 1024  # bytes of records that are scanned, and converted, at a time


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """What a block holds from a place on."""

    start: int
    scanned: Scanned


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Records of a block between two places that are converted with one selection."""

    start: int
    end: int
    selection: Selection


class Consumer(Protocol[Prepared]):
    """What is done with blocks, in file order. All but `prepare` is called by the thread that runs the pipeline."""

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
        """Do what can be done before writing. Workers call this."""
        ...

    def converted(self, segment: Segment, content: Content, converted: Converted, prepared: Prepared) -> None:
        """Write what a segment made, and release it; of one that makes much text this is called several times."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class _Loading:
    block: Block
    task: Task[tuple[Content, list[Piece]]]


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """Segments to be converted by one worker. With them `frees` bytes are no longer in flight."""

    content: Content
    segments: Sequence[Segment]
    frees: int


@dataclass(frozen=True, slots=True, eq=False)
class _Made(Generic[Prepared]):
    segment: Segment
    converted: Converted
    prepared: Prepared


@dataclass(frozen=True, slots=True, eq=False)
class _Converting(Generic[Prepared]):
    what: _Waiting
    task: Task[tuple[list[_Made[Prepared]], list[Segment]]]


class Pipeline(Generic[Prepared]):
    """Runs blocks through `executor`."""

    def __init__(self, executor: Executor, crew: Crew, consumer: Consumer[Prepared]) -> None:
        self._executor = executor
        self._crew = crew
        self._consumer = consumer
        self._loading: deque[_Loading | Remark] = deque()
        self._waiting: deque[_Waiting] = deque()
        self._converting: deque[_Converting[Prepared]] = deque()
        self._in_flight = 0
        self._ahead = AHEAD * crew.size if crew.size > 1 else 1

    def run(self, blocks: Iterable[Block | Remark]) -> None:
        """Returns when everything is written. Raises what the source and the consumer raise."""
        source = iter(blocks)
        following = next(source, None)
        while following or self._loading or self._waiting or self._converting:
            while following and self._has_room(following):
                self._load(following)
                following = next(source, None)
            while self._waiting and len(self._converting) < self._ahead:
                self._convert(self._waiting.popleft())
            if self._loading and self._may_take_in(self._loading[0]):
                self._take_in(self._loading.popleft())
            elif self._converting:
                self._write(self._converting.popleft())

    def _has_room(self, item: Block | Remark) -> bool:
        if not self._loading and not self._converting:
            return True
        is_small = isinstance(item, Remark) or self._in_flight + item.size <= IN_FLIGHT
        return is_small and len(self._loading) < self._ahead

    def _may_take_in(self, first: _Loading | Remark) -> bool:
        is_ready = isinstance(first, Remark) or first.task.done()
        return not self._waiting and (is_ready or not self._converting)

    def _load(self, item: Block | Remark) -> None:
        if isinstance(item, Remark):
            self._loading.append(item)
            return
        self._in_flight += item.size
        self._loading.append(_Loading(item, self._crew.submit(self._loaded, item)))

    def _take_in(self, item: _Loading | Remark) -> None:
        if isinstance(item, Remark):
            self._consumer.remark(item)
            return
        try:
            content, pieces = item.task.result()
        except ChunkDamaged as error:
            self._in_flight -= item.block.size
            self._consumer.damaged(item.block, str(error))
            return
        segments = self._consumer.scanned(item.block, content, pieces)
        self._waiting += [_Waiting(content, group, 0) for group in _groups(segments)]
        self._waiting.append(_Waiting(b"", [], item.block.size))

    def _convert(self, item: _Waiting) -> None:
        self._converting.append(_Converting(item, self._crew.submit(self._converted, item.content, item.segments)))

    def _write(self, item: _Converting[Prepared]) -> None:
        made, rest = item.task.result()
        if rest:  # goes on while what is there is written
            following = _Waiting(item.what.content, rest, item.what.frees)
            task = self._crew.submit(self._converted, following.content, rest)
            self._converting.appendleft(_Converting(following, task))
        for one in made:
            self._consumer.converted(one.segment, item.what.content, one.converted, one.prepared)
            forget(item.what.content, one.segment.start, one.converted.stop)
        self._in_flight -= 0 if rest else item.what.frees

    def _loaded(self, block: Block) -> tuple[Content, list[Piece]]:
        content = block.load()
        return content, [*self._pieces(content)]

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
