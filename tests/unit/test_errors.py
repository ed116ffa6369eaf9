"""Exit codes carry an error's advice out of the process."""

import subprocess
import sys

import pytest

from fieldpipe.errors import PermanentError, TransientError, patiently

PROGRAM = """
import sys
from fieldpipe.errors import *
def main():
    {body}
run(main, at_once={at_once})
"""


def run(body: str, *, at_once: bool) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(body=body, at_once=at_once)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ("return 0", 0, ""),
        ("return 3", 3, ""),
        ("raise PermanentError('run1.mcap is no recording')", 65, "error: run1.mcap is no recording\n"),
        ("raise TransientError('store away')", 75, "error: store away\n"),
        ("raise ConfigurationError('MINIO_ENDPOINT: missing')", 65, "error: MINIO_ENDPOINT: missing\n"),
        ("raise KeyboardInterrupt", 130, ""),
    ],
)
def test_an_outcome_becomes_its_exit_code(body: str, code: int, said: str, *, at_once: bool) -> None:
    done = run(body, at_once=at_once)

    assert (done.returncode, done.stderr) == (code, said)


@pytest.mark.parametrize("at_once", [False, True])
def test_a_bug_shows_its_traceback(*, at_once: bool) -> None:
    done = run("[][1]", at_once=at_once)

    assert done.returncode == 70
    assert "IndexError" in done.stderr


@pytest.mark.parametrize("at_once", [False, True])
def test_everything_that_was_printed_arrives(*, at_once: bool) -> None:
    done = run("print('x' * 1_000_000); print('y' * 1000, end='', file=sys.stderr); return 0", at_once=at_once)

    assert (done.returncode, done.stdout, done.stderr) == (0, "x" * 1_000_000 + "\n", "y" * 1000)


def test_patience_repeats_until_the_world_is_ready() -> None:
    calls = iter([TransientError("no DNS yet"), TransientError("no tables yet"), "done"])

    def call() -> str:
        outcome = next(calls)
        if isinstance(outcome, TransientError):
            raise outcome
        return outcome

    assert patiently(call, 30) == "done"


def test_patience_has_an_end() -> None:
    def call() -> None:
        raise TransientError("store away")

    with pytest.raises(TransientError, match="store away"):
        patiently(call, 0.3)


def test_patience_is_for_what_may_pass_only() -> None:
    calls = []

    def call() -> None:
        calls.append(1)
        raise PermanentError("no such key")

    with pytest.raises(PermanentError):
        patiently(call, 30)
    assert calls == [1]
