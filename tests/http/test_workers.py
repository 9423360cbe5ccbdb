"""Several processes behind one address, on a real PostGIS."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from app.db import Database
from app.keys import add_key, revoke_key
from app.settings import Settings
from app.store.coverage import dirty

WORKERS = 2
START_S = 60
END_S = 15
REVOKED_S = 5
DERIVED_S = 20
PROGRAM = "import sys; from app.cli import main; sys.argv[0] = 'focus-patrol'; main()"


@dataclass
class Service:
    """A running service of several workers."""

    running: subprocess.Popen[bytes]
    address: str
    key: str
    log: Path
    database: Database

    def workers(self) -> set[int]:
        """The process ids of the workers."""
        told = Path(f"/proc/{self.running.pid}/task/{self.running.pid}/children").read_text()
        names = {pid: Path(f"/proc/{pid}/cmdline").read_text() for pid in told.split()}
        return {int(pid) for pid, name in names.items() if "spawn_main" in name}

    def post(self, items: list[dict[str, object]]) -> httpx.Response:
        """The answer on a connection of its own, so that any worker may take it."""
        with httpx.Client(trust_env=False) as client:
            return client.post(
                f"{self.address}/v1/pings", json=items, headers={"X-API-Key": self.key}
            )


@pytest.fixture
def service(postgis_settings: Settings, tmp_path: Path) -> Iterator[Service]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "FOCUS_PATROL_DATABASE_URL": postgis_settings.database_url,
        "FOCUS_PATROL_DERIVE_EVERY_S": "0.2",
    }
    command = [sys.executable, "-c", PROGRAM, "serve", "--workers", str(WORKERS)]
    with (
        closing(Database(postgis_settings)) as database,
        (tmp_path / "log").open("wb") as log,
    ):
        key = add_key(database, "sender", ["ingest"], 0)
        running = subprocess.Popen(
            [*command, "--port", str(port)], env=environment, stdout=log, stderr=log
        )
        made = Service(running, f"http://127.0.0.1:{port}", key, tmp_path / "log", database)
        try:
            _wait_for(made)
            yield made
        finally:
            running.terminate()
            running.wait(END_S)


def _wait_for(service: Service) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        started = service.log.read_text().count("Application startup complete")
        if started == WORKERS:
            return
        time.sleep(0.1)
    raise TimeoutError(service.log.read_text())


def pings(count: int, first: int = 0) -> list[dict[str, object]]:
    now_s = int(time.time())
    return [
        {"unit_id": f"P-{k % 7}", "time": now_s - 3600 + k, "lat": 44.5, "lon": -79.8}
        for k in range(first, first + count)
    ]


def test_all_workers_take_pings_and_every_hour_is_derived(service: Service) -> None:
    parts = [pings(50, 50 * k) for k in range(40)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(service.post, [*parts, *parts]))
    assert {answer.status_code for answer in answers} == {200}
    assert sum(answer.json()["accepted"] for answer in answers) == 2_000  # each by one of them
    until = time.monotonic() + DERIVED_S
    while time.monotonic() < until:
        with service.database.read() as c:
            left = len(dirty(c))
        if not left:
            break
        time.sleep(0.1)
    with service.database.read() as c:
        counted = c.exec_driver_sql("SELECT sum(pings) FROM coverage").scalar_one()
    assert (left, counted) == (0, 2_000)


def test_a_revoked_key_opens_nothing_after_five_seconds_in_any_worker(service: Service) -> None:
    with ThreadPoolExecutor(8) as pool:  # so that each worker remembers the key
        assert all(a.status_code == 200 for a in pool.map(service.post, [pings(1)] * 32))
        revoke_key(service.database, "sender", 1)
        time.sleep(REVOKED_S)
        assert {a.status_code for a in pool.map(service.post, [pings(1)] * 32)} == {401}


def test_it_ends_in_time_and_leaves_no_worker(service: Service) -> None:
    workers = service.workers()
    assert len(workers) == WORKERS
    host, port = service.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as slow:
        slow.sendall(
            b"POST /v1/pings HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n"
            b"Content-Type: application/json\r\nX-API-Key: " + service.key.encode() + b"\r\n\r\n["
        )
        time.sleep(0.5)
        began = time.monotonic()
        service.running.send_signal(signal.SIGTERM)
        assert service.running.wait(END_S) == 0
        assert time.monotonic() - began < END_S
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def test_a_worker_that_dies_is_replaced(service: Service) -> None:
    before = service.workers()
    os.kill(min(before), signal.SIGKILL)
    until = time.monotonic() + START_S
    while time.monotonic() < until and not (
        len(now := service.workers()) == WORKERS > len(now & before)
    ):
        time.sleep(0.2)
    assert len(service.workers() - before) == 1
    assert service.post(pings(1)).status_code == 200
