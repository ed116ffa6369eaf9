"""One table that grows: rows as an executor made them, and what could not become a row, kept as it was.

A row is `log_time, publish_time, sequence` (integers; nanoseconds) and the message's fields. Payloads that do not
decode, and topics that nobody here can read, go to `<topic>.raw.bin`, one after the other; `<topic>.raw.csv` says where
each one lies and why.
"""

from __future__ import annotations

from collections.abc import Sequence

from fieldpipe.recordings.cells import defused, row
from fieldpipe.recordings.decoders import decoder_for
from fieldpipe.recordings.executor import Content, DecodeError, Decoder, Executor, Left, Rows, Tally, Why
from fieldpipe.recordings.messages import TIME_COLUMNS, Message, RawParts, SharedDecoder, message
from fieldpipe.recordings.notes import Notes
from fieldpipe.recordings.options import Options
from fieldpipe.recordings.ordering import is_in_order, sort_by_log_time
from fieldpipe.recordings.outputs import Output
from fieldpipe.recordings.plan import Instruction, Op
from fieldpipe.recordings.points import FIELDS as POINT_FIELDS
from fieldpipe.recordings.points import Points, PreparedPoints
from fieldpipe.recordings.records import Topic
from fieldpipe.recordings.sidecars import Indexed, Kind, Sidecars, kind_of
from fieldpipe.recordings.sidecars import Prepared as PreparedFile
from fieldpipe.recordings.spool import Part, Spool
from fieldpipe.recordings.typetree import SchemaError

Prepared = PreparedFile | PreparedPoints | DecodeError | None
"""What was done for a message before its turn; None: nothing. A DecodeError is the reason why it makes no row."""

_HAS_MORE = "the message has members that its schema does not name"
_NO_WORDS = "the compiled executor does not read it, though the readable one does: please report this"


class Table:
    """The table of a topic. `decoder` is what an executor shall run; None: its messages are handed to `take`."""

    def __init__(
        self, topic: Topic, stem: str, folder: str, spool: Spool, options: Options, executor: Executor
    ) -> None:
        self.decoder: Decoder | None = None
        self._topic = topic
        self._stem = stem
        self._spool = spool
        self._options = options
        self._messages = self._rows = self._escaped = self._undecoded = self._with_more = 0
        self._last_time = -1
        self._is_in_doubt = False  # whether the rows are in the order of their times
        self._raw: RawParts | None = None
        self._reason = ""  # why there is no decoder; later: why the first payload did not decode
        self._taker: Indexed | Points | None = None  # makes rows of messages that are handed to `take`
        self._explainer: Decoder | None = None
        self._sidecars: Sidecars | None = None
        self._part: Part | None = None
        try:
            self._readable = self._new_decoder()
        except SchemaError as error:
            self._reason = str(error)
            return
        self._part = spool.part(f"{stem}.csv")
        self._kind = kind_of(topic) if _has(Op.BYTES, self._readable.plan.program) else None
        self._choose(folder, executor)

    @property
    def has_exploded(self) -> bool:
        """Whether elements of a list are rows."""
        return self._part is not None and _has(Op.ROWS, self._readable.plan.program)

    def seen(self, tally: Tally, *, is_alone: bool) -> None:
        """Messages of a channel come, in file order; alone, or among those of other channels of this table."""
        self._messages += tally.messages
        self._is_in_doubt |= not is_alone or tally.backwards > 0 or tally.first < self._last_time
        self._last_time = max(tally.last, self._last_time)

    def write(self, rows: Rows) -> None:
        """Append rows."""
        assert self._part
        self._part.write(rows.text)
        self._rows += rows.lines
        self._escaped += rows.escaped

    def prepare(self, left: Left, content: Content) -> Prepared:
        """What can be done for a message that an executor left before it is its turn. Any thread may call this."""
        if left.why is not Why.ASKED or self._taker is None:
            return None
        try:
            return self._taker.prepare(message(content, left))
        except DecodeError as error:
            return error

    def take(self, left: Left, content: Content, prepared: Prepared) -> None:
        """Take in a message that an executor left: write its rows, or keep it."""
        if left.why is Why.MORE:
            self._with_more += 1
            self._keep(message(content, left), _HAS_MORE)
        elif left.why is Why.UNDECODABLE:
            found = message(content, left)
            self._keep_undecoded(found, self._words(found.payload))
        elif prepared is None:
            self._keep(message(content, left), self._reason)
        else:
            self._write(left, content, prepared)

    def finish(self, name: str, notes: Notes) -> list[Output]:
        """Put the rows in order, say what is missing."""
        if isinstance(self._taker, Points) and not self._taker.columns:
            self._begin([])
        self._tell(name, notes)
        about = {"topic": self._topic.name, "schema": self._topic.schema.name if self._topic.schema else ""}
        outputs: list[Output] = []
        if self._part:
            table = Output.of(self._part, f"{name}.csv", self._output_kind(), rows=self._rows, **about)
            if self._sidecars:
                table = table._replace(pictures=self._sidecars.name, folder=self._sidecars.folder)
            outputs.append(self._in_order(table, notes))
        if self._raw:
            content, index, rows = self._raw.content, self._raw.index, self._raw.rows
            outputs.append(Output.of(content, f"{name}.raw.bin", "raw", rows=rows, **about))
            outputs.append(Output.of(index, f"{name}.raw.csv", "raw_index", rows=rows, **about))
        return outputs

    def _new_decoder(self) -> Decoder:
        is_of_points = self._options.points and kind_of(self._topic) is Kind.CLOUD
        return decoder_for(self._topic, self._options.but(explode=()) if is_of_points else self._options)

    def _choose(self, folder: str, executor: Executor) -> None:
        """Who makes the rows."""
        columns = self._readable.plan.columns
        if self._kind is Kind.CLOUD and self._options.points and {*columns} >= POINT_FIELDS:
            self._taker = Points(SharedDecoder(self._readable), executor, self._begin)
        elif self._kind is Kind.CLOUD or (self._kind and self._options.images):
            self._sidecars = Sidecars(self._spool.folder / self._stem, folder)
            self._taker = indexed = Indexed(SharedDecoder(self._readable), self._sidecars, self._kind)
            self._begin(indexed.columns)
        else:
            self.decoder = self._readable
            self._begin(columns)

    def _begin(self, columns: Sequence[str]) -> None:
        """Write the header."""
        assert self._part
        names = [*TIME_COLUMNS, *(map(defused, columns) if self._options.formula_safe else columns)]
        self._part.write(row(names).encode(errors="backslashreplace"))

    def _write(self, left: Left, content: Content, prepared: PreparedFile | PreparedPoints | DecodeError) -> None:
        assert self._part
        try:
            if isinstance(prepared, DecodeError):
                raise prepared
            if isinstance(prepared, PreparedPoints):
                assert isinstance(self._taker, Points)
                self._rows += self._taker.write(prepared, self._part)
            else:
                assert isinstance(self._taker, Indexed)
                self._rows += self._taker.write(prepared, self._part)
        except DecodeError as error:
            self._keep_undecoded(message(content, left), str(error))
            return
        self._escaped += prepared.read.escaped
        if prepared.read.has_more:
            self.take(left._replace(why=Why.MORE), content, None)

    def _words(self, payload: bytes) -> str:
        """Why a payload does not decode."""
        if self._explainer is None:  # not the table's own: workers may be reading with that one at this moment
            self._explainer = self._new_decoder()
        try:
            self._explainer.rows(payload)
        except DecodeError as error:
            return str(error)
        return _NO_WORDS

    def _keep_undecoded(self, message: Message, reason: str) -> None:
        self._undecoded += 1
        self._reason = self._reason or reason
        self._keep(message, reason)

    def _keep(self, message: Message, reason: str) -> None:
        if self._raw is None:
            self._raw = RawParts(self._spool, self._stem)
        self._raw.add(message, reason)

    def _output_kind(self) -> str:
        return ("clouds" if self._kind is Kind.CLOUD else "pictures") if self._sidecars else "table"

    def _in_order(self, table: Output, notes: Notes) -> Output:
        if not self._is_in_doubt or is_in_order(table.path):
            return table
        notes.warn(f"topic {self._topic.name}: log times went backwards; the rows were sorted")
        return table._replace(sha256=sort_by_log_time(table.path))

    def _tell(self, name: str, notes: Notes) -> None:
        where = f"topic {self._topic.name}"
        if self._part is None:
            kept = f"; the payloads are in {name}.raw.bin" if self._raw else ""
            notes.error(f"{where}: no table: {self._reason}{kept}")
        if self._part and self._undecoded:
            notes.error(
                f"{where}: {self._undecoded} of {self._messages} messages could not be decoded "
                f"(first: {self._reason}); their payloads are in {name}.raw.bin"
            )
        if self._with_more:
            notes.warn(f"{where}: {self._with_more} messages hold more than the schema names; see {name}.raw.csv")
        if self._escaped:
            notes.warn(f"{where}: {self._escaped} texts were not valid; their bad bytes are escaped")


def _has(op: Op, program: Sequence[Instruction]) -> bool:
    """Whether a plan does that anywhere."""
    return any(instruction.op is op or _has(op, instruction.body) for instruction in program)
