"""Renders overlays: what `kustomize build --enable-helm overlays/<name>` prints, with nothing from outside."""

import subprocess
import tempfile
from pathlib import Path

from fieldpipe.deploy.tools import Tools
from fieldpipe.errors import PermanentError

OVERLAYS = "overlays"


def overlays(project: Path, wanted: str | None = None) -> list[str]:
    """The overlays by name, or the one that is wanted. Raises PermanentError when there is none of that name."""
    names = sorted(file.parent.name for file in (project / OVERLAYS).glob("*/kustomization.yaml"))
    if wanted is None:
        return names
    if wanted not in names:
        raise PermanentError(f"there is no overlay {wanted}; there are: {', '.join(names)}")
    return [wanted]


def render(folder: Path, tools: Tools) -> str:
    """The manifests of a folder with a kustomization. Raises PermanentError that carries what kustomize said."""
    command = [*tools.build, "--enable-helm", "--helm-command", str(tools.helm), str(folder)]
    with tempfile.TemporaryDirectory() as home:
        # No configuration of this machine's user, no registry: what is rendered is what is in the folder.
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=300, env={"PATH": "/usr/bin:/bin", "HOME": home}
        )
    if done.returncode:
        raise PermanentError(f"{folder} does not render: {done.stderr.strip()}\n({tools})")
    return done.stdout
