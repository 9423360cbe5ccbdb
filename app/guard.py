"""What a route checks before anything of a request is read.

First the key (401) and its scope (403), then unknown query parameters (400), media type and
encoding (415) and size (413); only then does the framework look at parameters and body.
"""

from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

from fastapi import Request, params
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.deps import authorize
from app.errors import BadInput, FocusPatrolError, TooLarge, WrongMedia
from app.problems import of_error

MIB = 1 << 20
MAX_BODY_BYTES = 16 * MIB

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class GuardedRoute(APIRoute):
    """A route that checks key, scope, parameters, media type and size before it reads anything."""

    media_types: frozenset[str] = frozenset({"application/json", "application/geo+json"})
    any_query = False  # whether query parameters that are not known are let be

    def get_route_handler(self) -> Handler:
        """The framework's handler behind the guard."""
        answer = super().get_route_handler()
        check = self._check()
        reads_body = self.body_field is not None

        async def guarded(request: Request) -> Response:
            await check(request)
            if not reads_body:
                return await answer(request)
            check_media(request, self.media_types, encodings=frozenset())
            return await answer(Request(request.scope, _capped(request)))

        return guarded

    def _check(self) -> Callable[[Request], Coroutine[Any, Any, None]]:
        """What is looked at first on this route: key, scope, query parameters."""
        scope = next((s for d in self.dependencies for s in _scopes(d)), None)
        known = {*_query_names(self.dependant), "api_key"}

        async def check(request: Request) -> None:
            if scope is not None:
                request.state.caller = await authorize(request, scope)
            if not self.any_query:
                _refuse_unknown(request, known)

        return check


class DirectRoute(GuardedRoute):
    """A guarded route whose endpoint takes the request itself, for calls that come in thousands.

    Behind the guard it costs a tenth of what the framework's parameters do.
    """

    def get_route_handler(self) -> Handler:
        """The endpoint behind the guard."""
        check, endpoint = self._check(), self.endpoint

        async def guarded(request: Request) -> Response:
            await check(request)
            answer: Response = await endpoint(request)
            return answer

        return guarded


class Express:
    """Brings calls of direct routes to their handlers past the framework's layers.

    The same handlers stand behind the framework's routes: for whatever is addressed otherwise
    (below a root path, say) and in the OpenAPI document.
    """

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute]) -> None:
        """`app` answers all other calls."""
        self.app = app
        self._handlers: Mapping[tuple[str, str], Handler] = {
            (method, route.path): route.get_route_handler()
            for route in routes
            if isinstance(route, DirectRoute)
            for method in route.methods or ()
        }

    @property
    def calls(self) -> frozenset[tuple[str, str]]:
        """Method and path of each call that it answers."""
        return frozenset(self._handlers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one call; foreseen failures are problems, as everywhere."""
        direct = scope["type"] == "http" and not scope.get("root_path")
        handler = self._handlers.get((scope["method"], scope["path"])) if direct else None
        if handler is None:
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            answer = await handler(request)
        except FocusPatrolError as error:
            answer = of_error(error, request)
        await answer(scope, receive, send)


class TolerantRoute(DirectRoute):
    """A route of somebody else's protocol, whose parameters are more than we know."""

    any_query = True


def check_media(
    request: Request, media_types: frozenset[str], encodings: frozenset[str]
) -> tuple[str, str]:
    """Media type and content encoding of a body. Raises WrongMedia for what is not understood."""
    kind, *parameters = request.headers.get("content-type", "").lower().split(";")
    kind = kind.strip()
    charset = [p.partition("=")[2].strip(' "') for p in parameters if "charset" in p]
    if kind not in media_types or any(c not in ("utf-8", "utf8", "us-ascii") for c in charset):
        known = " or ".join(sorted(media_types - {""}))
        raise WrongMedia(f"Content-Type is {kind or 'missing'!r}; send {known}, in UTF-8")
    encoding = request.headers.get("content-encoding", "identity").lower().strip()
    if encoding not in encodings | {"identity", ""}:
        known = " or ".join(sorted(encodings | {"identity"}))
        raise WrongMedia(f"Content-Encoding is {encoding!r}; send {known}")
    return kind, encoding


async def body_of(
    request: Request, hold: Callable[[int], None], max_bytes: int = MAX_BODY_BYTES
) -> bytes:
    """The body, each part reported to `hold` [bytes] before it is kept.

    Raises TooLarge before more than `max_bytes` are taken, and what `hold` raises.
    """
    _check_declared(request, max_bytes)
    parts: list[bytes] = []
    taken, more = 0, True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part, more = message.get("body", b""), message.get("more_body", False)
        taken += len(part)
        if taken > max_bytes:
            raise _too_large(max_bytes)
        hold(len(part))
        parts.append(part)
    return b"".join(parts)


def _capped(request: Request) -> Receive:
    """The request's channel, which refuses to take in more than a body may have."""
    _check_declared(request, MAX_BODY_BYTES)
    taken = 0

    async def receive() -> Message:
        nonlocal taken
        message = await request.receive()
        taken += len(message.get("body", b""))
        if taken > MAX_BODY_BYTES:
            # The framework takes any other exception here for a body that it cannot parse.
            raise HTTPException(413, str(_too_large(MAX_BODY_BYTES)))
        return message

    return receive


def _check_declared(request: Request, max_bytes: int) -> None:
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > max_bytes:
        raise _too_large(max_bytes)


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"a body may have {max_bytes // MIB} MiB; send it in several")


def _refuse_unknown(request: Request, known: set[str]) -> None:
    if not request.scope["query_string"]:
        return
    names = [name for name, _ in request.query_params.multi_items()]
    for name in names:
        if name not in known:
            there = ", ".join(sorted(known - {"api_key"})) or "none"
            raise BadInput(f"no query parameter is called {name!r} here; there is {there}")
        if names.count(name) > 1:
            raise BadInput(f"query parameter {name!r} is given more than once")


def _scopes(dependency: params.Depends) -> list[str]:
    return list(dependency.scopes or ()) if isinstance(dependency, params.Security) else []


def _query_names(dependant: Dependant) -> set[str]:
    names = {field.alias for field in dependant.query_params}
    return names.union(*(_query_names(child) for child in dependant.dependencies))
