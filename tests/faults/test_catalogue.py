"""The table in README.md is true: every fault that has to be survived has tests, and they exist."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.fault

ROOT = Path(__file__).parents[2]
ROWS = re.findall(r"^\| (F-[^|]+) \|[^|]*\| (.+) \|$", (Path(__file__).parent / "README.md").read_text(), re.M)
EVENTS = ("E1", "E3", "E4", "E5", "E6", "E8", "E9", "E10", "E12", "E14", "E15", "E18")
CAMERAS = (f"K{number}" for number in range(1, 9))
BROKER = (f"B{number}" for number in range(1, 7))
SENTINEL = (f"D{number}" for number in range(1, 9))
TO_SURVIVE = {f"F-{row}" for row in (*BROKER, *EVENTS, *CAMERAS, *SENTINEL, "P1", "P3", "P5", "S1", "S5")}


def test_every_fault_that_has_to_be_survived_has_a_row() -> None:
    assert {fault for faults, _ in ROWS for fault in faults.split(", ")} >= TO_SURVIVE


@pytest.mark.parametrize(("faults", "tests"), ROWS, ids=[faults for faults, _ in ROWS])
def test_the_tests_of_a_row_exist(faults: str, tests: str) -> None:
    named = re.findall(r"`([^`:]+)::([^`]+)`", tests)

    assert len(named) == tests.count("::"), f"{faults}: not every test is written as `file::name`"
    assert [name for file, name in named if f"def {name}(" not in (ROOT / file).read_text()] == []


def test_everything_in_this_folder_is_marked() -> None:
    marks = re.compile(r"^pytestmark = .*pytest\.mark\.fault", re.M)

    assert [file.name for file in Path(__file__).parent.glob("test_*.py") if not marks.search(file.read_text())] == []
