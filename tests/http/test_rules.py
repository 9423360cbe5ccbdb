"""Rules of inactivity over HTTP, and the alerts that they raise as time goes by."""

from collections.abc import Callable
from typing import Any

import pytest

from app import watch
from app.geo.grid import centres, from_text, to_text
from app.shifts import HOUR_US
from app.store import rules as store
from tests import town
from tests.http.conftest import Service
from tests.http.test_border import assert_problem

TEN_S = (town.MONDAY_US + 22 * HOUR_US) // 1_000_000  # Monday, 22:00
CENTRE = to_text(town.GRID.cells[[3]])[0]
RULE = {
    "name": "Nobody at the market",
    "district": "town",
    "cells": [CENTRE],
    "begins": "22:00",
    "ends": "02:00",
    "idle_s": 3600.0,
}


@pytest.fixture
def ruled(town_service: Service) -> Service:
    assert town_service.put("/v1/rules/market", RULE, "plan").status_code == 201
    return town_service


@pytest.fixture
def look(ruled: Service) -> Callable[[float], list[Any]]:
    """Judges the rules at so many minutes past 22:00, and gives the alerts."""

    def at(minutes: float) -> list[Any]:
        now_us = int((TEN_S + 60 * minutes) * 1e6)
        watch.evaluate(ruled.client.app.state.database, ruled.settings, now_us)
        found: list[Any] = ruled.get("/v1/alerts").json()
        return found

    return at


def drive(service: Service, *minutes: float, inside: bool, unit: str = "A") -> None:
    """Pings at minutes past 22:00, in the rule's cell or far from it."""
    lat, lon = (float(x[0]) for x in centres(from_text([CENTRE])))
    where = {"lat": lat + (0 if inside else 0.1), "lon": lon}
    pings = [{"unit_id": unit, "time": TEN_S + 60 * m, **where} for m in minutes]
    assert service.post("/v1/pings", pings).json()["accepted"] == len(pings)


def test_one_alert_per_breach_closed_on_entry(
    ruled: Service, look: Callable[[float], list[Any]]
) -> None:
    drive(ruled, *range(0, 100, 10), inside=False, unit="elsewhere")
    assert look(59) == []
    (alert,) = look(60)
    expected = {
        "rule": "market",
        "district": "town",
        "from": "2024-01-01T23:00:00Z",
        "until": None,
        "closed_by": None,
    }
    assert alert == expected | {"id": alert["id"]}
    assert look(70) == look(90) == [alert]
    assert ruled.get("/v1/alerts", params={"open": "true"}).json() == [alert]
    drive(ruled, 91, 92, inside=True)
    (closed,) = look(93)
    assert closed == alert | {"until": "2024-01-01T23:31:00Z", "closed_by": "entry"}
    assert ruled.get("/v1/alerts", params={"open": "true"}).json() == []
    # Gone at 23:32; at 00:32 it is an hour again: another breach, which the window's end closes.
    drive(ruled, *range(100, 250, 10), inside=False, unit="elsewhere")
    assert len(look(151)) == 1
    again, _ = look(152)
    assert (again["from"], again["until"]) == ("2024-01-02T00:32:00Z", None)
    ended, _ = look(240)
    assert (ended["until"], ended["closed_by"]) == ("2024-01-02T02:00:00Z", "window")
    assert len(look(300)) == 2


def test_no_alert_while_the_feed_is_stale(
    ruled: Service, look: Callable[[float], list[Any]]
) -> None:
    drive(ruled, *range(0, 41, 10), inside=False, unit="elsewhere")
    assert look(60) == []  # nobody was heard for 20 minutes: a unit may be there
    drive(ruled, 61, 70, 80, 90, 100, 110, 120, inside=False, unit="elsewhere")
    assert look(120) == []  # the hour counts from 23:01, when the feed came back
    (alert,) = look(121)
    assert alert["from"] == "2024-01-02T00:01:00Z"
    assert look(180) == [alert]  # that the feed is silent again does not end it


def test_a_rule_that_is_changed_or_ended_closes_its_alert(
    ruled: Service, look: Callable[[float], list[Any]]
) -> None:
    drive(ruled, *range(0, 70, 10), inside=False)
    assert len(look(60)) == 1
    assert ruled.put("/v1/rules/market", RULE, "plan").status_code == 200  # the same: nothing
    assert ruled.get("/v1/alerts").json()[0]["until"] is None
    assert ruled.put("/v1/rules/market", RULE | {"idle_s": 7200}, "plan").status_code == 200
    assert ruled.get("/v1/alerts").json()[0]["closed_by"] == "rule"
    assert ruled.call("DELETE", "/v1/rules/market", "plan").status_code == 204
    assert_problem(ruled.call("DELETE", "/v1/rules/market", "plan"), 404)
    assert ruled.get("/v1/rules").json() == []
    assert len(ruled.get("/v1/alerts").json()) == 1  # what happened stays


def test_several_that_look_at_once_raise_one_alert(
    ruled: Service, look: Callable[[float], list[Any]]
) -> None:
    drive(ruled, *range(0, 70, 10), inside=False)
    (alert,) = look(60)
    same = store.Alert("other", "market", "town", (TEN_S + 3600) * 1_000_000, 0)
    with ruled.client.app.state.database.write() as connection:
        assert not store.add_alert(connection, same)
    assert look(61) == [alert]


def test_a_rule_is_kept_as_it_was_sent(ruled: Service) -> None:
    kept = ruled.get("/v1/rules/market").json()
    assert kept == RULE | {"id": "market"}
    assert ruled.get("/v1/rules").json() == [kept]


@pytest.mark.parametrize(
    "change",
    [
        {"district": "nowhere"},
        {"cells": []},
        {"cells": ["nonsense"]},
        {"cells": [CENTRE, "8a2a1072b59ffff"]},
        {"begins": "25:00"},
        {"begins": "02:00"},
        {"idle_s": 1},
        {"idle_s": "3600"},
        {"name": ""},
        {"colour": "red"},
    ],
    ids=str,
)
def test_rules_that_are_none(town_service: Service, change: Any) -> None:
    assert_problem(town_service.put("/v1/rules/market", RULE | change, "plan"), 422)
    assert_problem(town_service.get("/v1/rules/market"), 404)
    assert_problem(town_service.get("/v1/alerts", params={"from": "yesterday"}), 422)
