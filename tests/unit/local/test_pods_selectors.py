"""Selectors choose what Kubernetes would choose."""

import pytest

from fieldpipe.local.pods.refusal import Refusal
from fieldpipe.local.pods.selectors import matcher, parse_labels

OPERATOR = (
    "dag_id=recordings,kubernetes_pod_operator=True,run_id=fp.recordings.0a1b,task_id=convert,"
    "already_checked!=True,!airflow-worker"
)
LABELS = {
    "dag_id": "recordings",
    "kubernetes_pod_operator": "True",
    "run_id": "fp.recordings.0a1b",
    "task_id": "convert",
}


@pytest.mark.parametrize(
    ("changes", "chosen"),
    [
        ({}, True),
        ({"already_checked": "True"}, False),
        ({"already_checked": "False"}, True),
        ({"airflow-worker": "1"}, False),
        ({"run_id": "other"}, False),
    ],
)
def test_the_selector_of_the_operator_finds_its_pod_only(changes: dict, chosen: bool) -> None:
    assert parse_labels(OPERATOR)(LABELS | changes) is chosen


@pytest.mark.parametrize(
    ("selector", "chosen"),
    [
        ("", True),
        ("a", True),
        ("b", False),
        ("!a", False),
        ("! b", True),
        ("a=1", True),
        ("a==1", True),
        (" a = 1 , x/y.z = 2 ", True),
        ("a!=1", False),
        ("b!=1", True),
        ("a in (0, 1)", True),
        ("a in (0)", False),
        ("b in (0,1)", False),
        ("a notin (0,1)", False),
        ("b notin (0,1)", True),
        ("a in (1),!b,x/y.z", True),
        ("empty=", True),
        ("a=", False),
    ],
)
def test_every_form_of_a_label_requirement_is_understood(selector: str, chosen: bool) -> None:
    assert parse_labels(selector)({"a": "1", "x/y.z": "2", "empty": ""}) is chosen


@pytest.mark.parametrize("selector", ["a in 1", "a=1=2", "=1", "!a=1", "a in (1", "a b", "a=1;b=2"])
def test_a_selector_that_cannot_be_read_is_refused(selector: str) -> None:
    with pytest.raises(Refusal) as refusal:
        parse_labels(selector)

    assert refusal.value.code == 400


POD = {"metadata": {"name": "p1", "labels": {"a": "1"}}, "status": {"phase": "Running"}}
FIELDS = ("metadata.name", "status.phase")


@pytest.mark.parametrize(
    ("fields", "chosen"),
    [
        ("metadata.name=p1", True),
        ("metadata.name=p2", False),
        ("status.phase!=Running", False),
        ("status.phase!=Failed,metadata.name==p1", True),
    ],
)
def test_fields_choose_too(fields: str, chosen: bool) -> None:
    assert matcher("a=1", fields, FIELDS)(POD) is chosen


@pytest.mark.parametrize("fields", ["spec.image=x", "metadata.name", "metadata.name>1"])
def test_other_fields_are_refused(fields: str) -> None:
    with pytest.raises(Refusal):
        matcher("", fields, FIELDS)
