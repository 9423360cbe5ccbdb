"""The service as a process: its logs, and its end."""

import json
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.db import Database
from app.settings import Settings
from tests.serving import END_S, Process, serving


@pytest.fixture
def process(sqlite_settings: Settings, tmp_path: Path) -> Iterator[Process]:
    with serving(sqlite_settings, tmp_path) as made:
        yield made


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
    lines = [json.loads(line) for line in log.splitlines()]  # those of the server too
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
