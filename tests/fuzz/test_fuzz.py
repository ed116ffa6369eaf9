"""Half a minute of fuzzing; `make fuzz` takes ten."""

import os
from pathlib import Path

import pytest

from tests.fuzz.fuzz import compiler, fuzz


@pytest.mark.fault
@pytest.mark.timeout(180)
def test_half_a_minute_of_fuzzing_finds_nothing(tmp_path: Path) -> None:
    if compiler() is None and "FIELDPIPE_REQUIRE_CLANG" not in os.environ:
        pytest.skip("no `clang++` on PATH: fuzzing needs clang with libFuzzer")

    assert fuzz(30, tmp_path) == 0
