"""A pod as clients see it, from Pending to Succeeded or Failed: each step takes a Pod object and returns the next one.

Pure: documents and times in, documents out. Field meanings: Kubernetes API reference, PodStatus v1 core.
"""

import secrets
import string
import uuid
from datetime import UTC, datetime
from typing import Any

from fieldpipe.local.pods.spec import Pod

NODE = "local"
ADDRESS = "127.0.0.1"
EXIT_NOT_STARTED = 128  # what containerd reports for a container that could not be started
_SUFFIX = string.ascii_lowercase + string.digits

Document = dict[str, Any]


def stamp(moment: float) -> str:
    """Seconds since the epoch as Kubernetes writes times (whole seconds, UTC)."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def pending(pod: Pod, body: Document, namespace: str, now: float) -> Document:
    """The Pod object that stands for a create request: named, with a uid, bound to this node, not started yet."""
    metadata = pod.metadata
    name = metadata.name or f"{metadata.generate_name}{''.join(secrets.choice(_SUFFIX) for _ in range(5))}"
    container = pod.spec.containers[0]
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": str(uuid.uuid4()),
            "creationTimestamp": stamp(now),
            "labels": dict(metadata.labels),
            "annotations": dict(metadata.annotations),
        },
        "spec": {
            **body["spec"],
            "nodeName": NODE,
            "terminationGracePeriodSeconds": pod.spec.termination_grace_period_seconds,
        },
        "status": {
            "phase": "Pending",
            "conditions": _conditions(now, ready=False, reason="ContainersNotReady"),
            "hostIP": ADDRESS,
            "podIP": ADDRESS,
            "podIPs": [{"ip": ADDRESS}],
            "startTime": stamp(now),
            "qosClass": "BestEffort",
            "containerStatuses": [
                {
                    "name": container.name,
                    "image": container.image,
                    "imageID": "",
                    "ready": False,
                    "started": False,
                    "restartCount": 0,
                    "lastState": {},
                    "state": {"waiting": {"reason": "ContainerCreating"}},
                }
            ],
        },
    }


def waiting(document: Document, reason: str, message: str) -> Document:
    """Not started, and why."""
    return _changed(document, {}, {"state": {"waiting": {"reason": reason, "message": message}}})


def running(document: Document, pid: int, now: float) -> Document:
    """Its process was started."""
    return _changed(
        document,
        {"phase": "Running", "conditions": _conditions(now, ready=True)},
        {
            "ready": True,
            "started": True,
            "containerID": f"process://{pid}",
            "state": {"running": {"startedAt": stamp(now)}},
        },
    )


def ended(
    document: Document,
    exit_code: int,
    now: float,
    *,
    container_reason: str | None = None,
    pod_reason: str | None = None,
    message: str = "",
) -> Document:
    """Its process ended, or never came to be.

    `message` is the container's last word; `pod_reason` says why the pod was ended from outside.
    """
    before = document["status"]["containerStatuses"][0]
    begun = before["state"].get("running", {}).get("startedAt", stamp(now))
    reason = container_reason or ("Error" if exit_code else "Completed")
    terminated = {"exitCode": exit_code, "reason": reason, "startedAt": begun, "finishedAt": stamp(now)}
    if message:
        terminated["message"] = message
    if identity := before.get("containerID"):
        terminated["containerID"] = identity
    failed = exit_code != 0 or pod_reason is not None
    status: Document = {
        "phase": "Failed" if failed else "Succeeded",
        "conditions": _conditions(now, ready=False, reason="PodFailed" if failed else "PodCompleted"),
    }
    if pod_reason is not None:
        status |= {"reason": pod_reason, "message": f"the pod was ended: {pod_reason}"}
    return _changed(document, status, {"ready": False, "started": False, "state": {"terminated": terminated}})


def deleting(document: Document, grace: int, now: float) -> Document:
    """Asked to end; it is gone once its process has ended, `grace` seconds from now at the latest."""
    metadata = document["metadata"] | {
        "deletionTimestamp": stamp(now + grace),
        "deletionGracePeriodSeconds": grace,
    }
    return document | {"metadata": metadata}


def event(document: Document, reason: str, message: str, now: float, *, warning: bool = False) -> Document:
    """An Event about a pod."""
    metadata = document["metadata"]
    return {
        "kind": "Event",
        "apiVersion": "v1",
        "metadata": {
            "name": f"{metadata['name']}.{uuid.uuid4().hex[:16]}",
            "namespace": metadata["namespace"],
            "uid": str(uuid.uuid4()),
            "creationTimestamp": stamp(now),
        },
        "involvedObject": {
            "kind": "Pod",
            "apiVersion": "v1",
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
        },
        "type": "Warning" if warning else "Normal",
        "reason": reason,
        "message": message,
        "source": {"component": "fieldpipe", "host": NODE},
        "firstTimestamp": stamp(now),
        "lastTimestamp": stamp(now),
        "count": 1,
    }


def _changed(document: Document, status: Document, container: Document) -> Document:
    before = document["status"]
    containers = [before["containerStatuses"][0] | container]
    return document | {"status": before | status | {"containerStatuses": containers}}


def _conditions(now: float, *, ready: bool, reason: str | None = None) -> list[Document]:
    why: dict[str, str] = {"reason": reason} if reason else {}
    states: list[tuple[str, bool, dict[str, str]]] = [
        ("PodScheduled", True, {}),
        ("Initialized", True, {}),
        ("ContainersReady", ready, why),
        ("Ready", ready, why),
    ]
    return [
        {"type": kind, "status": str(value), "lastProbeTime": None, "lastTransitionTime": stamp(now), **because}
        for kind, value, because in states
    ]
