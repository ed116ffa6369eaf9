"""Convert recordings (MCAP) into CSV tables.

    python -m scripts.convert_recording run7.mcap --out tables/
    python -m scripts.convert_recording run7.mcap --out imu/ --topics '/imu/*' --start +10 --end +20
    python -m scripts.convert_recording s3://raw-data/site1/run7.mcap --out s3://processed-data/run7
    python -m scripts.convert_recording run7.mcap --check
    python -m scripts.convert_recording --batch      # a pod: the objects named in FIELDPIPE_WORK

A place in a bucket needs MINIO_ENDPOINT, MINIO_ACCESS_KEY and MINIO_SECRET_KEY. Exit codes: 0 converted, or healthy; 1
not healthy (--check); 65 cannot be converted; 75 try again later.
"""

import gc

if __name__ == "__main__":
    gc.disable()  # while it starts: what is imported stays, and need not be looked at again and again

import argparse
import json
import sys
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING

from fieldpipe import errors
from fieldpipe.handover import WORK_VARIABLE
from fieldpipe.recordings.moments import Window, parse_moment
from fieldpipe.recordings.names import printable
from fieldpipe.recordings.options import Options
from fieldpipe.recordings.progress import Progress
from fieldpipe.recordings.single import Result, check_location, convert_location

if TYPE_CHECKING:
    from fieldpipe.recordings.check import Checkup
    from fieldpipe.store import ObjectStore


def main() -> int:
    """Read the command line and do what it says."""
    gc.freeze()
    gc.enable()
    parser = command_line()
    given = parser.parse_args()
    watch = partial(Progress, terminal=sys.stderr) if sys.stderr.isatty() else nullcontext
    if given.batch:
        return convert_batch()
    if given.source and given.check:
        return show_health(
            check_location(given.source, connect, workers=given.workers, watch=watch), as_json=given.json
        )
    if not given.source or not given.out:
        parser.error("give a SOURCE and --out TARGET, a SOURCE and --check, or --batch")
    options = Options(
        topics=tuple(given.topics),
        explode=tuple(given.explode),
        images=given.images,
        formula_safe=given.formula_safe,
        base64=given.base64,
        points=given.points,
        workers=given.workers,
    )
    window = Window(given.start, given.end)
    show(convert_location(given.source, given.out, connect, options, window=window, watch=watch))
    return 0


def command_line() -> argparse.ArgumentParser:
    """What can be asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("source", nargs="?", metavar="SOURCE", help="a file, or s3://bucket/key")
    add("--out", metavar="TARGET", help="a folder, or s3://bucket/prefix")
    add("--batch", action="store_true", help=f"convert the objects of {WORK_VARIABLE}")
    add("--check", action="store_true", help="say how the recording is, and convert nothing")
    add("--json", action="store_true", help="with --check: as JSON")
    add("--topics", action="append", default=[], metavar="GLOB", help="convert these topics only (may be repeated)")
    add("--start", type=parse_moment, metavar="TIME", help="first log time: ISO 8601, nanoseconds, or +SECONDS")
    add("--end", type=parse_moment, metavar="TIME", help="where to end; this time is not included")
    add("--explode", action="append", default=[], metavar="PATH", help="a row per element of this list, such as poses")
    add("--no-images", dest="images", action="store_false", help="no picture files, and nothing in the column data")
    add("--points", action="store_true", help="a row per point of point clouds, instead of a file per cloud")
    add("--base64", action="store_true", help="bytes as base64 instead of lists of numbers")
    add("--formula-safe", action="store_true", help="a ' before texts that a spreadsheet takes for formulas")
    add("--workers", type=int, metavar="N", help="threads (as many as CPUs, at most 4)")
    return parser


def convert_batch() -> int:
    """The work of a pod. What it needs is imported here: a file by hand starts without it."""
    from fieldpipe import logs
    from fieldpipe.recordings.batch import convert_batch
    from fieldpipe.work import assignment

    logs.configure("convert_recording")
    return convert_batch(*assignment())


def connect() -> "ObjectStore":
    """The store of the environment."""
    from fieldpipe.settings import StoreSettings, read
    from fieldpipe.store import ObjectStore

    (settings,) = read(StoreSettings)
    return ObjectStore.connect(settings)


def show(result: Result) -> None:
    """Print what was made, for people."""
    manifest = result.manifest
    width = max((len(output["name"]) for output in manifest["outputs"]), default=0)
    for output in manifest["outputs"]:
        sizes = f"{output['rows']:>9,} rows  {output['bytes']:>13,} bytes"
        print(f"{output['name']:<{width}}  {sizes}  {printable(output['topic'])}")
    show_notes(manifest["warnings"], manifest["errors"])
    totals = manifest["totals"]
    already = " (they were there already)" if result.was_there else ""
    print(f"{totals['tables']} tables, {totals['rows']:,} rows: {result.where}{already}")


def show_health(found: "Checkup", *, as_json: bool) -> int:
    """Print how a recording is; returns the exit code."""
    if as_json:
        print(json.dumps(found.described(), indent=1))
    else:
        print(found.table())
        show_notes(found.warnings, found.errors)
        print(found.summary())
    return 0 if found.is_healthy else 1


def show_notes(warnings: list[str], errors: list[str]) -> None:
    """Print what is unusual and what is lost."""
    for kind, notes in (("warning", warnings), ("error", errors)):
        for note in notes:
            print(f"{kind}: {printable(note)}", file=sys.stderr)


if __name__ == "__main__":
    errors.run(main, at_once=True)
