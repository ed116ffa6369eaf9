"""Sums of several streams at once, against the standard library's."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from fieldpipe.recordings.sums import NativeSum, Sum, begin, update

EDGES = (0, 1, 55, 56, 57, 63, 64, 65, 119, 120, 127, 128, 129)  # bytes: around blocks, and where padding needs more

Begin = Callable[[], Sum]


@pytest.fixture(params=["native", "standard library"])
def new(request: pytest.FixtureRequest) -> Begin:
    if request.param == "standard library":
        return hashlib.sha256
    if not isinstance(begin(), NativeSum):
        pytest.skip("no native sums here: they take a C++ compiler and a processor with SHA instructions")
    return begin


@pytest.mark.parametrize("streams", range(1, 10))
def test_sums_of_any_number_of_streams_are_those_of_the_standard_library(new: Begin, streams: int) -> None:
    choice = random.Random(streams)
    for _ in range(60):
        found, expected = [new() for _ in range(streams)], [hashlib.sha256() for _ in range(streams)]
        for _ in range(choice.randrange(1, 4)):
            pieces = []
            for _ in range(choice.randrange(12)):
                stream = choice.randrange(streams)
                content = choice.randbytes(choice.choice([*EDGES, choice.randrange(5000)]))
                pieces.append((found[stream], content if choice.random() < 0.5 else memoryview(content)))
                expected[stream].update(content)
            update(pieces)
            assert [each.hexdigest() for each in found] == [each.hexdigest() for each in expected]


def test_a_stream_may_come_in_pieces_of_every_size(new: Begin) -> None:
    content = random.Random(1).randbytes(1000)
    for size in range(1, 200):
        taken = new()
        update((taken, content[start : start + size]) for start in range(0, len(content), size))

        assert taken.hexdigest() == hashlib.sha256(content).hexdigest()


def test_every_length_is_padded_right(new: Begin) -> None:
    for size in range(300):
        taken = new()
        taken.update(bytes(size))

        assert taken.hexdigest() == hashlib.sha256(bytes(size)).hexdigest()


def test_known_sums(new: Begin) -> None:
    # NIST's examples of FIPS 180-4, and nothing at all
    contents = [b"abc", b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", b""]
    pieces = [(new(), content) for content in contents]
    update(pieces)

    assert [taken.hexdigest() for taken, _ in pieces] == [
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ]


def test_nothing_changes_no_sum(new: Begin) -> None:
    taken = new()
    taken.update(b"abc")
    update([])
    update([(taken, b"")])

    assert taken.hexdigest() == hashlib.sha256(b"abc").hexdigest()


def test_threads_take_sums_at_once(new: Begin) -> None:
    contents = [random.Random(seed).randbytes(200_000) for seed in range(16)]

    def taken(part: int) -> list[str]:
        pieces = [(new(), content) for content in contents[part::4]]
        update(pieces)
        return [each.hexdigest() for each, _ in pieces]

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(taken, range(4)))

    assert found == [[hashlib.sha256(content).hexdigest() for content in contents[part::4]] for part in range(4)]
