"""Convert recordings (MCAP) into CSV tables.

    python -m scripts.convert_recording run7.mcap --out tables/
    python -m scripts.convert_recording s3://raw-data/site1/run7.mcap --out s3://processed-data/run7
    python -m scripts.convert_recording --batch      # a pod: the objects named in FIELDPIPE_WORK

A place in a bucket needs MINIO_ENDPOINT, MINIO_ACCESS_KEY and MINIO_SECRET_KEY. Exit codes: 0 converted, 65 cannot be
converted, 75 try again later.
"""

import argparse
import sys

from fieldpipe import errors, logs
from fieldpipe.handover import WORK_VARIABLE
from fieldpipe.recordings.batch import convert_batch
from fieldpipe.recordings.single import Result, convert_location
from fieldpipe.settings import StoreSettings, read
from fieldpipe.store import ObjectStore
from fieldpipe.work import assignment


def main() -> int:
    """Read the command line and convert."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", nargs="?", metavar="SOURCE", help="a file, or s3://bucket/key")
    parser.add_argument("--out", metavar="TARGET", help="a folder, or s3://bucket/prefix")
    parser.add_argument("--batch", action="store_true", help=f"convert the objects of {WORK_VARIABLE}")
    arguments = parser.parse_args()
    logs.configure("convert_recording")
    if arguments.batch:
        return convert_batch(*assignment())
    if not arguments.source or not arguments.out:
        parser.error("give a SOURCE and --out TARGET, or --batch")
    show(convert_location(arguments.source, arguments.out, connect))
    return 0


def connect() -> ObjectStore:
    """The store of the environment."""
    (settings,) = read(StoreSettings)
    return ObjectStore.connect(settings)


def show(result: Result) -> None:
    """Print what was made, for people."""
    manifest = result.manifest
    width = max((len(output["name"]) for output in manifest["outputs"]), default=0)
    for output in manifest["outputs"]:
        print(f"{output['name']:<{width}}  {output['rows']:>9,} rows  {output['bytes']:>13,} bytes  {output['topic']}")
    for kind in ("warnings", "errors"):
        for note in manifest[kind]:
            print(f"{kind.removesuffix('s')}: {note}", file=sys.stderr)
    totals = manifest["totals"]
    already = " (they were there already)" if result.was_there else ""
    print(f"{totals['tables']} tables, {totals['rows']:,} rows: {result.where}{already}")


if __name__ == "__main__":
    errors.run(main)
