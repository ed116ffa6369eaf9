"""Serve the local Pods API: pods as processes of this machine, for the embedded stack and for tests."""

import argparse
import asyncio
from pathlib import Path

from fieldpipe import errors, logs
from fieldpipe.local.pods.command import read_sources
from fieldpipe.local.pods.server import serve


def main() -> int:
    """Parse the command line and serve until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="on 127.0.0.1; 0: any free one")
    parser.add_argument("--run-dir", type=Path, required=True, help="logs and scratch of pods; for one server alone")
    parser.add_argument(
        "--config", type=Path, required=True, help="Secrets and ConfigMaps that pods may refer to (JSON)"
    )
    parser.add_argument("--namespace", default="fieldpipe", help="the one namespace there is (%(default)s)")
    parser.add_argument("--workdir", type=Path, default=Path(), help="where pods run, if they do not say (here)")
    parser.add_argument("--write-kubeconfig", type=Path, required=True, help="file that kubectl and Airflow are given")
    arguments = parser.parse_args()
    logs.configure("serve_pods")
    asyncio.run(
        serve(
            port=arguments.port,
            run_dir=arguments.run_dir,
            workdir=arguments.workdir.resolve(),
            namespace=arguments.namespace,
            sources=read_sources(arguments.config),
            kubeconfig=arguments.write_kubeconfig,
        )
    )
    return 0


if __name__ == "__main__":
    errors.run(main)
