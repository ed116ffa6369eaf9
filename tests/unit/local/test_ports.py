"""Ports are remembered while they are free, and never shared."""

import json
import socket
from pathlib import Path

import pytest

from fieldpipe.local import ports


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config" / "ports.json"


def test_chosen_ports_are_remembered(file: Path) -> None:
    first = ports.choose(("store", "airflow"), file)

    assert ports.choose(("airflow", "store"), file) == first


def test_ports_lie_where_their_companions_exist_and_clients_get_none(file: Path) -> None:
    chosen = ports.choose(("a", "b", "c"), file)

    assert len(set(chosen.values())) == 3
    assert all(12000 <= port <= 21999 for port in chosen.values())


@pytest.mark.parametrize("companion", [0, ports.COMPANION])
def test_a_remembered_port_that_somebody_took_is_replaced(file: Path, companion: int) -> None:
    taken = ports.choose(("store", "airflow"), file)
    with socket.create_server(("127.0.0.1", taken["store"] + companion)):
        chosen = ports.choose(("store", "airflow"), file)

    assert chosen["store"] != taken["store"]
    assert chosen["airflow"] == taken["airflow"]
    assert json.loads(file.read_text()) == chosen


def test_two_names_never_get_the_same_remembered_port(file: Path) -> None:
    port = ports.free_port(set())
    file.parent.mkdir()
    file.write_text(json.dumps({"store": port, "airflow": port}))

    chosen = ports.choose(("store", "airflow"), file)

    assert chosen["store"] == port
    assert chosen["airflow"] != port
