"""The whole cluster: `with running() as cluster:`, or by hand `python -m tests.cluster`."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster import addons, archives, control_plane, node
from tests.cluster.control_plane import ControlPlane
from tests.cluster.enforcer import Enforcer
from tests.cluster.programs import Programs
from tests.cluster.room import Room
from tests.waiting import eventually


@contextmanager
def api(programs: Programs) -> Iterator[ControlPlane]:
    """A control plane without a node: everything is checked and stored as on a real cluster, nothing runs."""
    folder = Path(tempfile.mkdtemp(prefix="fieldpipe-cluster-"))
    room = Room.open(folder)
    try:
        yield control_plane.start(room, programs)
    finally:
        room.close()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def with_node(plane: ControlPlane, images: list[Path]) -> Iterator[ControlPlane]:
    """The same with a node that has the archives' images, names, volumes, and enforces NetworkPolicies."""
    folder = plane.room.folder
    node.containerd(plane)
    own = {plane.programs.pause: node.PAUSE_IMAGE, plane.programs.dns: archives.DNS_IMAGE}
    for archive in [*(archives.archive_of(program, name, folder) for program, name in own.items()), *images]:
        archives.import_archive(plane.room, archive)
    node.start(plane)
    addons.apply(plane, folder / "volumes")
    with Enforcer(plane):
        wait_for_dns(plane)
        yield plane


def wait_for_dns(plane: ControlPlane) -> None:
    """Return when names are answered."""
    ready = ("-n", "kube-system", "get", "deployment", "coredns", "-o", "jsonpath={.status.readyReplicas}")
    eventually(lambda: plane.kubectl(*ready).strip() == "1", 60, lambda: _describe(plane))


def _describe(plane: ControlPlane) -> str:
    return plane.kubectl("get", "pods,events", "-A", check=False) + plane.room.tails()
