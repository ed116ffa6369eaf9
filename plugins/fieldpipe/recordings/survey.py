"""What is known about a recording as far as it was read: what its channels stand for, and how their messages came."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from fieldpipe.recordings.container import Block, Container
from fieldpipe.recordings.definitions import MAX_DEFINITION, Definitions
from fieldpipe.recordings.executor import Content, Defined, Executor, Scanned, Tally
from fieldpipe.recordings.health import Health
from fieldpipe.recordings.notes import Notes
from fieldpipe.recordings.pipeline import Piece
from fieldpipe.recordings.records import HEADER, RecordDamaged, Topic


class Part(NamedTuple):
    """A part of a block in which every channel stands for one topic: those with messages in it, and their times."""

    start: int
    end: int
    topics: Mapping[int, Topic]
    tallies: Mapping[int, Tally]


class Survey:
    """Takes in blocks in file order. Topics that are not wanted are left out of everything."""

    def __init__(
        self, container: Container, executor: Executor, notes: Notes, wants: Callable[[str], bool] = lambda _: True
    ) -> None:
        self.health = Health(container.is_finished)
        self._definitions = Definitions(container.summary.schemas, container.summary.channels)
        self._executor = executor
        self._notes = notes
        self._wants = wants
        self._declared = frozenset(self._definitions.channels())
        self._topics: dict[int, Topic] = {}
        self._redefined: set[int] = set()

    def knows(self, channels: frozenset[int]) -> bool:
        """Whether channels (at least one) are declared without reading further."""
        return bool(channels) and channels <= self._declared

    def topics(self) -> list[Topic]:
        """Every topic that the file has declared so far, with or without messages, by channel."""
        topics = map(self.topic, self._definitions.channels())
        return [topic for topic in topics if self._wants(topic.name)]

    def topic(self, channel: int) -> Topic:
        """What a channel stands for now."""
        if channel not in self._topics:
            self._topics[channel] = self._definitions.topic(channel)
        return self._topics[channel]

    def take_redefined(self) -> set[int]:
        """Channels that mean something new since the last time."""
        taken, self._redefined = self._redefined, set()
        return taken

    def are_known(self, content: Content, definitions: Sequence[Defined]) -> bool:
        """Whether all of them say what is known."""
        return all(self._definitions.is_known(one.opcode, _body(content, one)) for one in definitions)

    def damaged(self, block: Block, reason: str) -> None:
        """A block could not be loaded."""
        self.count(block)
        self.health.damaged += 1
        if block.is_complete:  # of the other sort the container tells
            self._notes.error(f"byte {block.position}: a chunk was skipped: {reason}")

    def parts(self, block: Block, content: Content, pieces: Sequence[Piece]) -> Iterator[Part]:
        """The parts of a block: its pieces, and a new one wherever a number gets another meaning."""
        self.count(block)
        for piece in pieces:
            self._tell(block, piece.scanned)
            yield from self._parts(block, content, piece.start, piece.scanned)
        if block.is_complete and len(content) != (pieces[-1].scanned.end if pieces else 0):
            self._notes.error(f"byte {block.position}: the chunk there ends inside a record")

    def _parts(self, block: Block, content: Content, start: int, scanned: Scanned) -> Iterator[Part]:
        tallies: Mapping[int, Tally] | None = scanned.tallies
        for defined in scanned.definitions:
            body = _body(content, defined)
            if self._definitions.replaces(defined.opcode, body):
                yield self._part(content, start, defined.start - HEADER.size)
                start, tallies = defined.start - HEADER.size, None
            self._define(block, defined, body)
        yield self._part(content, start, scanned.end, tallies)

    def _part(self, content: Content, start: int, end: int, tallies: Mapping[int, Tally] | None = None) -> Part:
        if tallies is None:
            tallies = self._executor.scan(content, start, end).tallies
        return Part(start, end, self.seen(tallies), tallies)

    def seen(self, tallies: Mapping[int, Tally]) -> Mapping[int, Topic]:
        """Take in how messages came; returns what their channels stand for, of those that are wanted."""
        topics = {}
        for channel, tally in tallies.items():
            topic = self.topic(channel)
            if self._wants(topic.name):
                topics[channel] = topic
                self.health.topic(topic).add(channel, tally)
        return topics

    def _define(self, block: Block, defined: Defined, body: bytes) -> None:
        try:
            changed = self._definitions.define(defined.opcode, body)
        except RecordDamaged as error:
            self._notes.error(f"byte {_place(block, defined.start)}: {error}")
            return
        if changed is not None:
            self._topics.pop(changed, None)
            self._redefined.add(changed)

    def count(self, block: Block) -> None:
        """A block comes."""
        self.health.chunks += block.is_chunk
        self.health.unchecked += block.is_chunk and not block.is_checked

    def _tell(self, block: Block, scanned: Scanned) -> None:
        for start, end in scanned.refused:
            where = " in the chunk there" if block.is_chunk else ""
            self._notes.error(f"byte {_place(block, start)}: a message of {end - start} bytes{where} was skipped")


def _body(content: Content, defined: Defined) -> bytes:
    """As much of it as is needed to tell that it is too long."""
    return content[defined.start : min(defined.end, defined.start + MAX_DEFINITION + 1)]


def _place(block: Block, start: int) -> int:
    """The byte of the file to name: a record's own, or that of the chunk that it is in."""
    return block.position if block.is_chunk else block.position + start - HEADER.size
