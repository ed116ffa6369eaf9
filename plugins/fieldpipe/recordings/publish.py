"""Results -> where people find them: outputs first, then the manifest, which exists once or not at all.

Whoever finds a manifest finds everything it names. Of several processes that convert the same recording one creates the
manifest; their outputs have the same bytes, so it does not matter whose are there.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

from fieldpipe.crashpoints import reach
from fieldpipe.handover import MANIFEST, canonical_json
from fieldpipe.recordings.convert import Conversion, Source, manifest
from fieldpipe.recordings.locations import Target


def publish(conversion: Conversion, source: Source, target: Target) -> tuple[dict[str, Any], bool]:
    """Upload everything, then create the manifest; returns it, and whether it was ours that was created."""
    described = manifest(conversion, source)
    target.upload(chain.from_iterable(output.files() for output in conversion.outputs))
    reach("recordings.complete")
    created = target.create(MANIFEST, canonical_json(described))
    reach("recordings.manifest")
    return described, created
