"""The DAG for Kafka Connect hands what a person chose on to the script, which takes it."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from scripts import connect_sinks
from tests.airflow_looks import Airflow
from tests.dags.test_dags import PODS, ROOT

FILE = str(ROOT / "dags/camera_sinks.py")

Pod = dict[str, Any]


@pytest.fixture(scope="module")
def pod(in_airflow: Airflow) -> Callable[..., Pod]:
    """`pod(action="check")`: the pod of a run in which a person has changed this field of the form."""
    return lambda **chosen: in_airflow(PODS, json.dumps(chosen), FILE)[0]


@pytest.fixture(scope="module")
def unchanged(pod: Callable[..., Pod]) -> Pod:
    return pod()


def test_a_run_without_changes_registers_both_sinks_from_the_settings(unchanged: Pod) -> None:
    container = unchanged["spec"]["containers"][0]

    given = connect_sinks.command_line().parse_args(container["args"])
    assert container["command"] == ["python", "-m", "scripts.connect_sinks"]
    assert (given.action, given.prefix, given.topics, given.bucket) == ("register", connect_sinks.PREFIX, "", "")
    assert (given.timestamps, given.tasks, given.dead_letter_topic) == (True, 1, "")


def test_what_a_person_chose_reaches_the_script(pod: Callable[..., Pod]) -> None:
    chosen = {"action": "remove", "prefix": "-x", "topics": "a, b", "bucket": "frames", "timestamps": False, "tasks": 3}

    made = pod(**chosen, dead_letter_topic="dlq")

    given = connect_sinks.command_line().parse_args(made["spec"]["containers"][0]["args"])
    assert {name: getattr(given, name) for name in chosen} == chosen
    assert given.dead_letter_topic == "dlq"


def test_the_pod_may_talk_to_connect_kafka_and_the_store(unchanged: Pod) -> None:
    labels = unchanged["metadata"]["labels"]

    assert [labels[f"fieldpipe/uses-{server}"] for server in ("store", "kafka", "connect")] == ["true"] * 3
    assert "FIELDPIPE_WORK" not in {variable["name"] for variable in unchanged["spec"]["containers"][0]["env"]}
