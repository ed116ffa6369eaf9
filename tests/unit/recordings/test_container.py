"""Files in every state: finished, cut off, damaged, hostile (the facts' rules 4, 5 and 13; F-P6)."""

import random
import resource
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import lz4.frame
import pytest
import zstandard
from mcap.opcode import Opcode
from mcap.writer import CompressionType

from fieldpipe.errors import PermanentError
from fieldpipe.recordings import chunks, definitions
from fieldpipe.recordings.container import Block, Container, NotMcap, Remark
from fieldpipe.recordings.executor import Content, Converted, Selection
from fieldpipe.recordings.messages import Message, message
from fieldpipe.recordings.notes import Notes
from fieldpipe.recordings.pipeline import Piece, Pipeline, Segment
from fieldpipe.recordings.records import RecordDamaged, Topic, parse_channel
from fieldpipe.recordings.reference import ReferenceExecutor
from fieldpipe.recordings.survey import Survey
from tests.builders import MAGIC, Channel, MemoryReader, mcap, records, robot_recording, ros2, sent

NUMBERS = ros2("/numbers", "int64 number\nstring text")


def numbers(count: int, **options: object) -> bytes:
    values = [{"number": index, "text": "x" * (index % 50)} for index in range(count)]
    return mcap(sent(NUMBERS, *values), **options)  # type: ignore[arg-type]


class Found(NamedTuple):
    topic: Topic
    message: Message


class Collector:
    """Takes in blocks as a conversion does, and keeps every message."""

    def __init__(self, survey: Survey, notes: Notes) -> None:
        self.found: list[Found] = []
        self._survey = survey
        self._notes = notes
        self._topics: dict[Selection, Mapping[int, Topic]] = {}
        self.selection: Selection | None = None

    def remark(self, remark: Remark) -> None:
        (self._notes.error if remark.is_error else self._notes.warn)(remark.text)

    def damaged(self, block: Block, reason: str) -> None:
        self._survey.damaged(block, reason)

    def scanned(self, block: Block, content: Content, pieces: Sequence[Piece]) -> list[Segment]:
        segments = []
        for part in self._survey.parts(block, content, pieces):
            segments.append(Segment(part.start, part.end, Selection(dict.fromkeys(part.topics))))
            self._topics[segments[-1].selection] = part.topics
            self.selection = segments[-1].selection
        return segments

    def plain(self, *_: object) -> bool:
        return False

    def prepare(self, *_: object) -> None:
        pass

    def converted(self, segment: Segment, content: Content, converted: Converted, prepared: None) -> None:
        topics = self._topics[segment.selection]
        self.found += [Found(topics[left.channel], message(content, left)) for left in converted.left]

    def catch_up(self, **_: object) -> bool:
        return False


def messages_of(content: bytes, folder: Path, notes: Notes) -> tuple[list[Found], Survey]:
    """Every message that comes out, and what was found out on the way."""
    container, executor = Container(MemoryReader(content), folder, notes), ReferenceExecutor()
    survey = Survey(container, executor, notes)
    collector = Collector(survey, notes)
    Pipeline(executor, 1, collector).run(container.blocks())
    return collector.found, survey


def read(content: bytes, folder: Path) -> tuple[list[int], Notes]:
    """The sequences of the messages that come out, and what was noted."""
    notes = Notes()
    return [found.message.times.sequence for found in messages_of(content, folder, notes)[0]], notes


def record(opcode: int, body: bytes) -> bytes:
    return struct.pack("<BQ", opcode, len(body)) + body


def chunk(inner: bytes, *, compression: str = "", data: bytes | None = None, size: int | None = None) -> bytes:
    stored = inner if data is None else data
    head = struct.pack("<QQQI", 0, 0, len(inner) if size is None else size, zlib.crc32(inner))
    return record(0x06, head + text(compression) + struct.pack("<Q", len(stored)) + stored)


def text(value: str) -> bytes:
    return struct.pack("<I", len(value)) + value.encode()


def sent_as(sequence: int, payload: bytes = b"") -> bytes:
    return record(0x05, struct.pack("<HIQQ", 1, sequence, sequence, sequence) + payload)


def declared() -> bytes:
    return record(0x04, struct.pack("<HH", 1, 0) + text("/raw") + text("octets") + struct.pack("<I", 0))


@pytest.mark.parametrize("compression", CompressionType)
@pytest.mark.parametrize("summary", [True, False])
@pytest.mark.parametrize("chunked", [True, False])
def test_every_message_of_a_sound_file_comes_in_file_order(
    compression: CompressionType, summary: bool, chunked: bool, tmp_path: Path
) -> None:
    content = numbers(100, compression=compression, summary=summary, chunked=chunked)

    sequences, notes = read(content, tmp_path)

    assert sequences == list(range(100))
    assert (notes.warnings, notes.errors) == ([], [])


def test_a_file_cut_at_any_byte_gives_every_complete_message(tmp_path: Path) -> None:
    content = numbers(12, chunked=False)
    ends = [end for opcode, _, end in records(content) if opcode == Opcode.MESSAGE]

    for length in range(len(MAGIC), len(content)):
        sequences, notes = read(content[:length], tmp_path)
        assert sequences == list(range(sum(end <= length for end in ends))), length
        assert notes.warnings, length
        assert not notes.errors, length


def test_a_chunk_without_compression_cut_at_any_byte_gives_every_complete_message(tmp_path: Path) -> None:
    content = numbers(12, compression=CompressionType.NONE, chunk_size=10**6)
    (start,) = (start for opcode, start, _ in records(content) if opcode == Opcode.CHUNK)
    inner = start + 9 + 8 + 8 + 8 + 4 + 4 + 8
    ends = [inner - len(MAGIC) + end for opcode, _, end in records(MAGIC + content[inner:]) if opcode == Opcode.MESSAGE]

    for length in range(inner, ends[-1] + 1):
        sequences, _ = read(content[:length], tmp_path)
        assert sequences == list(range(sum(end <= length for end in ends))), length


@pytest.mark.parametrize("compression", [CompressionType.ZSTD, CompressionType.LZ4])
def test_a_compressed_file_cut_at_any_byte_gives_a_beginning_of_its_messages(
    compression: CompressionType, tmp_path: Path
) -> None:
    content = numbers(60, compression=compression, chunk_size=400)
    chunk_ends = [end for opcode, _, end in records(content) if opcode == Opcode.CHUNK]
    complete = [len(read(content[:end], tmp_path)[0]) for end in chunk_ends]

    before = 0
    for length in range(len(MAGIC), len(content)):
        sequences, notes = read(content[:length], tmp_path)
        assert sequences == list(range(len(sequences)))
        assert len(sequences) >= max(
            (done for end, done in zip(chunk_ends, complete, strict=True) if end <= length), default=0
        )
        assert len(sequences) >= before
        assert not notes.errors
        before = len(sequences)
    assert complete[-1] == 60


def test_a_damaged_chunk_is_skipped_and_the_others_survive(tmp_path: Path) -> None:
    content = bytearray(numbers(60, compression=CompressionType.NONE, chunk_size=400))
    spans = [(start, end) for opcode, start, end in records(bytes(content)) if opcode == Opcode.CHUNK]
    whole = read(bytes(content), tmp_path)[0]
    start, end = spans[2]
    lost = read(MAGIC + bytes(content[start:end]), tmp_path)[0]
    content[end - 5] ^= 0x40

    sequences, notes = read(bytes(content), tmp_path)

    assert sequences == [sequence for sequence in whole if sequence not in lost]
    assert notes.errors == [f"byte {start}: a chunk was skipped: its CRC does not match"]


def test_a_damaged_first_chunk_does_not_take_the_definitions_with_it(tmp_path: Path) -> None:
    content = bytearray(numbers(60, compression=CompressionType.ZSTD, chunk_size=400))
    _, _, end = next(found for found in records(bytes(content)) if found[0] == Opcode.CHUNK)
    content[end - 3] ^= 1

    notes = Notes()
    messages, _ = messages_of(bytes(content), tmp_path, notes)

    assert messages
    assert {found.topic.name for found in messages} == {"/numbers"}
    assert len(notes.errors) == 1


def test_reading_goes_on_behind_a_damaged_length_where_the_summary_knows_a_chunk(tmp_path: Path) -> None:
    content = bytearray(numbers(60, compression=CompressionType.NONE, chunk_size=400))
    spans = [(start, end) for opcode, start, end in records(bytes(content)) if opcode == Opcode.CHUNK]
    lost = read(MAGIC + bytes(content[slice(*spans[1])]), tmp_path)[0]
    content[spans[1][0] + 5] = 0xFF

    sequences, notes = read(bytes(content), tmp_path)

    assert set(range(60)) - set(sequences) <= set(lost)
    assert sequences[-1] == 59
    assert any("damaged here" in error for error in notes.errors)


def test_frames_without_a_content_size_are_read(tmp_path: Path) -> None:
    inner = declared() + sent_as(0, b"abc") + sent_as(1, b"def")
    zstd = zstandard.ZstdCompressor(write_content_size=False).compress(inner)
    lz4_frame = lz4.frame.compress(inner, store_size=False)

    for compression, data in (("zstd", zstd), ("lz4", lz4_frame)):
        content = MAGIC + chunk(inner, compression=compression, data=data)
        assert read(content, tmp_path)[0] == [0, 1], compression


def test_a_chunk_larger_than_memory_goes_through_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "IN_MEMORY", 1000)

    assert read(numbers(500, chunk_size=100_000), tmp_path)[0] == list(range(500))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("opcode", [0x01, 0x03, 0x04, 0x05, 0x06, 0x09, 0x7F, 0xFF])
@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 2**40])
def test_lengths_that_lie_end_the_reading_and_nothing_else(opcode: int, length: int, tmp_path: Path) -> None:
    good = declared() + sent_as(0, b"abc")

    sequences, notes = read(MAGIC + good + struct.pack("<BQ", opcode, length) + bytes(64), tmp_path)

    assert sequences == [0]
    assert notes.warnings


@pytest.mark.parametrize("size", [2**63, 5 * 2**30])
def test_a_chunk_that_claims_to_hold_too_much_is_skipped(size: int, tmp_path: Path) -> None:
    good = declared() + sent_as(0, b"abc")

    sequences, notes = read(MAGIC + chunk(b"", data=b"abc", size=size) + good, tmp_path)

    assert sequences == [0]
    assert "more than" in notes.errors[0]


@pytest.mark.parametrize("claimed", [100, 10 * 2**20])
def test_a_bomb_is_not_unpacked(claimed: int, tmp_path: Path) -> None:
    bomb = zstandard.ZstdCompressor(level=19).compress(bytes(400 * 2**20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    content = MAGIC + chunk(b"", compression="zstd", data=bomb, size=claimed) + declared() + sent_as(0, b"abc")
    sequences, notes = read(content, tmp_path)

    assert sequences == [0]
    assert f"says {claimed}" in notes.errors[0]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


def test_an_unknown_compression_costs_its_chunks_only(tmp_path: Path) -> None:
    content = MAGIC + chunk(sent_as(7), compression="brotli") + declared() + sent_as(0, b"abc")

    sequences, notes = read(content, tmp_path)

    assert sequences == [0]
    assert "'brotli' is not known" in notes.errors[0]


def test_a_record_longer_than_its_chunk_is_told(tmp_path: Path) -> None:
    content = MAGIC + chunk(declared() + sent_as(0) + struct.pack("<BQ", 5, 2**62)) + sent_as(1)

    sequences, notes = read(content, tmp_path)

    assert sequences == [0, 1]
    assert "ends inside a record" in notes.errors[0]


def test_definitions_with_lengths_that_lie_are_told(tmp_path: Path) -> None:
    lying = struct.pack("<H", 1) + struct.pack("<I", 2**31) + b"name"
    content = MAGIC + record(0x03, lying) + declared() + sent_as(0)

    sequences, notes = read(content, tmp_path)

    assert sequences == [0]
    assert "schema record that cannot be read" in notes.errors[0]


@pytest.mark.parametrize("field", ["summary_start", "crc"])
def test_a_summary_that_lies_is_not_used(field: str, tmp_path: Path) -> None:
    content = bytearray(numbers(20))
    at = len(content) - len(MAGIC) - (20 if field == "summary_start" else 4)
    content[at] ^= 0x55

    sequences, notes = read(bytes(content), tmp_path)

    assert sequences == list(range(20))
    assert "the summary was not used" in notes.warnings[0]


def test_messages_of_a_channel_that_is_not_declared_have_a_topic_of_their_own(tmp_path: Path) -> None:
    ((found,), _) = messages_of(MAGIC + sent_as(3, b"abc"), tmp_path, Notes())

    assert found.topic.name == "unknown_channel_1"
    assert "does not declare" in found.topic.defect
    assert found.message.payload == b"abc"


def test_a_tail_of_zeros_as_after_a_power_cut_ends_the_reading(tmp_path: Path) -> None:
    sequences, notes = read(MAGIC + declared() + sent_as(0) + bytes(5000), tmp_path)

    assert sequences == [0]
    assert notes.warnings


@pytest.mark.parametrize("content", [b"", b"\x89MCA", b"\x89MCAP1\r\n", b"PK\x03\x04 something else"])
def test_anything_else_is_not_mcap(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(NotMcap) as caught:
        Container(MemoryReader(content), tmp_path, Notes())

    assert isinstance(caught.value, PermanentError)
    assert str(caught.value).startswith("not_mcap")


@pytest.mark.parametrize("seed", range(40))
def test_flipped_bytes_never_make_it_crash(seed: int, tmp_path: Path) -> None:
    dice = random.Random(seed)
    content = bytearray(robot_recording(seconds=0.05))
    for _ in range(dice.randrange(1, 30)):
        content[dice.randrange(len(MAGIC), len(content))] = dice.randrange(256)

    messages, survey = messages_of(bytes(content), tmp_path, Notes())

    assert len(messages) == sum(topic.messages for topic in survey.health.topics.values())
    assert {found.topic for found in messages} <= {*survey.health.topics}


def test_channels_that_change_under_their_number_are_told_apart(tmp_path: Path) -> None:
    def channel(topic: str) -> bytes:
        return record(0x04, struct.pack("<HH", 1, 0) + text(topic) + text("octets") + struct.pack("<I", 0))

    content = MAGIC + channel("/a") + sent_as(0) + channel("/b") + sent_as(1) + channel("/b") + sent_as(2)

    messages, survey = messages_of(content, tmp_path, Notes())

    assert [found.topic.name for found in messages] == ["/a", "/b", "/b"]
    assert {topic.name: health.messages for topic, health in survey.health.topics.items()} == {"/a": 1, "/b": 2}


def test_a_channel_whose_schema_is_missing_says_so(tmp_path: Path) -> None:
    channel = record(0x04, struct.pack("<HH", 1, 9) + text("/a") + text("cdr") + struct.pack("<I", 0))

    ((found,), _) = messages_of(MAGIC + channel + sent_as(0), tmp_path, Notes())

    assert found.topic.defect == "the file does not hold its schema 9"


def test_more_definitions_than_memory_should_hold_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(definitions, "MAX_DEFINITIONS", 10_000)
    schemas = [
        record(0x03, struct.pack("<H", n) + text("a/B") + text("ros2msg") + text("x" * 1000)) for n in range(1, 12)
    ]

    with pytest.raises(PermanentError, match="too_many_schemas"):
        read(MAGIC + b"".join(schemas), tmp_path)
    assert read(MAGIC + schemas[0] * 100 + declared() + sent_as(0), tmp_path)[0] == [0]


def test_attachments_and_metadata_are_counted(tmp_path: Path) -> None:
    content = MAGIC + record(0x09, b"x" * 50) + record(0x0C, b"y") + record(0x0C, b"z") + declared() + sent_as(0)

    sequences, notes = read(content, tmp_path)

    assert sequences == [0]
    assert "1 attachment records were not converted" in notes.warnings
    assert "2 metadata records were not converted" in notes.warnings


def test_notes_are_bounded(tmp_path: Path) -> None:
    bad = record(0x05, b"short")

    _, notes = read(MAGIC + bad * 1000 + declared() + sent_as(0), tmp_path)

    assert len(notes.errors) == 100
    assert notes.warnings[-1] == "900 more notes were left out"


def test_a_channel_may_be_declared_without_messages(tmp_path: Path) -> None:
    messages, survey = messages_of(mcap([], declared=[NUMBERS, Channel("/x", "json")]), tmp_path, Notes())

    assert messages == []
    assert [topic.name for topic in survey.topics()] == ["/numbers", "/x"]


def test_metadata_of_a_channel_may_be_longer_than_it_says(tmp_path: Path) -> None:
    entries = text("key") + text("value")
    body = struct.pack("<HH", 1, 0) + text("/a") + text("json") + struct.pack("<I", len(entries) - 3) + entries

    channel = parse_channel(body)

    assert (channel.topic, channel.metadata) == ("/a", {"key": "value"})
    with pytest.raises(RecordDamaged, match="a channel record that cannot be read"):
        parse_channel(body[:-1])
