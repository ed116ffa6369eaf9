"""etcd, as the sentinel reads and writes it: the only file that knows gRPC and pyetcd, of which it takes the stubs.

A snapshot is one revision, read in pages. A watch goes on where a snapshot ended: every later change once, whole
revisions, in order. What a watch cannot deliver any more raises ListAgain.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

import grpc
from pyetcd import etcdrpc

from fieldpipe.errors import ConfigurationError, FieldpipeError, PermanentError, TransientError
from fieldpipe.sentinel.keys import BEHIND, FIRST, Entry, is_ours
from fieldpipe.sentinel.stream import ClusterChanged, Compacted, EtcdUnavailable, ListAgain, TooLarge, Watch, cluster_of
from fieldpipe.settings import EtcdSettings

__all__ = [
    "ClusterChanged",
    "Compacted",
    "Conflict",
    "Etcd",
    "EtcdUnavailable",
    "ListAgain",
    "Moment",
    "Snapshot",
    "Watch",
]

# One message. etcd itself has no limit, and an answer to a watch that is behind holds up to 1000 revisions: of
# 64 KB each they pass; what does not pass is listed again, in pages that do.
MAX_MESSAGE = 64 * 1024 * 1024
PAGE_BYTES = 4 * 1024 * 1024  # wanted
PAGE_KEYS = (250, 4000)  # of the first page, and at most

_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_send_message_length", MAX_MESSAGE),
    ("grpc.enable_http_proxy", 0),
    # A connection that a firewall has forgotten is found out. etcd takes a ping every 5 s, and hangs up on more.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    # An etcd that comes back is tried again soon: gRPC's own pauses grow to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.use_local_subchannel_pool", 1),
)
_TOKEN_ENDED = ("invalid auth token", "revision of auth store is old")
_NO_ENTRY = ("authentication failed", "permission denied", "authentication is not enabled", "user name is empty")

R = TypeVar("R")


class Conflict(TransientError):
    """A key was changed by somebody else meanwhile; nothing was written."""


class Moment(NamedTuple):
    """A revision of a cluster."""

    revision: int
    cluster_id: str


class Snapshot(NamedTuple):
    """All that is ours at one revision. The pages are read while they are taken; that may raise Compacted."""

    revision: int
    cluster_id: str
    pages: Iterator[list[Entry]]


class Etcd(AbstractContextManager["Etcd"]):
    """A connection. It mends itself: after EtcdUnavailable the next call tries again. Close it, or use a context."""

    def __init__(self, settings: EtcdSettings) -> None:
        """Nothing is sent yet. Raises ConfigurationError."""
        if not settings.host:
            raise ConfigurationError("MY_ETCD_HOST: there is no sentinel without an etcd, such as titaniadb")
        if (settings.user is None) != (settings.password is None):
            raise ConfigurationError("MY_ETCD_USER and MY_ETCD_PASSWORD: set both or none")
        self.address = f"{settings.host}:{settings.port}"
        self.silence_seconds = settings.silence_seconds
        self._settings = settings
        self._connect()
        self._token: str | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up; ends its watches too."""
        self._channel.close()

    def snapshot(self, revision: int = 0) -> Snapshot:
        """What is there now, or was at a revision. Raises EtcdUnavailable, Compacted, ClusterChanged."""
        first, limit = self._page(FIRST, revision, PAGE_KEYS[0])
        at = revision or first.header.revision
        return Snapshot(at, cluster_of(first), self._pages(first, at, limit))

    def watch(self, after: int, cluster_id: str) -> Watch:
        """Everything of ours that changed after a revision of a cluster, and that will change.

        Raises EtcdUnavailable, ClusterChanged; what else there is to say, the watch raises itself.
        """
        now = self.now()
        if now.cluster_id != cluster_id:
            raise ClusterChanged(f"etcd at {self.address} is cluster {now.cluster_id}, not {cluster_id}")
        if now.revision < after:
            raise ClusterChanged(f"etcd at {self.address} is at revision {now.revision}, and was at {after}")
        return Watch(self, after, cluster_id)

    def now(self) -> Moment:
        """Where etcd is, as its leader knows it."""
        answer = self._call(self._keys.Range, etcdrpc.RangeRequest(key=FIRST))
        return Moment(int(answer.header.revision), cluster_of(answer))

    def get(self, key: bytes) -> Entry | None:
        """One key as it is now."""
        found = self._call(self._keys.Range, etcdrpc.RangeRequest(key=key)).kvs
        return _entry(found[0]) if found else None

    def put(self, key: bytes, value: bytes) -> int:
        """Returns the revision."""
        return self.transaction({key: value})

    def delete(self, key: bytes) -> int:
        """Returns the revision: a new one if the key was there."""
        return self.transaction({}, (key,))

    def transaction(
        self, puts: Mapping[bytes, bytes], deletes: Iterable[bytes] = (), unchanged: Mapping[bytes, int] | None = None
    ) -> int:
        """All of it, as one revision, if each key of `unchanged` still has that mod_revision (0: is not there).

        Returns the revision. Raises Conflict, EtcdUnavailable (then it may have happened), PermanentError.
        """
        request = etcdrpc.TxnRequest(
            compare=[_is_unchanged(key, revision) for key, revision in (unchanged or {}).items()],
            success=[
                *(etcdrpc.RequestOp(request_delete_range=etcdrpc.DeleteRangeRequest(key=key)) for key in deletes),
                *(etcdrpc.RequestOp(request_put=etcdrpc.PutRequest(key=key, value=puts[key])) for key in puts),
            ],
        )
        try:
            answer = self._call(self._keys.Txn, request)
        except TooLarge as error:
            raise PermanentError(str(error)) from error
        if not answer.succeeded:
            raise Conflict(f"etcd at {self.address}: {sorted(unchanged or {})} changed meanwhile")
        return int(answer.header.revision)

    def _call(self, method: Callable[..., R], request: object) -> R:
        """One question, one answer."""
        return self._send(method, request, self._metadata())

    def _send(self, method: Callable[..., R], request: object, metadata: tuple[tuple[str, str], ...]) -> R:
        try:
            return method(request, timeout=self.silence_seconds, metadata=metadata)
        except grpc.RpcError as error:
            raise self._failed(error.code(), error.details()) from error

    def open_watch(self, after: int, beats: Iterator[None]) -> tuple[Iterator[Any], Callable[[], object]]:
        """The answers to a watch, asked for progress at each beat, and what ends them. They raise as `_send`."""
        stub = etcdrpc.WatchStub(self._channel)
        answers = stub.Watch(_watch_requests(after, beats), metadata=self._metadata())
        return self._answers(answers), answers.cancel

    def _answers(self, answers: Iterator[Any]) -> Iterator[Any]:
        try:
            for answer in answers:
                if answer.canceled and not answer.compact_revision:
                    raise self._failed(grpc.StatusCode.UNKNOWN, answer.cancel_reason)
                yield answer
        except grpc.RpcError as error:
            raise self._failed(error.code(), error.details()) from error

    def _connect(self) -> None:
        self._channel = _channel(self.address, self._settings)
        self._keys = etcdrpc.KVStub(self._channel)

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        """What each call carries: the token that our password bought, anew after one has ended."""
        if self._settings.user is None or self._settings.password is None:
            return ()
        if self._token is None:
            name, password = self._settings.user, self._settings.password.get_secret_value()
            request = etcdrpc.AuthenticateRequest(name=name, password=password)
            self._token = self._send(etcdrpc.AuthStub(self._channel).Authenticate, request, ()).token
        return (("token", self._token),)

    def progress_is_sure(self) -> bool:
        """Whether an answer to our question for progress comes behind the changes that it speaks of.

        Before 3.4.25 and 3.5.8 it may overtake them (etcd-io/etcd#15220).
        """
        try:
            answer = self._call(etcdrpc.MaintenanceStub(self._channel).Status, etcdrpc.StatusRequest())
        except ConfigurationError:  # some versions tell theirs to administrators only
            return False
        numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", answer.version)
        major, minor, patch = (int(each) for each in numbers.groups()) if numbers else (0, 0, 0)
        return (major, minor, patch) >= {(3, 4): (3, 4, 25), (3, 5): (3, 5, 8)}.get((major, minor), (3, 6, 0))

    def _failed(self, code: grpc.StatusCode, details: str | None) -> FieldpipeError:
        """What an error of gRPC means."""
        says = f"etcd at {self.address}: {details or code.name}"
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:  # gRPC would go on with a connection that hangs
            self.close()
            self._connect()
        if code is grpc.StatusCode.UNAUTHENTICATED or any(each in says for each in _TOKEN_ENDED):
            self._token = None
            return EtcdUnavailable(says)
        if any(each in says for each in _NO_ENTRY):
            wanted = f"a role that may read from {FIRST.decode()} to {BEHIND.decode()}, as one range"
            return ConfigurationError(f"{says}; MY_ETCD_USER takes {wanted}")
        if code is grpc.StatusCode.OUT_OF_RANGE:
            return Compacted(says) if "compacted" in says else ClusterChanged(says)
        if code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION):
            return PermanentError(says)
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in says:
            return TooLarge(says)
        return EtcdUnavailable(says)

    def _pages(self, page: Any, revision: int, limit: int) -> Iterator[list[Entry]]:
        while True:
            yield [_entry(each) for each in page.kvs if is_ours(each.key)]
            if not page.more:
                return
            page, limit = self._page(page.kvs[-1].key + b"\0", revision, limit)

    def _page(self, start: bytes, revision: int, limit: int) -> tuple[Any, int]:
        """A page, and how many keys the next one shall have."""
        while True:
            request = etcdrpc.RangeRequest(key=start, range_end=BEHIND, revision=revision, limit=limit)
            try:
                page = self._call(self._keys.Range, request)
            except TooLarge:
                if limit == 1:
                    raise
                limit = max(1, limit // 8)
            else:
                fitting = PAGE_BYTES * limit // max(page.ByteSize(), 1)
                return page, max(1, min(fitting, 2 * limit, PAGE_KEYS[1]))


def _channel(address: str, settings: EtcdSettings) -> grpc.Channel:
    if (settings.cert is None) != (settings.key is None):
        raise ConfigurationError("MY_ETCD_CERT and MY_ETCD_KEY: set both or none")
    if settings.ca is None and settings.cert is None:
        return grpc.insecure_channel(address, options=_OPTIONS)
    credentials = grpc.ssl_channel_credentials(_content(settings.ca), _content(settings.key), _content(settings.cert))
    return grpc.secure_channel(address, credentials, options=_OPTIONS)


def _content(file: Path | None) -> bytes | None:
    try:
        return file.read_bytes() if file else None
    except OSError as error:
        raise ConfigurationError(f"MY_ETCD_CA, MY_ETCD_CERT, MY_ETCD_KEY: {error}") from error


def _watch_requests(after: int, beats: Iterator[None]) -> Iterator[object]:
    # From the revision itself, not the next: etcd may have compacted a deletion away that stands exactly where a watch
    # begins (etcd-io/etcd#19179), and says nothing of progress to a watch that begins in the future.
    watch = etcdrpc.WatchCreateRequest(key=FIRST, range_end=BEHIND, start_revision=max(after, 1), progress_notify=True)
    yield etcdrpc.WatchRequest(create_request=watch)
    for _ in beats:
        yield etcdrpc.WatchRequest(progress_request=etcdrpc.WatchProgressRequest())


def _entry(pair: Any) -> Entry:
    return Entry(pair.key, pair.value, int(pair.mod_revision))


def _is_unchanged(key: bytes, revision: int) -> Any:
    compare = etcdrpc.Compare
    return compare(key=key, target=compare.MOD, result=compare.EQUAL, mod_revision=revision)
