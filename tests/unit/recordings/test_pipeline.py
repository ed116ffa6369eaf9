"""A conversion gives the same bytes whoever works on it, and however it is cut into pieces."""

import os
import random
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from threading import Event

import pytest
from mcap.opcode import Opcode
from mcap.writer import CompressionType

from fieldpipe.recordings import chunks, container, pipeline, sourcesum
from fieldpipe.recordings import convert as module
from fieldpipe.recordings.convert import convert_from
from fieldpipe.recordings.executor import Content, Selection, Totals, Whole
from fieldpipe.recordings.executor import Converted as Made
from fieldpipe.recordings.options import Options
from fieldpipe.recordings.reader import LocalReader
from fieldpipe.recordings.reference import ReferenceExecutor
from fieldpipe.store import StoreUnavailable
from tests.builders import (
    MAGIC,
    START,
    Channel,
    MemoryReader,
    chunks_of,
    json_topic,
    mcap,
    records,
    robot_recording,
    ros2,
    sent,
)
from tests.unit.recordings.conftest import Convert, Converted

SECOND = 1_000_000_000
MEBIBYTE = 1024 * 1024
LIBRARIES = {"minio", "pydantic", "urllib3", "structlog", "rich", "airflow", "pandas", "numpy", "google.protobuf"}
# each dataclass takes half a millisecond to define, and what defines them five to import
HEAVY = LIBRARIES | {"dataclasses", "inspect", "decimal", "lz4", "fieldpipe.recordings.check"}


def mixed(chunk_size: int = 5000) -> bytes:
    """Tables, pictures, raw payloads, rows of a list, times that go backwards, several chunks."""
    dice = random.Random(1)
    camera = ros2("/cam", "string format\nuint8[] data", "sensor_msgs/msg/CompressedImage")
    numbers = ros2("/numbers", "int64 number\nstring[] names")
    status = json_topic("/status", {"type": "object", "properties": {"ok": {"type": "boolean"}}})
    odd = Channel("/odd", "octets")
    messages = []
    for index in range(400):
        time = START + index * SECOND - (SECOND * 3 if index % 50 == 0 else 0)
        value = {"number": index, "names": ["a,b", "x" * dice.randrange(40)]}
        payload = numbers.encode(value) if index % 37 else b"\0\1\0\0bad"
        messages += [
            (numbers, time, payload),
            (status, time, b'{"ok":true}' if index % 11 else b'{"ok":false,"why":1}'),
            (odd, time, bytes(index % 7)),
        ]
        messages += [(camera, time, camera.encode({"format": "jpeg", "data": bytes(200)}))] if index % 20 == 0 else []
    return mcap(messages, chunk_size=chunk_size)


def damaged() -> bytes:
    """One chunk in the middle does not have its CRC, and the end is missing."""
    content = bytearray(mixed())
    content[len(content) // 3] ^= 0x10
    return bytes(content[: len(content) * 3 // 4])


def unchunked() -> bytes:
    """Numbers that change their meaning between records."""
    first, second = ros2("/a", "int64 x"), ros2("/b", "string y")
    return mcap([*sent(first, *({"x": n} for n in range(300))), *sent(second, {"y": "z"})], chunked=False)


def renamed() -> bytes:
    """Small chunks. In every third one the number that all messages have gets another meaning."""
    values = [{"x": x} for x in range(100)]
    parts = [mcap(sent(ros2(f"/topic{number}", "int64 x"), *values), chunk_size=1500) for number in range(9)]
    return MAGIC + b"".join(chunk for part in parts for chunk in chunks_of(part))


def plain() -> bytes:
    """Nothing but rows, in many chunks; the times of one topic go back between two of them."""
    numbers, texts = ros2("/numbers", "int64 x"), ros2("/texts", "string y", "test_msgs/msg/Text")
    before = [*sent(numbers, *({"x": x} for x in range(200))), *sent(texts, *({"y": "z" * y} for y in range(60)))]
    return mcap([*before, *sent(numbers, *({"x": x} for x in range(200)))], chunk_size=700)


def repeated() -> bytes:
    """Every chunk says again what its numbers mean."""
    numbers, texts = ros2("/numbers", "int64 x"), ros2("/texts", "string y", "test_msgs/msg/Text")
    parts = [mcap([*sent(numbers, {"x": x}), *sent(texts, {"y": f"{x}"})], chunk_size=10**6) for x in range(40)]
    return MAGIC + b"".join(chunk for part in parts for chunk in chunks_of(part))


def redefined() -> bytes:
    """A number gets another meaning in a chunk that holds no message of it."""
    first, second, other = ros2("/first", "int64 x"), ros2("/second", "int64 x"), json_topic("/other")
    values, status = [{"x": x} for x in range(100)], [(other, START, b'{"ok":true}')]
    before = mcap([*sent(first, *values), *status], chunk_size=300)
    between = mcap(status, declared=[second, other])
    behind = mcap(sent(second, *values), chunk_size=300)
    return MAGIC + b"".join([*chunks_of(before), *chunks_of(between), *chunks_of(behind)[1:]])


MADE = (mixed, damaged, unchunked, renamed, plain, repeated, redefined)
RECORDINGS = {made.__name__: made() for made in MADE} | {"robot": robot_recording(seconds=3)}


@pytest.fixture(autouse=True)
def no_recording_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else one worker would do for all of these."""
    monkeypatch.setattr(module, "SMALL", 0)


def same(first: Converted, second: Converted) -> bool:
    """Everything but the name of the source."""
    manifests = [{**made.manifest, "source": {}} for made in (first, second)]
    return first.files == second.files and manifests[0] == manifests[1]


@pytest.mark.parametrize("name", RECORDINGS)
@pytest.mark.parametrize("workers", [2, 4])
def test_the_number_of_workers_changes_nothing(name: str, workers: int, convert: Convert) -> None:
    alone = convert(RECORDINGS[name], Options(workers=1))

    assert len(alone.files) > 1
    assert same(convert(RECORDINGS[name], Options(workers=workers)), alone)


@pytest.mark.parametrize("name", RECORDINGS)
@pytest.mark.parametrize("options", [Options(), Options(workers=1), Options(topics=("/odd", "/b"))])
@pytest.mark.parametrize(("size", "worth", "most"), [(100, 1, 10**9), (100, 300, 1000), (10**6, 10**6, 10**6)])
def test_the_sum_of_the_source_is_that_of_its_bytes(
    name: str, options: Options, size: int, worth: int, most: int, convert: Convert, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sourcesum, "AT_ONCE", size)
    monkeypatch.setattr(sourcesum, "WORTH", worth)
    monkeypatch.setattr(sourcesum, "MOST", most)

    assert convert(RECORDINGS[name], options).manifest["source"]["etag"] == sha256(RECORDINGS[name]).hexdigest()


@pytest.mark.parametrize("name", RECORDINGS)
@pytest.mark.parametrize(("piece", "text"), [(1, 1), (700, 10**9), (10**9, 300)])
def test_the_size_of_pieces_changes_nothing(
    name: str, piece: int, text: int, convert: Convert, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = convert(RECORDINGS[name])

    monkeypatch.setattr(pipeline, "PIECE", piece)
    monkeypatch.setattr(pipeline, "TEXT_LIMIT", text)
    monkeypatch.setattr(chunks, "IN_MEMORY", piece)
    monkeypatch.setattr(container, "_FIRST_RUN", piece)
    monkeypatch.setattr(pipeline, "IN_FLIGHT", piece)

    assert same(convert(RECORDINGS[name], Options(workers=2)), whole)


@pytest.mark.parametrize("name", RECORDINGS)
def test_the_executor_changes_nothing(name: str, convert: Convert, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = convert(RECORDINGS[name])
    monkeypatch.setattr(module, "executor", ReferenceExecutor)

    assert same(convert(RECORDINGS[name], Options(workers=3)), fast)


class Eventful(MemoryReader):
    """A recording in the middle of which something happens; counts how often it is read."""

    def __init__(self, content: bytes, happen: Callable[[], None] = lambda: None) -> None:
        super().__init__(content)
        self.reads = self.bytes = 0
        self._happen = happen

    def read(self, start: int, length: int) -> bytes:
        self.reads += 1
        self.bytes += length
        if self.size // 3 < start < self.size * 2 // 3:
            self._happen()
        return super().read(start, length)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_recording_that_is_cut_short_meanwhile_has_the_sum_of_what_is_left(workers: int, tmp_path: Path) -> None:
    content, left = mixed(), len(mixed()) // 2
    path = tmp_path / "a.mcap"
    path.write_bytes(content)
    (folder := tmp_path / "results").mkdir()
    with LocalReader(path) as reader:
        os.truncate(path, left)
        taken = sourcesum.SourceSum(reader)
        options = Options(workers=workers)
        convert_from(MemoryReader(content), folder, processed_at="", options=options, source_sum=taken)

        assert taken.hexdigest() == sha256(content[:left]).hexdigest()


@pytest.mark.parametrize("workers", [1, 2])
def test_chunks_are_not_read_again_for_the_sum(workers: int, tmp_path: Path) -> None:
    octets, dice = ros2("/octets", "uint8[] x"), random.Random(1)
    messages = [(octets, START, octets.encode({"x": dice.randbytes(1000)})) for _ in range(2000)]
    content = mcap(messages, chunk_size=100_000)
    reader = Eventful(content)
    taken = sourcesum.SourceSum(reader)

    convert_from(reader, tmp_path, processed_at="", options=Options(workers=workers), source_sum=taken)

    assert taken.hexdigest() == sha256(content).hexdigest()
    assert reader.bytes < 1.3 * len(content)


def test_what_lies_between_two_chunks_is_read_once(tmp_path: Path) -> None:
    topics = [ros2(f"/{name}", "uint8 x") for name in "abcd"]
    messages = [(topic, START, topic.encode({"x": 1})) for _ in range(8000) for topic in topics]
    content = mcap(messages, chunk_size=50_000, compression=CompressionType.NONE)
    reader = Eventful(content)
    taken = sourcesum.SourceSum(reader)

    convert_from(reader, tmp_path, processed_at="", options=Options(workers=1), source_sum=taken)

    assert taken.hexdigest() == sha256(content).hexdigest()
    assert reader.bytes < 1.1 * len(content)
    assert reader.reads < 3 * len(chunks_of(content)), "a chunk has four indexes of 6 kB"


@pytest.mark.parametrize("name", RECORDINGS)
@pytest.mark.parametrize("length", [0, 1, 5000, 2**40, 2**64 - 1])
def test_a_summary_that_lies_about_the_length_of_indexes_changes_nothing(
    name: str, length: int, convert: Convert
) -> None:
    lying = with_index_lengths(RECORDINGS[name], length)

    for workers in (1, 3):
        made, honest = (convert(content, Options(workers=workers)) for content in (lying, RECORDINGS[name]))
        assert made.files == honest.files
        assert made.manifest["totals"] == honest.manifest["totals"]
        assert made.manifest["source"]["etag"] == sha256(lying).hexdigest()


def with_index_lengths(content: bytes, length: int) -> bytes:
    """The same recording; the summary says of every chunk that its indexes have that length."""
    if not content.endswith(MAGIC):
        return content  # it has no summary
    lying = bytearray(content)
    for opcode, start, _ in records(content):
        if opcode == Opcode.CHUNK_INDEX:
            (offsets,) = struct.unpack_from("<I", content, start + 9 + 32)
            struct.pack_into("<Q", lying, start + 9 + 36 + offsets, length)
    lying[-len(MAGIC) - 4 : -len(MAGIC)] = bytes(4)  # no CRC
    return bytes(lying)


class Adding(ReferenceExecutor):
    """Counts blocks that were taken in as plain ones."""

    def __init__(self) -> None:
        super().__init__()
        self.added = 0

    def totals(self) -> Totals:
        made = super().totals()
        add = made.add

        def counted(whole: Whole) -> None:
            self.added += 1
            add(whole)

        made.add = counted  # type: ignore[method-assign]
        return made


@pytest.mark.parametrize("name", ["plain", "repeated"])
def test_most_blocks_need_nothing_but_their_rows(name: str, convert: Convert, monkeypatch: pytest.MonkeyPatch) -> None:
    adding = Adding()
    monkeypatch.setattr(module, "executor", lambda: adding)
    count = len(chunks_of(RECORDINGS[name]))

    convert(RECORDINGS[name], Options(workers=1))

    assert count > 20
    assert count - 10 <= adding.added < count


def test_a_number_means_what_was_said_last(convert: Convert) -> None:
    made = convert(RECORDINGS["redefined"])

    first, second = (made.files[name].splitlines() for name in ("first.csv", "second.csv"))
    assert [row.rpartition(b",")[2] for row in first[1:]] == [b"%d" % x for x in range(100)]
    assert [row.rpartition(b",")[2] for row in second[1:]] == [b"%d" % x for x in range(101 - len(second), 100)]
    assert len(second) > 80


class Counting(ReferenceExecutor):
    """Counts what was made, and what was given back."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[Made] = []
        self.released: list[Made] = []

    def convert(self, content: Content, start: int, end: int, selection: Selection) -> Made:
        made = super().convert(content, start, end, selection)
        self.made.append(made)
        made.release = lambda: self.released.append(made)  # type: ignore[method-assign]
        return made


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("name", ["mixed", "renamed"])
def test_what_was_guessed_wrong_is_made_again_and_everything_given_back_once(
    name: str, workers: int, convert: Convert, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = Counting()
    monkeypatch.setattr(module, "executor", lambda: counting)
    count = len(chunks_of(RECORDINGS[name]))

    convert(RECORDINGS[name], Options(workers=workers))

    again = len(counting.made) - count
    if name == "mixed":
        assert again == 0
    else:  # where others load meanwhile, how often they guess is up to chance
        assert (0 if workers > 1 else 1) <= again < count
    assert sorted(map(id, counting.released)) == sorted(map(id, counting.made))


class Waiting(ReferenceExecutor):
    """Where nobody finds anything to do any more, the conversion of this number ends; counts those begun meanwhile."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.begun = self.meanwhile = 0
        self._number = number
        self._lock = threading.Lock()
        self._more = Event()

    def convert(self, content: Content, start: int, end: int, selection: Selection) -> Made:
        with self._lock:
            number = self.begun
            self.begun += 1
        self._more.set()
        if number == self._number:
            while self._more.wait(1):
                self._more.clear()
            self.meanwhile = self.begun - number - 1
        return super().convert(content, start, end, selection)


@pytest.mark.parametrize("workers", [2, 4])
@pytest.mark.parametrize("large", [False, True])
def test_few_results_wait_for_one_that_takes_long(
    large: bool, workers: int, convert: Convert, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Waiting(number=50 if large else 0)
    monkeypatch.setattr(module, "executor", lambda: slow)
    numbers, values = ros2("/numbers", "uint8[] x"), [{"x": [200] * 100}] * 1000
    recording = mcap(sent(numbers, *values), chunk_size=500)
    least, most = 1, (pipeline.LOADED_AHEAD + pipeline.CONVERTED_AHEAD) * workers
    if large:  # it is the text that is: four messages of 140 bytes a chunk make four rows of 440
        monkeypatch.setattr(pipeline, "IN_FLIGHT", 3 * 4 * (140 + 440))
        least, most = 0, 3 + workers - 1  # those before it may begin later than it, and all behind it earlier

    convert(recording, Options(workers=workers))

    assert slow.begun > 100
    assert least <= slow.meanwhile <= most


def test_a_number_that_gets_a_meaning_nobody_wants_makes_no_more_rows(convert: Convert) -> None:
    a, b, c = (ros2(topic, "int64 x") for topic in ("/a", "/b", "/c"))
    parts = [mcap([*sent(first, {"x": 1}), *sent(c, {"x": 2})]) for first in (a, b)]  # the first ones have number 1
    recording = MAGIC + b"".join(chunk for part in parts for chunk in chunks_of(part))

    made = convert(recording, Options(topics=("/a", "/c")))

    assert {name: content.count(b"\n") for name, content in made.files.items()} == {"a.csv": 2, "c.csv": 3}


def unavailable() -> None:
    raise StoreUnavailable("the store is gone")


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_store_that_goes_away_in_the_middle_ends_the_conversion(workers: int, tmp_path: Path) -> None:
    before = threading.active_count()
    with pytest.raises(StoreUnavailable, match="the store is gone"):
        convert_from(Eventful(mixed(), unavailable), tmp_path, processed_at="", options=Options(workers=workers))

    assert threading.active_count() == before


@pytest.fixture
def interrupts() -> Iterator[None]:
    """What a script has started in the background ignores them; not meanwhile."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_an_interrupt_ends_the_conversion_soon(workers: int, tmp_path: Path) -> None:
    once, slow = iter([signal.SIGINT]), Event()

    def interrupt() -> None:
        for number in once:
            os.kill(os.getpid(), number)
        slow.wait(0.01)

    content = mixed(chunk_size=300)
    (all_read := tmp_path / "all").mkdir()
    (interrupted := tmp_path / "interrupted").mkdir()
    whole, part = Eventful(content), Eventful(content, interrupt)
    convert_from(whole, all_read, processed_at="", options=Options(workers=workers))
    with pytest.raises(KeyboardInterrupt):
        convert_from(part, interrupted, processed_at="", options=Options(workers=workers))

    assert part.reads < whole.reads * 2 // 3


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("chunk_size", [8 * MEBIBYTE, 100 * MEBIBYTE])
def test_memory_is_bounded_however_large_chunks_are(workers: int, chunk_size: int, tmp_path: Path) -> None:
    numbers, octets = ros2("/numbers", "uint32[] numbers"), Channel("/octets", "octets")
    payload = random.Random(1).randbytes(MEBIBYTE)
    rows = [numbers.encode({"numbers": struct.unpack("<65536I", payload[: 4 * 65536])})] * 40
    messages = [*((numbers, START, row) for row in rows), *((octets, START, payload) for _ in range(120))]
    source = tmp_path / "a.mcap"
    source.write_bytes(mcap(messages, chunk_size=chunk_size))
    script = (
        "import sys; from pathlib import Path; from scripts.convert_recording import main\n"
        f"sys.argv = ['convert', {str(source)!r}, '--out', {str(tmp_path / 'out')!r}, '--workers', '{workers}']\n"
        "assert main() == 0\n"
        "print(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0], file=sys.stderr)"
    )

    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)

    assert int(run.stderr.splitlines()[-1]) <= 200 * 1024


def test_a_conversion_by_hand_imports_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    source = tmp_path / "a.mcap"
    source.write_bytes(robot_recording())
    script = (
        "import sys; from scripts.convert_recording import main\n"
        f"sys.argv = ['convert', {str(source)!r}, '--out', {str(tmp_path / 'out')!r}]\n"
        "assert main() == 0\n"
        f"print(*sorted({HEAVY} & {{*sys.modules}}), file=sys.stderr)"
    )

    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)

    assert run.stderr == "\n"
