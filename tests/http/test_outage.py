"""A database that is locked, gone or full: nothing is acknowledged, and nothing needs a restart."""

import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import event

from app.keys import add_key
from app.migrate import migrate
from app.routers.intake import Gate
from app.settings import Settings
from tests.http.conftest import DISTRICT, NOW_US, Service
from tests.http.test_border import assert_problem
from tests.postgres import NotInstalled, PostgresServer, settings_for

PING = {"unit_id": "A", "time": 1_704_067_200, "lat": 44.5, "lon": -79.8}
WITHIN_S = 10


@pytest.fixture
def settings(sqlite_settings: Settings) -> Settings:
    """SQLite; that PostgreSQL goes and comes back is tested with a server of its own."""
    return sqlite_settings


def test_a_locked_database_is_503_and_then_recovers(service: Service) -> None:
    file = service.settings.database_url.removeprefix("sqlite:///")
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    for path, body in (("/v1/pings", [PING]), ("/v1/incidents", [incident()])):
        answer = service.post(path, body, "ingest")
        assert_problem(answer, 503)
        assert int(answer.headers["retry-after"]) > 0
    assert time.monotonic() - began < WITHIN_S
    assert_problem(service.put("/v1/districts/a", DISTRICT), 503)
    assert service.get("/healthz", None).status_code == 200
    other.execute("ROLLBACK")
    other.close()
    assert service.get("/v1/units").json() == []  # nothing of what was refused
    assert service.post("/v1/pings", [PING], "ingest").json()["accepted"] == 1


def test_a_database_that_is_away_comes_back(service: Service) -> None:
    file = Path(service.settings.database_url.removeprefix("sqlite:///"))
    assert service.get("/readyz", None).status_code == 200
    database = service.client.app.state.database
    database.close()
    away = file.with_suffix(".away")
    file.rename(away)
    file.mkdir()  # SQLite would make a new file, which is not what being away is like
    for path in ("/readyz", "/v1/units"):
        answer = service.get(path)
        assert_problem(answer, 503)
        assert int(answer.headers["retry-after"]) > 0
    assert service.get("/healthz", None).status_code == 200
    assert service.get("/transparency", None).json()["data"] is None
    file.rmdir()
    away.rename(file)
    assert service.get("/readyz", None).status_code == 200
    assert service.get("/v1/units").status_code == 200


def test_an_old_schema_is_not_ready(start: Callable[[Settings], Service], tmp_path: Path) -> None:
    file = tmp_path / "bare.db"
    sqlite3.connect(file).close()
    bare = start(Settings(database_url=f"sqlite:///{file}"))
    assert "migrate" in assert_problem(bare.get("/readyz", None), 503)["detail"]
    assert bare.get("/healthz", None).status_code == 200


def test_a_commit_that_fails_never_looks_like_success(service: Service) -> None:
    # A disk that fills up shows when the commit writes; so the commit comes before the answer.
    engine = service.client.app.state.database.engine

    def fail(connection: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    event.listen(engine, "commit", fail)
    try:
        assert_problem(service.post("/v1/pings", [PING], "ingest"), 503)
        assert_problem(service.put("/v1/districts/a", DISTRICT), 503)
    finally:
        event.remove(engine, "commit", fail)
    assert service.get("/v1/units").json() == []
    assert service.get("/v1/districts").json()["features"] == []


def test_a_full_disk_is_503_and_harms_nothing(service: Service) -> None:
    # The file may not grow: what SQLite says of a full disk, by its own limit.
    database = service.client.app.state.database
    database.close()

    def limit(connection: sqlite3.Connection, _record: object) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")

    event.listen(database.engine, "connect", limit)
    many = [PING | {"time": PING["time"] + k} for k in range(10_000)]  # type: ignore[operator]  a number
    assert_problem(service.post("/v1/pings", many, "ingest"), 503)
    event.remove(database.engine, "connect", limit)
    database.close()
    assert service.post("/v1/pings", many, "ingest").json()["accepted"] == 10_000
    file = service.settings.database_url.removeprefix("sqlite:///")
    assert sqlite3.connect(file).execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_more_than_fits_into_memory_at_once_is_429(service: Service) -> None:
    service.client.app.state.gate = Gate(waiting_bytes=100)
    answer = service.post("/v1/pings", [PING] * 3, "ingest")  # some 60 bytes each
    assert_problem(answer, 429)
    assert int(answer.headers["retry-after"]) > 0
    assert service.post("/v1/pings", [PING], "ingest").status_code == 200  # and then there is room


def test_who_waits_too_long_for_a_turn_is_told_to_come_back(service: Service) -> None:
    service.client.app.state.gate = Gate(at_once=1, wait_s=0.05)
    key = {"X-API-Key": service.keys["ingest"]}
    with service.client.app.state.database.write():  # the first gets its turn, but not the lock
        calls = [
            service.client.begin("POST", "/v1/incidents", json=[incident()], headers=key)
            for _ in range(2)
        ]
        busy = {call.result().status_code for call in calls}
    assert busy == {429, 503}


def incident() -> dict[str, object]:
    return {
        "incident_id": "1",
        "occurred_from": 1_704_067_200,
        "lat": 44.5,
        "lon": -79.8,
        "category": "theft",
    }


def test_postgres_goes_and_comes_back(
    start: Callable[[Settings], Service],
) -> None:
    folder = Path(tempfile.mkdtemp(prefix="focus-patrol-pg-"))  # short: it holds a socket
    try:
        server = PostgresServer(folder)
    except NotInstalled as error:
        pytest.skip(str(error))
    try:
        server.create()
        server.start()
        settings = settings_for(server.url.render_as_string(hide_password=False))
        migrate(settings)
        service = start(settings)
        key = add_key(service.client.app.state.database, "admin", ["admin"], NOW_US)
        service.keys |= {"admin": key, "ingest": key, "view": key}
        assert service.post("/v1/pings", [PING], "ingest").json()["accepted"] == 1
        server.stop()  # as a loss of power would
        began = time.monotonic()
        assert_problem(service.post("/v1/pings", [PING], "ingest"), 503)
        assert_problem(service.get("/readyz", None), 503)
        assert time.monotonic() - began < 2 * WITHIN_S
        assert service.get("/healthz", None).status_code == 200
        server.start()
        assert service.get("/readyz", None).status_code == 200
        again = service.post("/v1/pings", [PING, PING | {"unit_id": "B"}], "ingest").json()
        assert (again["accepted"], again["duplicate"]) == (1, 1)  # what was acknowledged is there
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
