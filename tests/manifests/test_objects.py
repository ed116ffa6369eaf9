"""Reading objects: by kind and name, with the pods that they make."""

import pytest

from fieldpipe.deploy.fields import contents, matches
from fieldpipe.deploy.objects import Manifests, parse
from fieldpipe.deploy.pods import Reference

TEXT = """
apiVersion: v1
kind: Secret
metadata: {name: keys}
data: {user: YWRtaW4=}
stringData: {password: pass}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {COLOR: red, SIZE: large}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: runner
      volumes:
        - {name: files, configMap: {name: settings, items: [{key: SIZE, path: size}]}}
        - {name: all, projected: {sources: [{secret: {name: keys, optional: true}}]}}
        - {name: data, persistentVolumeClaim: {claimName: disk}}
      initContainers:
        - {name: first}
        - {name: sidecar, restartPolicy: Always}
      containers:
        - name: web
          command: [serve]
          args: [--all]
          ports: [{containerPort: 80, name: http}]
          envFrom: [{configMapRef: {name: settings}}]
          env:
            - {name: SIZE, value: small}
            - {name: USER, valueFrom: {secretKeyRef: {name: keys, key: user}}}
            - {name: PLACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
---
"""


@pytest.fixture
def manifests() -> Manifests:
    return parse(TEXT)


def test_a_workload_names_what_its_pods_need(manifests: Manifests) -> None:
    (web,) = manifests.workloads

    assert set(web.references) == {
        Reference("ServiceAccount", "runner"),
        Reference("ConfigMap", "settings"),
        Reference("ConfigMap", "settings", "SIZE"),
        Reference("Secret", "keys", optional=True),
        Reference("Secret", "keys", "user"),
        Reference("PersistentVolumeClaim", "disk"),
    }


def test_containers_that_end_first_are_told_from_sidecars(manifests: Manifests) -> None:
    (web,) = manifests.workloads

    assert [(each.name, each.first) for each in web.containers] == [("first", True), ("sidecar", False), ("web", False)]
    assert web.containers[-1].words == ["serve", "--all"]
    assert web.ports == {80, "http"}


def test_what_is_listed_wins_over_what_comes_from_whole_config_maps(manifests: Manifests) -> None:
    environment = manifests.environment(manifests.workloads[0].containers[-1])

    assert (environment["COLOR"].value, environment["SIZE"].value) == ("red", "small")
    assert environment["USER"].source == Reference("Secret", "keys", "user")
    assert environment["PLACE"].field == "metadata.namespace"


def test_a_secret_is_read_as_a_pod_sees_it(manifests: Manifests) -> None:
    secret = manifests.get("Secret", "keys")

    assert secret is not None
    assert contents(secret) == {"user": "admin", "password": "pass"}


def test_words_that_kubectl_takes_for_booleans_are_booleans() -> None:
    (config,) = parse("kind: ConfigMap\nmetadata: {name: x}\ndata: {a: y, b: off, c: 'n', d: yes, e: yellow}").objects

    assert config.data["data"] == {"a": True, "b": False, "c": "n", "d": True, "e": "yellow"}


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({}, True),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "web", "tier": "back"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "api"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["back"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
    ],
)
def test_selectors_match_as_kubernetes_says(selector: dict, expected: bool) -> None:
    assert matches(selector, {"app": "web"}) is expected
