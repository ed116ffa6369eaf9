"""`scripts.serve_broker`, as a process that can be killed and started again."""

from __future__ import annotations

import sys
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import grpc

from fieldpipe.crashpoints import VARIABLE
from fieldpipe.local.ports import free_port
from fieldpipe.local.process import Child, Command, base_environment
from tests.broker.collectors import call
from tests.waiting import eventually

HOST = "127.0.0.1"
PROJECT = Path(__file__).parents[2]


class BrokerProcess:
    """With its spool and its log in `folder`; `environment` says which sinks it has."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        port = free_port(set())
        self.address = f"{HOST}:{port}"
        self.metrics_address = f"{HOST}:{free_port({port})}"
        self._folder = folder
        self._environment = {
            **environment,
            "KRAKENB_GRPC_HOST": self.address,
            "KRAKENB_METRICS_HOST": self.metrics_address,
            "KRAKENB_SPOOL": str(folder / "spool"),
        }

    def start(self, crash_at: str = "") -> None:
        self._may_crash = bool(crash_at)
        environment = {**base_environment(self._folder.name), **self._environment, VARIABLE: crash_at}
        command = Command((sys.executable, "-m", "scripts.serve_broker"), PROJECT, environment)
        self.child = Child(command, self._folder / "broker.log")
        eventually(self._serves, 30, lambda: (self._folder / "broker.log").read_text()[-3000:])

    def _serves(self) -> bool:
        with self.channel() as channel, suppress(grpc.RpcError):
            call(channel, "/grpc.health.v1.Health/Check", b"", seconds=1)
            return True
        return self._may_crash and self.child.exit_code() is not None

    def channel(self) -> grpc.Channel:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 200)]
        return grpc.insecure_channel(self.address, options=options)

    def metrics(self) -> dict[str, float]:
        return scrape(self.metrics_address)


def scrape(address: str) -> dict[str, float]:
    """What Prometheus would see, by name and labels."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def emptied(metrics: dict[str, float], sink: str) -> dict[str, float] | None:
    """What was scraped, once the sink has everything and the spool is empty: it says so a moment later."""
    return None if metrics[f'broker_queued{{sink="{sink}"}}'] or metrics["broker_spool_bytes"] else metrics
