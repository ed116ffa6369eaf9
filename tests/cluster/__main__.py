"""A cluster to try things on: `python -m tests.cluster` starts one with a node and says how kubectl reaches it.

Ctrl-C ends it, with everything that runs on it.
"""

import signal
from pathlib import Path

from tests.cluster import cluster, images
from tests.cluster.programs import manifest_tools, provide


def main() -> None:
    """Start, wait, end."""
    ends = {signal.SIGINT, signal.SIGTERM}
    kubectl = Path(manifest_tools().build[0])
    with cluster.api(provide(kubectl)) as plane, cluster.with_node(plane, images.archives()):
        signal.pthread_sigmask(signal.SIG_BLOCK, ends)
        print(f"export KUBECONFIG={plane.admin} PATH={kubectl.parent}:$PATH", flush=True)
        signal.sigwait(ends)


if __name__ == "__main__":
    main()
