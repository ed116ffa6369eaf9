"""The table of what our programs read, and of what Airflow knows, is held against the code."""

import ast
import configparser
from pathlib import Path

import pytest

from fieldpipe.deploy.objects import Manifests
from fieldpipe.deploy.rules.settings import PROGRAMS, groups
from tests.airflow_looks import Airflow

ROOT = Path(__file__).parents[2]
FILES = {
    **{name: [ROOT / f"{name.replace('.', '/')}.py"] for name in PROGRAMS if name.startswith("scripts.")},
    "scripts.serve_broker": [ROOT / "scripts/serve_broker.py", ROOT / "plugins/fieldpipe/broker/sinks/bucket.py"],
    "webhook.wsgi:app": [ROOT / "webhook/wsgi.py", ROOT / "webhook/gunicorn.conf.py"],
    "airflow": [*(ROOT / "dags").glob("*.py"), ROOT / "plugins/fieldpipe/tasks/pod.py"],
}
NAMES = {group.__name__ for group in groups()}


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_reads_what_the_table_says(program: str) -> None:
    files = FILES[program]
    if any("fieldpipe.work" in modules(file) for file in files):
        files = [*files, ROOT / "plugins/fieldpipe/work.py"]

    assert {name for file in files for name in settings_named(file)} == {group.__name__ for group in PROGRAMS[program]}


def modules(file: Path) -> set[str]:
    return {node.module or "" for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom)}


def settings_named(file: Path) -> set[str]:
    tree = ast.walk(ast.parse(file.read_text()))
    return {alias.name for node in tree if isinstance(node, ast.ImportFrom) for alias in node.names} & NAMES


PROVIDERS_NOT_HERE = ("fab",)  # in the image of Airflow only; the tests' own Airflow does without

OPTIONS = """
import json
from airflow.configuration import conf
from kombu.transport.redis import Channel
known = [(s, o) for s, section in conf.configuration_description.items() for o in section["options"]]
# Airflow hands this section on as it is: which options there are, the client of Redis knows.
handed_on = [o if isinstance(o, str) else o[0] for o in Channel.from_transport_options]
known += [("celery_broker_transport_options", option) for option in handed_on]
print("RESULT" + json.dumps([f"AIRFLOW__{s}__{o}".upper().replace(".", "_") for s, o in known]))
"""


def test_airflow_knows_every_option_that_it_is_given(manifests: Manifests, airflow_options: set[str]) -> None:
    config = manifests.get("ConfigMap", "airflow-config")
    assert config is not None
    file = configparser.RawConfigParser()
    file.read_string(config.data["data"]["airflow.cfg"])
    options = {
        f"AIRFLOW__{section}__{option}".upper()
        for section in file.sections()
        if section not in PROVIDERS_NOT_HERE
        for option in file.options(section)
    }
    variables = {
        variable.name
        for workload in manifests.workloads
        for container in workload.containers
        for variable in container.variables
        if variable.name.startswith("AIRFLOW__")
    }

    assert (options | variables) - airflow_options == set()
    assert min(len(options), len(variables)) > 5


@pytest.fixture(scope="module")
def airflow_options(in_airflow: Airflow) -> set[str]:
    return set(in_airflow(OPTIONS))
