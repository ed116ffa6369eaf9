"""What a Kubernetes client asks for before it does anything: version, API groups, resources; and its kubeconfig."""

import json
from pathlib import Path
from typing import Any

from fieldpipe.local.pods.registry import Document

VERSION: Document = {
    "major": "1",
    "minor": "36",
    "gitVersion": "v1.36.0+fieldpipe",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "none: the local Pods API of Fieldpipe",
    "compiler": "",
    "platform": "",
}
VERSIONS: Document = {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
GROUPS: Document = {"kind": "APIGroupList", "apiVersion": "v1", "groups": []}


def _resource(name: str, kind: str, verbs: str, short: str = "", *, namespaced: bool = True) -> Document:
    return {
        "name": name,
        "singularName": kind.lower() if "/" not in name else "",
        "namespaced": namespaced,
        "kind": kind,
        "verbs": verbs.split(),
        "shortNames": short.split(),
    }


RESOURCES: Document = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": "v1",
    "resources": [
        _resource("pods", "Pod", "create delete get list patch watch", "po") | {"categories": ["all"]},
        _resource("pods/log", "Pod", "get"),
        _resource("events", "Event", "get list watch", "ev"),
        _resource("namespaces", "Namespace", "get list", "ns", namespaced=False),
    ],
}


def write_kubeconfig(file: Path, server: str, namespace: str) -> None:
    """Write the file with which clients find the server; complete at any moment, so that nobody reads half of it."""
    name = "fieldpipe-local"
    content: dict[str, Any] = {
        "kind": "Config",
        "apiVersion": "v1",
        "clusters": [{"name": name, "cluster": {"server": server}}],
        "users": [{"name": name, "user": {}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": namespace}}],
        "current-context": name,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.new")
    draft.write_text(json.dumps(content, indent=1) + "\n")
    draft.chmod(0o600)
    draft.replace(file)
