"""Files made to do harm: they cost neither time nor memory (the facts' rule 13)."""

import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import lz4.frame
import pytest
import zstandard

from fieldpipe.errors import PermanentError
from tests.builders import MAGIC, Channel, mcap
from tests.unit.recordings.conftest import Convert

SECONDS, MEBIBYTES = 0.1, 64  # of CPU, at best, and of memory besides what any conversion takes
PROBE = """
import json, shutil, sys, time
from pathlib import Path
from fieldpipe.errors import PermanentError
from fieldpipe.recordings.convert import convert

def peak():  # not ru_maxrss: that is handed down by the process that started this one
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) // 1024

def run(path):
    folder = Path(path).with_suffix(".out")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    began = time.process_time()
    try:
        made = convert(Path(path), folder, processed_at="")
        notes = [*made.errors, *made.warnings]
    except PermanentError as error:
        notes = [str(error)]
    return time.process_time() - began, notes

run(sys.argv[1])
before = peak()
runs = [run(sys.argv[2]) for _ in range(3)]
print(json.dumps([min(seconds for seconds, _ in runs), peak() - before, runs[0][1]]))
"""


def record(opcode: int, body: bytes) -> bytes:
    return struct.pack("<BQ", opcode, len(body)) + body


def text(value: str) -> bytes:
    return struct.pack("<I", len(value)) + value.encode()


def channel(number: int, topic: str) -> bytes:
    return record(4, struct.pack("<HH", number, 0) + text(topic) + text("octets") + struct.pack("<I", 0))


def message(number: int) -> bytes:
    return record(5, struct.pack("<HIQQ", number, 0, 0, 0))


def chunk(data: bytes, *, size: int, compression: str, crc: int = 0) -> bytes:
    head = struct.pack("<QQQI", 0, 0, size, crc)
    return record(6, head + text(compression) + struct.pack("<Q", len(data)) + data)


def zstd(size: int) -> bytes:
    return zstandard.ZstdCompressor().compress(bytes(size))


GOOD = channel(1, "/good") + message(1)
LARGE = 256 * 1024 * 1024
HOSTILE = {
    "a record that claims almost everything": MAGIC + GOOD + struct.pack("<BQ", 5, 2**63),
    "a chunk that claims almost everything": MAGIC + chunk(b"x", size=2**63, compression="zstd") + GOOD,
    "a bomb that says how large it is": MAGIC + chunk(zstd(LARGE), size=LARGE, compression="zstd") + GOOD,
    "a bomb that says it is small": MAGIC + chunk(zstd(LARGE), size=1000, compression="zstd") + GOOD,
    "a bomb of lz4": MAGIC + chunk(lz4.frame.compress(bytes(LARGE)), size=1000, compression="lz4") + GOOD,
    "a bomb without a size": MAGIC
    + chunk(zstandard.ZstdCompressor(write_content_size=False).compress(bytes(LARGE)), size=1000, compression="zstd")
    + GOOD,
    "a frame that wants a window of gigabytes": MAGIC
    + chunk(b"\x28\xb5\x2f\xfd\x00\xa8" + bytes(20), size=1000, compression="zstd")
    + GOOD,
    "a name of a compression without an end": MAGIC
    + record(6, struct.pack("<QQQII", 0, 0, 10, 0, 2**32 - 1) + bytes(50))
    + GOOD,
    "a schema whose text claims gigabytes": MAGIC
    + record(3, struct.pack("<H", 1) + struct.pack("<I", 2**31) + b"name")
    + GOOD,
    "metadata in a map that claims gigabytes": MAGIC
    + record(4, struct.pack("<HH", 7, 0) + text("/x") + text("json") + struct.pack("<I", 2**32 - 1))
    + GOOD,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_was_made_to_do_harm_does_none(name: str, tmp_path: Path) -> None:
    usual, path = tmp_path / "usual.mcap", tmp_path / "hostile.mcap"
    usual.write_bytes(MAGIC + GOOD)
    path.write_bytes(HOSTILE[name])

    run = subprocess.run(
        [sys.executable, "-c", PROBE, str(usual), str(path)], check=True, capture_output=True, text=True, timeout=60
    )

    seconds, extra, notes = json.loads(run.stdout)
    assert seconds <= SECONDS
    assert extra <= MEBIBYTES
    assert len(notes) >= 2, notes  # no footer, and what is wrong besides
    assert (tmp_path / "hostile.out" / "00000.raw.csv").read_bytes().count(b"\n") == 2, "the good message"


def test_a_hundred_thousand_topics_are_refused_clearly(convert: Convert) -> None:
    topics = b"".join(channel(number % 65536, f"/t{number}") + message(number % 65536) for number in range(100_000))

    with pytest.raises(PermanentError, match=r"^too_many_topics: more than 4096; split the recording$"):
        convert(MAGIC + topics)


def test_as_many_declared_channels_as_there_are_numbers_are_refused_before_anything_is_made(convert: Convert) -> None:
    content = mcap([], declared=[Channel(f"/t{number}", "octets") for number in range(5000)])

    with pytest.raises(PermanentError, match="too_many_topics"):
        convert(content)


def test_chunks_that_hold_a_thousand_times_their_bytes_together_are_refused(convert: Convert) -> None:
    inner = bytes(60 * 1024 * 1024)
    one = chunk(zstd(len(inner)), size=len(inner), compression="zstd", crc=zlib.crc32(inner) ^ 1)

    with pytest.raises(PermanentError, match=r"^bomb: "):
        convert(MAGIC + one * 75)


def test_a_number_that_changes_its_meaning_with_every_message_ends_in_a_refusal(convert: Convert) -> None:
    changing = b"".join(channel(1, f"/t{number}") + message(1) for number in range(4097))

    with pytest.raises(PermanentError, match="too_many_topics"):
        convert(MAGIC + changing)
