"""Blocks through the executor: loaded, scanned and converted by workers, taken in and written in the order of the file.

What a block defines must be known before the next one is converted, and rows must be written in order. So each block
goes through four steps: a worker loads and scans it; the caller takes in what it defines; a worker makes rows; the
caller writes them. Blocks in flight are bounded by their number and by the memory that they take.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from fieldpipe.recordings.chunks import ChunkDamaged
from fieldpipe.recordings.container import Block, Remark
from fieldpipe.recordings.crew import Crew, Task
from fieldpipe.recordings.executor import TEXT_LIMIT, Content, Converted, Executor, Scanned, Selection

IN_FLIGHT = 96 * 1024 * 1024  # bytes of all blocks that are worked on
AHEAD = 4  # blocks a worker that are loaded, or converted, before they are asked for: writing takes longer now and then
TEXT_RATIO = 4  # bytes of text that a byte of records makes, or less


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Records of a block between two places that are converted with one selection."""

    start: int
    end: int
    selection: Selection


class Consumer(Protocol):
    """What is done with blocks, in file order. Only ever called by the thread that runs the pipeline."""

    def remark(self, remark: Remark) -> None:
        """The container has something to say."""
        ...

    def damaged(self, block: Block, reason: str) -> None:
        """A block could not be loaded."""
        ...

    def scanned(self, block: Block, content: Content, scanned: Scanned) -> Sequence[Segment]:
        """Take in what a block holds; returns what shall be converted."""
        ...

    def converted(self, segment: Segment, content: Content, converted: Converted) -> None:
        """Write what a segment made; of one that makes much text this is called several times."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class _Loading:
    block: Block
    cost: int
    task: Task[tuple[Content, Scanned]]


@dataclass(frozen=True, slots=True, eq=False)
class _Converting:
    content: Content
    cost: int
    task: Task[tuple[list[tuple[Segment, Converted]], list[Segment]]]


class Pipeline:
    """Runs blocks through `executor`."""

    def __init__(self, executor: Executor, crew: Crew, consumer: Consumer) -> None:
        self._executor = executor
        self._crew = crew
        self._consumer = consumer
        self._loading: deque[_Loading | Remark] = deque()
        self._converting: deque[_Converting] = deque()
        self._in_flight = 0
        self._ahead = AHEAD * crew.size if crew.size > 1 else 1

    def run(self, blocks: Iterable[Block | Remark]) -> None:
        """Returns when everything is written. Raises what the source and the consumer raise."""
        source = iter(blocks)
        following = next(source, None)
        while following or self._loading or self._converting:
            while following and self._has_room(following):
                self._load(following)
                following = next(source, None)
            if self._loading and self._may_convert(self._loading[0]):
                self._take_in(self._loading.popleft())
            else:
                self._write()

    def _has_room(self, item: Block | Remark) -> bool:
        if not self._loading and not self._converting:
            return True
        if isinstance(item, Remark):
            return len(self._loading) <= 2 * self._ahead
        return len(self._loading) < self._ahead and self._in_flight + _cost(item) <= IN_FLIGHT

    def _may_convert(self, first: _Loading | Remark) -> bool:
        if not self._converting:
            return True
        is_ready = isinstance(first, Remark) or first.task.done()
        return is_ready and len(self._converting) < self._ahead

    def _load(self, item: Block | Remark) -> None:
        if isinstance(item, Remark):
            self._loading.append(item)
            return
        self._in_flight += _cost(item)
        self._loading.append(_Loading(item, _cost(item), self._crew.submit(self._loaded, item)))

    def _take_in(self, item: _Loading | Remark) -> None:
        if isinstance(item, Remark):
            self._consumer.remark(item)
            return
        try:
            content, scanned = item.task.result()
        except ChunkDamaged as error:
            self._in_flight -= item.cost
            self._consumer.damaged(item.block, str(error))
            return
        segments = self._consumer.scanned(item.block, content, scanned)
        task = self._crew.submit(self._converted, content, segments)
        self._converting.append(_Converting(content, item.cost, task))

    def _write(self) -> None:
        item = self._converting.popleft()
        made, rest = item.task.result()
        if rest:  # goes on while what is there is written
            task = self._crew.submit(self._converted, item.content, rest)
            self._converting.appendleft(_Converting(item.content, item.cost, task))
        for segment, converted in made:
            self._consumer.converted(segment, item.content, converted)
            converted.release()
        if not rest:
            self._in_flight -= item.cost

    def _loaded(self, block: Block) -> tuple[Content, Scanned]:
        content = block.load()
        return content, self._executor.scan(content, 0, len(content))

    def _converted(
        self, content: Content, segments: Sequence[Segment]
    ) -> tuple[list[tuple[Segment, Converted]], list[Segment]]:
        """What the segments made as far as the limit for text let it, and what is left of them."""
        made: list[tuple[Segment, Converted]] = []
        size = 0
        for index, segment in enumerate(segments):
            converted = self._executor.convert(content, segment.start, segment.end, segment.selection)
            made.append((segment, converted))
            size += sum(len(rows.text) for rows in converted.rows)
            if converted.stop < segment.end:
                return made, [Segment(converted.stop, segment.end, segment.selection), *segments[index + 1 :]]
            if size >= TEXT_LIMIT:
                return made, list(segments[index + 1 :])
        return made, []


def _cost(block: Block) -> int:
    return block.size + min(TEXT_RATIO * block.size, TEXT_LIMIT)
