"""From blocks to tables: what the pipeline hands over goes to the table of its topic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from fieldpipe.recordings import sums
from fieldpipe.recordings.container import Block, Remark
from fieldpipe.recordings.executor import Content, Converted, Executor, Selection, Tally, Whole
from fieldpipe.recordings.notes import Notes
from fieldpipe.recordings.options import Options
from fieldpipe.recordings.pipeline import Piece, Segment
from fieldpipe.recordings.records import Topic
from fieldpipe.recordings.sidecars import Prepared as PreparedFile
from fieldpipe.recordings.sourcesum import SourceSum
from fieldpipe.recordings.spool import Spool
from fieldpipe.recordings.summary import ChunkIndex
from fieldpipe.recordings.survey import Part, Survey
from fieldpipe.recordings.table import Prepared, Table
from fieldpipe.recordings.tables import Tables


class _Routes(Selection):
    """Where the rows of each channel go."""

    def __init__(self, tables: Mapping[int, Table], start: int, end: int) -> None:
        super().__init__({channel: table.decoder for channel, table in tables.items()}, start, end)
        self.tables = tables


class Writer:
    """See pipeline.Consumer."""

    def __init__(
        self,
        survey: Survey,
        spool: Spool,
        tables: Tables,
        executor: Executor,
        options: Options,
        notes: Notes,
        source_sum: SourceSum | None = None,
    ) -> None:
        self._survey = survey
        self._spool = spool
        self._tables = tables
        self._options = options
        self._notes = notes
        self._source_sum = source_sum
        self._totals = executor.totals()  # of plain blocks: how their messages came is looked at now and then
        self._routes = self._new_routes({})

    @property
    def selection(self) -> Selection | None:
        """See Consumer."""
        return self._routes if self._routes.tables else None

    def can_skip(self, chunk: ChunkIndex) -> bool:
        """Whether nothing in a chunk is asked for, and nothing that it may define is needed elsewhere."""
        start, end = self._options.window
        channels = chunk.channels
        if not self._survey.knows(channels):
            return False
        is_outside = chunk.last_time < start or chunk.first_time >= end
        return is_outside or not any(self._options.wants(self._survey.topic(channel).name) for channel in channels)

    def remark(self, remark: Remark) -> None:
        """See Consumer."""
        self._notes.remark(remark.text, is_error=remark.is_error)

    def damaged(self, block: Block, reason: str) -> None:
        """See Consumer."""
        self._survey.damaged(block, reason)

    def scanned(self, block: Block, content: Content, pieces: Sequence[Piece]) -> Sequence[Segment]:
        """See Consumer."""
        self._begin(block)
        self.finish()
        parts = [self._route(part) for part in self._survey.parts(block, content, pieces)]
        return [segment for segment in parts if segment]

    def plain(self, block: Block, content: Content, whole: Whole) -> bool:
        """See Consumer."""
        if not self._survey.are_known(content, whole.definitions):
            return False
        self._begin(block)
        self._survey.count(block)
        self._totals.add(whole)
        _write_rows(self._routes.tables, whole.converted)
        self._spool.later(whole.converted.release)
        return True

    def finish(self) -> None:
        """Take in what is known of plain blocks and was not taken in yet."""
        if tallies := self._totals.take():
            self._seen(tallies, self._survey.seen(tallies))

    def prepare(self, segment: Segment, content: Content, converted: Converted) -> list[Prepared]:
        """See Consumer: one for every message that is left."""
        tables = _tables(segment)
        prepared = [tables[left.channel].prepare(left, content) for left in converted.left]
        sums.update((one.sum, one.content) for one in prepared if isinstance(one, PreparedFile))
        return prepared

    def converted(self, segment: Segment, content: Content, converted: Converted, prepared: list[Prepared]) -> None:
        """See Consumer."""
        tables = _tables(segment)
        _write_rows(tables, converted)
        for left, found in zip(converted.left, prepared, strict=True):
            tables[left.channel].take(left, content, found)
        self._spool.later(converted.release)

    def catch_up(self, *, own: bool) -> bool:
        """See Consumer."""
        return self._spool.catch_up(own=own)

    def _begin(self, block: Block) -> None:
        if self._source_sum:
            self._spool.sum_later(self._source_sum.up_to(block.end))

    def _route(self, part: Part) -> Segment | None:
        tables = self._seen(part.tallies, part.topics)
        before = self._routes.tables
        stale = before.keys() & self._survey.take_redefined()
        if stale or any(before.get(channel) is not tables.get(channel) for channel in part.tallies):  # or not wanted
            others = {channel: before[channel] for channel in before.keys() - stale - part.tallies.keys()}
            self._routes = self._new_routes({**others, **tables})
        return Segment(part.start, part.end, self._routes) if tables else None

    def _seen(self, tallies: Mapping[int, Tally], topics: Mapping[int, Topic]) -> Mapping[int, Table]:
        tables = {channel: self._tables.declare(topic) for channel, topic in topics.items()}
        sharing = Counter(tables.values())
        for channel, table in tables.items():
            table.seen(tallies[channel], is_alone=sharing[table] == 1)
        return tables

    def _new_routes(self, tables: Mapping[int, Table]) -> _Routes:
        start, end = self._options.window
        return _Routes(tables, start, end)


def _tables(segment: Segment) -> Mapping[int, Table]:
    assert isinstance(segment.selection, _Routes)
    return segment.selection.tables


def _write_rows(tables: Mapping[int, Table], converted: Converted) -> None:
    for rows in converted.rows:
        tables[rows.channel].write(rows)
