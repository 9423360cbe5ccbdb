"""The town as it goes on: pings and incidents sent over HTTP as they arise, and shifts planned."""

import time
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any

import httpx
import msgspec
import numpy as np
import structlog

from app import simulate
from app.geo.fixes import STATUS, Pings
from app.moments import texts_of
from app.shifts import Shift, instances, local_date

HOST = "127.0.0.1"
TICK_S = 2.0  # between two batches
RETRY_S = 5.0
BATCH = 5_000  # items in one request

log = structlog.get_logger(__name__)


def ping_items(town: simulate.Town, pings: Pings) -> list[dict[str, Any]]:
    """Pings as the API takes them, without the fields that a box does not send."""
    names = ("lat", "lon", "speed_mps", "heading_deg", "accuracy_m")
    items = []
    times = texts_of(pings.time_us)
    for i, row in enumerate(zip(*(getattr(pings, n).tolist() for n in names), strict=True)):
        item = {n: value for n, value in zip(names, row, strict=True) if value == value}
        item |= {"unit_id": town.units[int(pings.unit[i])].unit_id, "time": times[i]}
        if pings.status[i] >= 0:
            item["status"] = STATUS[int(pings.status[i])]
        items.append(item)
    return items


def incident_items(records: simulate.Records) -> list[dict[str, Any]]:
    """Records as the API takes them."""
    texts = ("incident_id", "category", "final_category", "source", "municipality")
    columns = {n: getattr(records, n).tolist() for n in (*texts, "lat", "lon")}
    columns["occurred_from"] = texts_of(records.occurred_from_us)
    columns["occurred_to"] = texts_of(records.occurred_to_us)
    columns["reported_at"] = texts_of(records.reported_at_us)
    items = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    for item in items:
        if item["occurred_to"] == item["occurred_from"]:
            del item["occurred_to"]
    return items


def keep_moving(
    town: simulate.Town, port: int, key: str, since_us: int, clock: Callable[[], int]
) -> None:
    """Sends what the town does, as it does it, and plans each shift as it begins; never ends."""
    feed = simulate.live(town, since_us, clock)
    shift, _ = shift_at(town, since_us)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    base = f"http://{HOST}:{port}"
    with httpx.Client(base_url=base, headers=headers, timeout=30.0, trust_env=False) as client:
        while True:
            time.sleep(TICK_S)
            now_us = clock()
            _send(client, "/v1/pings", ping_items(town, next(feed).pings))
            new = simulate.incidents(town, since_us, now_us)
            _send(client, "/v1/incidents", incident_items(new))
            since_us = now_us
            if now_us >= shift.end_us:
                shift, day = shift_at(town, now_us)
                _plan(client, town, shift.name, day)


def shift_at(town: simulate.Town, now_us: int) -> tuple[Shift, date]:
    """The town's shift at an instant, and the local day that it belongs to."""
    area = town.districts[0]
    first = local_date(now_us, area.timezone) - timedelta(days=1)
    shifts = instances(area.shifts, area.timezone, first, first + timedelta(days=1))
    i = int(np.searchsorted(shifts.start_us, now_us, side="right")) - 1
    return shifts.at(i), first + timedelta(days=i // len(area.shifts))


def _plan(client: httpx.Client, town: simulate.Town, shift: str, day: date) -> None:
    for area in town.districts:
        wanted = {"district": area.id, "shift": shift, "date": day.isoformat()}
        _post(client, "/v1/plans", wanted)


def _send(client: httpx.Client, path: str, items: Sequence[dict[str, Any]]) -> None:
    for start in range(0, len(items), BATCH):
        _post(client, path, items[start : start + BATCH])


def _post(client: httpx.Client, path: str, body: Any) -> None:
    """Posts until there is an answer that waiting would not change."""
    content = msgspec.json.encode(body)
    while True:
        try:
            answer = client.post(
                path, content=content, headers={"Content-Type": "application/json"}
            )
        except httpx.TransportError as error:
            log.info("demo_waits", path=path, error=type(error).__name__)
        else:
            if answer.status_code not in (429, 500, 503):
                if answer.is_error:
                    log.warning("demo_refused", path=path, status=answer.status_code)
                return
        time.sleep(RETRY_S)
