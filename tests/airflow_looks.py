"""Looks at DAGs with Airflow's classes: one process imports them, which takes seconds, and forks for each look.

`python -m tests.airflow_looks` is that process: it takes a request a line, and answers each with an empty line.
"""

import importlib
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fieldpipe.local import process

ROOT = Path(__file__).parents[1]
SLOW = ("airflow.dag_processing.dagbag", "airflow.providers.cncf.kubernetes.operators.pod", "kubernetes.client")
RESULT = "RESULT"  # the line of a program's output that begins with it is the result, as JSON


class Airflow:
    """Airflow with this folder as its home, without any of its servers."""

    def __init__(self, home: Path, mark: str) -> None:
        environment = process.base_environment(mark) | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
            "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        }
        self._output = home / "output"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.airflow_looks"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, program: str, *arguments: str, variables: Mapping[str, str] | None = None) -> Any:
        """The result that a program prints, run as `python -c` would, with these variables."""
        request = {"program": program, "arguments": arguments, "variables": variables or {}, "output": self._output}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(request, default=str), file=self._process.stdin, flush=True)
        assert self._process.stdout.readline() == "\n", "Airflow could not be imported"
        said = self._output.read_text()
        results = [line for line in said.splitlines() if line.startswith(RESULT)]
        assert results, said[-6000:]
        return json.loads(results[-1].removeprefix(RESULT))

    def stop(self) -> None:
        """End the process."""
        self._process.kill()  # it has nothing to lose, and by itself takes its time
        self._process.communicate()


def _serve() -> None:
    for name in SLOW:
        importlib.import_module(name)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _look(**json.loads(line))
        os.waitpid(child, 0)
        print(flush=True)


def _look(program: str, arguments: list[str], variables: dict[str, str], output: str) -> None:
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, sys.stdout.fileno())
    os.dup2(file, sys.stderr.fileno())
    os.environ.update(variables)
    sys.argv = ["-c", *arguments]
    try:
        exec(program, {"__name__": "__main__"})
    except BaseException:  # noqa: BLE001 whatever it is, it is the program's, and must not go on in our loop
        traceback.print_exc()
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    _serve()
