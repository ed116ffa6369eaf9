"""Those we are measured against: what they are called, where they run, what is expected of us beside them."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests import environments
from tests.environments import CACHE, PROJECT

REQUIREMENTS = PROJECT / "requirements" / "bench"
ENVIRONMENTS = CACHE / "bench" / "environments"
SCRIPTS = Path(__file__).parent / "peers"


@dataclass(frozen=True, slots=True)
class Peer:
    """A program of others. `least` and `aim`: how many times our CPU time it should take.

    `environment` is a lock in requirements/bench and `script` a file in tests/bench/peers, or none for the one program
    that converts by itself.
    """

    name: str
    environment: str
    script: str
    least: float
    aim: float

    def command(self, recording: Path, folder: Path) -> list[str]:
        """How it is started."""
        if self.script:
            return [str(_bin(self.environment) / "python"), str(SCRIPTS / self.script), str(recording), str(folder)]
        return [str(_bin(self.environment) / "pymcap-cli"), "--quiet", "export-csv", str(recording), str(folder)]


ROS2 = (
    Peer("mcap + mcap-ros2-support + csv", "mcap", "official_ros2.py", 45, 80),
    Peer("pymcap-cli export-csv", "pymcap", "", 45, 80),
    Peer("small-mcap + mcap-ros2-support-fast + csv", "small_mcap", "small_mcap_ros2.py", 28, 55),
    Peer("rosbags + csv", "rosbags", "rosbags_ros2.py", 28, 55),
    Peer("roboto-mcap-codec + Arrow", "roboto", "roboto_arrow.py", 14, 22),
)
PROTOBUF = (Peer("mcap-protobuf-support + csv", "protobuf", "official_protobuf.py", 35, 80),)
JSON = (Peer("mcap + json + csv", "mcap", "plain_json.py", 8, 20),)
ALL = (*ROS2, *PROTOBUF, *JSON)


def prepare(peer: Peer) -> None:
    """Make its environment, unless it is there as its lock says."""
    environments.prepare(REQUIREMENTS / f"{peer.environment}.txt", ENVIRONMENTS / peer.environment)


def versions(peer: Peer) -> list[str]:
    """What is pinned for it, as `name==version`."""
    lines = (REQUIREMENTS / f"{peer.environment}.in").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def make_protobuf(path: Path, *, seed: int, messages: int) -> None:
    """The protobuf recording: Foxglove's schemas are installed only in the peer's environment."""
    (peer,) = PROTOBUF
    prepare(peer)
    python, script = str(_bin(peer.environment) / "python"), str(SCRIPTS / "make_protobuf.py")
    subprocess.run([python, script, str(path), str(messages), str(seed)], check=True)


def _bin(environment: str) -> Path:
    return ENVIRONMENTS / environment / "bin"
