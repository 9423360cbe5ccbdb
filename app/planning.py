"""One shift of one district planned: a few reads, pure functions, one write."""

import importlib.metadata
import uuid
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import shapely
from numpy.typing import NDArray

from app import coverage, severity
from app.db import Database
from app.errors import Invalid, NotFound
from app.geo import geojson
from app.geo.dwell import DwellParameters
from app.geo.grid import Grid, area_km2, grid_of, index_of, neighbours, to_text
from app.geo.priority import PriorityParameters, priority, residual
from app.geo.risk import (
    Component,
    Incidents,
    Risk,
    RiskParameters,
    expected,
    oldest_us,
    placed,
    usable,
)
from app.geo.visits import Choice, ChoiceParameters, VisitParameters, choose
from app.geo.zones import zone_parameters
from app.reasons import notes_of, reasons_of
from app.settings import Settings
from app.shifts import HOUR_US, SECOND_US, Shift, Shifts, instance, instances, local_date
from app.store import districts, plans
from app.store.districts import District
from app.store.history import Box, History
from app.store.plans import Plan, PlanCells, PlanZone

VERSION = 1  # of a plan when it is made
CODE_VERSION = importlib.metadata.version("focus-patrol")

_remembered: WeakKeyDictionary[Database, dict[int, History]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Request:
    """Which shift to plan: the district's id, the shift's name, the local day it starts on.

    `unit_hours` [h]: None for the district's default. `as_of_us` [µs UTC]: what is known by then
    counts, also inside the shift; None for its start.
    """

    district: str
    shift: str
    date: date
    unit_hours: float | None = None
    as_of_us: int | None = None


@dataclass(frozen=True)
class Parameters:
    """All model values of a plan; stored with it."""

    resolution: int
    dwell: DwellParameters
    risk: RiskParameters
    severity_table: str
    priority: PriorityParameters
    choice: ChoiceParameters

    def flat(self) -> dict[str, Any]:
        """As the contract's one mapping of names to values."""
        risk = asdict(self.risk)
        return {
            "resolution": self.resolution,
            "risk_model": risk.pop("name"),
            "severity_table": self.severity_table,
            **asdict(self.priority),
            **asdict(self.choice.zones),
            **asdict(self.choice.visits),
            **risk,
            "components": [_named(part) for part in self.risk.components],
            "dwell": asdict(self.dwell),
            "code_version": CODE_VERSION,
        }


def _named(part: Component) -> dict[str, Any]:
    """A component of the risk by its members; what has no end is null, as JSON has no infinity."""
    return {name: None if value == np.inf else value for name, value in part._asdict().items()}


@dataclass(frozen=True)
class Facts:
    """What was known when a plan was made."""

    incidents: Incidents
    patrol: coverage.Patrol


def parameters_of(settings: Settings) -> Parameters:
    """The model values in force."""
    resolution = settings.plan_resolution
    return Parameters(
        resolution,
        DwellParameters(),
        RiskParameters(),
        settings.severity_table,
        PriorityParameters(),
        ChoiceParameters(zone_parameters(resolution), VisitParameters()),
    )


def plan_shift(database: Database, settings: Settings, request: Request, now_us: int) -> Plan:
    """A stored plan from what was known before the shift began, before `as_of_us`, before now.

    What is not yet derived is derived first. The same request on the same facts gives the same
    plan, except for its id and time of creation. Raises NotFound for an unknown district, Invalid
    for a shift that it does not have or an instant after the shift, DatabaseAway.
    """
    with database.read() as connection:
        district = districts.get_district(connection, request.district)
    if district is None:
        raise NotFound(f"no district is called {request.district}")
    shift = _shift_of(district, request)
    data_until_us = _data_until_us(shift, request, now_us)
    parameters = parameters_of(settings)
    grid, rings = _grid(shapely.to_wkb(district.geometry), parameters.resolution)
    facts = _facts(database, district, data_until_us, parameters)
    hours = next(
        hours
        for hours in (request.unit_hours, district.unit_hours, settings.unit_hours)
        if hours is not None
    )
    if not (np.isfinite(hours) and hours >= 0):
        raise Invalid("unit_hours must be a number of hours, 0 or more")
    plan, cells = _made(district, shift, data_until_us, hours, grid, rings, facts, parameters)
    plan = replace(plan, created_us=now_us)
    with database.write() as connection:
        plans.add_plan(connection, plan, cells)
    return plan


def zones_geojson(plan: Plan) -> str:
    """The zones of a plan as a GeoJSON FeatureCollection."""
    members = [zone_members(zone) for zone in plan.zones]
    return geojson.collection(
        geojson.features(
            [zone.geometry for zone in plan.zones], [z.id for z in plan.zones], members
        )
    )


def zone_members(zone: PlanZone) -> dict[str, Any]:
    """A zone with the contract's members, without its geometry."""
    members = {name: getattr(zone, name) for name in PlanZone.__dataclass_fields__}
    del members["geometry"]
    return members | {"cells": list(zone.cells), "reasons": list(zone.reasons)}


def _shift_of(district: District, request: Request) -> Shift:
    try:
        shift = instance(district.shifts, district.timezone, request.shift, request.date)
    except (ValueError, OverflowError) as error:
        raise Invalid(f"district {district.id}: {error}") from error
    if shift.end_us <= shift.start_us:
        raise Invalid(
            f"shift {request.shift} has no time on {request.date}: a clock change leaves it out"
        )
    return shift


def _data_until_us(shift: Shift, request: Request, now_us: int) -> int:
    if request.as_of_us is not None and request.as_of_us >= shift.end_us:
        raise Invalid("as_of lies after the shift; give an instant before its end, or none")
    asked_us = shift.start_us if request.as_of_us is None else request.as_of_us
    return min(asked_us, now_us)


@lru_cache(maxsize=64)
def _grid(geometry: bytes, resolution: int) -> tuple[Grid, NDArray[np.int64]]:
    grid = grid_of(shapely.from_wkb(geometry), resolution)
    return grid, neighbours(grid)


def _facts(
    database: Database,
    district: District,
    data_until_us: int,
    parameters: Parameters,
) -> Facts:
    window_us = int(parameters.priority.dosage_window_s * SECOND_US)
    west, south, east, north = district.geometry.bounds
    resolution = parameters.resolution
    history = _remembered.setdefault(database, {}).setdefault(resolution, History(resolution))
    patrol = coverage.patrol(database, resolution, data_until_us - window_us, data_until_us)
    with database.read() as connection:
        known = history.read(connection, data_until_us, box=Box(south, west, north, east))
    return Facts(known, patrol)


def _history_of(
    district: District, shift: Shift, until_us: int, known: Incidents, parameters: RiskParameters
) -> Shifts:
    """The shifts from the first incident that has weight left to the planned shift."""
    weighs = known.time_us[known.time_us >= oldest_us(min(shift.start_us, until_us), parameters)]
    first_us = int(weighs.min()) if len(weighs) else min(shift.start_us, until_us)
    return instances(
        district.shifts,
        district.timezone,
        local_date(first_us, district.timezone) - timedelta(days=1),
        local_date(shift.start_us, district.timezone),
    )


def _made(
    district: District,
    shift: Shift,
    data_until_us: int,
    unit_hours: float,
    grid: Grid,
    rings: NDArray[np.int64],
    facts: Facts,
    parameters: Parameters,
) -> tuple[Plan, PlanCells]:
    """The plan and its cells: pure, and the same for the same arguments."""
    history = _history_of(district, shift, data_until_us, facts.incidents, parameters.risk)
    used, _ = placed(facts.incidents.take(usable(facts.incidents, parameters.risk)), grid)
    present = [used.categories[code] for code in np.unique(used.category).tolist()]
    weights = severity.severity_of(present, parameters.severity_table)
    risk = expected(
        facts.incidents, grid, history, shift, data_until_us, weights.weights, parameters.risk
    )
    patrol = facts.patrol
    where = index_of(grid, patrol.cell)
    inside = where >= 0
    dosage_s = np.bincount(where[inside], patrol.dosage_s[inside], len(grid)).astype(np.float64)
    left_s = residual(
        where, patrol.hour, patrol.dosage_s, len(grid), data_until_us, parameters.priority
    )
    # A shift that begins after the data end is met by what is left of the patrol by then.
    ahead_s = max(0, shift.start_us - data_until_us) / SECOND_US
    left_s *= 2.0 ** (-ahead_s / parameters.priority.dosage_half_life_s)
    unmet = priority(risk.expected_harm, left_s, parameters.priority)
    hours = (shift.end_us - shift.start_us) / HOUR_US
    choice = choose(unmet, grid, rings, unit_hours, parameters.choice, hours)
    cells = PlanCells(
        grid.cells, risk.expected_incidents, risk.expected_harm, dosage_s, left_s, unmet
    )
    zones = _zones(grid, choice, cells, risk, history.names, shift)
    plan = Plan(
        id=str(uuid.uuid4()),
        district=district.id,
        shift=shift.name,
        start_us=shift.start_us,
        end_us=shift.end_us,
        status="draft",
        created_us=0,
        data_until_us=data_until_us,
        unit_hours=unit_hours,
        travel_s=choice.travel_s,
        objective=choice.objective,
        bound=choice.bound,
        gap=choice.gap,
        dropped=[
            {"id": zone.id, "priority": zone.priority, "reason": zone.reason}
            for zone in choice.dropped
        ],
        notes=notes_of(
            grid,
            risk,
            patrol,
            weights,
            choice,
            parameters.priority,
            data_until_us,
            parameters.dwell.ways.silence_s,
        ),
        parameters=parameters.flat() | {"severity_weights": dict(weights.weights)},
        version=VERSION,
        zones=zones,
    )
    return plan, cells


def _zones(
    grid: Grid, choice: Choice, cells: PlanCells, risk: Risk, names: tuple[str, ...], shift: Shift
) -> tuple[PlanZone, ...]:
    areas = area_km2(grid.cells)
    reasons = reasons_of(choice, cells, risk, areas, shift)
    return tuple(
        PlanZone(
            id=choice.ids[i],
            rank=i + 1,
            cells=tuple(to_text(grid.cells[zone])),
            area_km2=float(areas[zone].sum()),
            expected_incidents=float(risk.expected_incidents[zone].sum()),
            expected_harm=float(risk.expected_harm[zone].sum()),
            priority=float(cells.priority[zone].sum()),
            visits=int(choice.visits[i]),
            target_dosage_s=float(choice.target_dosage_s[i]),
            reasons=tuple(reasons[i]),
            geometry=geojson.outline(grid.cells[zone]),
        )
        for i, zone in enumerate(choice.zones)
    )
