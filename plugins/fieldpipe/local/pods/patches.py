"""Patches of a pod: labels and annotations are all that may change while it lives."""

from typing import Any

from pydantic import ValidationError

from fieldpipe.local.pods.lifecycle import Document
from fieldpipe.local.pods.refusal import Cause, Refusal, bad_request, invalid
from fieldpipe.local.pods.spec import Metadata

MEDIA_TYPES = ("application/strategic-merge-patch+json", "application/merge-patch+json")
_CHANGEABLE = ("labels", "annotations")


def patched(document: Document, patch: object, media_type: str) -> Document:
    """The Pod object with the patch's labels and annotations merged in (null removes one).

    Strategic and plain merge patches mean the same for maps of text. Raises Refusal: 415 for another kind of patch,
    422 when it would change something else.
    """
    if media_type not in MEDIA_TYPES:
        raise Refusal(415, "UnsupportedMediaType", f"a patch is one of {', '.join(MEDIA_TYPES)}, not {media_type!r}")
    if not isinstance(patch, dict) or not isinstance(changes := patch.get("metadata", {}), dict):
        raise bad_request("the patch is not a part of a Pod")
    metadata = document["metadata"]
    _refuse_other_changes(metadata, patch, changes)
    merged = {part: _merged(metadata.get(part) or {}, changes.get(part) or {}) for part in _CHANGEABLE}
    try:
        Metadata.model_validate({"name": metadata["name"], **merged})
    except ValidationError as error:
        raise invalid(metadata["name"], [Cause("metadata", each["msg"]) for each in error.errors()]) from None
    return document | {"metadata": metadata | merged}


def _refuse_other_changes(metadata: Document, patch: Document, changes: Document) -> None:
    others = [f"metadata.{name}" for name in changes if name not in _CHANGEABLE and changes[name] != metadata.get(name)]
    others += [name for name in patch if name not in ("metadata", "kind", "apiVersion")]
    if others:
        causes = [Cause(field, "only labels and annotations of a pod may be changed") for field in others]
        raise invalid(metadata["name"], causes)


def _merged(before: dict[str, str], changes: Any) -> dict[str, str]:
    if not isinstance(changes, dict):
        raise bad_request("labels and annotations are maps")
    return {key: value for key, value in (before | changes).items() if value is not None}
