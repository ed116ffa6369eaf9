"""Every overlay keeps every rule, and every rule notices when it is broken."""

from collections.abc import Callable
from typing import Any

import pytest

from fieldpipe.deploy import rules
from fieldpipe.deploy.fields import Data
from fieldpipe.deploy.objects import Manifests
from fieldpipe.deploy.overlay import Overlay
from fieldpipe.deploy.rules.fault import Rule
from tests.manifests.breakages import BROKEN, GONE, NAMESPACE, WITH_CAMERAS


@pytest.mark.parametrize("rule", rules.ALWAYS, ids=lambda rule: rule.__name__)
def test_every_overlay_keeps(rule: Rule, manifests: Manifests) -> None:
    assert [str(fault) for fault in rule(manifests)] == []


def test_every_overlay_keeps_its_own_rules(chosen: Overlay, manifests: Manifests) -> None:
    assert [str(fault) for fault in chosen.faults(manifests)] == []


@pytest.mark.parametrize(
    ("overlay", "rule", "change", "complaint"),
    [*(("dev", *each) for each in BROKEN), *(("cameras", *each) for each in WITH_CAMERAS)],
    ids=[f"{rule.__name__}-{c[0]}" for rule, c, _ in [*BROKEN, *WITH_CAMERAS]],
)
def test_a_rule_notices(
    overlay: str, rule: Rule, change: tuple[str, str, Any], complaint: str, objects_of: Callable[[str], list[Data]]
) -> None:
    objects = objects_of(overlay)
    before = {str(fault) for fault in rule(Manifests(objects))}

    broken = rule(Manifests(with_change(objects, *change)))

    assert any(fault.startswith(complaint) for fault in {str(each) for each in broken} - before)


def test_every_rule_is_broken_once() -> None:
    tried = {rule.__qualname__.split(".")[0] for rule, _, _ in BROKEN}
    every = {
        rule
        for for_development in (True, False)
        for rule in rules.rules(NAMESPACE, existing={}, for_development=for_development)
    }

    assert {rule.__qualname__.split(".")[0] for rule in every} == tried


def with_change(objects: list[Data], about: str, path: str, value: Any) -> list[Data]:
    """The objects, with one value of one of them replaced or taken away."""
    kind, name = about.split("/")
    (found,) = (each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name)
    *way, last = _steps(path)
    place: Any = found
    for step in way:
        place = place[step] if isinstance(place, list) else place.setdefault(step, {})
    if value is GONE:
        del place[last]
    else:
        place[last] = value
    return objects


def _steps(path: str) -> list[str | int]:
    """Of `spec.ports.0`. The keys with dots in them are those of labels, which all come last."""
    head, label, tail = path.partition(".labels.")
    steps: list[str | int] = [int(step) if step.isdigit() else step for step in head.split(".")]
    return [*steps, "labels", tail] if label else steps
