"""The folder of an embedded stack: where its data, logs, configuration and run files are."""

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from fieldpipe.errors import TransientError

VARIABLE = "FIELDPIPE_HOME"
_LONGEST_SOCKET_FOLDER = 80  # bytes: the kernel's limit is 107 for the whole path, file name included
_SPACE_NEEDED = 2 * 1024**3  # bytes: less than this and the object store soon refuses to write


@dataclass(frozen=True)
class Home:
    """`root` holds everything that the stack writes; `project` holds dags, plugins, scripts and webhook."""

    root: Path
    project: Path

    @classmethod
    def of(cls, project: Path) -> "Home":
        """`.fieldpipe` in the project, or the folder that FIELDPIPE_HOME names."""
        return cls(Path(os.environ.get(VARIABLE) or project / ".fieldpipe").expanduser().resolve(), project)

    @property
    def stack(self) -> str:
        """The mark of this stack's processes: two folders are two stacks."""
        return hashlib.sha256(str(self.root).encode()).hexdigest()[:16]

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def config(self) -> Path:
        return self.root / "config"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def temporary(self) -> Path:
        """For temporary files of the services; emptied at each start and stop."""
        return self.run / "tmp"

    def log(self, service: str) -> Path:
        """The log of a service."""
        return self.logs / f"{service}.log"

    def prepare(self) -> None:
        """Create the folders, for us alone. Raises TransientError when the disk is nearly full."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in (self.data, self.logs, self.config, self.run, self.temporary):
            folder.mkdir(exist_ok=True)
        free = shutil.disk_usage(self.root).free
        if free < _SPACE_NEEDED:
            raise TransientError(
                f"only {free / 1024**3:.1f} GiB are free where {self.root} is, and the stack needs "
                f"{_SPACE_NEEDED // 1024**3} GiB: free some space, or set {VARIABLE} to a folder on another disk"
            )

    def socket_folder(self) -> Path:
        """A folder for unix sockets: in `run`, or a temporary one when that path is too long for the kernel."""
        inside = self.run / "s"
        if len(os.fsencode(inside)) <= _LONGEST_SOCKET_FOLDER:
            return inside
        return Path(tempfile.mkdtemp(prefix="fieldpipe-"))
