"""A car under way: it drives along the streets, waits at junctions, parks, and keeps its track."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.simulate.harrow_bay import Town
from app.simulate.streets import in_town, nearest_corner, way

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ACTIVITIES = ("off_duty", "station", "patrol", "visit", "enroute", "on_scene", "break")
OFF_DUTY, STATION, PATROL, VISIT, ENROUTE, ON_SCENE, BREAK = range(len(ACTIVITIES))
_QUARTERS = np.array([(1, 1), (1, -1), (-1, 1), (-1, -1)])  # one at least lies in the town
CRUISE_MPS, DRIVE_MPS, HURRY_MPS = 8.0, 12.5, 18.0


@dataclass(frozen=True)
class Track:
    """The true way of one car in one shift: straight pieces at constant speed, or standing.

    `unit`: position in the town's units; `time_us` (k + 1,) int64, ascending [µs UTC], and `x_m`,
    `y_m` (k + 1,) [m along the street axes]: the ends of the k pieces; `activity` (k,) int8
    indexes ACTIVITIES.
    """

    unit: int
    time_us: Ints
    x_m: Floats
    y_m: Floats
    activity: NDArray[np.int8]


class Driver:
    """Where a car is, and what it did since its tour began."""

    def __init__(self, town: Town, rng: np.random.Generator) -> None:
        """Starts at the station."""
        self.streets, self.rng = town.streets, rng
        self.at = town.station
        self.now_s = 0.0
        self.took_s: list[Floats] = [np.zeros(0)]
        self.x_m: list[Floats] = [np.array([self.streets.x_m[self.at[0]]])]
        self.y_m: list[Floats] = [np.array([self.streets.y_m[self.at[1]]])]
        self.activity: list[int] = []

    def drive(self, goal: tuple[int, int], pace_mps: float, activity: int) -> None:
        """Takes a way with one turn to a junction, waiting at some of those it passes."""
        columns, rows = way(self.streets, self.at, goal, bool(self.rng.random() < 0.5))
        if not len(columns):
            return
        x, y = self.streets.x_m[columns], self.streets.y_m[rows]
        length = np.abs(np.diff(x, prepend=self.streets.x_m[self.at[0]]))
        length += np.abs(np.diff(y, prepend=self.streets.y_m[self.at[1]]))
        pace = pace_mps * np.exp(0.15 * self.rng.standard_normal(len(x)))
        red = self.rng.random(len(x)) < (0.04 if activity == ENROUTE else 0.16)
        wait = np.where(red, self.rng.uniform(3.0, 40.0, len(x)), 0.0)
        took = np.stack([length / pace, wait], axis=1).ravel()
        kept = took > 0
        self._add(took[kept], np.repeat(x, 2)[kept], np.repeat(y, 2)[kept], activity)
        self.at = goal

    def park(self, stay_s: float, activity: int) -> None:
        """Leaves the junction for a place beside the street, stays, and comes back."""
        along, beside = self.rng.uniform(15.0, 60.0), self.rng.uniform(4.0, 12.0)
        step = np.array([along, beside] if self.rng.random() < 0.5 else [beside, along])
        corner = np.array([self.streets.x_m[self.at[0]], self.streets.y_m[self.at[1]]])
        spots = corner + self.rng.permutation(_QUARTERS) * step
        x, y = spots[in_town(self.streets, spots[:, 0], spots[:, 1])][0]
        took = np.array([along / 5.0, stay_s, along / 5.0])
        self._add(took, np.array([x, x, corner[0]]), np.array([y, y, corner[1]]), activity)

    def _add(self, took_s: Floats, x_m: Floats, y_m: Floats, activity: int) -> None:
        self.took_s.append(took_s)
        self.x_m.append(x_m)
        self.y_m.append(y_m)
        self.activity.extend([activity] * len(took_s))
        self.now_s += float(took_s.sum())


def cruise_or_visit(town: Town, driver: Driver, chance: Floats) -> None:
    """Some minutes of unallocated time: a visit to a hot spot, a cruise around one, or a drive."""
    rng = driver.rng
    kind = rng.random()
    spot = town.hot_spots[int(np.searchsorted(chance, rng.random()))]
    if kind < 0.30:
        near = rng.normal((spot.x_m, spot.y_m), spot.spread_m)
        driver.drive(nearest_corner(town.streets, *near), CRUISE_MPS, PATROL)
        driver.park(rng.uniform(180.0, 960.0), VISIT)
    elif kind < 0.80:
        i, j = corner_by_chance(town, rng)
        middle = town.streets.x_m[i], town.streets.y_m[j]
        if rng.random() < 0.5:
            middle = spot.x_m, spot.y_m
        for _ in range(int(rng.integers(3, 7))):
            near = rng.normal(middle, 350.0)
            driver.drive(nearest_corner(town.streets, *near), CRUISE_MPS, PATROL)
    else:
        driver.drive(corner_by_chance(town, rng), DRIVE_MPS, PATROL)


def corner_by_chance(town: Town, rng: np.random.Generator) -> tuple[int, int]:
    """Any junction of the town."""
    x, y = rng.uniform(-town.streets.edge_m, town.streets.edge_m, 2)
    return nearest_corner(town.streets, float(x), float(y))


def track_of(unit: int, start_us: int, driver: Driver) -> Track:
    """The pieces joined, with times in whole milliseconds."""
    passed_ms = np.round(np.cumsum(np.concatenate(driver.took_s)) * 1e3).astype(np.int64)
    return Track(
        unit=unit,
        time_us=start_us + np.concatenate([[0], passed_ms]) * 1_000,
        x_m=np.concatenate(driver.x_m),
        y_m=np.concatenate(driver.y_m),
        activity=np.array(driver.activity, dtype=np.int8),
    )
