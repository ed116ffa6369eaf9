"""Messages -> one table per topic and schema, and what could not become a row, kept as it was.

A row is `log_time, publish_time, sequence` (integers; nanoseconds) and the message's fields. Payloads that do not
decode, and topics that nobody here can read, go to `<topic>.raw.bin`, one after the other; `<topic>.raw.csv` says where
each one lies and why.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from fieldpipe.errors import PermanentError
from fieldpipe.recordings import images
from fieldpipe.recordings.cells import quoted, row
from fieldpipe.recordings.container import Message
from fieldpipe.recordings.decode import CdrDecoder, DecodeError
from fieldpipe.recordings.decoders import Decoder, decoder_for, picture_kind
from fieldpipe.recordings.images import Pictures
from fieldpipe.recordings.jsonrows import JsonDecoder
from fieldpipe.recordings.names import Names
from fieldpipe.recordings.notes import Notes
from fieldpipe.recordings.ordering import sort_by_log_time
from fieldpipe.recordings.records import Topic
from fieldpipe.recordings.spool import Part, Spool
from fieldpipe.recordings.typetree import SchemaError

MAX_TABLES = 4096
TIME_COLUMNS = ("log_time", "publish_time", "sequence")
RAW_COLUMNS = (*TIME_COLUMNS, "offset", "length", "reason")
_BROKEN = "the payload does not match the schema"


@dataclass(frozen=True, slots=True)
class Output:
    """A finished file of the result. Of an index, the pictures lie in `folder` and belong under `pictures/`."""

    name: str
    path: Path
    kind: str  # table, pictures, raw, raw_index
    topic: str
    schema: str
    rows: int
    pictures: str = ""
    folder: Path | None = None


class Tables:
    """All tables of one recording. Raises PermanentError when there are too many."""

    def __init__(self, spool: Spool, notes: Notes) -> None:
        self._spool = spool
        self._notes = notes
        self._names = Names()
        self._tables: dict[Topic, Table] = {}

    def add(self, message: Message) -> None:
        """Write one message."""
        (self._tables.get(message.topic) or self.declare(message.topic)).add(message)

    def declare(self, topic: Topic) -> Table:
        """The topic's table; one without messages is a header alone."""
        if topic not in self._tables:
            if len(self._tables) >= MAX_TABLES:
                raise PermanentError(f"too_many_topics: more than {MAX_TABLES}; split the recording")
            name = self._names.of(topic.name)
            folder = f"{name}~{topic.digest}" if any(other.name == topic.name for other in self._tables) else name
            self._tables[topic] = Table(topic, len(self._tables), folder, self._spool)
        return self._tables[topic]

    def finish(self) -> list[Output]:
        """Close everything; the results in the order of their names."""
        self._spool.flush()
        schemas = Counter(topic.name for topic in self._tables)
        outputs: list[Output] = []
        for topic, table in self._tables.items():
            name = self._names.of(topic.name) + (f"~{topic.digest}" if schemas[topic.name] > 1 else "")
            outputs += table.finish(name, self._notes)
        return sorted(outputs, key=lambda output: output.name)


class Table:
    """One table that grows."""

    def __init__(self, topic: Topic, number: int, folder: str, spool: Spool) -> None:
        self._topic = topic
        self._spool = spool
        self._stem = f"{number:05d}"
        self._rows = self._undecoded = self._with_more = 0
        self._last_time = -1
        self._is_sorted = True
        self._raw: RawParts | None = None
        self._decoder: Decoder | None = None
        self._reason = ""  # why there is no decoder; later: why the first payload did not decode
        self._pictures: Pictures | None = None
        try:
            self._decoder = decoder_for(topic)
        except SchemaError as error:
            self._reason = str(error)
            return
        columns = list(self._decoder.columns)
        if (kind := picture_kind(topic)) and images.FIELD in columns:
            self._pictures = Pictures(spool.folder / self._stem, folder, raw=kind == "raw")
            at = columns.index(images.FIELD)
            columns[at : at + 1] = images.COLUMNS
        self._part = spool.part(f"{self._stem}.csv")
        self._part.write(row([*TIME_COLUMNS, *columns]).encode(errors="backslashreplace"))

    def add(self, message: Message) -> None:
        """Write one message as a row, or keep its payload."""
        self._is_sorted &= message.log_time >= self._last_time
        self._last_time = message.log_time
        if self._decoder is None:
            self._keep(message, self._reason)
            return
        try:
            cells = self._decoder.cells(message.payload)
        except DecodeError as error:
            self._undecoded += 1
            self._reason = self._reason or str(error)
            self._keep(message, str(error))
            return
        if self._pictures:
            cells = self._with_picture(message, cells)
        elif isinstance(self._decoder, JsonDecoder) and self._decoder.has_more:
            self._with_more += 1
            self._keep(message, "the message has members that its schema does not name")
        times = f"{message.log_time},{message.publish_time},{message.sequence}"
        self._part.write((",".join([times, *cells]) + "\n").encode(errors="backslashreplace"))
        self._rows += 1

    def finish(self, name: str, notes: Notes) -> list[Output]:
        """Put the rows in order, say what is missing."""
        self._tell(name, notes)
        schema = self._topic.schema.name if self._topic.schema else ""
        outputs: list[Output] = []
        if self._decoder:
            if not self._is_sorted:
                sort_by_log_time(self._part.path)
            table = Output(f"{name}.csv", self._part.path, "table", self._topic.name, schema, self._rows)
            if self._pictures:
                table = replace(table, kind="pictures", pictures=self._pictures.name, folder=self._pictures.folder)
            outputs.append(table)
        if self._raw:
            raw, index = self._raw.content, self._raw.index
            outputs.append(Output(f"{name}.raw.bin", raw.path, "raw", self._topic.name, schema, self._raw.rows))
            outputs.append(Output(f"{name}.raw.csv", index.path, "raw_index", self._topic.name, schema, self._raw.rows))
        return outputs

    def _with_picture(self, message: Message, cells: list[str]) -> list[str]:
        assert self._pictures is not None
        assert isinstance(self._decoder, CdrDecoder)
        fields = dict(zip(self._decoder.columns, cells, strict=True))
        stored = self._pictures.store(message.log_time, message.sequence, self._decoder.binary, fields)
        at = self._decoder.columns.index(images.FIELD)
        return [*cells[:at], *map(quoted, stored), *cells[at + 1 :]]

    def _keep(self, message: Message, reason: str) -> None:
        if self._raw is None:
            self._raw = RawParts(self._spool, self._stem)
        self._raw.add(message, reason)

    def _tell(self, name: str, notes: Notes) -> None:
        where = f"topic {self._topic.name}"
        if self._decoder is None:
            kept = f"; the payloads are in {name}.raw.bin" if self._raw else ""
            notes.error(f"{where}: no table: {self._reason}{kept}")
            return
        if self._undecoded:
            notes.error(
                f"{where}: {self._undecoded} of {self._rows + self._undecoded} messages could not be decoded "
                f"(first: {self._reason}); their payloads are in {name}.raw.bin"
            )
        if self._with_more:
            notes.warn(f"{where}: {self._with_more} messages hold more than the schema names; see {name}.raw.csv")
        if self._decoder.escaped:
            notes.warn(f"{where}: {self._decoder.escaped} texts were not valid; their bad bytes are escaped")
        if not self._is_sorted:
            notes.warn(f"{where}: log times went backwards; the rows were sorted")


class RawParts:
    """Payloads as they were, and an index of them."""

    def __init__(self, spool: Spool, stem: str) -> None:
        self.rows = 0
        self.content: Part = spool.part(f"{stem}.raw.bin")
        self.index: Part = spool.part(f"{stem}.raw.csv")
        self.index.write(row(RAW_COLUMNS).encode())

    def add(self, message: Message, reason: str) -> None:
        """Append one payload."""
        place = (message.log_time, message.publish_time, message.sequence, self.content.size, len(message.payload))
        self.content.write(message.payload)
        self.index.write(row([*map(str, place), reason]).encode(errors="backslashreplace"))
        self.rows += 1
