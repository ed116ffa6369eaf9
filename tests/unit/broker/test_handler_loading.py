"""Loading handlers: from packages, then from files; what cannot be loaded is left out."""

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from fieldpipe.broker.handlers import Handler, Reading, Reply
from fieldpipe.broker.handlers.loading import GROUP, load
from fieldpipe.errors import ConfigurationError

HEAD = "from fieldpipe.broker.handlers import Handler, Reading, Reply\n"
GOOD = HEAD + "class {name}(Handler):\n    async def on(self, reading): return None\n"


class Installed(Handler):
    async def on(self, reading: Reading) -> Reply | None:
        return None


@pytest.fixture
def complaints(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is reported: the handler, and the reason or the exception that was under way."""
    told: list[str] = []
    path = "fieldpipe.broker.handlers.loading.log"
    monkeypatch.setattr(f"{path}.error", lambda _, handler, reason: told.append(f"{handler}: {reason}"))
    monkeypatch.setattr(f"{path}.exception", lambda _, handler: told.append(f"{handler}: exception"))
    return told


def test_the_order_is_that_of_files_and_of_classes_in_them(tmp_path: Path, complaints: list[str]) -> None:
    (tmp_path / "b.py").write_text(GOOD.format(name="Alone"))
    (tmp_path / "a.py").write_text(GOOD.format(name="Zebra") + GOOD.format(name="Ape") + GOOD.format(name="_Base"))
    (tmp_path / "_shared.py").write_text("1 / 0")
    (tmp_path / "notes.txt").write_text("no Python")

    assert (list(load(tmp_path)), complaints) == (["a.Zebra", "a.Ape", "b.Alone"], [])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1 / 0", "bad: exception"),
        ("import sys\nsys.exit(3)", "bad: exception"),
        ("class {", "bad: exception"),
        ("import package_that_is_not_there", "bad: exception"),
        ("from fieldpipe.broker.handlers import Handler", "bad: no class in it is a Handler"),
        (HEAD + "class H(Handler):\n    def on(self, reading): pass", "bad.H: `on` has to be an `async def`"),
        (GOOD.format(name="H") + "    def __init__(self, host): pass", "bad.H: exception"),
        (HEAD + "class H(Handler): pass", "bad.H: `on` has to be an `async def`"),
    ],
)
def test_what_cannot_be_loaded_is_reported_and_hurts_nobody(
    tmp_path: Path, complaints: list[str], text: str, reason: str
) -> None:
    (tmp_path / "bad.py").write_text(text)
    (tmp_path / "good.py").write_text(GOOD.format(name="Good"))

    if "class H(Handler): pass" in text:
        reason = "bad.H: exception"  # abstract: `on` is there, but cannot be made
    assert (list(load(tmp_path)), complaints) == (["good.Good"], [reason])


def test_installed_ones_come_first(tmp_path: Path, complaints: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.py").write_text(GOOD.format(name="A"))
    points = [
        EntryPoint("second", f"{__name__}:Installed", GROUP),
        EntryPoint("first", f"{__name__}:Installed", GROUP),
        EntryPoint("gone", "package_that_is_not_there:X", GROUP),
        EntryPoint("other", "json:dumps", GROUP),
    ]
    monkeypatch.setattr(f"{load.__module__}.entry_points", lambda group: points if group == GROUP else [])

    assert list(load(tmp_path)) == ["first", "second", "a.A"]
    assert complaints == ["gone: exception", "other: it is no subclass of Handler"]


def test_without_a_folder_there_are_the_installed_ones() -> None:
    assert load(None) == {}


def test_a_folder_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="KRAKENB_HANDLERS"):
        load(tmp_path / "handlers")
