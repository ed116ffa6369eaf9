"""The query parameters of a request, read once and checked: lists and watches, logs, deletes."""

import json
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from starlette.requests import Request

from fieldpipe.local.pods.logfile import LogOptions, log_time
from fieldpipe.local.pods.refusal import Refusal, bad_request
from fieldpipe.local.pods.selectors import Matcher, matcher

_LARGEST_BODY = 4 * 1024 * 1024  # bytes; Kubernetes stops at 3 MiB
_SECOND = 1_000_000_000


@dataclass(frozen=True)
class ListQuery:
    """What a list or a watch asks for. `since` is a watch's resourceVersion, None: begin with what is there."""

    matches: Matcher
    watch: bool
    limit: int | None
    after: str
    since: int | None
    timeout: int | None


def list_query(request: Request, known_fields: Collection[str]) -> ListQuery:
    """Read a list's parameters. Raises Refusal (400)."""
    parameters = request.query_params
    watch = _flag(request, "watch")
    if watch and _flag(request, "sendInitialEvents"):
        # The code with which a server without this feature sends clients back to list and watch.
        raise Refusal(422, "Invalid", "sendInitialEvents is not supported: list, then watch")
    since = _number(request, "resourceVersion") if watch else None
    return ListQuery(
        matches=matcher(parameters.get("labelSelector", ""), parameters.get("fieldSelector", ""), known_fields),
        watch=watch,
        limit=_number(request, "limit") or None,
        after=parameters.get("continue", ""),
        since=since or None,
        timeout=_number(request, "timeoutSeconds"),
    )


def log_options(request: Request) -> LogOptions:
    """Read the parameters of a log request. Raises Refusal (400)."""
    return LogOptions(
        follow=_flag(request, "follow"),
        timestamps=_flag(request, "timestamps"),
        tail_lines=_number(request, "tailLines"),
        since=_since(request),
        limit_bytes=_number(request, "limitBytes"),
    )


async def delete_grace(request: Request) -> int | None:
    """The grace period of a delete, from its body or its query; None when neither says one. Raises Refusal (400)."""
    _refuse_dry_run(request)
    body = await json_body(request) if await request.body() else {}
    if not isinstance(body, dict):
        raise bad_request("the body is no DeleteOptions")
    grace = body.get("gracePeriodSeconds")
    if grace is None:
        return _number(request, "gracePeriodSeconds")
    if type(grace) is not int or grace < 0:
        raise bad_request(f"gracePeriodSeconds is a number of seconds, not {grace!r}")
    return grace


async def json_body(request: Request) -> object:
    """The request's body. Raises Refusal: 400 when it is no JSON, 413 when it is too large, 415 for another format."""
    media_type = request.headers.get("content-type", "application/json")
    if "json" not in media_type:
        raise Refusal(415, "UnsupportedMediaType", f"the local Pods API reads JSON, not {media_type}")
    _refuse_dry_run(request)
    body = await request.body()
    if len(body) > _LARGEST_BODY:
        raise Refusal(413, "RequestEntityTooLarge", f"the body is larger than {_LARGEST_BODY} bytes")
    try:
        return json.loads(body)
    except ValueError as error:
        raise bad_request(f"the body is no JSON: {error}") from error


def _refuse_dry_run(request: Request) -> None:
    if request.query_params.get("dryRun"):
        raise bad_request("the local Pods API has no dry run")


def _since(request: Request) -> str:
    """The time from which log lines are wanted, as the log file writes times; empty: from the start."""
    if (seconds := _number(request, "sinceSeconds")) is not None:
        return log_time(time.time_ns() - seconds * _SECOND)
    if text := request.query_params.get("sinceTime"):
        try:
            return log_time(int(datetime.fromisoformat(text).timestamp()) * _SECOND)
        except ValueError as error:
            raise bad_request(f"sinceTime is a time in RFC 3339, not {text!r}") from error
    return ""


def _flag(request: Request, name: str) -> bool:
    return request.query_params.get(name, "").lower() in ("true", "1")


def _number(request: Request, name: str) -> int | None:
    text = request.query_params.get(name, "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise bad_request(f"{name} is a whole number, not {text!r}")
    return int(text)
