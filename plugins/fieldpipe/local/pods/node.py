"""The life of pods on this machine: created, watched over, ended, removed. What a kubelet does, for local processes."""

import asyncio
import fcntl
import secrets
import shutil
import signal
import sys
import time
from collections import deque
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fieldpipe import logs
from fieldpipe.errors import ConfigurationError
from fieldpipe.local.pods import lifecycle, orphans, refusal
from fieldpipe.local.pods.command import Sources, UnresolvedReference, build_command, refuse_files
from fieldpipe.local.pods.history import History, Trace
from fieldpipe.local.pods.logfile import LogFile
from fieldpipe.local.pods.patches import patched
from fieldpipe.local.pods.process import NotStarted, PodProcess
from fieldpipe.local.pods.registry import Document, Registry, Versions
from fieldpipe.local.pods.spec import PodSpec, parse_pod

FINISHED_PODS = 500  # as many finished pods are kept until somebody deletes them; then the oldest goes
EVENTS = 1000
STOP_SECONDS = 1.0  # what pods get when the server is stopped

log = logs.get(__name__)


@dataclass
class _Pod:
    spec: PodSpec
    folder: Path
    log: LogFile
    process: PodProcess | None = None
    reason: str | None = None  # why it is being ended


class Node:
    """All pods of one server. Everything happens in the event loop's thread."""

    def __init__(self, run_dir: Path, workdir: Path, namespace: str, sources: Sources) -> None:
        """`run_dir` belongs to this server alone. Raises ConfigurationError when another one uses it."""
        self.namespace = namespace
        self.started = time.time()
        versions = Versions()
        self.pods = Registry(versions)
        self.events = Registry(versions)
        self.history = History()
        self._workdir = workdir
        self._sources = sources
        self._pods: dict[str, _Pod] = {}
        self._finished: deque[str] = deque()
        self._stopping = False
        run_dir = run_dir.resolve()
        self._lock = _locked(run_dir)
        self._folder = _swept(run_dir)
        self._guardian = orphans.Guardian(self._folder)
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._reap)

    def create(self, body: object) -> Document:
        """Accept a pod and start its process; it runs when this returns (or has failed, and its status says why).

        Raises Refusal.
        """
        request = parse_pod(body)
        assert isinstance(body, dict)
        if self._stopping:
            raise refusal.Refusal(503, "ServiceUnavailable", "the local Pods API is being stopped")
        if request.metadata.namespace not in (None, self.namespace):
            raise refusal.bad_request(
                "the namespace of the provided object does not match the namespace of the request"
            )
        now = time.time()
        document = lifecycle.pending(request, body, self.namespace, now)
        name = document["metadata"]["name"]
        if name in self.pods:
            raise refusal.already_exists("pods", name)
        folder = self._folder / document["metadata"]["uid"]
        (folder / "tmp").mkdir(parents=True)
        pod = self._pods[name] = _Pod(request.spec, folder, LogFile(folder / "log"))
        self.history.add(Trace(name, document["metadata"]["uid"], dict(request.metadata.labels), created=now))
        self._start(name, self.pods.put(document), pod)
        return self.pods.get(name) or document

    def get(self, name: str) -> Document:
        """A pod. Raises Refusal (404)."""
        document = self.pods.get(name)
        if document is None:
            raise refusal.not_found("pods", name)
        return document

    def patch(self, name: str, patch: object, media_type: str) -> Document:
        """Change labels and annotations. Raises Refusal."""
        return self.pods.put(patched(self.get(name), patch, media_type))

    def delete(self, name: str, grace: int | None = None) -> Document:
        """End a pod (None: the grace of its spec) and remove it once it has ended. Raises Refusal (404)."""
        document = self.get(name)
        pod = self._pods[name]
        if pod.process is None:
            return self._remove(name)
        grace = pod.spec.termination_grace_period_seconds if grace is None else grace
        if "deletionTimestamp" not in document["metadata"]:
            self._tell(document, "Killing", f"Stopping container {pod.spec.containers[0].name}")
        document = self.pods.put(lifecycle.deleting(document, grace, time.time()))
        pod.process.stop(grace)
        return document

    def log_of(self, name: str, container: str | None) -> LogFile:
        """A pod's log. Raises Refusal: 404 for an unknown pod, 400 for a container that it does not have."""
        known = self.get(name)["spec"]["containers"][0]["name"]
        if container not in (None, known):
            raise refusal.bad_request(f"container {container} is not valid for pod {name}")
        return self._pods[name].log

    async def stop(self) -> None:
        """End all pods, within STOP_SECONDS; every watch and every followed log ends too. Nothing is left running."""
        self._stopping = True
        for pod in self._pods.values():
            if pod.process is not None:
                pod.process.stop(STOP_SECONDS)
        deadline = time.monotonic() + STOP_SECONDS + 0.3
        while (left := [pod.process for pod in self._pods.values() if pod.process]) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        for process in left:
            process.abandon()
        self.pods.close()
        self.events.close()
        asyncio.get_running_loop().remove_signal_handler(signal.SIGCHLD)
        self._guardian.dismiss()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._lock.close()

    def _start(self, name: str, document: Document, pod: _Pod) -> None:
        container = pod.spec.containers[0]
        self._tell(document, "Scheduled", f"Assigned {self.namespace}/{name} to {lifecycle.NODE}")
        try:
            refuse_files(pod.spec.volumes, self._sources)
            command = build_command(document, container, self._sources, self._workdir)
            image = _image_variables(pod.folder / "tmp", pod.spec.hostname or name)
            pod.process = PodProcess(command, image, pod.log, partial(self._ended, name))
        except UnresolvedReference as error:
            # Kubernetes would wait for the Secret for ever; nobody adds one to a running server, so the pod fails.
            self._not_started(document, pod, "CreateContainerConfigError", str(error))
            return
        except NotStarted as error:
            self._not_started(document, pod, "StartError", str(error))
            return
        now = time.time()
        document = self.pods.put(lifecycle.running(document, pod.process.pid, now))
        self.history.note(document["metadata"]["uid"], started=now)
        self._tell(document, "Started", f"Started container {container.name}")
        log.info("pod_started", pod=name, pid=pod.process.pid, run_id=document["metadata"]["labels"].get("run_id"))
        if pod.spec.active_deadline_seconds is not None:
            pod.process.after(pod.spec.active_deadline_seconds, partial(self._deadline, name))

    def _not_started(self, document: Document, pod: _Pod, reason: str, message: str) -> None:
        self._tell(document, "Failed", f"Error: {message}", warning=True)
        document = self.pods.put(lifecycle.waiting(document, reason, message))
        self._finish(document, pod, lifecycle.EXIT_NOT_STARTED, reason, message)
        pod.log.close()

    def _ended(self, name: str, exit_code: int) -> None:
        pod = self._pods[name]
        pod.process = None
        policy = pod.spec.containers[0].termination_message_policy
        message = pod.log.last_words() if exit_code and policy == "FallbackToLogsOnError" else ""
        self._finish(self.get(name), pod, exit_code, None, message)
        if "deletionTimestamp" in self.get(name)["metadata"]:
            self._remove(name)

    def _finish(self, document: Document, pod: _Pod, exit_code: int, reason: str | None, message: str) -> None:
        name, now = document["metadata"]["name"], time.time()
        self.pods.put(
            lifecycle.ended(document, exit_code, now, container_reason=reason, pod_reason=pod.reason, message=message)
        )
        self.history.note(document["metadata"]["uid"], finished=now, exit_code=exit_code)
        log.info("pod_ended", pod=name, exit_code=exit_code, reason=reason or pod.reason)
        self._finished.append(name)
        while len(self._finished) > FINISHED_PODS:
            self._remove(self._finished[0])

    def _deadline(self, name: str) -> None:
        pod = self._pods[name]
        if pod.process is not None:
            pod.reason = "DeadlineExceeded"
            self._tell(self.get(name), "DeadlineExceeded", "Pod was active longer than its deadline", warning=True)
            pod.process.stop(pod.spec.termination_grace_period_seconds)

    def _remove(self, name: str) -> Document:
        document = self.get(name)
        self.history.note(document["metadata"]["uid"], deleted=time.time())
        self._finished.remove(name)
        shutil.rmtree(self._pods.pop(name).folder, ignore_errors=True)
        self.pods.remove(name)
        return document

    def _reap(self) -> None:
        self._guardian.renew()
        for pod in list(self._pods.values()):
            if pod.process is not None:
                pod.process.reap()

    def _tell(self, document: Document, reason: str, message: str, *, warning: bool = False) -> None:
        self.events.put(lifecycle.event(document, reason, message, time.time(), warning=warning))
        if len(self.events) > EVENTS:
            self.events.remove(next(iter(self.events))["metadata"]["name"])


def _image_variables(scratch: Path, hostname: str) -> dict[str, str]:
    """What an image of ours brings: the interpreter's folder first on PATH, scratch, output that is not held back."""
    interpreter = Path(sys.executable).parent
    return {
        "PATH": f"{interpreter}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "LANG": "C.UTF-8",
        "HOSTNAME": hostname,
        "PYTHONUNBUFFERED": "1",
    }


def _locked(run_dir: Path) -> Any:
    run_dir.mkdir(parents=True, exist_ok=True)
    lock = (run_dir / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise ConfigurationError(
            f"another local Pods API uses {run_dir}: stop it or choose another --run-dir"
        ) from error
    return lock


def _swept(run_dir: Path) -> Path:
    """End what a killed server left behind; returns a fresh folder, so that its guardian, should it still be
    at work, does not take our pods for its own."""
    ended = orphans.sweep(f"{run_dir}/pods-")
    if ended:
        log.warning("orphans_ended", processes=ended)
    for left in run_dir.glob("pods-*"):
        shutil.rmtree(left, ignore_errors=True)
    folder = run_dir / f"pods-{secrets.token_hex(4)}"
    folder.mkdir(mode=0o700)
    return folder
