"""Objects of one kind by name, with versions, and the changes that watchers follow (Kubernetes, "Efficient detection
of changes")."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from fieldpipe.local.pods.refusal import Refusal
from fieldpipe.local.pods.selectors import Matcher

Document = dict[str, Any]

REMEMBERED_CHANGES = 200  # a watcher that falls behind further lists again, as in Kubernetes


class Versions:
    """The one counter of changes that all registries of a server share."""

    def __init__(self) -> None:
        self.last = 0

    def next(self) -> int:
        """The version of a new change."""
        self.last += 1
        return self.last


@dataclass(frozen=True)
class Change:
    """An object before and after a change; None is "not there"."""

    version: int
    before: Document | None
    after: Document | None


class Registry:
    """Objects of one kind. Documents are replaced, never modified, so that they may be handed out as they are."""

    def __init__(self, versions: Versions) -> None:
        self._versions = versions
        self._documents: dict[str, Document] = {}
        self._changes: deque[Change] = deque(maxlen=REMEMBERED_CHANGES)
        self._forgotten = 0  # the version of the newest change that is no longer remembered
        self._changed = asyncio.Event()
        self._closed = False

    def __contains__(self, name: str) -> bool:
        return name in self._documents

    def __iter__(self) -> Iterator[Document]:
        return iter(list(self._documents.values()))

    def __len__(self) -> int:
        return len(self._documents)

    @property
    def version(self) -> int:
        """The version of the newest change of any kind."""
        return self._versions.last

    def get(self, name: str) -> Document | None:
        """The object of that name."""
        return self._documents.get(name)

    def put(self, document: Document) -> Document:
        """Add an object or replace the one of its name; returns it with its new version."""
        version = self._versions.next()
        document = document | {"metadata": document["metadata"] | {"resourceVersion": str(version)}}
        name = document["metadata"]["name"]
        self._record(Change(version, self._documents.get(name), document))
        self._documents[name] = document
        return document

    def remove(self, name: str) -> None:
        """Take an object away."""
        self._record(Change(self._versions.next(), self._documents.pop(name), None))

    def close(self) -> None:
        """End all watches."""
        self._closed = True
        self._wake()

    async def watch(self, matches: Matcher, since: int | None) -> AsyncIterator[tuple[str, Document]]:
        """Follow changes after a version as ("ADDED" | "MODIFIED" | "DELETED", object); None: what is there first.

        Raises Refusal (410) when that version is too old to know what changed after it.
        """
        if since is None:
            since = self.version
            for document in filter(matches, self):
                yield "ADDED", document
        while not self._closed:
            changed = self._changed
            if since < self._forgotten:
                raise Refusal(410, "Expired", f"too old resource version: {since} ({self._forgotten})")
            for change in [change for change in self._changes if change.version > since]:
                since = change.version
                if (seen := _as_seen(change, matches)) is not None:
                    yield seen
            if changed is self._changed:
                await changed.wait()

    def _record(self, change: Change) -> None:
        if len(self._changes) == REMEMBERED_CHANGES:
            self._forgotten = self._changes[0].version
        self._changes.append(change)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _as_seen(change: Change, matches: Matcher) -> tuple[str, Document] | None:
    """A change as a watcher with that selector sees it: an object that stops matching is deleted for it."""
    before = change.before if change.before is not None and matches(change.before) else None
    after = change.after if change.after is not None and matches(change.after) else None
    if after is not None:
        return ("ADDED" if before is None else "MODIFIED"), after
    if before is not None:
        version = {"resourceVersion": str(change.version)}
        return "DELETED", (change.after or before) | {"metadata": (change.after or before)["metadata"] | version}
    return None
