"""Images of the cluster's own: a static program is a whole image. Others are imported from archives."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

from tests.cluster.room import Room

DNS_IMAGE = "fieldpipe.test/dns:1"


def import_archive(room: Room, archive: Path) -> None:
    """Make an archive's images known to the node."""
    room.run("ctr", "--namespace", "k8s.io", "images", "import", str(archive))


def archive_of(program: Path, name: str, folder: Path) -> Path:
    """An image archive (`docker save` format) that holds one static program, which it starts."""
    layer = _tar({program.name: program.read_bytes()}, mode=0o755)
    config = json.dumps({
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": [f"/{program.name}"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }).encode()  # fmt: skip
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    path = folder / f"{program.name}.tar"
    path.write_bytes(_tar({"layer.tar": layer, "config.json": config, "manifest.json": manifest}, mode=0o644))
    return path


def _tar(files: dict[str, bytes], mode: int) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            archive.addfile(member, io.BytesIO(content))
    return whole.getvalue()
