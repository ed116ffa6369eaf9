"""What a pod's process gets: variables as the kubelet computes them, arguments expanded, nothing else."""

import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldpipe.errors import ConfigurationError
from fieldpipe.local.pods.command import (
    Sources,
    UnresolvedReference,
    build_command,
    build_environment,
    expand,
    read_sources,
    refuse_files,
)
from fieldpipe.local.pods.spec import Container, Volume

SOURCES = Sources(
    secrets={"store": {"secret-key": "s3cr3t", "user": "me"}},
    configmaps={"settings": {"ENDPOINT": "http://store:9000", "MODE": "fast"}},
)
POD = {
    "metadata": {
        "name": "p1",
        "namespace": "ns",
        "uid": "u1",
        "labels": {"app.io/run": "r1"},
        "annotations": {"n": "v"},
    },
    "spec": {"nodeName": "local"},
    "status": {"podIP": "127.0.0.1"},
}


def container(**fields: object) -> Container:
    return Container.model_validate({"name": "base", "command": ["true"], **fields})


def environment(*variables: dict, **fields: object) -> dict[str, str]:
    return build_environment(POD, container(env=list(variables), **fields), SOURCES)


def secret(name: str, key: str, **more: object) -> dict:
    return {"secretKeyRef": {"name": name, "key": key, **more}}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$(A)", "1"),
        ("x$(A)y$(B)z", "x1y2z"),
        ("$(NOT)", "$(NOT)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$$$$(A)", "$$(A)"),
        ("$A ${A} $", "$A ${A} $"),
        ("$(A", "$(A"),
        ("$($(A)", "$($(A)"),
        ("$()", "$()"),
        ("$(EMPTY)", ""),
        ("$x$(A)", "$x1"),
    ],
)
def test_references_expand_as_kubernetes_expands_them(text: str, expanded: str) -> None:
    assert expand(text, {"A": "1", "B": "2", "EMPTY": ""}) == expanded


def kubernetes_expand(text: str, values: dict[str, str]) -> str:
    """A port, line by line, of Expand in kubernetes/third_party/forked/golang/expansion/expand.go."""
    out, checkpoint, cursor = "", 0, 0
    while cursor < len(text):
        if text[cursor] == "$" and cursor + 1 < len(text):
            out += text[checkpoint:cursor]
            rest = text[cursor + 1 :]
            if rest[0] == "$":
                out, advance = out + "$", 1
            elif rest[0] == "(" and ")" in rest:
                name = rest[1 : rest.index(")")]
                out, advance = out + values.get(name, f"$({name})"), len(name) + 2
            else:
                out, advance = out + "$" + rest[0], 1
            cursor += advance
            checkpoint = cursor + 1
        cursor += 1
    return out + text[checkpoint:]


@given(st.text(alphabet="$()AB x\n", max_size=30))
def test_any_text_expands_as_in_kubernetes(text: str) -> None:
    values = {"A": "1", "B": "$(A)", "": "empty"}

    assert expand(text, values) == kubernetes_expand(text, values)


def test_a_variable_sees_those_before_it_and_not_those_after_it() -> None:
    assert environment(
        {"name": "FIRST", "value": "$(SECOND)-$(MODE)"},
        {"name": "SECOND", "value": "[$(FIRST)]"},
        envFrom=[{"configMapRef": {"name": "settings"}}],
    ) == {
        "ENDPOINT": "http://store:9000",
        "MODE": "fast",
        "FIRST": "$(SECOND)-fast",
        "SECOND": "[$(SECOND)-fast]",
    }


def test_later_sources_and_variables_win_and_prefixes_are_put_before_keys() -> None:
    assert environment(
        {"name": "X_MODE", "value": "slow"},
        envFrom=[
            {"configMapRef": {"name": "settings"}, "prefix": "X_"},
            {"secretRef": {"name": "store"}, "prefix": "Y_"},
        ],
    ) == {"X_ENDPOINT": "http://store:9000", "X_MODE": "slow", "Y_secret-key": "s3cr3t", "Y_user": "me"}


def test_values_come_from_secrets_configmaps_and_the_pod_itself() -> None:
    sources = {
        "S": secret("store", "secret-key"),
        "C": {"configMapKeyRef": {"name": "settings", "key": "MODE"}},
        "N": {"fieldRef": {"fieldPath": "metadata.name"}},
        "L": {"fieldRef": {"fieldPath": "metadata.labels['app.io/run']"}},
        "IP": {"fieldRef": {"fieldPath": "status.podIP"}},
    }

    values = environment(*({"name": name, "valueFrom": source} for name, source in sources.items()))

    assert values == {"S": "s3cr3t", "C": "fast", "N": "p1", "L": "r1", "IP": "127.0.0.1"}


def test_a_secret_that_would_be_files_is_refused_by_name_and_one_that_is_missing_is_none() -> None:
    there, missing = (
        Volume.model_validate({"name": "tls", "secret": {"secretName": name, "optional": True}})
        for name in ("store", "nowhere")
    )

    refuse_files([missing], SOURCES)
    with pytest.raises(UnresolvedReference, match='cannot mount secret "store"'):
        refuse_files([missing, there], SOURCES)


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        (secret("nowhere", "x"), 'secret "nowhere" not found'),
        (secret("store", "x"), "couldn't find key x in secret store"),
        ({"configMapKeyRef": {"name": "nowhere", "key": "x"}}, 'configmap "nowhere" not found'),
        ({"fieldRef": {"fieldPath": "status.hostname"}}, "fieldRef status.hostname"),
    ],
)
def test_a_missing_reference_is_named(source: dict, complaint: str) -> None:
    with pytest.raises(UnresolvedReference) as error:
        environment({"name": "V", "valueFrom": source})

    assert complaint in str(error.value)
    assert "s3cr3t" not in str(error.value)


def test_an_optional_reference_that_is_missing_sets_nothing() -> None:
    assert (
        environment(
            {"name": "A", "valueFrom": secret("nowhere", "x", optional=True)},
            {"name": "B", "valueFrom": secret("store", "x", optional=True)},
            envFrom=[{"secretRef": {"name": "nowhere", "optional": True}}],
        )
        == {}
    )


def test_arguments_see_what_the_spec_defines_but_not_what_the_image_brings() -> None:
    command = build_command(
        POD,
        container(
            command=["python", "-c"],
            args=["$(KEY) $(PATH) $(S)"],
            env=[{"name": "KEY", "value": "$(S)"}, {"name": "S", "valueFrom": secret("store", "secret-key")}],
        ),
        SOURCES,
        Path("/somewhere"),
    )

    assert command.arguments == (sys.executable, "-c", "$(S) $(PATH) s3cr3t")
    assert command.folder == "/somewhere"


def test_the_working_folder_of_the_container_is_used() -> None:
    assert build_command(POD, container(workingDir="/else"), SOURCES, Path("/somewhere")).folder == "/else"


def test_sources_are_read_from_json(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"secrets": {"a": {"k": "v"}}}))

    assert read_sources(file) == Sources(secrets={"a": {"k": "v"}}, configmaps={})


@pytest.mark.parametrize(
    "content", ["", "[]", '{"secrets": {"a": {"k": 1}}}', '{"secrets": []}', '{"secrets": {"a": 1}}']
)
def test_other_contents_are_refused_with_the_name_of_the_file(tmp_path: Path, content: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(content)

    with pytest.raises(ConfigurationError, match=r"config\.json"):
        read_sources(file)
