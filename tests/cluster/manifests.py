"""The project's manifests as a user applies them: from a copy, so that a test may change a setting as a user would."""

import shutil
from dataclasses import dataclass
from pathlib import Path

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

    def apply(self, plane: ControlPlane) -> dict[str, str]:
        """Apply them; returns what kubectl says became of each object: created, unchanged, configured."""
        lines = plane.kubectl("apply", "-f", "-", stdin=self.render()).splitlines()
        return dict(line.rsplit(" ", 1) for line in lines)
