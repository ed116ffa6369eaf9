"""The local Pods API over HTTP: what it runs, what it tells, what it refuses."""

import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.local.pods_server import ROOT, SECRET, PodsServer
from tests.waiting import alive, eventually

ENVIRONMENT = "import json, os; print(json.dumps({**os.environ, 'cwd': os.getcwd()}))"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready'); time.sleep(600)"
SLOW = """
import pathlib, time
for number in range(3):
    print(number)
    while not pathlib.Path("{folder}", str(number)).exists():
        time.sleep(0.01)
"""
FAMILY = "import subprocess, time; print(subprocess.Popen(['sleep', '600']).pid); time.sleep(600)"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, mark: str) -> Iterator[PodsServer]:
    running = PodsServer(tmp_path_factory.mktemp("pods"), mark)
    yield running
    running.stop()


def first_line(server: PodsServer, name: str) -> str:
    return eventually(lambda: server.logs(name, follow="false")).splitlines()[0]


def test_a_pod_runs_when_it_is_created_and_succeeds_when_its_process_does(server: PodsServer) -> None:
    created = server.create("plain", "print('done')")

    assert created["status"]["phase"] == "Running"
    assert server.logs("plain") == "done\n"
    assert server.ended("plain").items() >= {"phase": "Succeeded", "exitCode": 0, "reason": "Completed"}.items()


def test_a_failed_pod_keeps_its_exit_code_and_last_words(server: PodsServer) -> None:
    policy = {"terminationMessagePolicy": "FallbackToLogsOnError"}
    server.create("failing", "print('no such key'); raise SystemExit(65)", policy)

    ended = server.ended("failing")

    assert (ended["phase"], ended["exitCode"], ended["message"]) == ("Failed", 65, "no such key\n")


def test_a_process_that_was_killed_ends_with_128_and_the_signal(server: PodsServer) -> None:
    server.create("killed", "import os; os.kill(os.getpid(), 9)")

    assert server.ended("killed").items() >= {"phase": "Failed", "exitCode": 137}.items()


def test_the_log_is_complete_and_the_pod_has_ended_when_the_followed_log_ends(server: PodsServer) -> None:
    for number in range(20):
        server.create(f"short-{number}", "print('x' * 60000)")
        assert server.logs(f"short-{number}") == "x" * 60000 + "\n"
        assert server.get(f"short-{number}")["status"]["phase"] == "Succeeded"


def test_lines_reach_a_follower_as_they_are_written(server: PodsServer, tmp_path: Path) -> None:
    server.create("slow", SLOW.format(folder=tmp_path))

    lines: list[str] = []
    with server.http.stream("GET", server.path("slow") + "/log", params={"follow": "true"}, timeout=60) as log:
        for line in log.iter_lines():
            lines.append(line)
            (tmp_path / line).touch()  # only then is the next one written

    assert lines == ["0", "1", "2"]


def test_a_follower_that_goes_away_is_forgotten(server: PodsServer) -> None:
    server.create("left-alone", "import time; print(1); time.sleep(600)")
    log_file = str(next(server.run_dir.glob(f"pods-*/{server.get('left-alone')['metadata']['uid']}/log")))

    def readers() -> int:
        return sum(file.path == log_file and file.mode == "r" for file in psutil.Process(server.child.pid).open_files())

    with server.http.stream("GET", server.path("left-alone") + "/log", params={"follow": "true"}) as log:
        lines = log.iter_lines()  # kept: httpx closes the connection with its iterator
        next(lines)
        assert readers() == 1

    eventually(lambda: readers() == 0)


def test_a_process_gets_its_spec_and_the_images_minimum_and_nothing_of_the_servers(server: PodsServer) -> None:
    variables = [{"name": "A", "value": "$(GREETING) $(PATH)"}]
    server.create("env", ENVIRONMENT, {"env": variables, "envFrom": [{"configMapRef": {"name": "pipeline-config"}}]})

    got = json.loads(server.logs("env"))

    scratch = got["TMPDIR"]
    assert scratch.startswith(f"{server.run_dir}/pods-")
    assert got.pop("PATH").split(":")[0] == str(Path(psutil.Process(server.child.pid).cmdline()[0]).parent)
    assert got == {
        "A": "hi $(PATH)",
        "GREETING": "hi",
        "HOME": scratch,
        "TMPDIR": scratch,
        "HOSTNAME": "env",
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "cwd": str(ROOT),
    }


def test_a_hostile_argument_shows_what_it_would_show_in_a_cluster(server: PodsServer) -> None:
    variable = {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "fieldpipe-store", "key": "secret-key"}}}
    server.create("hostile", ["/bin/echo", "$(KEY)", "$$(KEY)", "$(NOT)"], {"env": [variable]})

    assert server.logs("hostile") == f"{SECRET} $(KEY) $(NOT)\n"


def test_no_secret_leaves_the_server(server: PodsServer) -> None:
    variable = {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "fieldpipe-store", "key": "secret-key"}}}
    server.create("discreet", "pass", {"env": [variable]})
    server.ended("discreet")

    answers = [server.http.get(server.path("", part)) for part in ("pods", "events", "secrets", "configmaps")]
    answers += [server.http.get(server.path("fieldpipe-store", "secrets")), server.http.get("/debug/pods")]

    assert [answer.status_code for answer in answers] == [200, 200, 403, 403, 403, 200]
    assert "secretKeyRef" in answers[0].text
    assert all(SECRET not in answer.text for answer in answers)
    assert SECRET not in server.log.read_text()


def test_a_missing_secret_fails_the_pod_with_a_message(server: PodsServer) -> None:
    variable = {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "nowhere", "key": "x"}}}

    server.create("unconfigured", "pass", {"env": [variable]})

    ended = server.ended("unconfigured")
    assert (ended["phase"], ended["reason"]) == ("Failed", "CreateContainerConfigError")
    assert ended["message"] == 'secret "nowhere" not found'
    assert server.logs("unconfigured") == ""


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("no-program", ["/no/such/program"]),
        ("zero-byte", ["/bin/echo", "a\0b"]),
        ("no-text", ["/bin/echo", "\ud800"]),
        ("too-long", ["/bin/echo", "x" * 200_000]),
    ],
)
def test_a_program_that_cannot_be_started_fails_the_pod(server: PodsServer, name: str, command: list[str]) -> None:
    server.create(name, command)

    assert server.ended(name).items() >= {"phase": "Failed", "exitCode": 128, "reason": "StartError"}.items()


def test_a_pod_that_takes_too_long_is_ended(server: PodsServer) -> None:
    server.create("late", "import time; time.sleep(600)", activeDeadlineSeconds=1)

    assert server.ended("late").items() >= {"phase": "Failed", "why": "DeadlineExceeded", "exitCode": 143}.items()


def test_deleting_ends_the_whole_family_and_then_the_pod_is_gone(server: PodsServer) -> None:
    created = server.create("family", FAMILY)
    parent = int(created["status"]["containerStatuses"][0]["containerID"].removeprefix("process://"))
    child = int(first_line(server, "family"))
    scratch = next(server.run_dir.glob(f"pods-*/{created['metadata']['uid']}"))

    answer = server.delete("family")

    assert "deletionTimestamp" in answer.json()["metadata"]
    eventually(lambda: server.get("family") is None)
    assert not alive(parent)
    eventually(lambda: not alive(child))
    assert not scratch.exists()
    assert server.delete("family").status_code == 404


def test_a_pod_that_ignores_being_asked_is_killed_after_its_grace(server: PodsServer) -> None:
    server.create("stubborn", STUBBORN)
    first_line(server, "stubborn")

    begin = time.monotonic()
    server.delete("stubborn", gracePeriodSeconds=1)
    eventually(lambda: server.get("stubborn") is None)

    assert 0.9 < time.monotonic() - begin < 10


def test_a_grace_of_zero_kills_at_once(server: PodsServer) -> None:
    server.create("doomed", STUBBORN)
    first_line(server, "doomed")

    server.http.request("DELETE", server.path("doomed"), json={"gracePeriodSeconds": 0})

    eventually(lambda: server.get("doomed") is None)


def test_what_a_process_leaves_behind_ends_with_it(server: PodsServer) -> None:
    server.create("parent", FAMILY.replace("time.sleep(600)", ""))
    child = int(server.logs("parent"))

    assert server.ended("parent")["exitCode"] == 0
    eventually(lambda: not alive(child))


def test_a_process_that_left_the_group_and_holds_the_log_ends_with_the_pod(server: PodsServer) -> None:
    server.create("escape", FAMILY.replace("time.sleep(600)", "").replace("'600']", "'600'], start_new_session=True"))

    assert server.ended("escape")["exitCode"] == 0
    assert not alive(int(server.logs("escape")))


def test_pods_are_listed_by_label_and_field_and_page(server: PodsServer) -> None:
    for name in ("page-a", "page-b", "page-c"):
        server.create(name, "pass")

    def names(**parameters: str) -> list[str]:
        answer = server.http.get(server.path(), params=parameters).json()
        return [pod["metadata"]["name"] for pod in answer["items"]] + list(answer["metadata"].get("continue", ""))[-1:]

    some = "test in (page-a, page-b, page-c)"
    assert names(labelSelector=some, limit="2") == ["page-a", "page-b", "b"]
    assert names(labelSelector=some, **{"continue": "page-b"}) == ["page-c"]
    assert names(labelSelector=some, fieldSelector="metadata.name=page-b") == ["page-b"]
    assert names(labelSelector="test=nobody") == []


@pytest.mark.parametrize("media_type", ["application/strategic-merge-patch+json", "application/merge-patch+json"])
def test_labels_can_be_patched(server: PodsServer, media_type: str) -> None:
    name = f"patched-{'strategic' if 'strategic' in media_type else 'merge'}"
    server.create(name, "pass")

    patch = json.dumps({"metadata": {"labels": {"already_checked": "True"}}})
    server.http.patch(server.path(name), content=patch, headers={"Content-Type": media_type})

    assert server.get(name)["metadata"]["labels"] == {"test": name, "already_checked": "True"}


def test_log_options_choose_lines(server: PodsServer) -> None:
    server.create("lines", "import time\nprint('old'); time.sleep(1.2)\nfor n in range(3): print('new', n)")
    server.ended("lines")

    stamped = server.logs("lines", timestamps="true").splitlines()

    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (old|new \d)", line) for line in stamped)
    assert server.logs("lines", tailLines=2) == "new 1\nnew 2\n"
    assert server.logs("lines", sinceTime=stamped[1][:19] + "Z") == "new 0\nnew 1\nnew 2\n"
    assert server.logs("lines", sinceSeconds=600).startswith("old\n")
    assert server.logs("lines", container="base", limitBytes=3) == "old"
    assert server.logs("lines", previous="true") == ""


def test_events_tell_what_happened_to_a_pod(server: PodsServer) -> None:
    server.create("eventful", "import time; time.sleep(600)")
    server.delete("eventful")

    events = server.http.get(server.path("", "events"), params={"fieldSelector": "involvedObject.name=eventful"}).json()

    assert {event["reason"] for event in events["items"]} == {"Scheduled", "Started", "Killing"}


def test_a_watch_tells_every_step_of_a_pod(server: PodsServer) -> None:
    seen: list[tuple[str, str]] = []
    version = server.http.get(server.path()).json()["metadata"]["resourceVersion"]
    parameters = {"watch": "true", "resourceVersion": version, "fieldSelector": "metadata.name=watched"}

    def watch() -> None:
        with server.http.stream("GET", server.path(), params=parameters | {"timeoutSeconds": "20"}) as changes:
            for line in changes.iter_lines():
                change = json.loads(line)
                seen.append((change["type"], change["object"]["status"]["phase"]))
                if change["type"] == "DELETED":
                    return

    watcher = threading.Thread(target=watch)
    watcher.start()
    server.create("watched", "pass")
    server.ended("watched")
    server.delete("watched")
    watcher.join(20)

    assert seen == [
        ("ADDED", "Pending"),
        ("MODIFIED", "Running"),
        ("MODIFIED", "Succeeded"),
        ("DELETED", "Succeeded"),
    ]


def test_what_became_of_a_deleted_pod_can_be_asked(server: PodsServer) -> None:
    server.create("past", "raise SystemExit(3)")
    server.ended("past")
    server.delete("past")

    (past,) = server.http.get("/debug/pods", params={"labelSelector": "test=past"}).json()["pods"]

    assert (past["name"], past["exit_code"]) == ("past", 3)
    assert past["created"] <= past["started"] <= past["finished"] <= past["deleted"]


@pytest.mark.parametrize(
    ("method", "path", "code", "reason"),
    [
        ("GET", "/api/v1/namespaces/fieldpipe/pods/nobody", 404, "NotFound"),
        ("GET", "/api/v1/namespaces/elsewhere/pods", 404, "NotFound"),
        ("GET", "/api/v1/namespaces/fieldpipe/pods?labelSelector=(", 400, "BadRequest"),
        ("GET", "/api/v1/namespaces/fieldpipe/pods?limit=x", 400, "BadRequest"),
        ("GET", "/api/v1/namespaces/fieldpipe/pods?watch=1&sendInitialEvents=true", 422, "Invalid"),
        ("POST", "/api/v1/namespaces/fieldpipe/pods", 400, "BadRequest"),
        ("POST", "/api/v1/namespaces/fieldpipe/pods?dryRun=All", 400, "BadRequest"),
        ("DELETE", "/api/v1/namespaces/fieldpipe/pods", 405, "MethodNotAllowed"),
        ("POST", "/api/v1/namespaces/fieldpipe/pods/x/exec", 404, "NotFound"),
        ("GET", "/apis/apps/v1/deployments", 404, "NotFound"),
    ],
)
def test_refusals_are_status_objects(server: PodsServer, method: str, path: str, code: int, reason: str) -> None:
    answer = server.http.request(method, path)

    assert answer.status_code == code
    assert answer.json().items() >= {"kind": "Status", "code": code, "reason": reason, "status": "Failure"}.items()


def test_a_name_can_be_used_once(server: PodsServer) -> None:
    server.create("once", "pass")

    assert server.post("once", "pass").json()["reason"] == "AlreadyExists"


def test_an_xcom_sidecar_is_refused_with_what_to_do(server: PodsServer) -> None:
    containers = [{"name": "base", "command": ["true"]}, {"name": "airflow-xcom-sidecar", "image": "alpine"}]

    answer = server.post("two", "pass", containers=containers)

    assert answer.status_code == 422
    assert "do_xcom_push=False" in answer.json()["message"]


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Host": "evil.example:80"}])
def test_a_web_page_cannot_use_the_server(server: PodsServer, headers: dict[str, str]) -> None:
    assert server.http.get(server.path(), headers=headers).status_code == 403


def test_a_pod_runs_code_of_this_project(server: PodsServer) -> None:
    server.create("ours", ["python", "-m", "scripts.serve_pods", "--help"])

    assert server.logs("ours").startswith("usage: serve_pods")


def test_what_is_optional_and_missing_is_not_set(server: PodsServer) -> None:
    """As in Kubernetes: a Secret that is not there, and one without the key."""
    variables = [
        {"name": "USER", "valueFrom": {"secretKeyRef": {"name": "nowhere", "key": "x", "optional": True}}},
        {"name": "PASS", "valueFrom": {"secretKeyRef": {"name": "fieldpipe-store", "key": "x", "optional": True}}},
        {"name": "SIZE", "valueFrom": {"configMapKeyRef": {"name": "nowhere", "key": "x", "optional": True}}},
        {"name": "ACCESS", "valueFrom": {"secretKeyRef": {"name": "fieldpipe-store", "key": "access-key"}}},
    ]
    whole = [
        {"configMapRef": {"name": "nowhere", "optional": True}},
        {"secretRef": {"name": "nowhere", "optional": True}},
    ]
    server.create("modest", ENVIRONMENT, {"env": variables, "envFrom": whole})

    got = json.loads(server.logs("modest"))

    assert got["ACCESS"] == "AK"
    assert {"USER", "PASS", "SIZE"}.isdisjoint(got)
