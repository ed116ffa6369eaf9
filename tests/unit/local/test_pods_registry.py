"""Changes of objects reach those who watch, once and in order."""

import asyncio
from collections.abc import Callable

import pytest

from fieldpipe.local.pods.refusal import Refusal
from fieldpipe.local.pods.registry import REMEMBERED_CHANGES, Registry, Versions
from fieldpipe.local.pods.selectors import matcher


def labelled(name: str, **labels: str) -> dict:
    return {"metadata": {"name": name, "labels": labels}}


def watched(selector: str, act: Callable[[Registry], None], count: int, since: int | None = None) -> list[tuple]:
    async def watch() -> list[tuple]:
        registry = Registry(Versions())
        registry.put(labelled("before", a="1"))
        changes = registry.watch(matcher(selector, "", ()), since)
        first = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        act(registry)
        seen = [await first] + [await anext(changes) for _ in range(count - 1)]
        return [(kind, document["metadata"]["name"]) for kind, document in seen]

    return asyncio.run(asyncio.wait_for(watch(), 5))


def test_a_watcher_sees_what_is_there_and_then_every_change() -> None:
    def act(registry: Registry) -> None:
        registry.put(labelled("new"))
        registry.put(labelled("new", b="2"))
        registry.remove("before")

    assert watched("", act, 4) == [("ADDED", "before"), ("ADDED", "new"), ("MODIFIED", "new"), ("DELETED", "before")]


def test_an_object_that_stops_matching_is_gone_for_the_watcher() -> None:
    def act(registry: Registry) -> None:
        registry.put(labelled("before"))
        registry.put(labelled("before", a="2"))

    assert watched("a", act, 3) == [("ADDED", "before"), ("DELETED", "before"), ("ADDED", "before")]


def test_a_watcher_goes_on_from_the_version_of_its_list() -> None:
    assert watched("", lambda registry: registry.put(labelled("new")), 1, since=1) == [("ADDED", "new")]


def test_a_version_that_is_no_longer_remembered_is_refused() -> None:
    def act(registry: Registry) -> None:
        for number in range(REMEMBERED_CHANGES + 1):
            registry.put(labelled(f"n{number}"))

    with pytest.raises(Refusal) as refusal:
        watched("", act, 1, since=1)

    assert (refusal.value.code, refusal.value.reason) == (410, "Expired")
