"""Renders overlays: what `kustomize build --enable-helm overlays/<name>` prints, with nothing from outside."""

import subprocess
import tempfile
from pathlib import Path

from fieldpipe.deploy.tools import Tools
from fieldpipe.errors import PermanentError


def render(folder: Path, tools: Tools) -> str:
    """The manifests of a folder with a kustomization. Raises PermanentError that carries what kustomize said."""
    command = [*tools.build, "--enable-helm", "--helm-command", str(tools.helm), str(folder)]
    with tempfile.TemporaryDirectory() as home:
        # No configuration of this machine's user: what is rendered is what is in the folder.
        environment = {"PATH": "/usr/bin:/bin", "HOME": home, "TMPDIR": home}
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    if done.returncode:
        raise PermanentError(f"{folder} does not render with {tools}: {done.stderr.strip()}")
    return done.stdout
