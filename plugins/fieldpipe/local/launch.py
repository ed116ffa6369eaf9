"""Start a Python program with less garbage collection: `python -m fieldpipe.local.launch [--import M ...] MODULE ARGS`.

Airflow's processes create millions of objects while they import, none of them garbage. With the collector's usual
thresholds the API server took 8.2 s to serve its first task, with these 6.0 s. `--import` loads modules that tasks will
need: tasks are forks of the scheduler, DAG parsers are forks of the DAG processor, so they find them loaded.
"""

import gc
import importlib
import runpy
import sys

GARBAGE_THRESHOLDS = (100_000, 50, 1000)  # default: 700, 10, 10


def main(arguments: list[str]) -> None:
    """Run the module as `python -m` would."""
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    while arguments[0] == "--import":
        importlib.import_module(arguments[1])
        arguments = arguments[2:]
    sys.argv = arguments
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
