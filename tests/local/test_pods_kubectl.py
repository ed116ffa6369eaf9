"""The real kubectl works against the local Pods API."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fieldpipe.deploy.tools import own_kubectl
from tests.local.pods_server import SECRET, PodsServer
from tests.waiting import eventually


@pytest.fixture(scope="module")
def kubectl_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return own_kubectl(tmp_path_factory.mktemp("kubectl"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, mark: str) -> Iterator[PodsServer]:
    running = PodsServer(tmp_path_factory.mktemp("pods"), mark)
    yield running
    running.stop()


class Kubectl:
    def __init__(self, program: Path, server: PodsServer, home: Path) -> None:
        self._program = program
        self._environment = {
            "KUBECONFIG": str(server.kubeconfig),
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "NO_PROXY": "127.0.0.1",
        }

    def __call__(self, *arguments: str, code: int = 0) -> str:
        done = self.start(*arguments)
        output, errors = done.communicate(timeout=30)
        assert done.returncode == code, output + errors
        return output if code == 0 else errors

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(self._program), *arguments],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture(scope="module")
def kubectl(kubectl_program: Path, server: PodsServer, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    return Kubectl(kubectl_program, server, tmp_path_factory.mktemp("home"))


def rows(table: str) -> list[list[str]]:
    return [re.split(r"\s{2,}", line.strip()) for line in table.splitlines()]


def test_get_pods_prints_the_table_people_know(kubectl: Kubectl, server: PodsServer) -> None:
    server.create("good", "pass")
    server.create("bad", "raise SystemExit(1)")
    server.create("busy", "import time; time.sleep(600)")
    server.ended("good")
    server.ended("bad")

    header, *pods = rows(kubectl("get", "pods", "-l", "test in (good,bad,busy)"))

    assert header == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert [pod[:4] for pod in pods] == [
        ["bad", "0/1", "Error", "0"],
        ["busy", "1/1", "Running", "0"],
        ["good", "0/1", "Completed", "0"],
    ]
    assert all(re.fullmatch(r"\d+s", pod[4]) for pod in pods)
    server.delete("busy")


def test_get_wide_and_all_namespaces(kubectl: Kubectl, server: PodsServer) -> None:
    server.create("wide", "pass")
    server.ended("wide")

    header, *_ = rows(kubectl("get", "pods", "-o", "wide"))
    everywhere = rows(kubectl("get", "pods", "-A", "--field-selector", "metadata.name=wide"))

    assert header[5:] == ["IP", "NODE", "NOMINATED NODE", "READINESS GATES"]
    assert everywhere[1][:2] == ["fieldpipe", "wide"]


def test_a_pod_as_yaml_and_json_shows_the_reference_and_not_the_secret(kubectl: Kubectl, server: PodsServer) -> None:
    variable = {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "fieldpipe-store", "key": "secret-key"}}}
    server.create("shown", "pass", {"env": [variable]})

    yaml = kubectl("get", "pod", "shown", "-o", "yaml")
    pod = json.loads(kubectl("get", "pod", "shown", "-o", "json"))

    assert "secretKeyRef" in yaml
    assert SECRET not in yaml
    assert pod["spec"]["containers"][0]["env"] == [variable]


def test_run_logs_describe_and_delete(kubectl: Kubectl, server: PodsServer) -> None:
    kubectl("run", "cycle", "--image=worker", "--restart=Never", "--command", "--", "echo", "one\ntwo")

    assert kubectl("logs", "-f", "cycle") == "one\ntwo\n"
    assert kubectl("logs", "cycle", "--tail=1") == "two\n"
    assert "Exit Code:    0" in kubectl("describe", "pod", "cycle")
    assert "Started container cycle" in kubectl("describe", "pod", "cycle")
    assert "deleted" in kubectl("delete", "pod", "cycle")
    assert '"cycle" not found' in kubectl("get", "pod", "cycle", code=1)


def test_delete_waits_until_the_process_has_ended(kubectl: Kubectl, server: PodsServer) -> None:
    server.create("waited", "import signal, time; signal.signal(15, signal.SIG_IGN); print(1); time.sleep(600)")
    eventually(lambda: server.logs("waited", follow="false"))

    kubectl("delete", "pod", "waited", "--grace-period=1")

    assert server.get("waited") is None


def test_watching_shows_each_state(kubectl: Kubectl, server: PodsServer, tmp_path: Path) -> None:
    gate = tmp_path / "seen"
    server.create("seen", f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.02)")
    watching = kubectl.start("get", "pods", "-w", "-l", "test=seen", "--no-headers")
    assert watching.stdout is not None
    first = watching.stdout.readline()

    gate.touch()
    server.ended("seen")
    second = watching.stdout.readline()
    watching.terminate()
    watching.communicate(timeout=10)

    assert [rows(first)[0][2], rows(second)[0][2]] == ["Running", "Completed"]


def test_labels_wait_events_namespaces_and_version(kubectl: Kubectl, server: PodsServer) -> None:
    server.create("various", "pass")

    kubectl("label", "pod", "various", "mine=yes")
    kubectl("wait", "pod/various", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=10s")

    assert rows(kubectl("get", "pods", "-l", "mine=yes"))[1][0] == "various"
    assert "Started container base" in kubectl("events", "--for", "pod/various")
    assert "Started container base" in kubectl("get", "events", "--field-selector", "involvedObject.name=various")
    assert rows(kubectl("get", "namespaces"))[1][:2] == ["fieldpipe", "Active"]
    assert "Server Version: v1.36" in kubectl("version")
