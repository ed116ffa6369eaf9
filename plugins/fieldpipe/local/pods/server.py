"""Serve a node on the loopback interface until a signal comes; then its pods end first, and the server after them."""

import asyncio
import signal
import socket
from pathlib import Path

import uvicorn

from fieldpipe import logs
from fieldpipe.errors import TransientError
from fieldpipe.local.pods.api import build_app
from fieldpipe.local.pods.command import Sources
from fieldpipe.local.pods.discovery import write_kubeconfig
from fieldpipe.local.pods.lifecycle import ADDRESS
from fieldpipe.local.pods.node import Node

_KEEP_ALIVE_SECONDS = 75  # longer than the pauses of clients, so that they do not meet a connection being closed

log = logs.get(__name__)


async def serve(*, port: int, run_dir: Path, workdir: Path, namespace: str, sources: Sources, kubeconfig: Path) -> None:
    """Serve until SIGTERM or SIGINT (port 0: any free one; the kubeconfig says which).

    Raises TransientError when the port is taken, ConfigurationError when another server uses `run_dir`.
    """
    try:
        listener = socket.create_server((ADDRESS, port))
    except OSError as error:
        raise TransientError(f"cannot listen on {ADDRESS}:{port}: {error}") from error
    # asyncio does this only for sockets made with an explicit protocol; without it every answer waits 40 ms for an ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with listener:
        node = Node(run_dir, workdir, namespace, sources)
        address = f"http://{ADDRESS}:{listener.getsockname()[1]}"
        write_kubeconfig(kubeconfig, address, namespace)
        log.info("pods_api_ready", address=address, kubeconfig=str(kubeconfig))
        # uvicorn sends itself SIGTERM once more when it has stopped; without a handler that would look like a crash.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: None)
        await _Server(node).serve(sockets=[listener])


class _Server(uvicorn.Server):
    def __init__(self, node: Node) -> None:
        self._node = node
        super().__init__(
            uvicorn.Config(
                build_app(node),
                lifespan="off",
                log_config=None,
                log_level="warning",
                access_log=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=1,
            )
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Before connections are closed: followed logs end when their pods have ended, with the last lines in them.
        await self._node.stop()
        await super().shutdown(sockets)
