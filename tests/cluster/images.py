"""Archives of the images that the manifests name, out of buildah's storage.

Ours are there after `make images`; those of others are stood in for by images built here (see stand_ins/).
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from fieldpipe.deploy.images import project_version
from fieldpipe.local.etcd import etcd_program
from tests import kafka_programs
from tests.cluster.programs import NotHere, cache, digest
from tests.stacks import PROJECT

OURS = ("fieldpipe-airflow", "fieldpipe-worker", "fieldpipe-webhook", "fieldpipe-broker")
STAND_INS = {
    "postgres": "docker.io/library/postgres:17.6",
    "redis": "docker.io/library/redis:7.2.11",
    "minio": "quay.io/minio/minio:RELEASE.2025-09-07T16-13-09Z",
    "kafka": f"docker.io/apache/kafka:{kafka_programs.KAFKA}",
    "etcd": "quay.io/coreos/etcd:v3.5.25",
    "mariadb": "docker.io/library/mariadb:10.11.19",
}
RECIPES = Path(__file__).resolve().parent / "stand_ins"


def archives() -> list[Path]:
    """An archive of every image; made anew only when the image is another. Raises NotHere."""
    if shutil.which("buildah") is None:
        raise NotHere("images are taken from buildah, and there is no `buildah` on PATH (apt-get install buildah)")
    tag = os.environ.get("FIELDPIPE_IMAGES_TAG") or project_version(PROJECT)
    ours = [_archive(_built(f"{image}:{tag}"), on_node(image)) for image in OURS]
    return ours + [_archive(_stand_in(name), image) for name, image in STAND_INS.items()]


def on_node(image: str) -> str:
    """The whole name of one of ours on the node: with the version that the manifests name."""
    return f"docker.io/library/{image}:{project_version(PROJECT)}"


def _built(image: str) -> str:
    """The whole name of an image that `make images` built: engines write it in different ways."""
    names = [f"docker.io/library/{image}", f"localhost/{image}"]
    found = [name for name in names if _id_of(name)]
    if not found:
        raise NotHere(f"there is no image {image}: make images")
    return found[0]


def _stand_in(name: str) -> str:
    """Build the image that stands in for another's; quick when it was built before."""
    version = STAND_INS[name].rpartition(":")[2]
    own = f"localhost/stand-in-{name}:{version}-{digest(RECIPES)[:12]}"
    if _id_of(own):
        return own
    context = cache() / "stand-ins"
    shutil.copytree(RECIPES, context, dirs_exist_ok=True)
    minio = shutil.which("minio")
    if minio is None:
        raise NotHere("there is no `minio` on PATH to make an image of (.ci/run builds one)")
    shutil.copy(minio, context)
    shutil.copy(etcd_program(), context)
    try:
        shutil.copytree(kafka_programs.jars(), context / "kafka", dirs_exist_ok=True)
    except kafka_programs.NotHere as missing:
        raise NotHere(str(missing)) from missing
    base = os.environ.get("FIELDPIPE_BASE_IMAGE")
    _buildah([
        "bud", "--isolation", "chroot", *(["--build-arg", f"BASE_IMAGE={base}"] if base else []),
        "--file", str(context / f"Dockerfile.{name}"), "--tag", own, str(context),
    ])  # fmt: skip
    return own


def _archive(image: str, name: str) -> Path:
    identity = _id_of(image)
    folder = cache() / "archives"
    folder.mkdir(parents=True, exist_ok=True)
    short = name.rsplit("/", 1)[-1].split(":")[0]
    path = folder / f"{short}-{identity[:12]}.tar"
    if not path.exists():
        for old in folder.glob(f"{short}-*.tar"):
            old.unlink()
        partial = path.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        _buildah(["push", "--quiet", image, f"docker-archive:{partial}:{name}"])
        partial.rename(path)
    return path


def _id_of(image: str) -> str:
    found = subprocess.run(
        ["buildah", "inspect", "--type", "image", "--format", "{{.FromImageID}}", image],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return found.stdout.strip()


def _buildah(arguments: Sequence[str]) -> None:
    done = subprocess.run(["buildah", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NotHere(f"buildah {' '.join(arguments)}: {done.stderr.strip()[-2000:]}")
