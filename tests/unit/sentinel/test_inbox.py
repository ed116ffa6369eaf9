"""The inbox between the thread that reads etcd and the one that writes the mirror."""

from concurrent.futures import ThreadPoolExecutor, wait

from fieldpipe.sentinel.inbox import Inbox


def test_everything_that_is_there_is_taken_at_once_and_in_order() -> None:
    inbox: Inbox[str] = Inbox(100)
    inbox.put("a", 40)
    inbox.put("b", 60)

    assert inbox.take(0) == ["a", "b"]
    assert inbox.take(0) == []


def test_an_item_that_is_too_large_goes_alone() -> None:
    inbox: Inbox[str] = Inbox(100)

    assert inbox.put("large", 1000)
    assert inbox.take(0) == ["large"]


def test_who_puts_waits_until_there_is_room() -> None:
    inbox: Inbox[str] = Inbox(100)
    inbox.put("a", 60)
    with ThreadPoolExecutor(1) as reader:
        second = reader.submit(inbox.put, "b", 60)

        assert not wait([second], timeout=0.05).done
        assert inbox.take(0) == ["a"]
        assert inbox.take(10) == ["b"]
        assert second.result() is True


def test_who_waits_for_room_is_sent_away_when_it_is_closed() -> None:
    inbox: Inbox[str] = Inbox(100)
    inbox.put("a", 100)
    with ThreadPoolExecutor(1) as reader:
        second = reader.submit(inbox.put, "b", 1)
        inbox.close()

        assert second.result(10) is False
