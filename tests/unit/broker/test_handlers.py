"""Handlers: all are asked at once, the first answer in order counts, and none can hurt another."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping

import pytest

from fieldpipe.broker.handlers import Handler, Reading, Reply
from fieldpipe.broker.handlers.asking import Handlers, HandlersTooSlow
from fieldpipe.broker.handlers.lane import AT_ONCE, AT_ONCE_BYTES, LATE_IN_A_ROW
from tests.unit.broker.readings import reading
from tests.waiting import eventually

LONG = 30.0
SHORT = 0.5
A, B = Reply(b"a"), Reply(b"b")

Start = Callable[..., Handlers]


class Says(Handler):
    """Answers at once; `heard` are the readings it saw."""

    def __init__(self, reply: Reply | None) -> None:
        self.reply = reply
        self.heard: list[Reading] = []

    async def on(self, reading: Reading) -> Reply | None:
        self.heard.append(reading)
        return self.reply


class Raises(Handler):
    def __init__(self, error: BaseException) -> None:
        self.error = error

    async def on(self, reading: Reading) -> Reply | None:
        raise self.error


class Waits(Handler):
    """Awaits until `go`, however often it is cancelled if `stubborn`."""

    def __init__(self, reply: Reply | None = None, *, stubborn: bool = False) -> None:
        self.reply = reply
        self.stubborn = stubborn
        self.go = threading.Event()

    async def on(self, reading: Reading) -> Reply | None:
        while not self.go.is_set():
            try:
                await asyncio.sleep(0.001)
            except asyncio.CancelledError:
                if not self.stubborn:
                    raise
        return self.reply


class Blocks(Handler):
    """Holds its thread, and with it its event loop, until `go`."""

    def __init__(self, reply: Reply | None = None) -> None:
        self.reply = reply
        self.go = threading.Event()
        self.began = threading.Event()

    async def on(self, reading: Reading) -> Reply | None:
        self.began.set()
        self.go.wait()
        return self.reply


class Lies(Handler):
    async def on(self, reading: Reading) -> Reply | None:
        return "no Reply"  # type: ignore[return-value]


@pytest.fixture
def start() -> Iterator[Start]:
    """`start({"name": handler}, deadline)`; in the end whoever waits is let go, and all threads end."""
    started: list[tuple[Mapping[str, Handler], Handlers]] = []

    def make(handlers: Mapping[str, Handler], deadline: float = LONG, trial: float = LONG) -> Handlers:
        started.append((handlers, Handlers(handlers, deadline, trial)))
        return started[-1][1]

    yield make
    for handlers, asked in started:
        for handler in handlers.values():
            if isinstance(handler, Waits | Blocks):
                handler.go.set()
        asked.close()


def ask(handlers: Handlers, asked: Reading | None = None) -> Reply | None:
    return asyncio.run(handlers.ask(asked or reading()))


def test_the_first_answer_in_order_counts_not_the_fastest(start: Start) -> None:
    slow = Waits(A)
    second = Says(B)
    handlers = start({"silent": Says(None), "slow": slow, "fast": second})

    async def answered() -> Reply | None:
        answer = asyncio.create_task(handlers.ask(reading()))
        await asyncio.to_thread(eventually, lambda: second.heard)  # asked while the other one still waits
        slow.go.set()
        return await answer

    assert asyncio.run(answered()) == A


def test_an_answer_is_given_when_it_is_certain_not_when_all_are_done(start: Start) -> None:
    assert ask(start({"silent": Says(None), "fast": Says(A), "never": Waits(), "blocks": Blocks()})) == A


def test_none_has_anything_to_say(start: Start) -> None:
    assert ask(start({"one": Says(None), "other": Says(None)})) is None
    assert ask(start({})) is None


@pytest.mark.parametrize(
    "bad",
    [Raises(ValueError()), Raises(SystemExit()), Raises(TimeoutError()), Raises(asyncio.CancelledError()), Lies()],
)
def test_one_that_fails_hurts_nobody(start: Start, bad: Handler) -> None:
    good = Says(A)
    handlers = start({"bad": bad, "good": good})

    assert [ask(handlers), ask(handlers)] == [A, A]
    assert len(good.heard) == 2
    assert handlers.counts()["good"] == (2, 0, 0, 0, False)


def test_failures_are_counted_and_told_once(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(
        "fieldpipe.broker.handlers.lane.log.error", lambda event, handler, **_: told.append(f"{event} {handler}")
    )
    handlers = start({"bad": Raises(ValueError())})

    for _ in range(5):
        ask(handlers)

    assert handlers.counts()["bad"] == (5, 5, 0, 0, False)
    assert told == ["handler_failed bad"]


@pytest.mark.parametrize("slow", [Waits, lambda: Waits(stubborn=True), Blocks])
def test_after_the_deadline_there_is_no_answer(start: Start, slow: Callable[[], Handler]) -> None:
    handlers = start({"slow": slow(), "silent": Says(None)}, SHORT)

    began = time.monotonic()
    with pytest.raises(HandlersTooSlow, match=r"no answer within 0\.5 s from slow"):
        ask(handlers)
    assert time.monotonic() - began >= SHORT


def test_the_answer_of_another_counts_after_the_deadline(start: Start) -> None:
    assert ask(start({"never": Waits(A), "fast": Says(B)}, SHORT)) == B


@pytest.mark.parametrize("slow", [lambda: Waits(B, stubborn=True), lambda: Blocks(B)])
def test_one_that_does_not_end_is_left_out_until_it_does(start: Start, slow: Callable[[], Waits | Blocks]) -> None:
    hanging = slow()
    handlers = start({"hanging": hanging, "good": Says(A)}, SHORT)
    ask(handlers)

    began = time.monotonic()
    assert [ask(handlers) for _ in range(20)] == [A] * 20
    assert time.monotonic() - began < SHORT * 10  # nobody waited for it: that would be 20 times as long
    assert handlers.counts()["hanging"] == (1, 0, 0, 20, True)

    hanging.go.set()
    eventually(lambda: not handlers.counts()["hanging"].out)
    eventually(lambda: ask(handlers) == B)


def test_one_that_is_late_again_and_again_is_left_out_and_tried_without_anybody_waiting(start: Start) -> None:
    late = Waits(B)
    handlers = start({"late": late, "good": Says(A)}, SHORT, trial=0)
    eventually(lambda: ask(handlers) == A and handlers.counts()["late"].late == LATE_IN_A_ROW)

    began = time.monotonic()
    assert [ask(handlers) for _ in range(20)] == [A] * 20
    assert time.monotonic() - began < SHORT * 10  # nobody waited for a trial

    late.go.set()
    eventually(lambda: ask(handlers) == B)


def test_readings_that_waited_behind_one_that_blocked_are_not_shown_when_their_time_is_over(start: Start) -> None:
    blocks = Blocks(A)
    handlers = start({"blocks": blocks}, SHORT)

    async def both() -> list[Reply | BaseException | None]:
        return await asyncio.gather(*(handlers.ask(reading(n)) for n in range(2)), return_exceptions=True)

    assert [type(each) for each in asyncio.run(both())] == [HandlersTooSlow] * 2
    blocks.go.set()
    eventually(lambda: handlers.counts()["blocks"] == (2, 0, 2, 0, False))


def test_calls_under_way_are_bounded(start: Start) -> None:
    blocks = Blocks(A)
    handlers = start({"blocks": blocks, "good": Says(B)})

    async def many() -> list[Reply | None]:
        answers = [asyncio.create_task(handlers.ask(reading(n))) for n in range(AT_ONCE + 10)]
        await asyncio.to_thread(eventually, lambda: handlers.counts()["blocks"].skipped == 10)
        blocks.go.set()
        return await asyncio.gather(*answers)

    assert asyncio.run(many()) == [A] * AT_ONCE + [B] * 10


def test_large_readings_are_not_piled_up(start: Start) -> None:
    blocks = Blocks(A)
    handlers = start({"blocks": blocks})
    large = reading(payload=bytes(AT_ONCE_BYTES // 2 + 1))

    async def two() -> list[Reply | None]:
        first = asyncio.create_task(handlers.ask(large))
        await asyncio.to_thread(blocks.began.wait)
        second = await handlers.ask(large)
        blocks.go.set()
        return [await first, second]

    assert asyncio.run(two()) == [A, None]


def test_a_caller_that_goes_away_does_not_stop_a_handler(start: Start) -> None:
    waits = Waits(A)
    handlers = start({"waits": waits})

    async def give_up() -> None:
        answer = asyncio.create_task(handlers.ask(reading()))
        await asyncio.to_thread(eventually, lambda: handlers.counts()["waits"].asked)
        answer.cancel()
        await asyncio.wait([answer])

    asyncio.run(give_up())
    waits.go.set()
    assert ask(handlers) == A
    assert handlers.counts()["waits"] == (2, 0, 0, 0, False)


def test_what_is_under_way_at_the_end_is_finished(start: Start) -> None:
    done: list[Reading] = []

    class Saves(Handler):
        async def on(self, reading: Reading) -> Reply | None:
            await asyncio.sleep(0.05)
            done.append(reading)
            return None

    handlers = start({"first": Says(A), "saves": Saves()})

    assert ask(handlers) == A
    handlers.close()

    assert len(done) == 1
    assert ask(handlers) is None  # nobody is asked any more
