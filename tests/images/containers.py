"""Runs the built images as a pod would: read-only root, a /tmp, no privileges, the image's own user."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from fieldpipe.deploy.images import Wish, project_version

PROJECT = Path(__file__).parents[2]
ENGINE = shutil.which("podman") or shutil.which("docker") or "podman"
AS_A_POD = ("--rm", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")
TAG = os.environ.get("FIELDPIPE_IMAGES_TAG") or project_version(PROJECT)


@dataclass(frozen=True)
class Image:
    """One of the three; the rest is that of its containers: `mounts` leads from a folder of ours to a path inside."""

    name: str
    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: Mapping[Path, str] = field(default_factory=dict)
    writable: tuple[str, ...] = ("/tmp",)

    @property
    def reference(self) -> str:
        return Wish(tag=TAG).reference(self.name)

    def exists(self) -> bool:
        return shutil.which(ENGINE) is not None and _call("image", "inspect", self.reference).returncode == 0

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Start it with a command, or with none for its own, and wait for its end."""
        return _call(*self._arguments(), *command)

    def python(self, program: str) -> str:
        """What a Python program prints in it. Fails when the program does."""
        done = self.run("python", "-c", program)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    @contextmanager
    def serving(self, log: Path) -> Iterator[None]:
        """Its own command, until the end of the block."""
        name = f"fieldpipe-test-{uuid4().hex[:8]}"
        with log.open("wb") as output:
            child = subprocess.Popen([ENGINE, *self._arguments(f"--name={name}")], stdout=output, stderr=output)
            try:
                yield
            finally:
                _call("stop", "--time=15", name)
                child.wait(timeout=30)

    def inspect(self, what: str) -> str:
        """A part of its configuration, as a Go template names it."""
        return _call("image", "inspect", f"--format={what}", self.reference).stdout.strip()

    def _arguments(self, *more: str) -> list[str]:
        variables = [f"--env={name}={value}" for name, value in self.environment.items()]
        volumes = [f"--tmpfs={folder}" for folder in self.writable]
        volumes += [f"--volume={ours}:{inside}" for ours, inside in self.mounts.items()]
        return ["run", *AS_A_POD, "--network=host", *more, *variables, *volumes, self.reference]


def _call(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([ENGINE, *arguments], capture_output=True, text=True, timeout=240, check=False)
