"""Group commit: who is alone does not wait, who is together shares, and a failure is everybody's."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from fieldpipe.events.database import LedgerUnavailable, Unstorable
from fieldpipe.events.writer import GroupWriter
from tests.waiting import eventually

DEADLINE = 10.0  # seconds, for what happens at once


class Gate:
    """A commit that waits to be let through, and notes what came together."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.passes = threading.Semaphore(0)
        self.groups: list[list[int]] = []

    def commit(self, items: list[int]) -> list[int]:
        self.groups.append(items)
        self.entered.release()
        assert self.passes.acquire(timeout=DEADLINE)
        return [item * 10 for item in items]


def test_each_caller_gets_its_own_answers_in_order():
    writer = GroupWriter(lambda items: [item * 10 for item in items])
    with ThreadPoolExecutor(16) as pool:
        asked = [[n, n + 1, n + 2] for n in range(0, 3000, 3)]
        answers = list(pool.map(writer.submit, asked))
    assert answers == [[item * 10 for item in items] for items in asked]


def test_what_arrives_during_a_commit_is_committed_together():
    gate = Gate()
    writer = GroupWriter(gate.commit)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(writer.submit, [1])
        assert gate.entered.acquire(timeout=DEADLINE)
        others = [pool.submit(writer.submit, [n]) for n in (2, 3, 4)]
        eventually(lambda: writer.waiting == 3)
        gate.passes.release(2)
        assert [future.result(DEADLINE) for future in (first, *others)] == [[10], [20], [30], [40]]
    assert [sorted(group) for group in gate.groups] == [[1], [2, 3, 4]]


def test_failed_commit_is_everybodys_and_the_next_one_works():
    failures = [LedgerUnavailable("no disk")]

    def commit(items: list[int]) -> list[int]:
        if failures:
            raise failures.pop()
        return items

    writer = GroupWriter(commit)
    with pytest.raises(LedgerUnavailable, match="no disk"):
        writer.submit([1])
    assert writer.submit([2]) == [2]


def test_what_can_never_be_stored_is_its_own_senders_trouble():
    gate = Gate()

    def commit(items: list[int]) -> list[int]:
        answers = gate.commit(items)
        if 13 in items:
            raise Unstorable("13")
        return answers

    writer = GroupWriter(commit)
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(writer.submit, [0])]
        assert gate.entered.acquire(timeout=DEADLINE)
        futures += [pool.submit(writer.submit, [n]) for n in (12, 13)]
        eventually(lambda: writer.waiting == 2)
        gate.passes.release(4)
        assert [future.result(DEADLINE) for future in futures[:2]] == [[0], [120]]
        with pytest.raises(Unstorable):
            futures[2].result(DEADLINE)


def test_bug_in_a_commit_does_not_end_the_writer():
    def commit(items: list[int]) -> list[int]:
        if items == [1]:
            raise KeyError("bug")
        return items

    writer = GroupWriter(commit)
    with pytest.raises(LedgerUnavailable, match="bug"):
        writer.submit([1])
    assert writer.submit([2]) == [2]


def test_caller_waits_only_so_long():
    gate = Gate()
    writer = GroupWriter(gate.commit, patience=0.05)
    with pytest.raises(LedgerUnavailable, match=r"within 0\.05 s"):
        writer.submit([1])
    gate.passes.release()


def test_full_queue_is_refused_at_once():
    gate = Gate()
    writer = GroupWriter(gate.commit, capacity=2)
    with ThreadPoolExecutor(3) as pool:
        busy = pool.submit(writer.submit, [1])
        assert gate.entered.acquire(timeout=DEADLINE)
        waiting = pool.submit(writer.submit, [2, 3])
        eventually(lambda: writer.waiting == 2)
        with pytest.raises(LedgerUnavailable, match="already waiting"):
            writer.submit([4])
        gate.passes.release(2)
        assert (busy.result(DEADLINE), waiting.result(DEADLINE)) == ([10], [20, 30])


def test_groups_are_bounded_unless_one_caller_brings_more():
    gate = Gate()
    writer = GroupWriter(gate.commit, group=2)
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(writer.submit, [0])]
        assert gate.entered.acquire(timeout=DEADLINE)
        for items in ([1], [2], [3, 4, 5]):
            before = writer.waiting
            futures.append(pool.submit(writer.submit, items))
            eventually(lambda before=before: writer.waiting > before)
        gate.passes.release(3)
        assert [len(future.result(DEADLINE)) for future in futures] == [1, 1, 1, 3]
    assert gate.groups == [[0], [1, 2], [3, 4, 5]]
