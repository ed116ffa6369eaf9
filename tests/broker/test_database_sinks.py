"""The contract of all sinks that write into a database: in order, once, and honest about what is not there."""

from collections.abc import Callable

import pytest

from fieldpipe.broker.reading import Reading
from fieldpipe.broker.sinks.sink import Sink, SinkUnavailable
from tests.broker.places import Place
from tests.broker.proxy import wire_to
from tests.unit.broker.readings import reading
from tests.waiting import eventually


def numbered(*numbers: int) -> list[Reading]:
    """Readings whose payload says which they are."""
    return [reading(n, b'{"n":%d,"marker":"reading-%d-"}' % (n, n)) for n in numbers]


def is_taken(deliver: Callable[[], None]) -> bool:
    """Whether the sink takes it now."""
    try:
        deliver()
    except SinkUnavailable:
        return False
    return True


def test_readings_arrive_in_their_order(place: Place) -> None:
    sink = place.sink()

    sink.deliver(numbered(1, 2, 3))
    sink.deliver(numbered(4))
    sink.deliver(numbered(*range(5, 205)))

    assert place.numbers() == list(range(1, 205))


def test_a_reading_that_is_delivered_again_is_there_once(place: Place) -> None:
    place.sink().deliver(numbered(1, 2, 3))

    place.sink().deliver(numbered(2, 3, 4, 5))  # as another process after a crash

    assert place.numbers() == [1, 2, 3, 4, 5]


def test_an_answer_that_is_lost_costs_nothing_and_doubles_nothing(place: Place) -> None:
    with wire_to(place.port) as wire:
        sink = place.sink(wire.port)
        sink.deliver(numbered(1))
        wire.lose(b"reading-3-")

        with pytest.raises(SinkUnavailable):
            sink.deliver(numbered(2, 3, 4))
        assert wire.was_answered()
        assert place.numbers() == [1, 2, 3, 4]
        eventually(lambda: is_taken(lambda: sink.deliver(numbered(2, 3, 4))))

    assert place.numbers() == [1, 2, 3, 4]


def test_a_server_that_does_not_answer_is_waited_for_no_longer_than_was_said(place: Place) -> None:
    with wire_to(place.port) as wire:
        sink = place.sink(wire.port, seconds=2)
        sink.deliver(numbered(1))
        wire.lose(b"reading-2-", hang=True)

        with pytest.raises(SinkUnavailable):
            sink.deliver(numbered(2))
        eventually(lambda: is_taken(lambda: sink.deliver(numbered(2, 3))))

    assert place.numbers() == [1, 2, 3]


def test_a_server_that_was_away_is_delivered_to_when_it_is_back(place: Place) -> None:
    sink = place.sink(seconds=2)
    sink.deliver(numbered(1))
    place.server.stop()
    try:
        with pytest.raises(SinkUnavailable):
            sink.deliver(numbered(2, 3))
    finally:
        place.server.start()

    eventually(lambda: is_taken(lambda: sink.deliver(numbered(2, 3))))

    assert place.numbers() == [1, 2, 3]


def test_a_wrong_password_is_no_fault_of_the_readings(place: Place) -> None:
    with pytest.raises(SinkUnavailable, match="KRAKENB_") as complaint:
        place.sink(password="wrong-4711").deliver(numbered(1))

    assert "4711" not in str(complaint.value)
    sink: Sink = place.sink()
    sink.deliver(numbered(1))
    assert place.numbers() == [1]


def test_a_closed_sink_keeps_no_connection(place: Place) -> None:
    with wire_to(place.port) as wire:
        sink = place.sink(wire.port)
        sink.deliver(numbered(1))
        assert wire.clients > 0

        sink.close()

        eventually(lambda: wire.clients == 0)
