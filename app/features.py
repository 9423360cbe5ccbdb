"""The features of a plan in the layers `zones` and `cells`, made once, when the plan is made.

Every property is a number or a text, since most GIS clients know no lists, and every feature has
every property.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from sqlalchemy import Connection

from app.geo import geojson
from app.geo.grid import to_text
from app.moments import text_of
from app.store import layers, plans
from app.store.layers import Texts
from app.store.plans import Plan, PlanCells

ZONES, CELLS = "zones", "cells"
FIGURES = ("expected_incidents", "expected_harm", "dosage_s", "residual_s", "priority")
ZONE_FIGURES = (
    *("rank", "area_km2", "expected_incidents", "expected_harm", "priority", "visits"),
    "target_dosage_s",
)


def add_features(c: Connection, plan: Plan, cells: PlanCells) -> None:
    """Stores the features of a plan that was just stored."""
    layers.add_texts(c, plan.id, ZONES, zone_texts(plan))
    layers.add_texts(c, plan.id, CELLS, cell_texts(plan, cells))
    layers.add_outlines(c, cells.cell)


def add_missing(c: Connection) -> int:
    """Makes the features of plans that have none, and says of how many."""
    missing = layers.without_texts(c)
    for name in missing:
        plan = plans.get_plan(c, name)
        if plan is not None:
            add_features(c, plan, plans.cells_of(c, name))
    return len(missing)


def zone_texts(plan: Plan) -> Texts:
    """The zones of a plan by rank."""
    common = _common(plan)
    members = [
        common
        | {"zone": zone.id}
        | {name: getattr(zone, name) for name in ZONE_FIGURES}
        | {"cells": " ".join(zone.cells), "reasons": "; ".join(zone.reasons)}
        for zone in plan.zones
    ]
    made = geojson.features(
        [zone.geometry for zone in plan.zones],
        [f"{plan.id}.{zone.id}" for zone in plan.zones],
        members,
    )
    return layers.texts_of(np.array([zone.rank for zone in plan.zones], dtype=np.int64), made)


def cell_texts(plan: Plan, cells: PlanCells) -> Texts:
    """The cells of a plan, sorted."""
    common = _common(plan)
    names = to_text(cells.cell)
    figures = [getattr(cells, name).tolist() for name in FIGURES]
    members: list[dict[str, Any]] = [
        common | {"cell": name} | dict(zip(FIGURES, row, strict=True))
        for name, *row in zip(names, *figures, strict=True)
    ]
    shapes = _outlines(cells.cell.tobytes())
    made = geojson.features_of_texts(shapes, [f"{plan.id}.{name}" for name in names], members)
    return layers.texts_of(cells.cell.astype(np.int64), made)


def _common(plan: Plan) -> dict[str, Any]:
    return {
        "plan": plan.id,
        "district": plan.district,
        "shift": plan.shift,
        "start": text_of(plan.start_us),
        "end": text_of(plan.end_us),
        "data_until": text_of(plan.data_until_us),
    }


@lru_cache(maxsize=16)  # a district is planned again and again
def _outlines(cells: bytes) -> list[str]:
    return geojson.geometry_texts(geojson.hexagons(np.frombuffer(cells, dtype=np.uint64)))
