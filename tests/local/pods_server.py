"""A local Pods API in a process of its own, for tests: started by its script, spoken to over HTTP."""

import json
import sys
from pathlib import Path
from typing import Any

import httpx
import psutil

from fieldpipe.local import process
from fieldpipe.local.process import Child, Command
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
NAMESPACE = "fieldpipe"
SECRET = "s3cr3t-value-of-the-store"
CONFIG = {
    "secrets": {"fieldpipe-store": {"access-key": "AK", "secret-key": SECRET}},
    "configmaps": {"pipeline-config": {"GREETING": "hi"}},
}


class PodsServer:
    """A server with a folder of its own; it can be killed and started again."""

    def __init__(self, folder: Path, mark: str) -> None:
        self.folder = folder
        self.run_dir = folder / "run"
        self.kubeconfig = folder / "kubeconfig"
        self.log = folder / "server.log"
        self._mark = mark
        config = folder / "config.json"
        config.write_text(json.dumps(CONFIG))
        self.arguments = [
            *("--port", "0", "--run-dir", str(self.run_dir), "--config", str(config), "--namespace", NAMESPACE),
            *("--workdir", str(ROOT), "--write-kubeconfig", str(self.kubeconfig)),
        ]
        self.start()

    def start(self) -> None:
        """Start it (again); returns when it serves."""
        self.kubeconfig.unlink(missing_ok=True)
        arguments = (sys.executable, "-m", "scripts.serve_pods", *self.arguments)
        self.child = Child(Command(arguments, ROOT, process.base_environment(self._mark)), self.log)
        eventually(self.kubeconfig.exists)
        self.address = json.loads(self.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
        self.http = httpx.Client(base_url=self.address, trust_env=False)

    def kill(self) -> None:
        """Kill the server alone, as a crash does: nobody has the time to clean up."""
        psutil.Process(self.child.pid).kill()
        self.child.wait(5)

    def stop(self) -> None:
        """Stop it politely."""
        self.http.close()
        self.child.stop()

    def path(self, name: str = "", part: str = "pods") -> str:
        """Path of a pod, or of all."""
        return f"/api/v1/namespaces/{NAMESPACE}/{part}" + (f"/{name}" if name else "")

    def post(self, name: str, program: str | list[str], container: dict | None = None, **spec: Any) -> httpx.Response:
        """Ask for a pod that runs a Python program (or a command)."""
        command = program if isinstance(program, list) else ["python", "-c", program]
        body = {
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {"name": name, "labels": {"test": name}},
            "spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "base", "image": "worker", "command": command, **(container or {})}],
                **spec,
            },
        }
        # Escaped, so that a text which UTF-8 cannot hold goes through as well.
        return self.http.post(self.path(), content=json.dumps(body), headers={"Content-Type": "application/json"})

    def create(self, name: str, program: str | list[str], container: dict | None = None, **spec: Any) -> dict:
        """Create a pod; returns it as the answer shows it."""
        answer = self.post(name, program, container, **spec)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def get(self, name: str) -> dict | None:
        """A pod; None when there is none."""
        answer = self.http.get(self.path(name))
        return answer.json() if answer.status_code == 200 else None

    def ended(self, name: str) -> dict:
        """Wait for a pod's end; returns what it left: phase, and its container's last state."""

        def look() -> dict | None:
            pod = self.get(name)
            assert pod is not None, f"{name} is gone"
            state = pod["status"]["containerStatuses"][0]["state"].get("terminated")
            return {"phase": pod["status"]["phase"], "why": pod["status"].get("reason"), **state} if state else None

        return eventually(look)

    def logs(self, name: str, **parameters: Any) -> str:
        """A pod's log, followed to its end unless asked for otherwise."""
        answer = self.http.get(self.path(name) + "/log", params={"follow": "true", **parameters}, timeout=20)
        assert answer.status_code == 200, answer.text
        return answer.text

    def delete(self, name: str, **parameters: Any) -> httpx.Response:
        """Delete a pod."""
        return self.http.delete(self.path(name), params=parameters)
