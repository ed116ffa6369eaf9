"""The Pods API over HTTP: routes, and how requests and answers look. What they do is in `node`.

It runs commands for whoever can connect, so it listens on the loopback interface and refuses browsers: a request that
comes from a web page names its origin or, after DNS rebinding, a host that is not ours.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from fieldpipe.local.pods import discovery, tables
from fieldpipe.local.pods.lifecycle import stamp
from fieldpipe.local.pods.node import Node
from fieldpipe.local.pods.queries import ListQuery, delete_grace, json_body, list_query, log_options
from fieldpipe.local.pods.refusal import Refusal, forbidden, not_found
from fieldpipe.local.pods.registry import Document, Registry

_POD_FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.serviceAccountName",
    "status.phase",
    "status.podIP",
)
_EVENT_FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "involvedObject.kind",
    "involvedObject.name",
    "involvedObject.namespace",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "reason",
    "type",
)
_OUR_HOSTS = ("127.0.0.1", "localhost")

_Handler = Callable[[Request], Awaitable[Response]]


def build_app(node: Node) -> Starlette:
    """The ASGI application for a node."""
    api = _PodsApi(node)
    return Starlette(
        routes=api.routes(),
        middleware=[Middleware(_NoBrowsers)],
        exception_handlers={Refusal: _refused, HTTPException: _no_such_route, Exception: _failed},
    )


class _PodsApi:
    def __init__(self, node: Node) -> None:
        self._node = node
        self._namespace: Document = {
            "kind": "Namespace",
            "apiVersion": "v1",
            "metadata": {"name": node.namespace, "uid": node.namespace, "creationTimestamp": stamp(node.started)},
            "spec": {},
            "status": {"phase": "Active"},
        }

    def routes(self) -> list[Route]:
        inside = "/api/v1/namespaces/{namespace}"
        return [
            Route("/healthz", _alive),
            Route("/livez", _alive),
            Route("/readyz", _alive),
            Route("/version", _constant(discovery.VERSION)),
            Route("/api", _constant(discovery.VERSIONS)),
            Route("/apis", _constant(discovery.GROUPS)),
            Route("/api/v1", _constant(discovery.RESOURCES)),
            Route("/debug/pods", self._history),
            Route("/api/v1/namespaces", self._list_namespaces),
            Route(inside, self._within(self._get_namespace)),
            Route("/api/v1/pods", self._list_pods),
            Route(f"{inside}/pods", self._within(self._list_pods), methods=["GET"]),
            Route(f"{inside}/pods", self._within(self._create_pod), methods=["POST"]),
            Route(f"{inside}/pods/{{name}}", self._within(self._get_pod), methods=["GET"]),
            Route(f"{inside}/pods/{{name}}", self._within(self._patch_pod), methods=["PATCH"]),
            Route(f"{inside}/pods/{{name}}", self._within(self._delete_pod), methods=["DELETE"]),
            Route(f"{inside}/pods/{{name}}/log", self._within(self._read_log)),
            Route("/api/v1/events", self._list_events),
            Route(f"{inside}/events", self._within(self._list_events)),
            *(Route(f"{inside}/{kind}{{rest:path}}", _never) for kind in ("secrets", "configmaps")),
            *(Route(f"/api/v1/{kind}", _never) for kind in ("secrets", "configmaps")),
        ]

    def _within(self, handler: _Handler) -> _Handler:
        """A handler for requests inside a namespace: there is only ours."""

        async def checked(request: Request) -> Response:
            if request.path_params["namespace"] != self._node.namespace:
                raise not_found("namespaces", request.path_params["namespace"])
            return await handler(request)

        return checked

    async def _list_pods(self, request: Request) -> Response:
        return _listing(request, self._node.pods, "PodList", _POD_FIELDS, tables.PODS)

    async def _list_events(self, request: Request) -> Response:
        return _listing(request, self._node.events, "EventList", _EVENT_FIELDS, tables.EVENTS)

    async def _create_pod(self, request: Request) -> Response:
        return _Json(self._node.create(await json_body(request)), status_code=201)

    async def _get_pod(self, request: Request) -> Response:
        return _single(request, self._node.get(request.path_params["name"]), tables.PODS)

    async def _patch_pod(self, request: Request) -> Response:
        patch = await json_body(request)
        media_type = request.headers.get("content-type", "").partition(";")[0]
        return _Json(self._node.patch(request.path_params["name"], patch, media_type))

    async def _delete_pod(self, request: Request) -> Response:
        return _Json(self._node.delete(request.path_params["name"], await delete_grace(request)))

    async def _read_log(self, request: Request) -> Response:
        log = self._node.log_of(request.path_params["name"], request.query_params.get("container"))
        if request.query_params.get("previous") in ("true", "1"):
            return PlainTextResponse("")  # a pod here never restarts, so there is no earlier container
        return StreamingResponse(log.read(log_options(request)), media_type="text/plain")

    async def _get_namespace(self, request: Request) -> Response:
        return _single(request, self._namespace, tables.NAMESPACES)

    async def _list_namespaces(self, request: Request) -> Response:
        return _answer(request, [self._namespace], "NamespaceList", tables.NAMESPACES, self._node.pods.version)

    async def _history(self, request: Request) -> Response:
        return _Json({"pods": self._node.history.select(request.query_params.get("labelSelector", ""))})


def _listing(
    request: Request,
    documents: Registry,
    kind: str,
    fields: Collection[str],
    columns: Sequence[tables.Column],
) -> Response:
    query = list_query(request, fields)
    if query.watch:
        return StreamingResponse(_watch(request, documents, query, columns), media_type="application/json")
    found = sorted(filter(query.matches, documents), key=_name)
    rest = [document for document in found if _name(document) > query.after]
    page = rest[: query.limit]
    more = {"continue": _name(page[-1]), "remainingItemCount": len(rest) - len(page)} if len(rest) > len(page) else {}
    return _answer(request, page, kind, columns, documents.version, more)


def _answer(
    request: Request,
    page: list[Document],
    kind: str,
    columns: Sequence[tables.Column],
    version: int,
    more: Document | None = None,
) -> Response:
    if tables.wanted(request.headers.get("accept", "")):
        listing = tables.table(columns, page, version)
    else:
        listing = {"kind": kind, "apiVersion": "v1", "metadata": {"resourceVersion": str(version)}, "items": page}
    listing["metadata"] |= more or {}
    return _Json(listing)


def _single(request: Request, document: Document, columns: Sequence[tables.Column]) -> Response:
    return _Json(_as_wanted(request, document, columns))


def _as_wanted(request: Request, document: Document, columns: Sequence[tables.Column]) -> Document:
    if tables.wanted(request.headers.get("accept", "")):
        return tables.table(columns, [document], int(document["metadata"].get("resourceVersion", 0)))
    return document


async def _watch(
    request: Request, documents: Registry, query: ListQuery, columns: Sequence[tables.Column]
) -> AsyncIterator[bytes]:
    """Changes, one JSON object per line, until the client goes or its time is up."""
    try:
        async with asyncio.timeout(query.timeout):
            async for kind, document in documents.watch(query.matches, query.since):
                yield _line({"type": kind, "object": _as_wanted(request, document, columns)})
    except TimeoutError:
        return
    except Refusal as refusal:
        yield _line({"type": "ERROR", "object": refusal.status()})


def _line(change: Document) -> bytes:
    return json.dumps(change).encode() + b"\n"


def _name(document: Document) -> str:
    return str(document["metadata"]["name"])


def _constant(document: Document) -> _Handler:
    async def answer(_: Request) -> Response:
        return _Json(document)

    return answer


async def _alive(_: Request) -> Response:
    return PlainTextResponse("ok")


async def _never(_: Request) -> Response:
    raise forbidden("Secrets and ConfigMaps reach pods, and never leave the local Pods API")


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return _Json(error.status(), status_code=error.code)


async def _no_such_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    reason = {404: "NotFound", 405: "MethodNotAllowed"}.get(error.status_code, "BadRequest")
    message = f"the local Pods API does not serve {request.method} {request.url.path}"
    return await _refused(request, Refusal(error.status_code, reason, message))


async def _failed(request: Request, error: Exception) -> Response:
    return await _refused(request, Refusal(500, "InternalError", f"a bug in the local Pods API: {error!r}"))


class _Json(JSONResponse):
    """JSON in ASCII: what a client sent may hold half a surrogate pair, which UTF-8 cannot."""

    def render(self, content: object) -> bytes:
        return json.dumps(content).encode("ascii")


class _NoBrowsers:
    """Refuse what a web page could send."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers: dict[bytes, bytes] = dict(scope["headers"])
            host = headers.get(b"host", b"").decode("latin-1").rsplit(":", 1)[0]
            if b"origin" in headers or host not in _OUR_HOSTS:
                refusal = forbidden("the local Pods API serves programs on this machine, not browsers")
                await _Json(refusal.status(), status_code=refusal.code)(scope, receive, send)
                return
        await self._app(scope, receive, send)
