"""Builds the fuzzer and runs it for some seconds: `python -m tests.fuzz.fuzz 600`.

Takes clang with libFuzzer (Debian: apt install clang libclang-rt-dev). Exit code 0: no finding; 1: a finding, whose
input lies in the work folder; 2: no clang here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.fuzz.plans import write

WORK = Path(".cache/fuzz")
HARNESS = Path(__file__).with_name("executor_fuzz.cpp")
FLAGS = ("-std=c++17", "-g", "-O1", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all")


def compiler() -> str | None:
    """The newest clang++ on PATH."""
    return next(
        filter(None, map(shutil.which, ("clang++", *(f"clang++-{version}" for version in range(25, 13, -1))))), None
    )


def fuzz(seconds: int, work: Path = WORK) -> int:
    """Build and run; returns the exit code. Inputs that were worth keeping stay in the work folder."""
    clang = compiler()
    if clang is None:
        print("fuzzing takes clang with libFuzzer; on Debian: apt install clang libclang-rt-dev", file=sys.stderr)
        return 2
    work.mkdir(parents=True, exist_ok=True)
    plans, inputs = write(work)
    program = work / "executor_fuzz"
    built = subprocess.run([clang, *FLAGS, str(HARNESS), "-o", str(program)])
    if built.returncode:
        return built.returncode
    limits = [
        f"-max_total_time={seconds}",
        "-max_len=4096",
        "-timeout=10",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
    ]
    found = subprocess.run(
        [str(program.absolute()), *limits, f"-artifact_prefix={work.absolute()}/", str(inputs)],
        env=os.environ | {"FIELDPIPE_FUZZ_PLANS": str(plans)},
    )
    return min(found.returncode, 1)


if __name__ == "__main__":
    sys.exit(fuzz(int(sys.argv[1])))
