"""One recording, from wherever a person says to wherever they say."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fieldpipe.errors import PermanentError
from fieldpipe.handover import MANIFEST, utc_text
from fieldpipe.recordings.container import Container, NotMcap, Remark
from fieldpipe.recordings.convert import Source, convert_from
from fieldpipe.recordings.executors import executor
from fieldpipe.recordings.locations import FolderTarget, ObjectPlace, Target, parse
from fieldpipe.recordings.moments import ALL, Window
from fieldpipe.recordings.notes import Notes
from fieldpipe.recordings.options import DEFAULT, Options
from fieldpipe.recordings.places import Connect, open_location
from fieldpipe.recordings.publish import publish
from fieldpipe.recordings.reader import Reader
from fieldpipe.recordings.workspace import sweep, workspace

if TYPE_CHECKING:
    from fieldpipe.recordings.check import Checkup

Watch = Callable[[Reader], AbstractContextManager[Reader]]
"""Looks over the shoulder of whoever reads."""

UPLOADS = 8  # at a time


class Result(NamedTuple):
    """Where the results are, and their manifest. `was_there`: an earlier run had made them."""

    where: str
    manifest: dict[str, Any]
    was_there: bool


def convert_location(
    source: str,
    target: str,
    connect: Connect,
    options: Options = DEFAULT,
    *,
    window: Window = ALL,
    watch: Watch = nullcontext,
) -> Result:
    """Convert SOURCE (a path or `s3://bucket/key`) into TARGET (a folder, or `s3://bucket/prefix`).

    `window` goes before that of `options`. Raises PermanentError when there is no such recording, it cannot be
    converted, or TARGET holds other results.
    """
    with ExitStack() as stack:
        opened = stack.enter_context(open_location(source, connect))
        place = _target(parse(target), connect, stack)
        folder = _workspace(place, stack)
        if window != ALL:
            options = window.of(options, _first_time(opened.reader, folder) if window.needs_start else 0)
        if existing := place.read(MANIFEST):
            found = _same(existing, opened.source(), options, place)
            return Result(place.where(MANIFEST), found, was_there=True)
        reader = stack.enter_context(watch(opened.reader))
        processed_at = utc_text(opened.modified)
        conversion = convert_from(reader, folder, processed_at=processed_at, options=options, source_sum=opened.sum)
        made, _ = publish(conversion, opened.source(), place)
        return Result(place.where(MANIFEST), made, was_there=False)


def check_location(source: str, connect: Connect, *, workers: int | None = None, watch: Watch = nullcontext) -> Checkup:
    """The health of SOURCE. Raises PermanentError when there is no such recording."""
    from fieldpipe.recordings.check import check  # here: converting goes without

    with open_location(source, connect) as opened, watch(opened.reader) as reader:
        return check(reader, workers)


def _first_time(reader: Reader, folder: Path) -> int:
    """The log time at which a recording starts; of one without statistics, that of the first messages in it."""
    try:
        container = Container(reader, folder, Notes())
    except NotMcap:
        return 0
    if container.summary.first_time is not None:
        return container.summary.first_time
    for block in container.blocks():
        if not isinstance(block, Remark):
            content = block.load()
            if tallies := executor().scan(content, 0, len(content)).tallies:
                return min(tally.least for tally in tallies.values())
    return 0


def _target(place: Path | ObjectPlace, connect: Connect, stack: ExitStack) -> Target:
    if isinstance(place, Path):
        return FolderTarget(place)
    from concurrent.futures import ThreadPoolExecutor  # see places.py

    from fieldpipe.recordings.buckettarget import BucketTarget

    uploads = stack.enter_context(ThreadPoolExecutor(UPLOADS))
    return BucketTarget(connect(), place.bucket, place.key.rstrip("/") + "/", uploads)


def _workspace(place: Target, stack: ExitStack) -> Path:
    """Where results grow: for a folder in that folder, so that they need not be copied."""
    parent = place.folder if isinstance(place, FolderTarget) else None
    sweep(parent)
    return stack.enter_context(workspace(parent))


def _same(existing: bytes, source: Source, options: Options, place: Target) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads(existing)
    where, chosen = place.where(MANIFEST), manifest.get("options", {})
    if manifest["source"]["etag"] != source.etag:
        other = manifest["source"]["key"]
        raise PermanentError(f"{where} belongs to another recording ({other}): choose another target")
    if chosen != options.described():
        raise PermanentError(f"{where} was made with other options ({chosen}): choose another target")
    return manifest
