"""Every variable of the broker is in the example file, and those of the sinks in their manual."""

import inspect
import re
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import pytest
from pydantic import AliasChoices
from pydantic_settings import BaseSettings

from fieldpipe import broker
from fieldpipe.broker import sinks
from fieldpipe.broker.sinks.redis import RedisSettings
from fieldpipe.broker.sinks.registry import SWITCHES, open_sinks
from fieldpipe.errors import ConfigurationError

ROOT = Path(__file__).parents[3]


def variables(package: str, paths: Sequence[str]) -> Iterator[str]:
    """Of all groups of settings that the package's modules define."""
    for module in (import_module(found.name) for found in walk_packages(paths, f"{package}.")):
        for group in vars(module).values():
            if inspect.isclass(group) and issubclass(group, BaseSettings) and group.__module__ == module.__name__:
                yield from names(group)


def names(group: type[BaseSettings]) -> Iterator[str]:
    """Of the variables of a group's fields."""
    prefix = group.model_config["env_prefix"]
    for name, field in group.model_fields.items():
        alias = field.validation_alias
        spellings = alias.choices if isinstance(alias, AliasChoices) else [prefix + name]
        yield from (str(each).upper() for each in spellings)


def test_the_example_file_lists_every_variable() -> None:
    wanted = set(variables(broker.__name__, broker.__path__))

    listed = set(re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.M))
    assert "KRAKENB_REIDS_USER" in wanted
    assert wanted - listed == set()


def test_the_manual_names_every_variable_of_the_sinks() -> None:
    wanted = set(variables(sinks.__name__, sinks.__path__))

    manual = (ROOT / "docs/broker-sinks.md").read_text()
    assert {name for name in wanted if f"`{name}`" not in manual} == set()


@pytest.fixture
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without a variable of the broker's."""
    for name in variables(broker.__name__, broker.__path__):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"KRAKENB_INFLUXDB_HOST": "http://x:8086", "KRAKENB_INFLUXDB_ORG": "o"}, "KRAKENB_INFLUXDB_API_TOKEN"),
        ({"KRAKENB_INFLUXDB_HOST": "x:8086"}, "KRAKENB_INFLUXDB_HOST: Value error, an address with its scheme"),
        ({"KRAKENB_INFLUXDB1_HOST": "http://x:8086"}, "KRAKENB_INFLUXDB1_DATABASE: Field required"),
        (
            {"KRAKENB_INFLUXDB1_HOST": "http://x", "KRAKENB_INFLUXDB1_DATABASE": "d", "KRAKENB_INFLUXDB1_USER": "u"},
            "KRAKENB_INFLUXDB1_PASSWORD go together",
        ),
        ({"KRAKENB_REDIS_HOST": "x", "KRAKENB_REDIS_PORT": "http"}, "KRAKENB_REDIS_PORT"),
        ({"KRAKENB_REDIS_HOST": "http://x"}, "KRAKENB_REDIS_HOST: Redis URL must specify"),
        ({"KRAKENB_MONGODB_HOST": "x", "KRAKENB_MONGODB_PASSWORD": "p"}, "KRAKENB_MONGODB_USER and"),
        ({"KRAKENB_MONGODB_URI": "mongodb://user:pa/ss@x"}, "KRAKENB_MONGODB_URI: not an address of MongoDB"),
    ],
)
def test_half_a_configuration_says_what_is_missing(
    nothing_set: pytest.MonkeyPatch, given: dict[str, str], complaint: str
) -> None:
    for name, value in given.items():
        nothing_set.setenv(name, value)

    with pytest.raises(ConfigurationError) as found:
        open_sinks(given)

    assert complaint in str(found.value)
    assert "ss@x" not in str(found.value)


@pytest.mark.parametrize("spelling", ["KRAKENB_REDIS_USER", "KRAKENB_REIDS_USER"])
def test_both_spellings_of_the_user_of_redis_count(nothing_set: pytest.MonkeyPatch, spelling: str) -> None:
    nothing_set.setenv("KRAKENB_REDIS_HOST", "redis")
    nothing_set.setenv("KRAKENB_REDIS_USER", "")
    nothing_set.setenv(spelling, "kraken")

    assert RedisSettings().user == "kraken"


@pytest.mark.parametrize(
    "given",
    [
        {
            "KRAKENB_INFLUXDB_HOST": "http://x",
            "KRAKENB_INFLUXDB_API_TOKEN": "p4ss",
            "KRAKENB_INFLUXDB_ORG": "o",
            "KRAKENB_INFLUXDB_BUCKET": "b",
        },
        {
            "KRAKENB_INFLUXDB1_HOST": "http://x",
            "KRAKENB_INFLUXDB1_DATABASE": "d",
            "KRAKENB_INFLUXDB1_USER": "u",
            "KRAKENB_INFLUXDB1_PASSWORD": "p4ss",
        },
        {"KRAKENB_REDIS_HOST": "x", "KRAKENB_REDIS_USER": "", "KRAKENB_REDIS_PASSWORD": "p4ss"},
        {"KRAKENB_MONGODB_URI": "mongodb://u:p4ss@x"},
        {"KRAKENB_MONGODB_HOST": "x", "KRAKENB_MONGODB_USER": "u", "KRAKENB_MONGODB_PASSWORD": "p4ss"},
    ],
    ids=lambda given: next(iter(given)),
)
def test_a_sink_is_opened_without_its_server(nothing_set: pytest.MonkeyPatch, given: dict[str, str]) -> None:
    for name, value in given.items():
        nothing_set.setenv(name, value)

    (sink,) = open_sinks(given)

    assert sink.name in SWITCHES
    sink.close()
