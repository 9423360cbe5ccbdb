"""The simulated town into the database, by the same intake as any other facts."""

from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

from app import facts, intake, simulate
from app.checks import Limits
from app.db import Database
from app.geo.fixes import Pings
from app.geo.risk import SOURCES
from app.instants import ABSENT
from app.settings import Settings
from app.shifts import DAY_US, HOUR_US
from app.store.districts import District, as_multipolygon, get_district, put_district
from app.store.units import last_heard_us

CHUNK_DAYS = 5  # loaded in one transaction


def load_town(
    database: Database, settings: Settings, town: simulate.Town, from_us: int, now_us: int
) -> None:
    """Districts, incidents and pings of `[from_us, now_us)` as they were known at its end.

    Pings go on an hour before the newest one that is there already; late ones come within that.
    """
    with database.write() as c:
        for area in town.districts:
            if get_district(c, area.id) is None:
                put_district(c, _district(area))
    records = simulate.incidents(town, from_us, now_us)
    batch = _batch(incident_columns(records), now_us)
    with database.write() as c:
        intake.keep_incidents(c, batch, settings.resolution)
        heard_us = last_heard_us(c)
    start_us = from_us if heard_us is None else max(from_us, heard_us - HOUR_US)
    starts = range(start_us, now_us, CHUNK_DAYS * DAY_US)
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        for begin_us in bar.track(starts, description="Ninety days of patrol"):
            reports = simulate.pings(town, begin_us, min(begin_us + CHUNK_DAYS * DAY_US, now_us))
            pings = reports.pings.take(reports.sent_us <= now_us)
            with database.write() as c:
                intake.keep_pings(c, _batch(ping_columns(town, pings), now_us), register=True)


def ping_columns(town: simulate.Town, pings: Pings) -> facts.PingColumns:
    """Simulated pings as intake takes them."""
    return facts.PingColumns(
        unit_id=facts.Coded(pings.unit, tuple(unit.unit_id for unit in town.units)),
        time_us=pings.time_us,
        lat=pings.lat,
        lon=pings.lon,
        speed_mps=pings.speed_mps,
        heading_deg=pings.heading_deg,
        accuracy_m=pings.accuracy_m,
        status=pings.status,
    )


def incident_columns(records: simulate.Records) -> facts.IncidentColumns:
    """Simulated records as intake takes them."""
    span = records.occurred_to_us > records.occurred_from_us
    return facts.IncidentColumns(
        incident_id=records.incident_id.astype(np.object_),
        occurred_from_us=records.occurred_from_us,
        occurred_to_us=np.where(span, records.occurred_to_us, ABSENT),
        reported_at_us=records.reported_at_us,
        lat=records.lat,
        lon=records.lon,
        category=facts.coded(records.category.tolist()),
        final_category=facts.coded(records.final_category.tolist()),
        source=np.array([SOURCES.index(name) for name in records.source.tolist()], dtype=np.int8),
        municipality=facts.coded(records.municipality.tolist()),
    )


def _batch(columns: Any, now_us: int) -> Any:
    return intake.batch_of(columns, Limits(now_us), np.arange(len(columns)), len(columns))


def _district(area: simulate.District) -> District:
    return District(
        id=area.id,
        name=area.name,
        timezone=area.timezone,
        shifts=dict(area.shifts),
        geometry=as_multipolygon(area.polygon),
        parent=area.parent,
    )
