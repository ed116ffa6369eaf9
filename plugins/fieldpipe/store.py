"""The object store: the only file that knows the MinIO SDK.

Works with every S3 store that honours If-Match and If-None-Match (`require_conditional_writes` finds out).
Reads never go unbounded: `get` has a ceiling, `read` a range, `download` streams to a file. Errors are ours:
`ObjectNotFound` and `ObjectChanged` say something about the object, everything else is `StoreUnavailable`.
"""

from __future__ import annotations

import base64
import errno
import functools
import hashlib
import mimetypes
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import IO, ParamSpec, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import urllib3
from minio import Minio
from minio.error import MinioException, S3Error
from minio.helpers import check_bucket_name, check_object_name
from minio.notificationconfig import NotificationConfig, PrefixFilterRule, QueueConfig, SuffixFilterRule

from fieldpipe.errors import ConfigurationError, PermanentError, TransientError
from fieldpipe.settings import StoreSettings

P = ParamSpec("P")
R = TypeVar("R")

PART_SIZE = 16 * 1024 * 1024  # of a multipart upload
BLOCK_SIZE = 1024 * 1024  # of a streamed read
_UNFIT_NAMES = {"InvalidBucketName", "XMinioInvalidObjectName", "KeyTooLongError"}
_WRITING = ("put ", "upload ", "create ")
_UNPACK = "X-Amz-Meta-Snowball-Auto-Extract"  # MinIO: what is put is a tar, make objects of its members
_ABSENT = {"NoSuchKey", "NoSuchBucket", "NoSuchVersion", "NoSuchObject"}


class StoreUnavailable(TransientError):
    """The store did not answer, or refused for a reason that is not the object's."""


class ObjectNotFound(PermanentError):
    """There is no such object (or bucket, or version)."""


class ObjectChanged(PermanentError):
    """The object is there, but no longer has the ETag that was asked for."""


class NotSupported(PermanentError):
    """This store cannot do that at all."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object as a listing or a HEAD shows it. `etag` has no quotes; `modified` is aware UTC."""

    bucket: str
    key: str
    size: int
    etag: str
    modified: datetime | None
    version_id: str | None = None


@dataclass(frozen=True, slots=True)
class NotificationRule:
    """One webhook rule of a bucket: events go to `arn` for keys with this prefix and suffix."""

    arn: str
    events: tuple[str, ...] = ("s3:ObjectCreated:*",)
    prefix: str = ""
    suffix: str = ""


def _translated(call: Callable[P, R]) -> Callable[P, R]:
    """Turn the SDK's errors into ours. The wrapped function's arguments after `self` name the object."""

    @functools.wraps(call)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return call(*args, **kwargs)
        except (MinioException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            what = f"{call.__name__} {'/'.join(a for a in args[1:3] if isinstance(a, str))}"
            raise _ours(what, error) from error

    return wrapper


def _ours(what: str, error: Exception) -> Exception:
    if isinstance(error, S3Error):
        if error.code == "NoSuchBucket" and what.startswith(_WRITING):  # what is written is not at fault
            return StoreUnavailable(f"{what}: there is no such bucket; create it, or name another")
        if error.code in _ABSENT:
            return ObjectNotFound(f"{what}: no such object ({error.code})")
        if error.code == "PreconditionFailed":
            return ObjectChanged(f"{what}: the object has changed")
        if error.code in _UNFIT_NAMES:
            return PermanentError(f"{what}: the store cannot have such a name: {error.message}")
        return StoreUnavailable(f"{what}: the object store answered {error.code}: {error.message}")
    if isinstance(error, ValueError):  # the SDK's own checks
        return PermanentError(f"{what}: the store cannot have such a name: {error}")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return TransientError(f"{what}: no space left on this machine's disk: free some, or set TMPDIR to a larger one")
    return StoreUnavailable(f"{what}: {type(error).__name__}: {error}")


def _archive(objects: Mapping[str, bytes]) -> bytes:
    file = BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for key, content in objects.items():
            member = tarfile.TarInfo(key)
            member.size = len(content)
            archive.addfile(member, BytesIO(content))
    return file.getvalue()


def _content_type(key: str) -> str:
    return mimetypes.guess_type(key)[0] or "application/octet-stream"


class ObjectStore:
    """Objects of an S3 store. Safe to share between threads."""

    def __init__(self, client: Minio) -> None:
        self._client = client
        self._unpacking: dict[str, bool] = {}  # by bucket: whether archives are unpacked; asked once

    @classmethod
    def connect(cls, settings: StoreSettings, *, connections: int = 10, retries: int = 3) -> ObjectStore:
        """Build a client; nothing is sent yet."""
        url = urlsplit(settings.endpoint)
        if url.scheme not in ("http", "https") or not url.netloc:
            raise ConfigurationError(f"MINIO_ENDPOINT: {settings.endpoint!r} is not a URL such as http://minio:9000")
        pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=5, read=60),
            maxsize=connections,
            retries=urllib3.Retry(total=retries, backoff_factor=0.2, status_forcelist=[500, 502, 503, 504]),
        )
        client = Minio(
            url.netloc,
            access_key=settings.access_key,
            secret_key=settings.secret_key.get_secret_value(),
            secure=url.scheme == "https",
            region=settings.region,
            http_client=pool,
        )
        return cls(client)

    # reading

    @_translated
    def stat(self, bucket: str, key: str, *, version_id: str | None = None) -> ObjectInfo:
        """HEAD. Raises ObjectNotFound."""
        found = self._client.stat_object(bucket, key, version_id=version_id)
        return ObjectInfo(bucket, key, found.size or 0, (found.etag or "").strip('"'), found.last_modified, version_id)

    @_translated
    def get(self, bucket: str, key: str, *, limit: int) -> tuple[bytes, str]:
        """The whole content of a small object and its ETag. Raises ObjectNotFound, or PermanentError above `limit`."""
        response = self._client.get_object(bucket, key)
        try:
            content = response.read(limit + 1)
            etag = response.headers.get("ETag", "").strip('"')
        finally:
            response.close()
            response.release_conn()
        if len(content) > limit:
            raise PermanentError(f"{bucket}/{key} is larger than the {limit} bytes expected of it")
        return content, etag

    @_translated
    def download(
        self,
        bucket: str,
        key: str,
        file: IO[bytes],
        *,
        etag: str,
        version_id: str | None = None,
        limit: int | None = None,
    ) -> ObjectInfo:
        """Stream the version with this ETag into `file`, unless it has more than `limit` bytes.

        Raises ObjectNotFound, ObjectChanged.
        """
        headers: dict[str, str | list[str] | tuple[str]] = {"If-Match": f'"{etag}"'}
        response = self._client.get_object(bucket, key, request_headers=headers, version_id=version_id)
        modified = parsedate_to_datetime(response.headers["Last-Modified"])
        size = int(response.headers["Content-Length"])
        written = 0
        try:
            for block in response.stream(BLOCK_SIZE) if limit is None or size <= limit else ():
                written += file.write(block)
        finally:
            response.close()
            response.release_conn()
        if written != size and (limit is None or size <= limit):
            raise StoreUnavailable(f"download {bucket}/{key}: {written} of {size} bytes arrived")
        return ObjectInfo(bucket, key, size, etag, modified, version_id)

    @_translated
    def read(
        self, bucket: str, key: str, start: int, length: int, *, etag: str, version_id: str | None = None
    ) -> bytes:
        """`length` bytes from `start` on of the version with this ETag. Raises ObjectNotFound, ObjectChanged."""
        headers: dict[str, str | list[str] | tuple[str]] = {"If-Match": f'"{etag}"'}
        response = self._client.get_object(
            bucket, key, offset=start, length=length, request_headers=headers, version_id=version_id
        )
        try:
            content = response.read(length + 1)
        finally:
            response.close()
            response.release_conn()
        if len(content) != length or response.status != HTTPStatus.PARTIAL_CONTENT:
            raise StoreUnavailable(f"read {bucket}/{key}: {len(content)} bytes came for {length} from {start} on")
        return content

    def list(self, bucket: str, prefix: str = "", *, start_after: str = "") -> Iterator[ObjectInfo]:
        """Objects in key order, fetched page by page while the caller goes on: memory does not grow with the bucket."""
        pages = self._client.list_objects(bucket, prefix=prefix, recursive=True, start_after=start_after or None)
        what = f"list {bucket}/{prefix}"
        try:
            for found in pages:
                etag = (found.etag or "").strip('"')
                yield ObjectInfo(bucket, found.object_name or "", found.size or 0, etag, found.last_modified)
        except (MinioException, urllib3.exceptions.HTTPError, OSError) as error:
            raise _ours(what, error) from error

    def folders(self, bucket: str, prefix: str) -> Iterator[str]:
        """What lies directly below a prefix that ends in a slash: names of folders, in order, each with its slash."""
        try:
            for found in self._client.list_objects(bucket, prefix=prefix):
                name = (found.object_name or "").removeprefix(prefix)
                if name.endswith("/"):
                    yield name
        except (MinioException, urllib3.exceptions.HTTPError, OSError) as error:
            raise _ours(f"list {bucket}/{prefix}", error) from error

    # writing

    @_translated
    def put(self, bucket: str, key: str, content: bytes, *, content_type: str = "application/octet-stream") -> str:
        """Write a small object, whatever is there now; returns its ETag."""
        return self._put(bucket, key, content, {"Content-Type": content_type})

    @_translated
    def put_all(self, bucket: str, objects: Mapping[str, bytes]) -> None:
        """Write small objects, whatever is there now: in one request where the store unpacks archives (MinIO does).

        After an error some of them may be there.
        """
        if len(objects) > 1 and self._unpacks_archives(bucket):
            self._put(bucket, f"_archive/{uuid4().hex}.tar", _archive(objects), {_UNPACK: "true"})
            return
        for key, content in objects.items():
            self._put(bucket, key, content, {"Content-Type": _content_type(key)})

    @_translated
    def upload(self, bucket: str, key: str, path: Path, *, content_type: str = "application/octet-stream") -> str:
        """Write a file, in parts when it is large; returns its ETag. A failed upload leaves nothing visible."""
        result = self._client.fput_object(bucket, key, str(path), content_type=content_type, part_size=PART_SIZE)
        return (result.etag or "").strip('"')

    @_translated
    def create(self, bucket: str, key: str, content: bytes, *, content_type: str = "application/json") -> bool:
        """Write an object that must not exist yet. False: it did, and is left as it is."""
        try:
            self._put(bucket, key, content, {"Content-Type": content_type, "If-None-Match": "*"})
        except S3Error as error:
            if error.code == "PreconditionFailed":
                return False
            raise
        return True

    @_translated
    def replace(self, bucket: str, key: str, content: bytes, *, etag: str) -> bool:
        """Replace the version with this ETag. False: somebody else was quicker, or it is gone."""
        try:
            self._put(bucket, key, content, {"Content-Type": "application/json", "If-Match": f'"{etag}"'})
        except S3Error as error:
            if error.code == "PreconditionFailed" or error.code in _ABSENT:
                return False
            raise
        return True

    @_translated
    def delete(self, bucket: str, key: str) -> None:
        """Delete an object; deleting what is not there is no error."""
        self._client.remove_object(bucket, key)

    def _put(self, bucket: str, key: str, content: bytes, headers: dict[str, str]) -> str:
        # put_object() of minio 7.2 turns If-Match and If-None-Match into user metadata, so this uses the method under
        # it; the contract tests hold that against every store. May go when the SDK takes extra headers.
        check_bucket_name(bucket)
        check_object_name(key)
        result = self._client._put_object(bucket, key, content, headers=dict(headers))
        return (result.etag or "").strip('"')

    def _unpacks_archives(self, bucket: str) -> bool:
        """Whether the store knows MinIO's header; others keep the archive as the object that it looks like."""
        if bucket not in self._unpacking:
            name = f"_probe/{uuid4().hex}"
            self._put(bucket, f"{name}.tar", _archive({name: b"1"}), {_UNPACK: "true"})
            try:
                self._unpacking[bucket] = self._client.stat_object(bucket, name).size == 1
            except S3Error as error:
                if error.code not in _ABSENT:
                    raise
                self._unpacking[bucket] = False
            self._client.remove_object(bucket, name)
            self._client.remove_object(bucket, f"{name}.tar")
        return self._unpacking[bucket]

    # buckets

    @_translated
    def ensure_bucket(self, bucket: str) -> bool:
        """Create the bucket unless it exists; whether it was created."""
        if self._client.bucket_exists(bucket):
            return False
        try:
            self._client.make_bucket(bucket)
        except S3Error as error:
            if error.code in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):  # somebody else was quicker
                return False
            raise
        return True

    @_translated
    def bucket_exists(self, bucket: str) -> bool:
        return self._client.bucket_exists(bucket)

    def require_conditional_writes(self, bucket: str) -> None:
        """Probe that a second create of the same key is refused; else two pods could both believe that they won."""
        key = f"_probe/{uuid4().hex}"
        try:
            if not self.create(bucket, key, b"1") or self.create(bucket, key, b"2"):
                raise ConfigurationError(
                    f"the object store does not honour If-None-Match in {bucket}: results could be written twice. "
                    "Use MinIO (2024-08 or newer), SeaweedFS (4.x) or another store with conditional writes."
                )
        finally:
            self.delete(bucket, key)

    # lifecycle

    @_translated
    def lifecycle(self, bucket: str) -> bytes | None:
        """The lifecycle document, XML as the store keeps it. None: there is none. Raises ObjectNotFound."""
        check_bucket_name(bucket)
        try:
            # get_bucket_lifecycle() of minio 7.2 gives an object without what the SDK does not know.
            content: bytes = self._client._execute("GET", bucket, query_params={"lifecycle": ""}).data
        except S3Error as error:
            if error.code == "NoSuchLifecycleConfiguration":
                return None
            raise
        return content

    @_translated
    def set_lifecycle(self, bucket: str, document: bytes) -> None:
        """Replace the lifecycle document. Raises NotSupported where the store does not take such rules."""
        check_bucket_name(bucket)
        checksum = base64.b64encode(hashlib.md5(document, usedforsecurity=False).digest()).decode()
        headers: dict[str, str | list[str] | tuple[str]] = {"Content-MD5": checksum}
        try:
            self._client._execute("PUT", bucket, body=document, headers=headers, query_params={"lifecycle": ""})
        except S3Error as error:
            if error.code in ("InvalidArgument", "MalformedXML", "NotImplemented"):
                raise NotSupported(f"this object store does not take such lifecycle rules ({error.code})") from error
            raise

    # notifications (MinIO)

    @_translated
    def notification_rules(self, bucket: str) -> set[NotificationRule]:
        """The webhook rules that the bucket has now."""
        config = self._client.get_bucket_notification(bucket)
        return {
            NotificationRule(
                arn=queue.queue or "",
                events=tuple(sorted(queue.events)),
                prefix=(queue.prefix_filter_rule.value if queue.prefix_filter_rule else "") or "",
                suffix=(queue.suffix_filter_rule.value if queue.suffix_filter_rule else "") or "",
            )
            for queue in config.queue_config_list
        }

    @_translated
    def set_notification_rules(self, bucket: str, rules: set[NotificationRule]) -> None:
        """Replace all rules of an existing bucket. Raises NotSupported where the store has no notifications.

        MinIO refuses an ARN that its own environment does not define. SeaweedFS takes the request for the creation of
        a bucket, and would carry that out: so never call this for a bucket that may be missing.
        """
        queues = [
            QueueConfig(
                list(rule.events),
                queue=rule.arn,
                prefix_filter_rule=PrefixFilterRule(rule.prefix) if rule.prefix else None,
                suffix_filter_rule=SuffixFilterRule(rule.suffix) if rule.suffix else None,
            )
            for rule in sorted(rules, key=lambda rule: (rule.prefix, rule.suffix))
        ]
        try:
            self._client.set_bucket_notification(bucket, NotificationConfig(queue_config_list=queues))
        except S3Error as error:
            if error.code in ("NotImplemented", "BucketAlreadyOwnedByYou"):
                raise NotSupported(f"this object store has no bucket notifications ({error.code})") from error
            raise
