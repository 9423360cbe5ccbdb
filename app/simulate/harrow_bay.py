"""Harrow Bay, a town that does not exist: its streets, beats, planted hot spots and patrol cars."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import shapely
from numpy.typing import NDArray

from app.simulate.boxes import BOXES, Reporting
from app.simulate.hotspots import HOT_SPOTS, HotSpot
from app.simulate.streets import Streets, in_town, nearest_corner, outline

Floats = NDArray[np.float64]

TIMEZONE = "America/Toronto"
SHIFTS = {"day": "07:00", "evening": "15:00", "night": "23:00"}
MUNICIPALITY = "Harrow Bay"
# Farmland north of Lake Simcoe's bays, so that no real neighbourhood is shown as a hot spot.
LAT, LON, TURN_DEG = 44.48, -79.80, 12.0
EDGE_M = 4_000.0
BAY_X_M, BAY_Y_M = 2_200.0, -2_000.0  # the bay takes the corner beyond both


@dataclass(frozen=True)
class Unit:
    """A patrol car: its call sign, never a person, and its box."""

    unit_id: str
    reporting: Reporting


@dataclass(frozen=True)
class District:
    """An area of responsibility, as the contract's feature has it (x = lon, y = lat) [deg]."""

    id: str
    name: str
    parent: str | None
    polygon: shapely.Polygon
    timezone: str = TIMEZONE
    shifts: Mapping[str, str] = field(default_factory=lambda: dict(SHIFTS))


@dataclass(frozen=True)
class Town:
    """Everything that stays: streets, districts, hot spots, cars, and where radio does not reach.

    `holes`: rectangles `(x from, y from, x to, y to)` [m]; `station`: a junction.
    """

    seed: int
    streets: Streets
    districts: tuple[District, ...]
    hot_spots: tuple[HotSpot, ...]
    units: tuple[Unit, ...]
    station: tuple[int, int]
    holes: tuple[tuple[float, float, float, float], ...]


def town(seed: int = 0) -> Town:
    """The town of that seed: the same bytes for the same seed, in any process.

    Another seed moves the streets a little, and the hot spots by a few hundred metres.
    """
    rng = stream(seed, "town")
    streets = Streets(
        x_m=_lines(rng, 200.0),
        y_m=_lines(rng, 160.0),
        edge_m=EDGE_M,
        bay_x_m=BAY_X_M,
        bay_y_m=BAY_Y_M,
        lat=LAT,
        lon=LON,
        turn_deg=TURN_DEG,
    )
    return Town(
        seed=seed,
        streets=streets,
        districts=_districts(streets),
        hot_spots=tuple(_placed(spot, streets, rng) for spot in HOT_SPOTS),
        units=_UNITS,
        station=nearest_corner(streets, 300.0, -200.0),
        holes=((-3_600.0, 1_500.0, -2_700.0, 2_100.0), (900.0, -1_500.0, 1_300.0, -1_100.0)),
    )


# One word per independent stream of chance; its position is part of the seed.
_STREAMS = ("town", "week", "day", "wave", "tour", "report")


def stream(seed: int, purpose: str, *keys: int) -> np.random.Generator:
    """Chance for one purpose and one day, week or tour: the same whichever others are drawn."""
    return np.random.default_rng([seed, _STREAMS.index(purpose), *keys])


def _lines(rng: np.random.Generator, apart_m: float) -> Floats:
    """Streets across the town, unevenly apart, none nearer to its edge than 40 m."""
    gaps = rng.uniform(0.8, 1.2, int(2 * EDGE_M / apart_m)) * apart_m
    lines = np.cumsum(gaps) - gaps.sum() / 2
    kept: Floats = np.round(lines[np.abs(lines) < EDGE_M - 40.0], 1)
    return kept


def _districts(streets: Streets) -> tuple[District, ...]:
    whole = "harrow-bay"
    edge = streets.edge_m
    return (
        District(whole, "Harrow Bay", None, outline(streets, -edge, edge)),
        District(f"{whole}-west", "Harrow Bay West", whole, outline(streets, -edge, 0.0)),
        District(f"{whole}-east", "Harrow Bay East", whole, outline(streets, 0.0, edge)),
    )


def _placed(spot: HotSpot, streets: Streets, rng: np.random.Generator) -> HotSpot:
    """The hot spot moved a little, onto a junction that is not in the bay."""
    x, y = np.array([spot.x_m, spot.y_m]) + rng.uniform(-250.0, 250.0, 2)
    i, j = nearest_corner(streets, float(x), float(y))
    moved = replace(spot, x_m=float(streets.x_m[i]), y_m=float(streets.y_m[j]))
    if not in_town(streets, np.array([moved.x_m]), np.array([moved.y_m]))[0]:
        raise ValueError(f"hot spot {spot.name!r} lies in the water")
    return moved


_UNITS = tuple(Unit(f"P-{number:02d}", box) for number, box in enumerate(BOXES, start=1))
