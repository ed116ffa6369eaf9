"""Readings for tests, with ids and times that are known."""

from fieldpipe.broker.reading import Reading, accept

START = 1_763_826_000_123_456_789  # 2025-11-22T15:40:00 UTC, in nanoseconds


def reading(
    number: int = 0,
    payload: bytes = b'{"temp":25.60}',
    *,
    collector: str = "webhook",
    content_type: str = "application/json",
    metadata: str = "{}",
) -> Reading:
    """The reading that came in `number` milliseconds after START; its id is the number too."""
    taken = accept(collector, content_type, metadata, payload, clock=lambda: START + 1_000_000 * number)
    return Reading(
        id=f"{number:032x}",
        received=taken.received,
        collector=taken.collector,
        content_type=taken.content_type,
        metadata=taken.metadata,
        payload=taken.payload,
    )
