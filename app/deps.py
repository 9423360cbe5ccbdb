"""What routes are given: database, settings, the clock, the caller; and who may do what."""

import asyncio
import base64
import binascii
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from anyio import to_thread
from fastapi import Depends, Request, Security
from fastapi.openapi import models as openapi
from fastapi.security.base import SecurityBase

from app.db import Database
from app.errors import NoKey, WrongScope
from app.keys import PREFIX, digest_of
from app.settings import Settings
from app.store import keys

REMEMBERED_S = 1.0  # a revoked key opens nothing after this; the contract allows 5 s
REMEMBERED_KEYS = 1024
IMPLIED = {
    "ingest": frozenset({"ingest"}),
    "view": frozenset({"view"}),
    "plan": frozenset({"plan", "view"}),
    "admin": frozenset({"ingest", "view", "plan", "admin"}),
}


@dataclass(frozen=True)
class Caller:
    """Whose key it is, and all that the key may do, implied scopes included.

    `units`: the call signs that it may send pings of; None for all.
    """

    name: str
    scopes: frozenset[str]
    units: frozenset[str] | None = None


class Keyring:
    """Keys looked up in the database, remembered for a second so that a stream costs one query."""

    def __init__(self, database: Database) -> None:
        """Looks nothing up yet."""
        self._database = database
        self._known: dict[str, tuple[float, Caller]] = {}
        self._asked: dict[str, asyncio.Task[Caller | None]] = {}

    async def caller(self, key: str) -> Caller | None:
        """Whose key this is; None for one that is unknown or revoked. Raises DatabaseAway."""
        digest = digest_of(key)
        until, caller = self._known.get(digest, (0.0, None))
        if caller is not None and time.monotonic() < until:
            return caller
        # However many calls a stream has under way, one of them asks.
        asked = self._asked.get(digest)
        if asked is None:
            asked = self._asked[digest] = asyncio.create_task(self._ask(digest))
            asked.add_done_callback(lambda _: self._asked.pop(digest))
        return await asyncio.shield(asked)

    async def _ask(self, digest: str) -> Caller | None:
        self._known.pop(digest, None)
        asked = time.monotonic()  # counted from before the query, so that nothing lives longer
        caller = await to_thread.run_sync(self._look_up, digest)
        if caller is not None:
            if len(self._known) >= REMEMBERED_KEYS:
                self._known.clear()
            self._known[digest] = (asked + REMEMBERED_S, caller)
        return caller

    def _look_up(self, digest: str) -> Caller | None:
        with self._database.read() as connection:
            found = keys.find_key(connection, digest)
        if found is None:
            return None
        scopes = frozenset[str]().union(*(IMPLIED.get(scope, ()) for scope in found.scopes))
        return Caller(found.name, scopes, None if found.units is None else frozenset(found.units))


def key_of(request: Request) -> str | None:
    """The key that a request carries, from the first of the four places that holds one."""
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return value.strip()
    if kind.lower() == "basic":
        return _password(value.strip())
    return request.headers.get("x-api-key") or request.query_params.get("api_key")


def _password(encoded: str) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


async def authorize(request: Request, scope: str | None) -> Caller:
    """The caller, if the key may do this; any key may where `scope` is None.

    Raises NoKey, WrongScope or DatabaseAway.
    """
    key = key_of(request)
    if key is None:
        raise NoKey("this needs a key: Authorization: Bearer, X-API-Key, a password or api_key=")
    keyring: Keyring = request.app.state.keyring
    caller = await keyring.caller(key) if key.startswith(PREFIX) else None
    if caller is None:
        raise NoKey("this key is unknown or revoked")
    if scope is not None and scope not in caller.scopes:
        raise WrongScope(f"this needs a key with scope {scope}")
    return caller


def is_data(request: Request) -> bool:
    """Whether a path lies where nothing is said without a key, not even what there is."""
    return request.url.path.startswith("/v1/")


class Scheme(SecurityBase):
    """One way to bring a key, for the OpenAPI document alone: the route has looked already."""

    def __init__(self, name: str, model: openapi.SecurityBase) -> None:
        self.scheme_name = name
        self.model = model

    async def __call__(self) -> None:
        """Nothing is left to do."""


_BEARER = Scheme("bearer", openapi.HTTPBearer())
_HEADER = Scheme("header", openapi.APIKey(**{"in": openapi.APIKeyIn.header, "name": "X-API-Key"}))
_BASIC = Scheme("basic", openapi.HTTPBase(scheme="basic", description="The key as password."))
_QUERY = Scheme("query", openapi.APIKey(**{"in": openapi.APIKeyIn.query, "name": "api_key"}))


def _caller(
    request: Request,
    _bearer: Annotated[None, Security(_BEARER)],
    _header: Annotated[None, Security(_HEADER)],
    _basic: Annotated[None, Security(_BASIC)],
    _query: Annotated[None, Security(_QUERY)],
) -> Caller:
    caller: Caller = request.state.caller
    return caller


def needs(scope: str) -> Any:
    """A route's dependency: only a key with this scope opens it."""
    return Security(_caller, scopes=[scope])


def now_us() -> int:
    """The clock, in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


def clock_of(request: Request) -> int:
    """The clock, for a route that takes the request alone."""
    clock: Callable[[], int] = request.app.dependency_overrides.get(now_us, now_us)
    return clock()


def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


DatabaseDep = Annotated[Database, Depends(_database)]
SettingsDep = Annotated[Settings, Depends(_settings)]
NowDep = Annotated[int, Depends(now_us)]
