"""What the small overlays reserve leaves room on two CPUs.

What runs all the time waits for Jobs, and Airflow's tasks need pods: on a node that is reserved completely they would
wait for one another for ever (seen on a real cluster).
"""

from collections.abc import Callable

import pytest

from fieldpipe.deploy.objects import Data, Manifests


@pytest.mark.parametrize(("overlay", "milli"), [("dev", 1000), ("kind", 300)])
def test_what_runs_all_the_time_reserves_at_most(
    overlay: str, milli: int, rendered: Callable[[str], Manifests]
) -> None:
    workloads = [each for kind in ("Deployment", "StatefulSet") for each in rendered(overlay).of(kind)]
    assert len(workloads) >= 10

    reserved = {each.data["metadata"]["name"]: each.spec["replicas"] * cpu(each.spec["template"]) for each in workloads}

    assert sum(reserved.values()) <= milli, reserved


def test_a_job_reserves_little(rendered: Callable[[str], Manifests]) -> None:
    jobs = {each.data["metadata"]["name"]: cpu(each.spec["template"]) for each in rendered("dev").of("Job")}

    assert {name: reserved for name, reserved in jobs.items() if reserved > 100} == {}


def cpu(template: Data) -> int:
    """Thousandths of a CPU that a pod reserves."""
    return sum(_milli(each["resources"]["requests"]["cpu"]) for each in template["spec"]["containers"])


def _milli(quantity: str) -> int:
    return int(quantity.removesuffix("m")) if quantity.endswith("m") else round(float(quantity) * 1000)
