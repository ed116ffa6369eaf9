"""What is run and what is refused, with the field to blame; and how a pod changes while it lives."""

import pytest

from fieldpipe.local.pods import lifecycle
from fieldpipe.local.pods.patches import patched
from fieldpipe.local.pods.refusal import Refusal
from fieldpipe.local.pods.spec import parse_pod

MERGE = "application/merge-patch+json"


def pod(container: dict | None = None, metadata: dict | None = None, **spec: object) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p1", "labels": {"a": "1"}, **(metadata or {})},
        "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "base", "image": "worker", "command": ["true"], **(container or {})}],
            **spec,
        },
    }


def complaints(body: object) -> dict[str, str]:
    with pytest.raises(Refusal) as refusal:
        parse_pod(body)
    assert refusal.value.code == 422
    return {cause["field"]: cause["message"] for cause in refusal.value.details["causes"]}


def test_what_a_process_has_no_use_for_is_accepted() -> None:
    body = pod(
        {
            "imagePullPolicy": "Always",
            "resources": {"limits": {"memory": "1Gi"}},
            "securityContext": {"runAsNonRoot": True},
            "volumeMounts": [
                {"name": "scratch", "mountPath": "/tmp"},
                {"name": "tls", "mountPath": "/etc/tls", "readOnly": True},
            ],
            "ports": [],
        },
        volumes=[{"name": "scratch", "emptyDir": {}}, {"name": "tls", "secret": {"secretName": "x", "optional": True}}],
        affinity={"nodeAffinity": {}},
        tolerations=[{"key": "x"}],
        serviceAccountName="worker",
        automountServiceAccountToken=False,
        imagePullSecrets=[{"name": "registry"}],
        dnsPolicy="ClusterFirst",
        priority=1,
        initContainers=[],
        hostPID=False,
    )

    assert parse_pod(body).spec.containers[0].command == ["true"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (pod(initContainers=[{"name": "x"}]), "spec.initContainers"),
        (pod(hostPID=True), "spec.hostPID"),
        (pod(volumes=[{"name": "v", "configMap": {"name": "x"}}]), "spec.volumes[0].configMap"),
        (pod(volumes=[{"name": "v", "secret": {"secretName": "x"}}]), "spec.volumes[0].secret.optional"),
        (pod(volumes=[{"name": "v"}]), "spec.volumes[0]"),
        (pod({"livenessProbe": {"exec": {}}}), "spec.containers[0].livenessProbe"),
        (pod({"lifecycle": {"preStop": {}}}), "spec.containers[0].lifecycle"),
        (pod({"command": None}), "spec.containers[0].command"),
        (pod({"command": "true"}), "spec.containers[0].command"),
        (pod({"volumeMounts": [{"name": "v", "mountPath": "/data"}]}), "spec.containers[0].volumeMounts[0].mountPath"),
        (pod({"env": [{"name": "A=B"}]}), "spec.containers[0].env[0].name"),
        (pod({"env": [{"name": "A", "value": 1}]}), "spec.containers[0].env[0].value"),
        (pod({"env": [{"name": "A", "valueFrom": {}}]}), "spec.containers[0].env[0].valueFrom"),
        (pod(restartPolicy="Always"), "spec.restartPolicy"),
        (pod(restartPolicy=None), "spec.restartPolicy"),
        (pod(activeDeadlineSeconds=0), "spec.activeDeadlineSeconds"),
        (pod(metadata={"labels": {"a": "no value"}}), "metadata.labels"),
        (pod(metadata={"finalizers": ["x"]}), "metadata.finalizers"),
        (pod(metadata={"name": "../../etc"}), "metadata"),
        (pod(metadata={"name": None}), "metadata"),
        ({"kind": "Pod", "metadata": {"name": "p1"}}, "spec"),
        ({"kind": "Pod", "metadata": 1, "spec": {"containers": 1}}, "spec.containers"),
    ],
)
def test_what_matters_and_cannot_be_done_is_refused_by_name(body: dict, field: str) -> None:
    assert field in complaints(body)


def test_a_second_container_is_refused_with_what_to_do() -> None:
    body = pod()
    body["spec"]["containers"].append({"name": "airflow-xcom-sidecar", "image": "alpine"})

    assert "do_xcom_push=False" in complaints(body)["spec.containers"]


@pytest.mark.parametrize("body", [None, [], "pod", {"kind": "Service"}])
def test_no_pod_at_all_is_a_bad_request(body: object) -> None:
    with pytest.raises(Refusal) as refusal:
        parse_pod(body)

    assert refusal.value.code == 400


def test_a_grace_period_of_zero_is_kept() -> None:
    assert parse_pod(pod(terminationGracePeriodSeconds=0)).spec.termination_grace_period_seconds == 0


def created() -> dict:
    body = pod()
    return lifecycle.pending(parse_pod(body), body, "ns", 1_700_000_000.9)


def state(document: dict) -> tuple[str, dict]:
    return document["status"]["phase"], document["status"]["containerStatuses"][0]["state"]


def test_a_pod_goes_from_pending_over_running_to_succeeded() -> None:
    running = lifecycle.running(created(), 42, 1_700_000_001)
    ended = lifecycle.ended(running, 0, 1_700_000_002)

    assert state(created()) == ("Pending", {"waiting": {"reason": "ContainerCreating"}})
    assert state(running) == ("Running", {"running": {"startedAt": "2023-11-14T22:13:21Z"}})
    assert state(ended) == (
        "Succeeded",
        {
            "terminated": {
                "exitCode": 0,
                "reason": "Completed",
                "startedAt": "2023-11-14T22:13:21Z",
                "finishedAt": "2023-11-14T22:13:22Z",
                "containerID": "process://42",
            }
        },
    )


def test_a_failed_pod_says_its_exit_code_and_last_words() -> None:
    phase, container = state(lifecycle.ended(lifecycle.running(created(), 42, 1), 65, 2, message="no such key"))

    assert phase == "Failed"
    assert container["terminated"].items() >= {"exitCode": 65, "reason": "Error", "message": "no such key"}.items()


def test_a_step_leaves_the_document_before_it_as_it_was() -> None:
    before = created()
    lifecycle.running(before, 42, 1)

    assert state(before)[0] == "Pending"


def test_a_pod_without_a_name_gets_one_from_its_prefix() -> None:
    body = pod(metadata={"name": None, "generateName": "run-"})

    names = {lifecycle.pending(parse_pod(body), body, "ns", 0)["metadata"]["name"] for _ in range(5)}

    assert len(names) == 5
    assert all(name.startswith("run-") and len(name) == 9 for name in names)


def test_a_patch_adds_changes_and_removes_labels_and_annotations() -> None:
    patch = {"metadata": {"labels": {"already_checked": "True", "a": None}, "annotations": {"n": "v"}}}

    metadata = patched(created(), patch, MERGE)["metadata"]

    assert (metadata["labels"], metadata["annotations"]) == ({"already_checked": "True"}, {"n": "v"})


@pytest.mark.parametrize(
    ("patch", "media_type", "code"),
    [
        ({"spec": {"containers": []}}, MERGE, 422),
        ({"metadata": {"name": "p2"}}, MERGE, 422),
        ({"metadata": {"labels": {"a": "no value"}}}, MERGE, 422),
        ({"metadata": {"labels": {"a": 1}}}, MERGE, 422),
        ({"metadata": {"labels": 1}}, MERGE, 400),
        ([], MERGE, 400),
        ({"metadata": {}}, "application/json-patch+json", 415),
    ],
)
def test_a_patch_of_anything_else_is_refused(patch: object, media_type: str, code: int) -> None:
    with pytest.raises(Refusal) as refusal:
        patched(created(), patch, media_type)

    assert refusal.value.code == code
