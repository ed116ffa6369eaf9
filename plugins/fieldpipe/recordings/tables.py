"""All tables of a recording: one per topic and schema."""

from __future__ import annotations

from collections import Counter

from fieldpipe.errors import PermanentError
from fieldpipe.recordings.executor import Executor
from fieldpipe.recordings.names import Names
from fieldpipe.recordings.notes import Notes
from fieldpipe.recordings.options import Options
from fieldpipe.recordings.outputs import Output
from fieldpipe.recordings.records import Topic
from fieldpipe.recordings.spool import Spool
from fieldpipe.recordings.table import Table

MAX_TABLES = 4096


class Tables:
    """The tables so far. Raises PermanentError when there are too many."""

    def __init__(self, spool: Spool, options: Options, executor: Executor) -> None:
        self._spool = spool
        self._options = options
        self._executor = executor
        self._names = Names()
        self._tables: dict[Topic, Table] = {}
        self._schemas: Counter[str] = Counter()  # by topic

    def expect(self, count: int) -> None:
        """Refuse too many topics before anything is done for any of them."""
        if count > MAX_TABLES:
            raise PermanentError(f"too_many_topics: more than {MAX_TABLES}; split the recording")

    def declare(self, topic: Topic) -> Table:
        """The topic's table; one without messages is a header alone."""
        if topic not in self._tables:
            self.expect(len(self._tables) + 1)
            name = self._names.of(topic.name)
            folder = f"{name}~{topic.digest}" if self._schemas[topic.name] else name
            self._schemas[topic.name] += 1
            stem = f"{len(self._tables):05d}"
            self._tables[topic] = Table(topic, stem, folder, self._spool, self._options, self._executor)
        return self._tables[topic]

    @property
    def have_exploded(self) -> bool:
        """Whether elements of lists became rows of any of them."""
        return any(table.has_exploded for table in self._tables.values())

    def finish(self, notes: Notes) -> list[Output]:
        """Close everything; the results in the order of their names."""
        outputs: list[Output] = []
        for topic, table in self._tables.items():
            name = self._names.of(topic.name) + (f"~{topic.digest}" if self._schemas[topic.name] > 1 else "")
            outputs += table.finish(name, notes)
        return sorted(outputs, key=lambda output: output.name)
