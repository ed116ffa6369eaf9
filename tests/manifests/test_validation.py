"""What schemas, yamllint and checkov say is taken up as faults of ours."""

from pathlib import Path

import pytest

from fieldpipe.deploy.objects import Manifests, parse
from fieldpipe.deploy.validation import (
    Accepted,
    Failure,
    Schemas,
    checkov,
    not_accepted,
    not_needed,
    read_accepted,
    yamllint,
)
from fieldpipe.errors import PermanentError

SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n"
CPU = Failure("CKV_K8S_11", "CPU limits should be set", "Deployment.web", "dev")


def asked(text: str, *versions: str) -> list[str]:
    return [str(fault) for fault in Schemas(versions).faults(parse(text))]


def test_a_good_object_has_no_faults() -> None:
    assert asked(SERVICE, "1.32", "1.34", "1.37") == []


def test_a_field_that_does_not_exist_is_named_with_the_version() -> None:
    (said,) = asked(SERVICE.replace("ports:", "prots: [], ports:"), "1.34")

    assert said.startswith("Service web: Kubernetes 1.34 refuses spec: ")
    assert "prots" in said


def test_a_kind_that_the_version_does_not_have_is_named() -> None:
    assert asked(SERVICE.replace("v1", "v1beta7"), "1.34") == [
        "Service web: Kubernetes 1.34 does not know v1beta7 Service"
    ]


def test_extensions_are_left_to_the_cluster() -> None:
    assert asked("apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: x}", "1.34") == []


def test_yamllint_names_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("one:  1\none: 2\n")

    faults = [str(fault) for fault in yamllint(tmp_path, ["a.yaml"])]

    assert any(fault.startswith("yamllint: a.yaml:2:1: [error] duplication of key") for fault in faults)


def test_what_is_on_the_list_is_no_fault() -> None:
    on_the_list = Accepted("CKV_K8S_11", ("Deployment.*",), "conversions may use what is free")

    assert not_accepted([CPU], [on_the_list]) == []
    assert not_needed([CPU], [on_the_list]) == []


def test_what_is_not_on_the_list_is_a_fault_and_so_is_a_list_that_is_too_long() -> None:
    other = Accepted("CKV_K8S_11", ("Job.*",), "conversions may use what is free")

    assert [str(fault) for fault in not_accepted([CPU], [other])] == [
        "dev: Deployment.web: CKV_K8S_11: CPU limits should be set"
    ]
    assert [fault.about for fault in not_needed([CPU], [other])] == ["CKV_K8S_11 for Job.*"]


def test_our_list_has_a_reason_for_everything() -> None:
    assert len(read_accepted(Path(__file__).parent / "checkov.toml")) > 3


def test_an_entry_without_a_reason_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.toml").write_text('[[accepted]]\ncheck = "CKV_K8S_11"\nobjects = ["*"]\n')

    with pytest.raises(PermanentError, match="CKV_K8S_11 needs a reason"):
        read_accepted(tmp_path / "list.toml")


def test_a_checkov_that_reports_nothing_is_an_error(tmp_path: Path) -> None:
    program = tmp_path / "checkov"
    program.write_text("#!/bin/sh\necho cannot >&2\n")
    program.chmod(0o755)

    with pytest.raises(PermanentError, match="checkov gave no report: cannot"):
        checkov(program, [])


def test_the_same_object_is_asked_about_once() -> None:
    schemas = Schemas(["1.34"])
    bad = parse(SERVICE.replace("v1", "v1beta7"))

    first, again = list(schemas.faults(bad)), list(schemas.faults(Manifests([each.data for each in bad.objects])))

    assert first == again != []
