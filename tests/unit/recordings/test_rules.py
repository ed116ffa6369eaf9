"""The table in README.md is true: every rule has tests, and they exist."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
ROWS = re.findall(r"^\| (\d+)\. [^|]+\| (.+) \|$", (FOLDER / "README.md").read_text(), re.M)


def test_there_are_fifteen_rules() -> None:
    assert [int(rule) for rule, _ in ROWS] == list(range(1, 16))


@pytest.mark.parametrize(("rule", "tests"), ROWS)
def test_a_rule_names_tests_that_exist(rule: str, tests: str) -> None:
    named = re.findall(r"`([\w.]+)(?:::(\w+))?`", tests)

    missing = [
        (f, test) for f, test in named if not re.search(rf"^def {test or 'test_'}", (FOLDER / f).read_text(), re.M)
    ]
    assert named != []
    assert missing == []
