"""Batches over HTTP: statuses, receipts, and that what was acknowledged is there."""

import gzip
import json
from typing import Any

import pytest

from tests.http.conftest import Service, incident_items, ping_items
from tests.http.test_border import assert_problem

GOOD = {"unit_id": "A", "time": 1_704_067_200, "lat": 44.5, "lon": -79.8}
BAD = GOOD | {"lat": 91}


def test_all_some_and_none(service: Service) -> None:
    all_new = service.post("/v1/pings", [GOOD], "ingest")
    assert all_new.status_code == 200
    assert all_new.json() == {
        "received": 1,
        "accepted": 1,
        "duplicate": 0,
        "rejected": 0,
        "errors": [],
        "errors_truncated": False,
    }
    some = service.post("/v1/pings", [GOOD, BAD], "ingest")
    assert some.status_code == 207
    assert (some.json()["duplicate"], some.json()["rejected"]) == (1, 1)
    none = assert_problem(service.post("/v1/pings", [BAD], "ingest"), 422)
    assert (none["received"], none["rejected"]) == (1, 1)
    assert none["errors"][0].items() >= {"index": 0, "code": "lat_out_of_range"}.items()


@pytest.mark.parametrize("path", ["/v1/pings", "/v1/incidents"])
def test_an_empty_array_is_200(service: Service, path: str) -> None:
    answer = service.post(path, [], "ingest")
    assert answer.status_code == 200
    assert answer.json()["received"] == 0


def test_sending_again_changes_nothing(service: Service) -> None:
    for path, items in (("/v1/pings", ping_items()), ("/v1/incidents", incident_items())):
        first, second = (service.post(path, items, "ingest").json() for _ in range(2))
        assert (first["accepted"], first["duplicate"]) == (len(items), 0)
        assert (second["accepted"], second["duplicate"]) == (0, len(items))


def test_every_way_to_send_them(service: Service) -> None:
    items = [GOOD | {"unit_id": str(k)} for k in range(3)]
    lines = "\n\n".join(map(json.dumps, items)).encode()
    ways: list[tuple[bytes, dict[str, str]]] = [
        (json.dumps(items).encode(), {"Content-Type": "application/json"}),
        (json.dumps(items).encode(), {}),
        (lines, {"Content-Type": "application/x-ndjson; charset=utf-8"}),
        (
            gzip.compress(lines),
            {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"},
        ),
    ]
    for body, headers in ways:
        answer = service.call("POST", "/v1/pings", "ingest", content=body, headers=headers)
        assert (answer.status_code, answer.json()["received"]) == (200, 3)
    assert service.post("/v1/pings", GOOD, "ingest").json()["received"] == 1  # one object


def test_too_many_items_store_nothing(service: Service) -> None:
    items: list[Any] = [GOOD | {"time": k} for k in range(10_001)]
    assert_problem(service.post("/v1/pings", items, "ingest"), 413)
    assert service.get("/v1/units").json() == []


def test_a_bomb_is_413(service: Service) -> None:
    bomb = gzip.compress(b" " * (17 << 20))  # 17 MiB of blanks are some 17 KB
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = service.call("POST", "/v1/pings", "ingest", content=bomb, headers=headers)
    assert_problem(answer, 413)
