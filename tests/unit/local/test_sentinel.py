"""The embedded stack with a sentinel and without: what is started, and who is told where etcd and the mirror are."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from fieldpipe.errors import ConfigurationError
from fieldpipe.local import mariadb
from fieldpipe.local.home import Home
from fieldpipe.local.mariadb import NotHere
from fieldpipe.local.process import Command
from fieldpipe.local.sentinel import SENTINEL, chosen
from fieldpipe.local.services import Stack, compose
from fieldpipe.local.steps import Service
from fieldpipe.settings import EtcdSettings, MysqlSettings, SentinelSettings

STEPS = {"etcd", "mariadb", "sentinel"}
PLACES = {"MY_ETCD_HOST", "MY_ETCD_PORT", "MY_MYSQL_HOST", "MY_MYSQL_PORT"}
ACCOUNT = {"SENTINEL_URL", "MY_MYSQL_USER", "MY_MYSQL_PASSWORD"}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home", Path(__file__).resolve().parents[3])
    made.prepare()
    return made


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine has a MariaDB, as far as looks go."""
    monkeypatch.setattr(mariadb, "program", lambda name: f"/usr/sbin/{name}")


def _command(stack: Stack, name: str) -> Command:
    return next(s.server.command() for s in stack.steps if s.name == name and isinstance(s, Service))


def _sources(home: Home) -> dict[str, dict[str, dict[str, str]]]:
    found: dict[str, dict[str, dict[str, str]]] = json.loads((home.config / "pods.json").read_text())
    return found


@pytest.mark.parametrize("text", [None, "", "0"])
def test_without_a_sentinel_nothing_is_started_or_told(
    text: str | None, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SENTINEL, raising=False)
    if text is not None:
        monkeypatch.setenv(SENTINEL, text)

    stack = compose(home)

    configuration = _sources(home)["configmaps"]["pipeline-config"]
    assert not {step.name for step in stack.steps} & STEPS
    assert not (PLACES | ACCOUNT) & {*stack.environment, *configuration, *_command(stack, "scheduler").environment}
    assert list(_sources(home)["secrets"]) == ["fieldpipe-store"]


@pytest.mark.parametrize(("choice", "database"), [("sqlite", "sentinel"), ("mariadb", "mariadb")])
def test_all_are_told_the_same_and_who_comes_to_the_mirror_gets_the_account(
    choice: str, database: str, home: Home, programs: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SENTINEL, choice)

    stack = compose(home)

    told = {name: stack.environment[name] for name in PLACES & stack.environment.keys()}
    configuration = _sources(home)["configmaps"]["pipeline-config"]
    places: list[Mapping[str, str]] = [configuration]
    places += [_command(stack, name).environment for name in ("scheduler", "dag-processor", "sentinel")]
    assert told["MY_ETCD_PORT"] == str(json.loads((home.config / "ports.json").read_text())["etcd"])
    assert [{name: place[name] for name in told} for place in places] == [told] * len(places)
    account = {name: stack.environment[name] for name in ACCOUNT & stack.environment.keys()}
    assert account.items() <= _command(stack, "sentinel").environment.items()
    assert sorted(account.values()) == sorted(_sources(home)["secrets"]["fieldpipe-mysql"].values())
    assert not account.keys() & {*configuration, *_command(stack, "scheduler").environment}
    assert database in {step.name for step in stack.steps}


def test_what_our_programs_are_told_is_what_they_read(
    home: Home, programs: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SENTINEL, "mariadb")
    told = compose(home).environment
    for name in (PLACES | ACCOUNT) & told.keys():
        monkeypatch.setenv(name, told[name])

    etcd, mysql, sentinel = EtcdSettings(), MysqlSettings(), SentinelSettings()

    read = (etcd.host, str(etcd.port), mysql.host, str(mysql.port), mysql.user, mysql.password.get_secret_value())
    names = ("MY_ETCD_HOST", "MY_ETCD_PORT", "MY_MYSQL_HOST", "MY_MYSQL_PORT", "MY_MYSQL_USER", "MY_MYSQL_PASSWORD")
    assert (read, sentinel.url) == (tuple(told[name] for name in names), None)


def test_one_takes_what_is_installed(programs: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SENTINEL, "1")
    assert chosen() == "mariadb"

    def nowhere(name: str) -> str:
        raise NotHere(name)

    monkeypatch.setattr(mariadb, "program", nowhere)
    assert chosen() == "sqlite"

    monkeypatch.setenv(SENTINEL, "mariadb")
    with pytest.raises(NotHere):
        chosen()


@pytest.mark.parametrize("text", ["2", "yes", "mysql"])
def test_what_is_no_choice_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SENTINEL, text)

    with pytest.raises(ConfigurationError, match="FIELDPIPE_SENTINEL"):
        chosen()
