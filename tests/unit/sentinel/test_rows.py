"""Which key of a row counts."""

from itertools import permutations

from fieldpipe.sentinel.keys import Entry
from fieldpipe.sentinel.rows import Name, rows_of

VALUE = b'{"deviceIp": "10.0.0.1", "connectionStatus": "0"}'
EDGE = Name("device", "edge")


def test_the_newest_key_counts_in_whatever_order_they_are_read() -> None:
    older = Entry(b"/Device/edge/1", VALUE, 5)
    newer = Entry(b"/Device/edge/0", VALUE, 6)

    assert {rows_of(entries).rows[EDGE].entry for entries in permutations([older, newer])} == {newer}


def test_of_two_keys_of_one_transaction_the_stopped_one_counts_in_whatever_order_they_are_read() -> None:
    alive = Entry(b"/Device/edge/0", VALUE, 5)
    stopped = Entry(b"/Device/edge/1", VALUE, 5)

    assert {rows_of(entries).rows[EDGE].entry for entries in permutations([alive, stopped])} == {stopped}
