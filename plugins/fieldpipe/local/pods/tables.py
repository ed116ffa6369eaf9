"""What `kubectl get` prints: the server answers with a Table when asked for one (Kubernetes API, meta/v1 Table)."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fieldpipe.local.pods.registry import Document

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


@dataclass(frozen=True)
class Column:
    """One column; `priority` 1 is shown with `-o wide` only."""

    name: str
    value: Callable[[Document], str]
    priority: int = 0


def table(columns: Sequence[Column], documents: Sequence[Document], version: int) -> Document:
    """A Table of objects with one row each."""
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": str(version)},
        "columnDefinitions": [
            {"name": each.name, "type": "string", "format": "", "description": each.name, "priority": each.priority}
            for each in columns
        ],
        "rows": [_row(columns, document) for document in documents],
    }


def wanted(accept: str) -> bool:
    """Whether a client's Accept header asks for tables."""
    return "as=Table" in accept


def age(since: str) -> str:
    """How long ago a Kubernetes time was, as kubectl writes it: 5s, 3m20s, 2h, 4d."""
    seconds = max(0, int(time.time() - datetime.fromisoformat(since).timestamp()))
    if seconds < 2 * _MINUTE:
        return f"{seconds}s"
    if seconds < 10 * _MINUTE:
        return f"{seconds // _MINUTE}m{seconds % _MINUTE}s"
    if seconds < 3 * _HOUR:
        return f"{seconds // _MINUTE}m"
    return f"{seconds // _HOUR}h" if seconds < 2 * _DAY else f"{seconds // _DAY}d"


def _row(columns: Sequence[Column], document: Document) -> Document:
    partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": document["metadata"]}
    return {"cells": [column.value(document) for column in columns], "object": partial}


def _pod_state(document: Document) -> str:
    """The STATUS column: the most telling of deletion, the pod's reason, its container's reason, its phase."""
    status = document["status"]
    state: dict[str, Any] = status["containerStatuses"][0]["state"]
    detail = state.get("terminated") or state.get("waiting") or {}
    if "deletionTimestamp" in document["metadata"]:
        return "Terminating"
    return str(status.get("reason") or detail.get("reason") or status["phase"])


def _readiness(document: Document) -> str:
    return "1/1" if document["status"]["containerStatuses"][0]["ready"] else "0/1"


def _created(document: Document) -> str:
    return age(document["metadata"]["creationTimestamp"])


PODS = (
    Column("Name", lambda pod: pod["metadata"]["name"]),
    Column("Ready", _readiness),
    Column("Status", _pod_state),
    Column("Restarts", lambda _: "0"),
    Column("Age", _created),
    Column("IP", lambda pod: pod["status"]["podIP"], priority=1),
    Column("Node", lambda pod: pod["spec"]["nodeName"], priority=1),
    Column("Nominated Node", lambda _: "<none>", priority=1),
    Column("Readiness Gates", lambda _: "<none>", priority=1),
)
EVENTS = (
    Column("Last Seen", lambda event: age(event["lastTimestamp"])),
    Column("Type", lambda event: event["type"]),
    Column("Reason", lambda event: event["reason"]),
    Column("Object", lambda event: f"pod/{event['involvedObject']['name']}"),
    Column("Message", lambda event: event["message"]),
)
NAMESPACES = (
    Column("Name", lambda namespace: namespace["metadata"]["name"]),
    Column("Status", lambda namespace: namespace["status"]["phase"]),
    Column("Age", _created),
)
