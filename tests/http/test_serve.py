"""The service as a process: its logs, and its end."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from app.db import Database
from app.keys import add_key
from app.settings import Settings

START_S = 30
END_S = 15


@dataclass
class Process:
    """A running service, its address, a key, and where it logs."""

    running: subprocess.Popen[bytes]
    port: int
    key: str
    log: Path

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def process(sqlite_settings: Settings, tmp_path: Path) -> Iterator[Process]:
    database = Database(sqlite_settings)
    key = add_key(database, "admin", ["admin"], 0)
    database.close()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = str(Path(sys.executable).with_name("focus-patrol"))
    environment = os.environ | {"FOCUS_PATROL_DATABASE_URL": sqlite_settings.database_url}
    with (tmp_path / "log").open("wb") as log:
        running = subprocess.Popen(
            [program, "serve", "--port", str(port)], env=environment, stdout=log, stderr=log
        )
        made = Process(running, port, key, tmp_path / "log")
        try:
            _wait_for(made)
            yield made
        finally:
            running.kill()
            running.wait()


def _wait_for(process: Process) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        try:
            httpx.get(f"{process.address}/readyz").raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(process.log.read_text())


def test_a_key_appears_in_no_log_wherever_it_travels(process: Process) -> None:
    key, address = process.key, process.address
    ways = [
        {"headers": {"Authorization": f"Bearer {key}"}},
        {"headers": {"X-API-Key": key}},
        {"auth": ("", key)},
        {"params": {"api_key": key}},
        {"params": {"api_key": key, "unknown": "1"}},
        {"params": {"api_key": f"{key}x"}},
    ]
    for way in ways:
        for path in ("/v1/units", "/v1/nowhere", "/healthz"):
            httpx.get(f"{address}{path}", **way)  # type: ignore[arg-type]  any keyword of httpx
    with socket.create_connection(("127.0.0.1", process.port)) as raw:
        raw.sendall(f"GET /v1/units?api_key={key} HTTP/9\r\nX-API-Key: {key}\r\n\r\n".encode())
        raw.recv(1000)
    process.running.send_signal(signal.SIGTERM)
    process.running.wait(END_S)
    log = process.log.read_text()
    assert key not in log
    assert key.removeprefix("fp_") not in log
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    requests = [line for line in lines if line["event"] == "request"]
    assert {line["status"] for line in requests} >= {200, 400, 401, 404}
    assert all(line["request_id"] for line in requests)


def test_it_ends_in_time_though_a_client_hangs(process: Process) -> None:
    with socket.create_connection(("127.0.0.1", process.port)) as slow:
        slow.sendall(
            b"POST /v1/pings HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n"
            b"Content-Type: application/json\r\nX-API-Key: " + process.key.encode() + b"\r\n\r\n["
        )
        time.sleep(0.5)
        began = time.monotonic()
        process.running.send_signal(signal.SIGTERM)
        process.running.wait(END_S)
        assert time.monotonic() - began < END_S
    assert process.running.returncode == 0


def test_what_was_acknowledged_survives_a_kill(process: Process, sqlite_settings: Settings) -> None:
    ping = {"unit_id": "A", "time": time.time(), "lat": 44.5, "lon": -79.8}
    answer = httpx.post(
        f"{process.address}/v1/pings", json=[ping], headers={"X-API-Key": process.key}
    )
    assert answer.json()["accepted"] == 1
    process.running.kill()
    process.running.wait()
    database = Database(sqlite_settings)
    with database.read() as connection:
        count = connection.exec_driver_sql("SELECT count(*) FROM pings").scalar_one()
    database.close()
    assert count == 1
