"""A crash point kills the process where it says, and only there."""

import os
import signal
import subprocess
import sys

import pytest

from tests.waiting import eventually, is_stopped

PROGRAM = """
from fieldpipe.crashpoints import reach
for n in range(4):
    print(n, flush=True)
    reach("room.step", "a:b@%d" % n)
"""


def _run(crash_at: str) -> tuple[int, list[str]]:
    environment = {**os.environ, "FIELDPIPE_CRASH_AT": crash_at}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.split()


@pytest.mark.parametrize(
    ("crash_at", "code", "printed"),
    [
        ("", 0, ["0", "1", "2", "3"]),
        ("room.other", 0, ["0", "1", "2", "3"]),
        ("room.step", -signal.SIGKILL, ["0"]),
        ("room.step:3", -signal.SIGKILL, ["0", "1", "2"]),
        ("room.step@a:b@1", -signal.SIGKILL, ["0", "1"]),
        ("room.step@a:b", 0, ["0", "1", "2", "3"]),
    ],
)
def test_process_is_killed_at_the_named_place_the_nth_time_it_is_reached_or_for_one_detail(crash_at, code, printed):
    assert _run(crash_at) == (code, printed)


def test_process_that_was_put_to_sleep_goes_on_when_it_is_woken() -> None:
    environment = {**os.environ, "FIELDPIPE_CRASH_AT": "sleep room.step:2"}
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment, stdout=subprocess.PIPE, text=True)
    eventually(lambda: is_stopped(process.pid))

    process.send_signal(signal.SIGCONT)

    assert process.communicate(timeout=10)[0].split() == ["0", "1", "2", "3"]
    assert process.returncode == 0
