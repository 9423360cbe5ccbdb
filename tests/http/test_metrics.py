"""What /metrics says, and to whom."""

import time
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.settings import Settings
from tests.http.conftest import NOW_US, Service
from tests.http.test_border import assert_problem

NOW_S = NOW_US // 10**6
PING = {"unit_id": "A", "time": NOW_S - 30, "lat": 44.5, "lon": -79.8}


def figures(service: Service, scope: str | None = "view") -> dict[tuple[str, ...], float]:
    """Each figure by its name without the prefix, and the values of its labels."""
    answer = service.get("/metrics", scope)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name.removeprefix("focus_patrol_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_what_came_in_is_counted(service: Service) -> None:
    old = PING | {"unit_id": "B", "time": NOW_S - 86_400}
    service.post("/v1/pings", [PING, PING, PING | {"lat": 91}, old], "ingest")
    service.post("/v1/pings", {"lat": 91}, "ingest")
    service.post("/v1/incidents", [], "ingest")
    found = figures(service)
    outcomes = ("accepted", "duplicate", "rejected")
    assert [found["items_total", "pings", outcome] for outcome in outcomes] == [2, 1, 2]
    assert found["refused_total", "lat_out_of_range"] == 1
    assert found["refused_total", "missing_field"] == 1
    assert found["answers_total", "207"] == 1
    assert found["answer_seconds_count", "POST /v1/pings"] == 2
    assert found["group_calls_count",] == found["write_seconds_count",] == 2
    # Of two new pings one was 30 s late and one a day.
    assert found["lag_seconds_count",] == 2
    assert found["lag_seconds_sum",] == 30 + 86_400
    assert found["lag_seconds_bucket", "15"] == 0
    assert found["lag_seconds_bucket", "60"] == 1
    assert found["waiting_calls",] == found["waiting_bytes",] == 0


def test_what_is_left_to_do(service: Service) -> None:
    stale = PING | {"unit_id": "B", "time": NOW_S - 3_600}
    service.post("/v1/pings", [PING, stale], "ingest")
    found = figures(service)
    assert (found["units",], found["units_stale",], found["database_up",]) == (2, 1, 1)
    assert found["dirty_hours",] > 0


def test_it_is_for_viewers_unless_it_is_open(
    service: Service, start: Callable[[Settings], Service]
) -> None:
    assert_problem(service.get("/metrics", None), 401)
    assert_problem(service.get("/metrics", "ingest"), 403)
    everybody = start(service.settings.model_copy(update={"open_metrics": True}))
    assert figures(everybody, None)["database_up",] == 1


def test_it_answers_while_the_database_is_away(start: Callable[[Settings], Service]) -> None:
    nowhere = Settings(
        database_url="postgresql+psycopg://nobody@127.0.0.1:1/nothing", open_metrics=True
    )
    began = time.monotonic()
    assert figures(start(nowhere), None)["database_up",] == 0
    assert time.monotonic() - began < 10


@pytest.fixture
def settings(sqlite_settings: Settings) -> Settings:
    """One database serves: the figures are the same on both."""
    return sqlite_settings
