"""From blocks to tables: what the pipeline hands over goes to the table of its topic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from fieldpipe.recordings import sums
from fieldpipe.recordings.container import Block, Remark
from fieldpipe.recordings.executor import Content, Converted, Selection
from fieldpipe.recordings.notes import Notes
from fieldpipe.recordings.options import Options
from fieldpipe.recordings.pipeline import Piece, Segment
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
        self._routes = self._new_routes({})

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
        if self._source_sum:
            self._spool.sum_later(self._source_sum.up_to(block.position))
        parts = [self._route(part) for part in self._survey.parts(block, content, pieces)]
        return [segment for segment in parts if segment]

    def prepare(self, segment: Segment, content: Content, converted: Converted) -> list[Prepared]:
        """See Consumer: one for every message that is left."""
        tables = _tables(segment)
        prepared = [tables[left.channel].prepare(left, content) for left in converted.left]
        sums.update((one.sum, one.content) for one in prepared if isinstance(one, PreparedFile))
        return prepared

    def converted(self, segment: Segment, content: Content, converted: Converted, prepared: list[Prepared]) -> None:
        """See Consumer."""
        tables = _tables(segment)
        for rows in converted.rows:
            tables[rows.channel].write(rows)
        for left, found in zip(converted.left, prepared, strict=True):
            tables[left.channel].take(left, content, found)
        self._spool.later(converted.release)

    def catch_up(self, *, own: bool) -> bool:
        """See Consumer."""
        return self._spool.catch_up(own=own)

    def _route(self, part: Part) -> Segment | None:
        tables = {channel: self._tables.declare(topic) for channel, topic in part.topics.items()}
        sharing = Counter(tables.values())
        for channel, table in tables.items():
            table.seen(part.tallies[channel], is_alone=sharing[table] == 1)
        before = self._routes.tables
        if any(before.get(channel) is not tables.get(channel) for channel in part.tallies):  # some may not be wanted
            others = {channel: table for channel, table in before.items() if channel not in part.tallies}
            self._routes = self._new_routes({**others, **tables})
        return Segment(part.start, part.end, self._routes) if tables else None

    def _new_routes(self, tables: Mapping[int, Table]) -> _Routes:
        start, end = self._options.window
        return _Routes(tables, start, end)


def _tables(segment: Segment) -> Mapping[int, Table]:
    assert isinstance(segment.selection, _Routes)
    return segment.selection.tables
