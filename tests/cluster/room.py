"""The room that the cluster lives in: its own network, mounts and processes; closing it ends everything inside.

Every process of the cluster, and every container it starts, is a descendant of one first process in a PID namespace of
its own. When that ends the kernel ends the others, unmounts what they mounted and forgets their network.
"""

import fcntl
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil

from tests.waiting import eventually

HOST_ADDRESS = "203.0.113.1"  # TEST-NET-3: addresses that nobody routes
NODE_ADDRESS = "203.0.113.2"
HOST_LINK = "fieldpipe-k8s"  # at most 15 characters
CGROUP = "fieldpipe-cluster"
WEIGHT = {"cpu.shares": "20480", "cpu.weight": "2000"}  # of twenty processes, for all that run inside together
SYSTEM = f"{CGROUP}/system"  # what runs the pods, beside them as on any node; from above they would starve it
LOCK = Path("/run/lock/fieldpipe-cluster")
CGROUPS = Path("/sys/fs/cgroup")

# The kernel's settings that a kubelet changes for the whole machine.
KERNEL_SETTINGS = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)

FIRST_PROCESS = """
import signal
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # orphans are buried by the kernel
signal.signal(signal.SIGTERM, lambda *_: exit())
while True:
    signal.pause()
"""


@dataclass
class Room:
    """An open room. `start` runs a program in it; `folder` holds what they write."""

    folder: Path
    first: int
    _unshare: "subprocess.Popen[bytes]"
    _lock: IO[str]
    _kernel: dict[str, str]
    started: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path) -> "Room":
        """A new room, with a link between the machine and it; waits until another's is closed. Takes root rights."""
        lock = LOCK.open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)  # its addresses are there once
        _remove_link()
        for name in ("lib", "log"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        unshare = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL",  # nothing outlives us, however we end
             "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private",
             "--mount-proc", sys.executable, "-c", FIRST_PROCESS],
            stderr=subprocess.DEVNULL,  # it complains when its child is killed
        )  # fmt: skip
        children = eventually(lambda: psutil.Process(unshare.pid).children())
        room = cls(folder, children[0].pid, unshare, lock, _kernel_settings())
        eventually(lambda: children[0].name() != "unshare")
        try:
            room._furnish()
        except BaseException:
            room.close()
            raise
        return room

    def _furnish(self) -> None:
        for path, source in {"/var/lib": "lib", "/var/log": "log"}.items():
            self.run("mount", "--bind", str(self.folder / source), path)
        self.run("mount", "-t", "tmpfs", "tmpfs", "/run")
        self.run("mount", "--make-rshared", "/")
        _ip("link", "add", HOST_LINK, "type", "veth", "peer", "name", "eth0", "netns", str(self.first))
        _ip("address", "add", f"{HOST_ADDRESS}/30", "dev", HOST_LINK)
        _ip("link", "set", HOST_LINK, "up")
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "address", "add", f"{NODE_ADDRESS}/30", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")
        self.run("ip", "route", "add", "default", "via", HOST_ADDRESS)  # leads nowhere: the machine does not forward
        self.run("sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
        for controller in _controllers():
            (controller / SYSTEM).mkdir(parents=True, exist_ok=True)
            for name, value in WEIGHT.items():
                if (controller / CGROUP / name).exists():
                    (controller / CGROUP / name).write_text(value)

    def command(self, *arguments: str) -> list[str]:
        """The arguments that run a program inside."""
        inside = ["nsenter", "--target", str(self.first), "--net", "--mount", "--pid", "--"]
        return [*inside, *arguments]

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """Run a program inside to its end; returns its standard output."""
        done = subprocess.run(self.command(*arguments), input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.stderr.strip()}"
        return done.stdout

    def start(self, name: str, arguments: Sequence[str]) -> None:
        """Start a program that stays; what it writes is `<folder>/<name>.log`."""
        groups = [str(controller / SYSTEM / "cgroup.procs") for controller in _weighing()]
        joining = ["sh", "-ec", f'for group in {" ".join(groups)}; do echo $$ > "$group"; done; exec "$@"', "sh"]
        with (self.folder / f"{name}.log").open("wb") as log:
            self.started[name] = subprocess.Popen(
                [*joining, *self.command(*arguments)], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )

    def tails(self, lines: int = 5) -> str:
        """The last lines of every log, for an error message."""
        return "\n".join(
            f"-- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
            for path in sorted(self.folder.glob("*.log"))
        )

    def close(self) -> None:
        """End everything inside, and remove what it left outside of the room's folder."""
        with suppress(psutil.NoSuchProcess):
            psutil.Process(self.first).kill()
        for child in (self._unshare, *self.started.values()):
            child.wait(60)
        _remove_link()
        for controller in _controllers():
            _remove_cgroup(controller / CGROUP)
        for name, value in self._kernel.items():
            (Path("/proc/sys") / name).write_text(value)
        self._lock.close()


def _kernel_settings() -> dict[str, str]:
    return {name: (Path("/proc/sys") / name).read_text() for name in KERNEL_SETTINGS}


def _controllers() -> list[Path]:
    """Where cgroups are made: every hierarchy's root in version 1, the one root in version 2."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [path for path in CGROUPS.iterdir() if path.is_dir() and not path.is_symlink()]


def _weighing() -> list[Path]:
    """Those of them that share out processors."""
    return [
        controller for controller in _controllers() if any((controller / CGROUP / name).exists() for name in WEIGHT)
    ]


def _remove_cgroup(top: Path) -> None:
    for path in sorted(top.glob("**/"), reverse=True):  # the deepest first; a cgroup's files go with it
        eventually(lambda path=path: _removed(path), 20)


def _removed(path: Path) -> bool:
    with suppress(OSError):
        path.rmdir()
    return not path.exists()


def _remove_link() -> None:
    """It goes with the room's network; a moment later than the room's processes, or by us."""
    subprocess.run(["ip", "link", "delete", HOST_LINK], stderr=subprocess.DEVNULL, check=False)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
