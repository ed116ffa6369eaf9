"""The webhook's parts without HTTP: who may post, and how much of a body is read."""

import hashlib
import io

import pytest
from pydantic import SecretStr

from fieldpipe.errors import ConfigurationError
from fieldpipe.settings import WebhookSettings
from webhook.access import Access
from webhook.body import CEILING, LIMIT, Incomplete, TooLarge, read_body


def access(*tokens: str, bind: str = "127.0.0.1:5000") -> Access:
    current, previous = [*map(SecretStr, tokens), None, None][:2]
    return Access(WebhookSettings(bind=bind, auth_token=current, auth_token_previous=previous))


@pytest.mark.parametrize(
    ("header", "allowed"),
    [
        ("Bearer new", True),
        ("Bearer old", True),
        ("Bearer other", False),
        ("new", False),
        ("bearer new", False),
        ("Basic new", False),
        ("Bearer new ", False),
        ("Bearer ", False),
        ("", False),
        ("Bearer n\u00e9w", False),
        ("Bearer \u65e5", False),
        (None, False),
    ],
)
def test_two_tokens_are_valid_at_once_and_nothing_else(header, allowed):
    assert access("new", "old").allows(header, "127.0.0.1") is allowed


def test_token_of_two_words_is_compared_as_it_is():
    both = access("Basic abc")
    assert both.allows("Basic abc", "10.0.0.1")
    assert not both.allows("Bearer Basic abc", "10.0.0.1")


@pytest.mark.parametrize(
    ("peer", "allowed"), [("127.0.0.1", True), ("::1", True), ("10.0.0.1", False), ("", False), (None, False)]
)
def test_without_a_token_only_this_machine_may_post(peer, allowed):
    assert access().allows(None, peer) is allowed


@pytest.mark.parametrize("bind", ["0.0.0.0:5000", "[::]:5000", ":5000", "10.1.2.3:5000", "webhook:5000"])
def test_without_a_token_it_does_not_listen_to_the_world(bind):
    with pytest.raises(ConfigurationError, match="WEBHOOK_AUTH_TOKEN"):
        access(bind=bind)
    access("token", bind=bind)


@pytest.mark.parametrize("bind", ["127.0.0.1:5000", "localhost:5000", "[::1]:5000"])
def test_without_a_token_loopback_is_fine(bind):
    access(bind=bind)


def test_empty_token_is_no_token():
    with pytest.raises(ValueError, match="at least 1"):
        WebhookSettings(auth_token=SecretStr(""))


@pytest.mark.parametrize("length", [5, None])
def test_body_is_read(length):
    assert read_body(io.BytesIO(b"hello"), length) == b"hello"


def test_body_that_ends_early_is_incomplete():
    with pytest.raises(Incomplete):
        read_body(io.BytesIO(b"hell"), 5)


@pytest.mark.parametrize("known", [True, False])
def test_large_body_is_measured_not_kept(known):
    content = bytes(LIMIT + 3)
    body = read_body(io.BytesIO(content), len(content) if known else None)
    assert isinstance(body, TooLarge)
    assert (body.size, body.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_large_body_that_ends_early_is_incomplete():
    with pytest.raises(Incomplete):
        read_body(io.BytesIO(bytes(LIMIT + 3)), LIMIT + 4)


def test_endless_body_is_read_to_a_bound_only():
    class Endless(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            assert size > 0, "an unbounded read"
            return bytes(size)

    body = read_body(Endless(), None)
    assert isinstance(body, TooLarge)
    assert body.size < CEILING + LIMIT
