"""One conversion as a whole: the manifest, identical bytes, bounded memory, full disks, the first generator's files."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from fieldpipe.errors import PermanentError, TransientError
from fieldpipe.recordings.convert import convert as convert_file
from fieldpipe.recordings.locations import FolderTarget
from fieldpipe.recordings.single import convert_location
from fieldpipe.recordings.spool import Spool, full_disk_is_transient
from fieldpipe.recordings.synthetic import write_recording
from fieldpipe.store import ObjectStore
from tests.builders import MILLISECOND, START, csv_recording, mcap, robot_recording, ros2, sent, small_recording
from tests.unit.recordings.conftest import Convert


def unconnected() -> ObjectStore:
    raise AssertionError("a local conversion connects to nothing")


def test_the_manifest_describes_every_output(convert: Convert) -> None:
    content = mcap(sent(ros2("/a", "int64 x", "a_msgs/msg/A"), {"x": 1}, {"x": 2}))

    result = convert(content)

    table = result.files["a.csv"]
    assert result.manifest == {
        "source": {
            "bucket": "",
            "key": "recording1.mcap",
            "etag": hashlib.sha256(content).hexdigest(),
            "size": len(content),
        },
        "pipeline_version": 2,
        "kind": "mcap",
        "outputs": [
            {
                "name": "a.csv",
                "kind": "table",
                "topic": "/a",
                "schema": "a_msgs/msg/A",
                "rows": 2,
                "bytes": len(table),
                "sha256": hashlib.sha256(table).hexdigest(),
            }
        ],
        "totals": {"outputs": 1, "tables": 1, "rows": 2, "bytes": len(table)},
        "warnings": [],
        "errors": [],
        "health": {
            "finished": True,
            "chunks": 1,
            "chunks_without_crc": 0,
            "chunks_damaged": 0,
            "chunks_skipped": 0,
            "messages": 2,
            "first_log_time": START,
            "last_log_time": START + MILLISECOND,
        },
        "topics": [
            {
                "topic": "/a",
                "encoding": "cdr",
                "schema": "a_msgs/msg/A",
                "schema_encoding": "ros2msg",
                "messages": 2,
                "bytes": 24,
                "first_log_time": START,
                "last_log_time": START + MILLISECOND,
                "rate_hz": 1000.0,
                "out_of_order": 0,
                "gaps": 0,
                "longest_gap_seconds": 0.0,
            }
        ],
    }


def test_the_same_recording_gives_the_same_bytes(convert: Convert) -> None:
    content = robot_recording(seconds=1)

    first, second = convert(content), convert(content)

    assert first.files == second.files
    assert len(first.files) == 6 + 10


def test_a_truncated_recording_is_converted_with_a_warning(convert: Convert) -> None:
    content = robot_recording(seconds=3)

    result = convert(content[: len(content) // 2])

    assert result.manifest["errors"] == []
    assert result.manifest["warnings"]
    assert 0 < result.manifest["totals"]["rows"] < 3 * 361


def test_a_second_conversion_into_the_same_folder_finds_the_first(tmp_path: Path) -> None:
    source, target = tmp_path / "a.mcap", tmp_path / "out"
    source.write_bytes(small_recording(1))

    first = convert_location(str(source), str(target), unconnected)
    second = convert_location(str(source), str(target), unconnected)

    assert (first.was_there, second.was_there) == (False, True)
    assert first.manifest == second.manifest


def test_a_folder_with_other_results_is_left_alone(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"{number}.mcap").write_bytes(small_recording(number))
    convert_location(str(tmp_path / "1.mcap"), str(tmp_path / "out"), unconnected)
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    with pytest.raises(PermanentError, match=r"belongs to another recording \(1.mcap\)"):
        convert_location(str(tmp_path / "2.mcap"), str(tmp_path / "out"), unconnected)

    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


@pytest.mark.parametrize("left", [None, (), ("2.jpg", "3.jpg")], ids=["nothing", "an empty folder", "some files"])
def test_pictures_get_to_their_folder_whatever_a_killed_run_left_there(
    left: tuple[str, ...] | None, tmp_path: Path
) -> None:
    target = FolderTarget(tmp_path / "out")
    made = tmp_path / "made"
    for folder, names in ((made, ("1.jpg", "2.jpg", "3.jpg")), (target.folder / "camera", left)):
        if names is not None:
            folder.mkdir()
        for name in names or ():
            (folder / name).write_text(name)

    target.upload([("camera", made)])

    found = {path.name: path.read_text() for path in (target.folder / "camera").iterdir()}
    assert found == {name: name for name in ("1.jpg", "2.jpg", "3.jpg")}


def test_the_files_of_the_first_generator_convert(tmp_path: Path) -> None:
    source = tmp_path / "robot_log.mcap"
    source.write_bytes(csv_recording(rows=2))
    (tmp_path / "out").mkdir()

    conversion = convert_file(source, tmp_path / "out", processed_at="2026-01-01T00:00:00Z")

    header, *rows = source.read_text().splitlines()
    (output,) = conversion.outputs
    assert (conversion.kind, output.name, output.rows) == ("csv", "table.csv", 2)
    assert output.path.read_text().splitlines() == [
        f"{header},processed_flag,processed_at",
        *(f"{row},True,2026-01-01T00:00:00Z" for row in rows),
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"just a text",
        b"one,two\n1,2\n1,2,3\n",
        b'one,two\n"1,2\n',
        b"\x00\x01\x02,\x03\n" * 10,
        b"PK\x03\x04" + bytes(range(256)),
        "a,b\n1,é\n".encode("latin-1"),
        b"\x89MCA",
    ],
)
def test_anything_else_is_refused_as_not_mcap(content: bytes, tmp_path: Path) -> None:
    source = tmp_path / "a.mcap"
    source.write_bytes(content)

    with pytest.raises(PermanentError, match=r"^not_mcap: "):
        convert_location(str(source), str(tmp_path / "out"), unconnected)

    assert list((tmp_path / "out").iterdir()) == []
    assert source.read_bytes() == content


def test_a_full_disk_is_transient_and_leaves_nothing(tmp_path: Path) -> None:
    part = Spool(tmp_path).part("a.csv")
    part.path.unlink()
    part.path.symlink_to("/dev/full")
    part.write(b"row\n")

    with pytest.raises(TransientError, match=f"no space left in {tmp_path}"), full_disk_is_transient(tmp_path):
        part.flush()


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from fieldpipe.recordings.convert import convert\n"
        "convert(Path(sys.argv[1]), Path(sys.argv[2]), processed_at='')\n"
        "print(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])"
    )
    peaks = []
    for seconds in (2, 60):
        source, folder = tmp_path / f"{seconds}.mcap", tmp_path / f"out{seconds}"
        folder.mkdir()
        with source.open("wb") as file:
            write_recording(file, seed=1, start=START, seconds=seconds)
        run = subprocess.run(
            [sys.executable, "-c", script, str(source), str(folder)], check=True, capture_output=True, text=True
        )
        peaks.append(int(run.stdout))

    assert peaks[1] < peaks[0] + 24 * 1024, peaks  # kilobytes


def test_the_command_converts_without_any_store(tmp_path: Path) -> None:
    source = tmp_path / "a.mcap"
    source.write_bytes(robot_recording())

    run = command("convert_recording", str(source), "--out", str(tmp_path / "out"))

    assert run.returncode == 0, run.stderr
    assert "imu__data.csv" in run.stdout
    assert run.stdout.splitlines()[-1].endswith(f"{tmp_path}/out/manifest.json")
    assert json.loads((tmp_path / "out" / "manifest.json").read_bytes())["totals"]["tables"] == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("missing.mcap", "--out", "out"), "error: missing.mcap: cannot be read: No such file"),
        (("s3://bucket", "--out", "out"), "error: s3://bucket: give a bucket and a key"),
        (("s3://bucket/key", "--out", "out"), "MINIO_ENDPOINT"),
        (("--batch",), "needs FIELDPIPE_WORK, FIELDPIPE_RUN, FIELDPIPE_TRY in the environment"),
    ],
)
def test_the_command_says_what_to_do(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    run = command("convert_recording", *arguments)

    assert run.returncode == 65, run.stderr
    assert message in run.stderr
    assert "Traceback" not in run.stderr


def test_a_seed_makes_the_same_recording(tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert (
            command("generate_recording", "--seed", "5", "--seconds", "0.3", "--out", str(tmp_path / name)).returncode
            == 0
        )

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != robot_recording(seed=6, seconds=0.3)


def command(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script as a person would, with an empty environment."""
    return subprocess.run(
        [sys.executable, "-m", f"scripts.{script}", *arguments],
        capture_output=True,
        text=True,
        env={},
        check=False,
        timeout=60,
    )
