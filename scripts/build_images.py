"""Build the images airflow, worker, webhook and broker with docker, podman or buildah: `make images`, `images-kind`.

    python -m scripts.build_images                                            # they stay on this machine
    python -m scripts.build_images --registry ghcr.io/team --platform linux/amd64,linux/arm64
    python -m scripts.build_images --kind kind                                # and load them into that kind cluster

Packages are fetched as this machine's pip does it (PIP_INDEX_URL, pip.conf, PIP_CERT).
"""

import argparse
import os
import tempfile
from pathlib import Path

from fieldpipe import errors
from fieldpipe.deploy import images

PROJECT = Path(__file__).resolve().parents[1]


def main() -> int:
    arguments = parse_arguments()
    wish = images.Wish(
        tag=arguments.tag or images.project_version(PROJECT),
        registry=arguments.registry,
        platforms=tuple(arguments.platform.split(",")) if arguments.platform else (),
        base_image=arguments.base_image,
        kind_cluster=arguments.kind,
        images=tuple(arguments.only or images.IMAGES),
    )
    with tempfile.TemporaryDirectory() as scratch:
        machine = images.look_around(PROJECT, Path(scratch), arguments.engine, os.environ)
        images.carry_out(images.plan(wish, machine), PROJECT)
        digests = images.pushed(wish, machine) if wish.registry else {}
    for image in wish.images:
        print(wish.reference(image), digests.get(image, ""))
    if wish.registry:
        print("To use them, in the folder of your overlay:", images.edit_command(wish, digests), sep="\n  ")
    return 0


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--registry", metavar="HOST/PATH", help="push to it (default: keep them here)")
    parser.add_argument("--tag", help="default: the version in pyproject.toml")
    parser.add_argument("--platform", metavar="OS/ARCH,...", help="default: this machine's; several take a registry")
    parser.add_argument("--base-image", metavar="IMAGE", help="default: see the Dockerfiles")
    parser.add_argument("--engine", choices=images.ENGINES, help="default: the first of them that is installed")
    parser.add_argument("--kind", metavar="CLUSTER", help="load them into that kind cluster")
    parser.add_argument("--only", action="append", choices=images.IMAGES, help="this image only; may be repeated")
    return parser.parse_args()


if __name__ == "__main__":
    errors.run(main)
