"""How many Celery workers there are, and what is said when they cannot be."""

from pathlib import Path

import pytest

from fieldpipe.errors import ConfigurationError
from fieldpipe.local.celery_workers import WORKERS, chosen


@pytest.mark.parametrize("text", ["", "0"])
def test_without_a_number_there_are_none(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORKERS, text)

    assert chosen() == 0


@pytest.mark.parametrize("text", ["two", "-1", "2.5", "17"])
def test_what_is_no_number_of_workers_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORKERS, text)

    with pytest.raises(ConfigurationError, match="a number up to 16"):
        chosen()


def test_without_a_redis_it_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORKERS, "2")
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ConfigurationError, match="apt install redis-server"):
        chosen()
