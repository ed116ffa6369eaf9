"""The compiled executor beside the reference: what is not about single cells."""

import ctypes
import os
import shutil
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path

import pytest

import fieldpipe
from fieldpipe.recordings.compiled import CompiledExecutor, load
from fieldpipe.recordings.decode import CdrDecoder
from fieldpipe.recordings.executor import TEXT_LIMIT, Content, Decoder, Executor, Scanned, Selection, Why
from fieldpipe.recordings.nativecode import Unavailable
from fieldpipe.recordings.plan import Plan, compile_plan
from fieldpipe.recordings.reference import ReferenceExecutor
from fieldpipe.recordings.ros2msg import parse
from tests.builders import robot_recording, ros2

needs_compiler = pytest.mark.skipif(not shutil.which("g++"), reason="no `g++` on PATH: nothing compiled to test")
NUMBERS = ros2("/numbers", "int64 number\nstring text")


@pytest.fixture(params=["compiled", "reference"])
def executor(request: pytest.FixtureRequest) -> Executor:
    """Each of the two."""
    if request.param == "reference":
        return ReferenceExecutor()
    if not shutil.which("g++"):
        pytest.skip("no `g++` on PATH: nothing compiled to test")
    return load()


def decoder() -> Decoder:
    assert NUMBERS.text is not None
    return CdrDecoder(compile_plan(parse(NUMBERS.schema, NUMBERS.text)))


def record(opcode: int, body: bytes) -> bytes:
    return struct.pack("<BQ", opcode, len(body)) + body


def message(channel: int, time: int, payload: bytes) -> bytes:
    return record(5, struct.pack("<HIQQ", channel, 7, time, time) + payload)


def numbered(channel: int, time: int, number: int, text: str = "") -> bytes:
    return message(channel, time, NUMBERS.encode({"number": number, "text": text}))


def rows(executor: Executor, content: Content, selection: Selection) -> dict[int, bytes]:
    """The text of every channel, however many calls it takes."""
    texts: dict[int, bytes] = {}
    at = 0
    while at < len(content):
        made = executor.convert(content, at, len(content), selection)
        for part in made.rows:
            texts[part.channel] = texts.get(part.channel, b"") + bytes(part.text)
        at = made.stop
        made.release()
    return texts


def test_rows_of_channels_stand_apart_and_in_order(executor: Executor) -> None:
    content = b"".join(numbered(channel, 10 * index, index) for index, channel in enumerate((3, 900, 3)))

    assert rows(executor, content, Selection({3: decoder(), 900: decoder()})) == {
        3: b"0,0,7,0,\n20,20,7,2,\n",
        900: b"10,10,7,1,\n",
    }


def test_a_channel_that_nobody_asked_for_and_times_outside_of_the_window_are_skipped(executor: Executor) -> None:
    content = b"".join(numbered(channel, time, time) for channel in (1, 2, 65535) for time in (1, 2, 3))

    assert rows(executor, content, Selection({2: decoder()}, start=2, end=3)) == {2: b"2,2,7,2,\n"}
    assert rows(executor, content, Selection({2: decoder()}, start=2, end=2)) == {}
    assert rows(executor, content, Selection({})) == {}


def test_what_is_left_to_the_caller_says_where_it_is_and_why(executor: Executor) -> None:
    records = [numbered(1, 1, 1), message(1, 2, b"\0\1\0\0short"), numbered(2, 3, 3), numbered(1, 4, 4)]
    starts = list(accumulate(map(len, records), initial=0))

    made = executor.convert(b"".join(records), 0, starts[-1], Selection({1: decoder(), 2: None}))

    assert [tuple(left) for left in made.left] == [
        (Why.UNDECODABLE, 1, starts[1] + 9, starts[2]),
        (Why.ASKED, 2, starts[2] + 9, starts[3]),
    ]
    assert [(part.channel, part.lines, bytes(part.text)) for part in made.rows] == [(1, 2, b"1,1,7,1,\n4,4,7,4,\n")]
    assert made.stop == starts[-1]


def test_a_block_that_makes_much_text_is_done_in_several_calls(executor: Executor) -> None:
    content = b"".join(numbered(1, time, time, "x" * 100_000) for time in range(400))

    first = executor.convert(content, 0, len(content), Selection({1: decoder()}))

    assert TEXT_LIMIT <= sum(len(part.text) for part in first.rows) < TEXT_LIMIT + 200_000
    assert first.stop < len(content)
    whole = rows(executor, content, Selection({1: decoder()}))[1]
    assert whole.count(b"\n") == 400
    assert whole == b"".join(b"%d,%d,7,%d,%s\n" % (time, time, time, b"x" * 100_000) for time in range(400))


def test_scanning_counts_messages_definitions_and_what_cannot_be(executor: Executor) -> None:
    times = (5, 5, 6, 1_000_000_005, 3, 2**63, 2**64 - 1)
    whole = [numbered(4, time, 1) for time in times]
    records = [*whole, record(3, b"schema"), record(4, b"channel"), record(9, b""), record(5, b"short")]
    content = b"".join(records) + record(5, b"cut off")[:-1]

    seen = executor.scan(content, 0, len(content))

    assert seen.end == len(b"".join(records))
    assert [(opcode, content[start:end]) for opcode, start, end in seen.definitions] == [
        (3, b"schema"),
        (4, b"channel"),
    ]
    assert [content[start:end] for start, end in seen.refused] == [b"short"]
    (tally,) = seen.tallies.values()
    assert (tally.messages, tally.first, tally.last, tally.least, tally.most) == (7, 5, 2**64 - 1, 3, 2**64 - 1)
    assert tally.backwards == 1
    assert sum(tally.intervals.values()) == 5


@needs_compiler
def test_both_executors_put_intervals_into_the_same_buckets() -> None:
    steps = sorted({max(2**power + more, 0) for power in range(63) for more in (-1, 0, 1, 2 ** max(power - 2, 0))})[
        :200
    ]
    content = b"".join(numbered(1, time, 0) for time in accumulate(steps[:180], initial=0) if time < 2**64)

    compiled, reference = (executor.scan(content, 0, len(content)) for executor in (load(), ReferenceExecutor()))

    assert vars(compiled.tallies[1]) == vars(reference.tallies[1])
    assert compiled._replace(tallies={}) == reference._replace(tallies={})


BLOCKS = {
    "rows": numbered(1, 5, 1) + numbered(2, 6, 2),
    "nothing": b"",
    "a definition": record(4, b"channel") + numbered(1, 5, 1),
    "another kind of record": record(9, b"") + numbered(1, 5, 1),
    "an unknown channel": numbered(1, 5, 1) + numbered(3, 5, 1),
    "a message that is asked for": numbered(1, 5, 1) + numbered(4, 5, 1),
    "a payload that does not decode": numbered(1, 5, 1) + message(1, 6, b"bad"),
    "a length that cannot be": numbered(1, 5, 1) + record(5, b"short"),
    "a record that is cut off": numbered(1, 5, 1) + numbered(1, 6, 1)[:-1],
    "much text": numbered(1, 5, 1, "x" * TEXT_LIMIT) + numbered(1, 6, 1),
    "another time": numbered(1, 500, 1),
}
PLAIN = {"rows", "nothing", "a definition", "another kind of record", "another time"}


@pytest.mark.parametrize("name", BLOCKS)
def test_a_whole_block_is_scanned_and_converted_and_plain_if_it_makes_nothing_but_rows(
    name: str, executor: Executor
) -> None:
    content = BLOCKS[name]
    selection = Selection({1: decoder(), 2: decoder(), 4: None}, end=100)

    whole = executor.whole(content, selection)

    scanned = executor.scan(content, 0, len(content))
    converted = executor.convert(content, 0, scanned.end, selection)
    assert whole.is_plain == (name in PLAIN)
    assert whole.definitions == scanned.definitions
    assert described(whole.scanned) == described(scanned)
    assert (whole.converted.stop, whole.converted.left) == (converted.stop, converted.left)
    assert [(*rows[:3], bytes(rows.text)) for rows in whole.converted.rows] == [
        (*rows[:3], bytes(rows.text)) for rows in converted.rows
    ]


def described(scanned: Scanned) -> tuple[object, ...]:
    return scanned._replace(tallies={}), {channel: vars(tally) for channel, tally in scanned.tallies.items()}


def test_blocks_together_are_like_one(executor: Executor) -> None:
    times = [5, 5, 9, 3, 1000, 10**12, 10**12 - 1, 10**12 + 5]
    records = [numbered(1 + (index % 3 == 0), time, index) for index, time in enumerate(times)]
    selection = Selection({1: decoder(), 2: decoder()})
    for step in (1, 2, 3, 8):
        blocks = [b"".join(records[at : at + step]) for at in range(0, len(records), step)]
        totals = executor.totals()
        for block in blocks:
            totals.add(executor.whole(block, selection))

        together = executor.scan(b"".join(blocks), 0, len(b"".join(blocks)))

        assert {channel: vars(tally) for channel, tally in totals.take().items()} == described(together)[1]
        assert totals.take() == {}


class Slow(CdrDecoder):
    """Notes who asks for the plan, and has them wait."""

    def __init__(self, plan: Plan) -> None:
        self.askers: set[int] = set()
        super().__init__(plan)

    @property
    def plan(self) -> Plan:  # type: ignore[override]
        self.askers.add(threading.get_ident())
        time.sleep(0.05)
        return self._plan

    @plan.setter
    def plan(self, plan: Plan) -> None:
        self._plan = plan


@needs_compiler
def test_one_thread_prepares_a_selection_that_several_begin_with() -> None:
    slow = Slow(decoder().plan)
    selection, executor, together = Selection({1: slow}), load(), threading.Barrier(4)

    def convert(_: int) -> int:
        together.wait(10)
        return executor.whole(BLOCKS["rows"], selection).converted.rows[0].lines

    with ThreadPoolExecutor(4) as threads:
        assert [*threads.map(convert, range(4))] == [1] * 4
    assert len(slow.askers) == 1


@needs_compiler
def test_threads_that_convert_at_the_same_time_do_not_meet() -> None:
    blocks = [b"".join(numbered(1, time, seed * time, f"{seed}") for time in range(5000)) for seed in range(16)]
    selection = Selection({1: decoder()})
    executor = load()
    alone = [rows(executor, block, selection) for block in blocks]

    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda block: rows(executor, block, selection), blocks))

    assert together == alone


@needs_compiler
def test_a_library_of_other_sources_is_not_used(tmp_path: Path) -> None:
    source = tmp_path / "other.c"
    source.write_text(
        'const char *fieldpipe_names() { return "CDR"; }\nunsigned long fieldpipe_layout() { return 0; }\n'
    )
    names = ["plan", "plan_free", "scan", "scan_add", "scan_show", "convert", "whole"]
    names += [f"{what}_{action}" for what in ("scan", "result", "whole") for action in ("new", "free")]
    with source.open("a") as file:
        file.writelines(f"void fieldpipe_{name}() {{}}\n" for name in names)
    subprocess.run(["gcc", "-shared", "-fPIC", source, "-o", tmp_path / "other.so"], check=True)

    with pytest.raises(Unavailable, match="other sources"):
        CompiledExecutor(ctypes.CDLL(str(tmp_path / "other.so")))


@pytest.fixture
def uncompiled(tmp_path: Path) -> dict[str, str]:
    """An environment whose fieldpipe was installed without a compiler."""
    package = Path(next(iter(fieldpipe.__path__)))
    shutil.copytree(package, tmp_path / "plugins" / "fieldpipe", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    return os.environ | {"PYTHONPATH": os.pathsep.join((str(tmp_path / "plugins"), str(Path.cwd())))}


def test_without_a_compiler_recordings_are_converted_and_one_line_says_how_to_be_faster(
    uncompiled: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "run.mcap").write_bytes(robot_recording())
    command = [sys.executable, "-m", "scripts.convert_recording", str(tmp_path / "run.mcap"), "--out"]

    slow = subprocess.run(
        [*command, str(tmp_path / "slow")], env=uncompiled, capture_output=True, text=True, check=True
    )
    subprocess.run([*command, str(tmp_path / "fast")], check=True)

    assert slow.stderr.count("install a C++ compiler") == 1
    made = {side: {f.name: f.read_bytes() for f in (tmp_path / side).rglob("*.csv")} for side in ("slow", "fast")}
    assert made["slow"] == made["fast"] != {}
