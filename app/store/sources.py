"""Where the rows of a layer stand: tables, keys, and the columns behind its properties."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    case,
    cast,
    func,
    select,
)

from app.geo.fixes import STATUS
from app.shifts import SECOND_US
from app.store import columns
from app.store.units import IDLE_SLACK_S
from app.tables import cells, districts, incidents, plan_cells, plan_zones, plans, units

Ints = NDArray[np.int64]
Column = ColumnElement[Any]


@dataclass(frozen=True)
class Source:
    """The rows of a layer.

    `keys`: what orders them; new rows come last. `columns`: by property; instants in µs UTC.
    `bounds`: west, south, east, north, where they are columns; `points`: the geometry is no more
    than that. `first_us`, `last_us`: when a row holds, `ends_before`: its last instant is not
    part of it.
    """

    rows: FromClause
    keys: tuple[Column, ...]
    columns: Mapping[str, Column]
    geometry: Column
    bounds: tuple[Column, Column, Column, Column] | None = None
    points: bool = False
    first_us: Column | None = None
    last_us: Column | None = None
    ends_before: bool = False
    sparse: Sequence[Column] = field(default=())  # columns that may be null, and are no text


def source_of(layer: str, now_us: int, stale_us: int) -> Source:
    """The source of a layer; what is stale is so at `now_us`."""
    return units_at(now_us, stale_us) if layer == "units" else SOURCES[layer]


def units_at(now_us: int, stale_us: int) -> Source:
    """Units, of which those are stale that were not heard for longer than `stale_us`.

    One that stood when last heard, and declares how rarely it then reports, may be silent so long.
    """
    t = units.c
    idle_us = (cast(t.idle_interval_s, BigInteger) + IDLE_SLACK_S) * SECOND_US
    waits = t.still.is_(True) & t.idle_interval_s.is_not(None) & (idle_us > stale_us)
    patience_us = case((waits, idle_us), else_=stale_us)
    stale = func.coalesce(t.last_us, 0) < now_us - patience_us
    names = dict(enumerate(STATUS))
    return Source(
        rows=units,
        keys=(t.unit,),
        columns={
            "unit_id": t.unit_id,
            "time": t.last_us,
            "stale": case((stale, True), else_=False),
            "status": case((stale, STATUS[0]), else_=case(names, value=t.status, else_=STATUS[0])),
            "speed_mps": t.speed_mps,
            "heading_deg": t.heading_deg,
        },
        geometry=t.geometry,
        bounds=(t.lon, t.lat, t.lon, t.lat),
        points=True,
        first_us=t.last_us,
        last_us=t.last_us,
        sparse=(t.last_us, t.speed_mps, t.heading_deg),
    )


def keys_where(c: Connection, source: Source, condition: Column) -> list[Ints]:
    """The keys of the rows that meet the condition, in order: an array (n,) int64 for each key."""
    named = [key.label(f"key{k}") for k, key in enumerate(source.keys)]
    query = select(*named).select_from(source.rows).where(condition).order_by(*source.keys)
    return [array.astype(np.int64) for array in columns.read(c, query).values()]


def foremost(c: Connection, source: Source) -> list[int]:
    """For each sparse column the first key whose row has a value there.

    Clients guess a column's type from the first few features: these come first. As rows are only
    added behind, they stay where they are.
    """
    found = []
    for column in source.sparse:
        query = select(source.keys[0]).select_from(source.rows).where(column.is_not(None))
        key = c.scalar(query.order_by(source.keys[0]).limit(1))
        found.append(key)
    return sorted({int(key) for key in found if key is not None})


def extent(c: Connection, source: Source) -> tuple[float, ...] | None:
    """West, south, east, north of all rows whose bounds are columns; None for no rows."""
    if source.bounds is None:
        return None
    west, south, east, north = source.bounds
    query = select(func.min(west), func.min(south), func.max(east), func.max(north))
    row = c.execute(query.select_from(source.rows)).one()
    return None if row[0] is None else tuple(map(float, row))


def interval_us(c: Connection, source: Source) -> tuple[int, int] | None:
    """The first and the last instant of all rows; None for none."""
    if source.first_us is None or source.last_us is None:
        return None
    query = select(func.min(source.first_us), func.max(source.last_us))
    row = c.execute(query.select_from(source.rows)).one()
    return None if row[0] is None else (int(row[0]), int(row[1]))


def rows_of(c: Connection, source: Source, keys: Ints) -> list[Any]:
    """The rows of these keys (n,), in that order, with a source of one key.

    Each has `key`, `geometry`, and the layer's columns by property.
    """
    by_key: dict[int, Any] = {}
    named = [column.label(name) for name, column in source.columns.items()]
    query = select(source.keys[0].label("key"), source.geometry.label("geometry"), *named)
    for start in range(0, len(keys), CHUNK):
        some = keys[start : start + CHUNK].tolist()
        found = c.execute(query.select_from(source.rows).where(source.keys[0].in_(some)))
        by_key.update((row.key, row) for row in found)
    return [by_key[key] for key in keys.tolist() if key in by_key]


CHUNK = 500  # SQLite takes 999 parameters in its oldest builds
_PLAN = {
    "plan": plans.c.id,
    "district": plans.c.district,
    "shift": plans.c.shift,
    "start": plans.c.start_us,
    "end": plans.c.end_us,
    "data_until": plans.c.data_until_us,
}


def _zones() -> Source:
    t = plan_zones.c
    figures = ("rank", "area_km2", "expected_incidents", "expected_harm", "priority", "visits")
    return Source(
        rows=plan_zones.join(plans, plans.c.id == t.plan),
        keys=(plans.c.number, t.rank),
        columns=_PLAN | {"zone": t.id} | {name: t[name] for name in (*figures, "target_dosage_s")},
        geometry=t.geometry,
        first_us=plans.c.start_us,
        last_us=plans.c.end_us,
        ends_before=True,
    )


def _cells() -> Source:
    t = plan_cells.c
    figures = ("expected_incidents", "expected_harm", "dosage_s", "residual_s", "priority")
    joined = plan_cells.join(plans, plans.c.id == t.plan).join(cells, cells.c.cell == t.cell)
    return Source(
        rows=joined,
        keys=(plans.c.number, t.cell),
        columns=_PLAN | {"cell": t.cell} | {name: t[name] for name in figures},
        geometry=cells.c.geometry,
        bounds=(cells.c.west, cells.c.south, cells.c.east, cells.c.north),
        first_us=plans.c.start_us,
        last_us=plans.c.end_us,
        ends_before=True,
    )


def _incidents() -> Source:
    t = incidents.c
    to_us = func.coalesce(t.occurred_to_us, t.occurred_from_us)
    texts = ("incident_id", "category", "final_category", "source", "municipality")
    return Source(
        rows=incidents,
        keys=(t.incident,),
        columns={
            "occurred_from": t.occurred_from_us,
            "occurred_to": to_us,
            "reported_at": t.reported_at_us,
        }
        | {name: t[name] for name in texts},
        geometry=t.geometry,
        bounds=(t.lon, t.lat, t.lon, t.lat),
        points=True,
        first_us=t.occurred_from_us,
        last_us=to_us,
        sparse=(t.reported_at_us,),
    )


def _districts() -> Source:
    t = districts.c
    return Source(
        rows=districts,
        keys=(t.number,),
        columns={
            "district": t.id,
            "name": t.name,
            "timezone": t.timezone,
            "shifts": t.shifts,
            "parent": t.parent,
            "unit_hours": t.unit_hours,
        },
        geometry=t.geometry,
        sparse=(t.unit_hours,),
    )


SOURCES = {
    "zones": _zones(),
    "cells": _cells(),
    "incidents": _incidents(),
    "districts": _districts(),
}
