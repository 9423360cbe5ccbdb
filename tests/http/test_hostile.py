"""Values that usually bring such a service down, each with its answer."""

import gzip
import json
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings
from tests.http.conftest import Service
from tests.http.test_border import assert_problem
from tests.serving import Process, serving

GOOD: dict[str, Any] = {"unit_id": "A", "time": 1_704_067_200, "lat": 44.5, "lon": -79.8}
GOOD_TEXT = json.dumps(GOOD)


def item(**changes: str) -> str:
    """A good ping with some members replaced by text as it stands."""
    members = {name: json.dumps(value) for name, value in GOOD.items()} | changes
    return "{" + ", ".join(f'"{name}": {text}' for name, text in members.items()) + "}"


HOSTILE = {
    "5,000 digits of latitude": (item(lat="9" * 5_000), "lat_out_of_range"),
    "5,000 digits of time": (item(time="9" * 5_000), "time_invalid"),
    "5,000 decimals": (item(lat="0." + "9" * 5_000), None),
    "1e999": (item(lat="1e999"), "lat_out_of_range"),
    "minus 5,000 digits": (item(lon="-" + "9" * 5_000), "lon_out_of_range"),
    "NaN": (item(lat="NaN"), "malformed"),
    "year 1 east of Greenwich": (item(time='"0001-01-01T00:00:00+14:00"'), "time_invalid"),
    "year 9999 west of it": (item(time='"9999-12-31T23:59:59-14:00"'), "time_invalid"),
    "full-width digits": (item(time='"２０２４-01-01T00:00:00Z"'), "time_invalid"),
    "NUL in a name": (item(unit_id=r'"A\u0000B"'), "malformed"),
    "half a surrogate pair": (item(unit_id=r'"\ud800"'), "malformed"),
    "half a pair as a member": (item(**{r"\udfff": "1"}), "unknown_field"),
    "2 MB of name": (item(unit_id=json.dumps("x" * 2_000_000)), "malformed"),
    "2 MB of time": (item(time=json.dumps("9" * 2_000_000)), "time_invalid"),
    "5,000 nested brackets": (item(lat="[" * 5_000 + "]" * 5_000), "malformed"),
    "a boolean": (item(lat="true"), "malformed"),
    "a number in quotes": (item(lat='"44.5"'), "malformed"),
    "milliseconds": (item(time="1704067200000"), "time_invalid"),
    "an integer beyond all floats": (item(time="1" + "0" * 400), "time_invalid"),
}


@pytest.mark.parametrize(("text", "code"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_item_is_refused_alone(service: Service, text: str, code: str | None) -> None:
    good = [json.dumps(GOOD | {"time": 1_704_067_200 + k}) for k in range(2)]
    for body, media in (
        (f"[{good[0]},{text},{good[1]}]", "application/json"),
        (f"{good[0]}\n{text}\n{good[1]}", "application/x-ndjson"),
    ):
        answer = service.call(
            "POST", "/v1/pings", "ingest", content=body.encode(), headers={"Content-Type": media}
        )
        receipt = answer.json()
        assert answer.status_code == (207 if code else 200), receipt
        assert [error["code"] for error in receipt["errors"]] == ([code] if code else [])
        assert receipt["received"] == 3
    assert service.get("/v1/units").json()[0]["unit_id"] == "A"


def zipped(*parts: bytes) -> bytes:
    return b"".join(map(gzip.compress, parts))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (zipped(b"[" + GOOD_TEXT.encode(), b"]"), 200),  # several members are one body
        (zipped(GOOD_TEXT.encode())[:-5], 400),  # cut short
        (zipped(GOOD_TEXT.encode()) + b"after", 400),
        (b"no gzip at all", 400),
        (b"", 400),
        (zipped(b""), 400),
        (zipped(b" " * (16 << 20), b" "), 413),
        (zipped(*[b""] * 20_000), 413),
    ],
    ids=["members", "cut", "more after", "none", "empty", "of nothing", "bomb", "20,000 members"],
)
def test_compressed_bodies(service: Service, body: bytes, status: int) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = service.call("POST", "/v1/pings", "ingest", content=body, headers=headers)
    assert answer.status_code == status, answer.text
    if status >= 400:
        assert_problem(answer, status)
        assert service.get("/v1/units").json() == []


@pytest.fixture
def process(sqlite_settings: Settings, tmp_path: Path) -> Iterator[Process]:
    kept = sqlite_settings.model_copy(update={"retention_days": 0, "busy_timeout_s": 5.0})
    with serving(kept, tmp_path) as made:
        yield made


def test_a_bomb_of_two_gigabytes_takes_little_memory(process: Process) -> None:
    packer = zlib.compressobj(wbits=31)
    blank = b" " * (1 << 20)
    bomb = b"".join(packer.compress(blank) for _ in range(2_048)) + packer.flush()
    assert 1_900_000 < len(bomb) < 2_200_000
    headers = process.headers | {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    url = f"{process.address}/v1/pings"
    with ThreadPoolExecutor(4) as clients:
        answers = clients.map(
            lambda _: process.client.post(url, content=bomb, headers=headers), range(4)
        )
        assert {answer.status_code for answer in answers} == {413}
    status = Path(f"/proc/{process.running.pid}/status")
    if status.exists():
        (peak,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        assert int(peak.split()[1]) < 300_000  # kB


def test_a_file_that_another_holds_for_eight_seconds(
    process: Process, sqlite_settings: Settings
) -> None:
    path = sqlite_settings.database_url.removeprefix("sqlite:///")
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(8, other.rollback)
    release.start()
    began = time.monotonic()
    with ThreadPoolExecutor(8) as clients:
        several = [GOOD | {"time": k} for k in range(8)]
        answers = list(clients.map(process.post, several))
    assert time.monotonic() - began < 10
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert all(int(a.headers["retry-after"]) > 0 for a in answers if a.status_code == 503)
    assert 503 in {answer.status_code for answer in answers}
    release.join()
    other.close()
    assert process.post([GOOD | {"time": k} for k in range(8)]).status_code == 200


def test_eight_overlapping_copies_of_one_batch_at_once(service: Service) -> None:
    items = [GOOD | {"time": 1_704_067_200 + k} for k in range(100)]
    key = {"X-API-Key": service.keys["ingest"]}
    calls = [
        service.client.begin("POST", "/v1/pings", json=items[k * 5 : k * 5 + 60], headers=key)
        for k in range(8)
    ]
    receipts = [call.result().json() for call in calls]
    assert sum(receipt["accepted"] for receipt in receipts) == 95  # from 0 to 7 × 5 + 60
    assert all(receipt["accepted"] + receipt["duplicate"] == 60 for receipt in receipts)
