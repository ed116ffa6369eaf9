"""Builds the images with whatever builds images here, pushes them, or loads them into a kind cluster.

Which programs to call, in which order, is decided in `plan`, from values alone; `carry_out` calls them.
"""

import json
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fieldpipe.errors import ConfigurationError

IMAGES = ("worker", "webhook", "airflow", "broker")
ENGINES = ("docker", "podman", "buildah")

# What Kubernetes makes of the bare names in base/; podman and buildah would call them localhost/...
UNQUALIFIED = "docker.io/library"

# Where the packages come from is this machine's business: it reaches the builder stage and no further. By name only:
# an address with a password in it must not be seen in the list of processes.
PIP_VARIABLES = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST")
PIP_CONFIGURATIONS = ("~/.config/pip/pip.conf", "~/.pip/pip.conf", "/etc/pip.conf")
CERTIFICATES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
CERTIFICATES_IN_IMAGE = "/etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True)
class Wish:
    """What somebody asked for."""

    tag: str
    registry: str | None = None  # such as ghcr.io/team; None: the images stay on this machine
    platforms: tuple[str, ...] = ()  # such as linux/arm64; none: this machine's
    base_image: str | None = None
    kind_cluster: str | None = None
    images: tuple[str, ...] = IMAGES

    def reference(self, image: str) -> str:
        return f"{self.registry or UNQUALIFIED}/fieldpipe-{image}:{self.tag}"


@dataclass(frozen=True)
class Step:
    """One command. `says` is what a person reads while it runs."""

    says: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class Machine:
    """What the machine has: the engine, and its own way to the package index."""

    engine: str
    build_options: tuple[str, ...] = ()
    revision: str = ""
    scratch: Path = field(default_factory=lambda: Path(tempfile.gettempdir()))

    def digest_file(self, image: str) -> Path:
        return self.scratch / f"{image}.digest"

    def manifest(self, image: str) -> str:
        """A name of this run's own: a build would add to a manifest that exists, beside what is old in it."""
        return f"localhost/fieldpipe-{image}:{self.scratch.name}"


def project_version(project: Path) -> str:
    """The version in pyproject.toml: the tag of the images unless somebody wants another."""
    version: str = tomllib.loads((project / "pyproject.toml").read_text())["project"]["version"]
    return version


def look_around(project: Path, scratch: Path, engine: str | None, environment: Mapping[str, str]) -> Machine:
    """Find an engine. Raises ConfigurationError that says what to install."""
    found = [name for name in ([engine] if engine else ENGINES) if _works(name)]
    if not found:
        raise ConfigurationError(
            f"there is no {engine or 'docker, podman or buildah'} that works here to build images with "
            "(Debian and Ubuntu: apt install podman)"
        )
    options = [f"--build-arg={name}" for name in PIP_VARIABLES if environment.get(name)]
    if found[0] != "docker":  # docker has no volumes for builds: there, certificates belong into BASE_IMAGE
        options += _mounts(environment)
    return Machine(found[0], tuple(options), _revision(project), scratch)


def _revision(project: Path) -> str:
    """The commit that is built; nothing where this is no checkout."""
    if shutil.which("git") is None:
        return ""
    answer = subprocess.run(["git", "rev-parse", "HEAD"], cwd=project, capture_output=True, text=True, check=False)
    return answer.stdout.strip()


def _works(engine: str) -> bool:
    """Whether it is installed and, for docker, whether its daemon answers."""
    if shutil.which(engine) is None:
        return False
    return engine != "docker" or subprocess.run(["docker", "version"], capture_output=True, check=False).returncode == 0


def _mounts(environment: Mapping[str, str]) -> list[str]:
    options = []
    named = [environment["PIP_CONFIG_FILE"]] if environment.get("PIP_CONFIG_FILE") else []
    configuration = next((p for n in (*named, *PIP_CONFIGURATIONS) if (p := Path(n).expanduser()).is_file()), None)
    if configuration:
        options.append(f"--volume={configuration}:/etc/pip.conf:ro")
    certificates = next((value for name in CERTIFICATES if (value := environment.get(name))), None)
    if certificates and Path(certificates).is_file():
        options += [
            f"--volume={certificates}:{CERTIFICATES_IN_IMAGE}:ro",
            f"--build-arg=PIP_CERT={CERTIFICATES_IN_IMAGE}",
        ]
    return options


def plan(wish: Wish, machine: Machine) -> list[Step]:
    """All commands in their order. Raises ConfigurationError for a wish that cannot be fulfilled."""
    if len(wish.platforms) > 1 and not wish.registry:
        raise ConfigurationError("an image for several platforms lives in a registry only: give REGISTRY as well")
    if wish.registry and wish.kind_cluster:
        raise ConfigurationError("kind takes the images of this machine: leave REGISTRY out")
    return [step for image in wish.images for step in _steps(wish, machine, image)]


def _steps(wish: Wish, machine: Machine, image: str) -> list[Step]:
    reference = wish.reference(image)
    several = len(wish.platforms) > 1
    steps = [Step(f"building {reference}", _build(wish, machine, image))]
    if wish.registry and not (several and machine.engine == "docker"):
        steps.append(Step(f"pushing {reference}", _push(machine, image, reference, several)))
    if wish.kind_cluster:
        into = ("--name", wish.kind_cluster)
        archive = str(machine.scratch / f"{image}.tar")
        if machine.engine == "docker":
            steps.append(Step(f"loading {reference}", ("kind", "load", "docker-image", reference, *into)))
        else:
            steps.append(Step(f"saving {reference}", _save(machine.engine, reference, archive)))
            steps.append(Step(f"loading {reference}", ("kind", "load", "image-archive", archive, *into)))
    return steps


def _build(wish: Wish, machine: Machine, image: str) -> tuple[str, ...]:
    reference = wish.reference(image)
    several = len(wish.platforms) > 1
    command = [machine.engine, "build", f"--file=Dockerfile.{image}"]
    name = [f"--tag={reference}"]
    if several and machine.engine == "docker":
        command[1:2] = ["buildx", "build"]
        name += ["--push", f"--metadata-file={machine.digest_file(image)}"]
    elif several:
        name = [f"--manifest={machine.manifest(image)}"]
    if machine.engine != "docker":
        command.append("--layers")
    arguments = {"VERSION": wish.tag, "REVISION": machine.revision, "BASE_IMAGE": wish.base_image}
    command += [f"--build-arg={key}={value}" for key, value in arguments.items() if value]
    command += [f"--platform={','.join(wish.platforms)}"] if wish.platforms else []
    return (*command, *machine.build_options, *name, ".")


def _push(machine: Machine, image: str, reference: str, several: bool) -> tuple[str, ...]:
    if machine.engine == "docker":
        return ("docker", "push", reference)
    digest = f"--digestfile={machine.digest_file(image)}"
    if several:
        push = (machine.engine, "manifest", "push", "--all", "--rm", digest)
        return (*push, machine.manifest(image), f"docker://{reference}")
    return (machine.engine, "push", digest, reference)


def _save(engine: str, reference: str, archive: str) -> tuple[str, ...]:
    if engine == "buildah":
        return ("buildah", "push", reference, f"docker-archive:{archive}:{reference}")
    return ("podman", "save", "--format=docker-archive", f"--output={archive}", reference)


def carry_out(steps: Sequence[Step], project: Path) -> None:
    """Run the commands; their output goes where ours goes. Raises ConfigurationError at the first that fails."""
    for number, step in enumerate(steps, 1):
        print(f"[{number}/{len(steps)}] {step.says}", flush=True)
        if shutil.which(step.command[0]) is None:
            raise ConfigurationError(f"{step.command[0]} is not installed here; it was to do: {step.says}")
        if subprocess.run(step.command, cwd=project, check=False).returncode:
            raise ConfigurationError(f"failed while {step.says}: {' '.join(step.command)}")


def pushed(wish: Wish, machine: Machine) -> dict[str, str]:
    """Image -> digest in the registry (`sha256:...`), after `carry_out` has pushed them."""
    return {image: _digest(wish, machine, image) for image in wish.images}


def _digest(wish: Wish, machine: Machine, image: str) -> str:
    file = machine.digest_file(image)
    if not file.is_file():  # only docker push writes none
        inspect = ("docker", "image", "inspect", "--format={{index .RepoDigests 0}}", wish.reference(image))
        answer = subprocess.run(inspect, capture_output=True, text=True, check=True).stdout
        return answer.strip().partition("@")[2]
    text = file.read_text().strip()
    if text.startswith("{"):  # of docker buildx
        return str(json.loads(text)["containerimage.digest"])
    return text


def edit_command(wish: Wish, digests: Mapping[str, str]) -> str:
    """What to type in an overlay's folder so that it uses these images."""
    images = []
    for image in wish.images:
        name = wish.reference(image)
        if image in digests:
            name = f"{name.rpartition(':')[0]}@{digests[image]}"
        images.append(f"fieldpipe-{image}={name}")
    return " ".join(["kustomize", "edit", "set", "image", *images])
