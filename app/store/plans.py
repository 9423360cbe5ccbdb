"""Plans, never altered once made: their zones and the figures of every cell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from sqlalchemy import Connection, Select, insert, select, update

from app.store import columns
from app.store.revisions import next_revision
from app.tables import plan_cells, plan_zones, plans

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PlanZone:
    """A zone of a plan, with the members that the contract names; `cells` are H3 texts."""

    id: str
    rank: int
    cells: tuple[str, ...]
    area_km2: float
    expected_incidents: float
    expected_harm: float
    priority: float
    visits: int
    target_dosage_s: float
    reasons: tuple[str, ...]
    geometry: shapely.MultiPolygon


@dataclass(frozen=True)
class Plan:
    """A plan with its zones in the order of rank; instants in µs UTC."""

    id: str
    district: str
    shift: str
    start_us: int
    end_us: int
    status: str
    created_us: int
    data_until_us: int
    unit_hours: float
    travel_s: float
    objective: float
    bound: float
    gap: float
    dropped: Sequence[Mapping[str, Any]]
    notes: Sequence[str]
    parameters: Mapping[str, Any]
    version: int
    zones: tuple[PlanZone, ...] = ()


@dataclass(frozen=True)
class PlanCells:
    """The figures of a plan's cells, sorted by cell: `cell` (m,) uint64, the rest float64."""

    cell: NDArray[np.uint64]
    expected_incidents: Floats
    expected_harm: Floats
    dosage_s: Floats
    residual_s: Floats
    priority: Floats

    def __len__(self) -> int:
        return len(self.cell)


def add_plan(c: Connection, plan: Plan, cells: PlanCells) -> None:
    """Stores a plan whole. Raises IntegrityError where its id is taken."""
    row = {name: getattr(plan, name) for name in _PLAN}
    row |= {"dropped": [dict(d) for d in plan.dropped], "notes": list(plan.notes)}
    row["number"] = next_revision(c, "plans")
    c.execute(insert(plans).values(row | {"parameters": dict(plan.parameters)}))
    if plan.zones:
        c.execute(insert(plan_zones), [_zone_row(plan.id, zone) for zone in plan.zones])
    whose = [plan.id] * len(cells)
    mine = {column.name: getattr(cells, column.name) for column in fields(cells)}
    columns.insert(c, plan_cells, {"plan": whose, **mine})


def get_plan(c: Connection, id: str) -> Plan | None:  # noqa: A002  the contract's word
    """The plan of that id with its zones, or None."""
    found = _with_zones(c, select(plans).where(plans.c.id == id))
    return found[0] if found else None


def list_plans(
    c: Connection,
    district: str | None = None,
    from_us: int | None = None,
    to_us: int | None = None,
    status: str | None = None,
    limit: int | None = None,
) -> list[Plan]:
    """Plans whose shift meets `[from_us, to_us)`, newest shift first, then newest plan first."""
    t = plans.c
    query = select(plans).order_by(t.start_us.desc(), t.created_us.desc(), t.id).limit(limit)
    if district is not None:
        query = query.where(t.district == district)
    if from_us is not None:
        query = query.where(t.end_us > from_us)
    if to_us is not None:
        query = query.where(t.start_us < to_us)
    if status is not None:
        query = query.where(t.status == status)
    return _with_zones(c, query)


def cells_of(c: Connection, id: str) -> PlanCells:  # noqa: A002  the contract's word
    """The figures of the plan's cells; empty for a plan that does not exist."""
    t = plan_cells.c
    query = select(*(t[column.name] for column in fields(PlanCells))).where(t.plan == id)
    found = columns.read(c, query)
    order = np.argsort(found["cell"])
    found["cell"] = found["cell"].astype(np.uint64)
    return PlanCells(**{name: column[order] for name, column in found.items()})


def set_status(c: Connection, id: str, status: str) -> bool:  # noqa: A002  the contract's word
    """Whether there is a plan of that id; the one thing about it that changes is its status."""
    return c.execute(update(plans).where(plans.c.id == id).values(status=status)).rowcount > 0


_PLAN = [column.name for column in fields(Plan) if column.name != "zones"]
_ZONE = [column.name for column in fields(PlanZone)]


def _zone_row(plan: str, zone: PlanZone) -> dict[str, Any]:
    row = {name: getattr(zone, name) for name in _ZONE}
    return row | {"plan": plan, "cells": list(zone.cells), "reasons": list(zone.reasons)}


def _with_zones(c: Connection, query: Select[Any]) -> list[Plan]:
    found = [Plan(**{name: row[name] for name in _PLAN}) for row in c.execute(query).mappings()]
    ids = query.with_only_columns(plans.c.id).subquery()
    rows = c.execute(
        select(plan_zones).join(ids, ids.c.id == plan_zones.c.plan).order_by(plan_zones.c.rank)
    ).mappings()
    zones: dict[str, list[PlanZone]] = {plan.id: [] for plan in found}
    for row in rows:
        lists = {"cells": tuple(row["cells"]), "reasons": tuple(row["reasons"])}
        zones[row["plan"]].append(PlanZone(**{name: row[name] for name in _ZONE} | lists))
    return [replace(plan, zones=tuple(zones[plan.id])) for plan in found]
