"""The project's manifests as a user applies them: from a copy, so that a test may change a setting as a user would."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldpipe.deploy.rendering import render
from fieldpipe.deploy.tools import Tools
from tests.cluster.control_plane import ControlPlane
from tests.stacks import PROJECT

PARTS = ("base", "charts", "components", "overlays")


@dataclass(frozen=True)
class Manifests:
    """A copy of the manifests, with an overlay chosen."""

    project: Path
    overlay: str
    tools: Tools

    @classmethod
    def copy(cls, folder: Path, overlay: str, tools: Tools) -> "Manifests":
        """Copy the project's manifests to a folder."""
        for part in PARTS:
            if (PROJECT / part).is_dir():
                shutil.copytree(PROJECT / part, folder / part)
        return cls(folder, overlay, tools)

    def set(self, name: str, value: str) -> None:
        """Change a setting: a line of the overlay's config.env, as a user writes it."""
        with (self.project / "overlays" / self.overlay / "config.env").open("a") as settings:
            settings.write(f"\n{name}={value}\n")

    def render(self) -> str:
        """What `kustomize build --enable-helm` prints."""
        return render(self.project / "overlays" / self.overlay, self.tools)

    def versions(self, plane: ControlPlane) -> dict[str, str]:
        """A number per applied object that grows when what is wished of it changes."""
        found = json.loads(plane.kubectl("get", "-f", "-", "-o", "json", stdin=self.render()))["items"]
        return {f"{each['kind']}/{each['metadata']['name']}": _version(each["metadata"]) for each in found}

    def apply(self, plane: ControlPlane) -> dict[str, str]:
        """Apply them; returns what kubectl says became of each object: created, unchanged, configured.

        kubectl says `configured` of some objects that it did not change, for instance of a Secret with stringData.
        """
        lines = plane.kubectl("apply", "-f", "-", stdin=self.render()).splitlines()
        return dict(line.rsplit(" ", 1) for line in lines)


def _version(metadata: dict[str, Any]) -> str:
    # without a generation there is no status either, and the version is of what is wished alone
    return str(metadata.get("generation") or metadata["resourceVersion"])
