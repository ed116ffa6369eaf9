"""The examples in the broker's documents do what the documents say."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fieldpipe.broker.handlers import Reply
from fieldpipe.broker.handlers.asking import Handlers
from fieldpipe.broker.handlers.loading import GROUP, load
from fieldpipe.broker.reading import Reading
from fieldpipe.broker.routing import Routes
from tests.unit.broker.readings import reading

ROOT = Path(__file__).parents[3]
HANDLER_MANUAL = (ROOT / "docs/writing-a-handler.md").read_text()
BROKER_MANUAL = (ROOT / "docs/broker.md").read_text()
SINKS = ("bucket", "influxdb", "redis", "slack")


def blocks(document: str, language: str) -> list[str]:
    """The code in a document."""
    return re.findall(rf"^```{language}\n(.*?)^```", document, re.M | re.S)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the manual's reader stands: the handler is in its file."""
    handlers = tmp_path / "my-handlers"
    handlers.mkdir()
    (handlers / "freezer.py").write_text(blocks(HANDLER_MANUAL, "python")[0])
    return tmp_path


def test_trying_the_manuals_handler_prints_what_the_manual_shows(folder: Path) -> None:
    tried = subprocess.run(
        [sys.executable, "-c", blocks(HANDLER_MANUAL, "python")[1]],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT / "plugins")},
        check=True,
        capture_output=True,
        text=True,
    )

    assert tried.stdout == blocks(HANDLER_MANUAL, "text")[0]


@pytest.mark.parametrize(
    ("asked", "reply"),
    [
        (reading(payload=b'{"temp": -17}'), Reply(b'{"alarm": 1}', metadata={"response_type": "freezer"})),
        (reading(payload=b'{"temp": "-20"}'), None),
        (reading(collector="mqtt"), None),
        (reading(payload=b"no JSON"), None),
    ],
)
def test_the_manuals_handler_answers_in_a_broker(folder: Path, asked: Reading, reply: Reply | None) -> None:
    handlers = Handlers(load(folder / "my-handlers"), 30)

    assert asyncio.run(handlers.ask(asked)) == reply
    handlers.close()


def test_the_manual_names_the_entry_points() -> None:
    assert f'[project.entry-points."{GROUP}"]' in blocks(HANDLER_MANUAL, "toml")[0]


@pytest.mark.parametrize(
    ("asked", "sinks"),
    [
        (reading(collector="camera", payload=b"\xff"), ("bucket",)),
        (reading(payload=b'{"temp": "31"}'), ("influxdb", "slack")),
        (reading(payload=b'{"temp": "25.6"}'), ("influxdb", "redis")),
        (reading(collector="mqtt", metadata='{"topic": "site-1/door"}', payload=b"open"), ("redis", "slack")),
        (reading(collector="mqtt", payload=b'{"eventType": "__KRKN_HEATBEAT__", "id": "a"}'), ("influxdb",)),
    ],
)
def test_the_manuals_routes_route(tmp_path: Path, asked: Reading, sinks: tuple[str, ...]) -> None:
    path = tmp_path / "routes.yaml"
    path.write_text(blocks(BROKER_MANUAL, "yaml")[0])

    assert Routes.load(path, SINKS).sinks_for(asked) == sinks


@pytest.mark.parametrize("name", ["simple.py", "heartbeat.py", "camera.py"])
def test_the_manual_lists_the_handlers_that_are_there(name: str) -> None:
    assert (ROOT / "edge/handlers" / name).exists()
    assert f"| `{name}` |" in BROKER_MANUAL
