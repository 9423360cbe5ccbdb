"""The service on a real database, with a key for each scope and a clock that stands still."""

from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Self

import httpx
import pytest
import shapely
from anyio.from_thread import start_blocking_portal
from fastapi import FastAPI

from app import deps, keys
from app.main import create_app
from app.settings import Settings
from tests import town

NOW_US = town.ALL_KNOWN_US  # Thursday 2024-01-04 00:00 UTC
SCOPES = ("ingest", "view", "plan", "admin")
DISTRICT = {
    "type": "Feature",
    "geometry": shapely.geometry.mapping(town.POLYGON),
    "properties": {"name": "The town", "timezone": town.TIMEZONE, "shifts": town.SHIFTS},
}


class Client:
    """Calls an application as a server would, in an event loop of its own."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self._http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://service"
        )

    def __enter__(self) -> Self:
        self._portal_context = start_blocking_portal()
        self._portal = self._portal_context.__enter__()
        self._lifespan = self._portal.wrap_async_context_manager(
            self.app.router.lifespan_context(self.app)
        )
        self._lifespan.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lifespan.__exit__(kind, error, trace)
        self._portal.call(self._http.aclose)
        self._portal_context.__exit__(kind, error, trace)

    def request(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """The answer to one call; a body may be an iterator of chunks."""
        return self.begin(method, path, **kwargs).result()

    def begin(self, method: str, path: str, **kwargs: Any) -> Future[httpx.Response]:
        """A call on its way; others may be made before its answer is asked for."""
        if isinstance(kwargs.get("content"), Iterator):
            kwargs["content"] = _asynchronous(kwargs["content"])
        return self._portal.start_task_soon(partial(self._http.request, method, path, **kwargs))


async def _asynchronous(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


@dataclass
class Service:
    """The application, a client of it, and its keys by scope."""

    client: Client
    settings: Settings
    keys: dict[str, str] = field(default_factory=dict)

    def call(self, method: str, path: str, scope: str | None = "admin", **kwargs: Any) -> Any:
        """The answer to one call, with the key of a scope or none."""
        headers = dict(kwargs.pop("headers", {}))
        if scope is not None:
            headers["Authorization"] = f"Bearer {self.keys[scope]}"
        return self.client.request(method, path, headers=headers, **kwargs)

    def get(self, path: str, scope: str | None = "view", **kwargs: Any) -> Any:
        return self.call("GET", path, scope, **kwargs)

    def post(self, path: str, body: Any, scope: str | None = "admin") -> Any:
        return self.call("POST", path, scope, json=body)

    def put(self, path: str, body: Any, scope: str | None = "admin") -> Any:
        return self.call("PUT", path, scope, json=body)


@pytest.fixture
def start() -> Iterator[Callable[[Settings], Service]]:
    """Starts services without keys."""
    services: list[Service] = []

    def started(settings: Settings) -> Service:
        # No derivation beside the tests: it would hold the lock that some of them take away.
        still = {
            "retention_days": 0,
            "busy_timeout_s": 0.5,
            "derive_every_s": 0,
            "retain_every_s": 0,
            "live_every_s": 0,
        }
        app = create_app(settings.model_copy(update=still))
        app.dependency_overrides[deps.now_us] = lambda: NOW_US
        service = Service(Client(app), settings)
        service.client.__enter__()
        services.append(service)
        return service

    yield started
    for service in services:
        service.client.__exit__(None, None, None)


@pytest.fixture
def service(start: Callable[[Settings], Service], settings: Settings) -> Service:
    """A service with a key for each scope, on an empty database: on each kind in its turn."""
    started = start(settings)
    database = started.client.app.state.database
    for scope in SCOPES:
        started.keys[scope] = keys.add_key(database, scope, [scope], NOW_US)
    return started


@pytest.fixture
def town_service(service: Service) -> Service:
    """The service with the hand-made town's district, pings and incidents."""
    assert service.put("/v1/districts/town", DISTRICT).status_code == 201
    assert service.post("/v1/pings", ping_items()).json()["accepted"] == len(town.PINGS)
    assert service.post("/v1/incidents", incident_items()).json()["accepted"] == 10
    return service


def ping_items() -> list[dict[str, Any]]:
    p = town.PINGS
    return [
        {"unit_id": town.UNITS[unit], "time": time_us / 1e6, "lat": lat, "lon": lon}
        for unit, time_us, lat, lon in zip(
            p.unit.tolist(), p.time_us.tolist(), p.lat.tolist(), p.lon.tolist(), strict=True
        )
    ]


def incident_items() -> list[dict[str, Any]]:
    i = town.INCIDENTS
    lat, lon = town.centres(i.cell)
    return [
        {
            "incident_id": name,
            "occurred_from": from_us / 1e6,
            "occurred_to": to_us / 1e6,
            "reported_at": known_us / 1e6,
            "lat": y,
            "lon": x,
            "category": i.categories[category],
            "source": town.SOURCES[source],
        }
        for name, from_us, to_us, known_us, y, x, category, source in zip(
            town.INCIDENT_IDS,
            i.time_us.tolist(),
            i.to_us.tolist(),
            i.known_us.tolist(),
            lat.tolist(),
            lon.tolist(),
            i.category.tolist(),
            i.source.tolist(),
            strict=True,
        )
    ]
