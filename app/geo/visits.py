"""Capacity: which zones the unit-hours can serve, how often each is visited, and what is driven.

A visit takes `visit_s`. Zones are visited in rounds, each a closed tour through the zones that are
due: all in the first, those with two visits again in the second, and so on. The zones come first,
the most valuable before the others; what is left then goes into further visits.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from app.geo.candidates import largest_part
from app.geo.grid import Grid
from app.geo.tours import drive_s, length_s, tour
from app.geo.zones import ZoneParameters, choose_zones, zone_id

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_HOUR_S = 3_600.0


@dataclass(frozen=True)
class VisitParameters:
    """How long a visit takes, how often a zone is visited, and how long driving takes.

    `visit_s` [s], 660 to 900: presence of 11 to 15 minutes deters longest for its length (Koper
    1995, doi:10.1080/07418829500096231; tried out by Telep, Mitchell and Weisburd 2014,
    doi:10.1080/07418825.2012.710645); the default is the middle, 13 minutes. `return_s` [s]: a zone
    is due again after about two hours (the same). `detour_factor`: road over straight distance,
    1.417 on average in the United States (Boscoe, Henry and Zdeb 2012,
    doi:10.1080/00330124.2011.583586). `speed_mps` [m/s]: 30 km/h door to door, cautious for a city
    with its lights and turns; a choice, no finding: a rural service should set its own.
    """

    visit_s: float = 780.0
    return_s: float = 7_200.0
    detour_factor: float = 1.417
    speed_mps: float = 30 / 3.6

    def __post_init__(self) -> None:
        """Raises ValueError for values that no plan can be made with."""
        if not 660.0 <= self.visit_s <= 900.0:
            raise ValueError("visit_s must be 660 to 900 seconds (11 to 15 minutes)")
        if not (self.return_s > 0.0 and self.detour_factor >= 1.0 and self.speed_mps > 0.0):
            raise ValueError("return_s and speed_mps must be above zero, detour_factor at least 1")


@dataclass(frozen=True)
class ChoiceParameters:
    """Everything that a choice of zones within given hours depends on."""

    zones: ZoneParameters = field(default_factory=ZoneParameters)
    visits: VisitParameters = field(default_factory=VisitParameters)


@dataclass(frozen=True)
class Dropped:
    """A zone that the hours do not serve: the first that more hours would bring."""

    id: str
    cells: Ints
    priority: float
    reason: str


@dataclass(frozen=True)
class Choice:
    """The zones that the hours serve, the greatest priority first, and what serving them takes.

    `zones`: sorted index arrays; `ids`, `priority` (k,), `visits` (k,) int64, `target_dosage_s`
    (k,) [s] = visits * visit_s: one each per zone. `travel_s` [s]: all driving. `objective`,
    `bound` and `gap` as the contract has them; the bound holds for any choice within the number of
    zones, their sizes and the hours.
    """

    zones: tuple[Ints, ...]
    ids: tuple[str, ...]
    priority: Floats
    visits: Ints
    target_dosage_s: Floats
    travel_s: float
    dropped: tuple[Dropped, ...]
    objective: float
    bound: float
    gap: float
    notes: tuple[str, ...]


def choose(
    priority: Floats,
    grid: Grid,
    neighbours: Ints,
    unit_hours: float,
    parameters: ChoiceParameters,
    shift_hours: float = 8.0,
) -> Choice:
    """The zones of greatest priority that `unit_hours` can serve in a shift of `shift_hours` [h].

    `priority` (m,) float64, `neighbours` (m, 6) int64 with -1 outside. Each zone has at least one
    visit and at most one per `return_s` of the shift. Targets and travel together never exceed the
    hours. Where these do not serve all zones, the least valuable ones are dropped first; one of
    them comes in again only where no further visit to the others fits, and it does. What is left
    over is less than any further visit or zone would take, unless there is no more work.
    No zones, and a note that says why, for an empty grid, no priority, or hours below one visit.

    Raises ValueError for hours that are negative or not finite, and as `choose_zones` does.
    """
    if not (np.isfinite(unit_hours) and unit_hours >= 0.0):
        raise ValueError("unit_hours must be a number of hours, 0 or more")
    budget_s = unit_hours * _HOUR_S
    visits = parameters.visits
    found = choose_zones(
        priority, grid, neighbours, int(budget_s // visits.visit_s), parameters.zones
    )
    zones = (*found.zones, *found.spare)
    worth = np.array([float(priority[zone].sum()) for zone in zones])
    times = drive_s(*_centres(grid, zones), visits.detour_factor, visits.speed_mps)
    most = max(1, round(shift_hours * _HOUR_S / visits.return_s))
    plan = _Hours(budget_s, visits.visit_s, most, times)
    count = plan.visits(worth, len(found.zones))
    order = sorted(np.flatnonzero(count).tolist(), key=lambda k: -worth[k])
    objective = float(sum(worth[order]))
    bound = max(objective, found.bound)
    return Choice(
        zones=tuple(zones[k] for k in order),
        ids=tuple(zone_id(grid.cells[zones[k]]) for k in order),
        priority=worth[order],
        visits=count[order],
        target_dosage_s=(count[order] * visits.visit_s).astype(np.float64),
        travel_s=plan.travel_s(count),
        dropped=tuple(
            Dropped(zone_id(grid.cells[zones[k]]), zones[k], float(worth[k]), plan.why(count, k))
            for k in np.flatnonzero(count == 0).tolist()
        ),
        objective=objective,
        bound=bound,
        gap=(bound - objective) / bound if bound > 0.0 else 0.0,
        notes=tuple(_notes(priority, neighbours, zones, plan, count, parameters.zones)),
    )


@dataclass(frozen=True)
class _Hours:
    """What hours allow: `budget_s`, of which a visit takes `visit_s`, at most `most` to a zone.

    `times` (k, k) [s]: the drive between any two of the zones.
    """

    budget_s: float
    visit_s: float
    most: int
    times: Floats

    def visits(self, worth: Floats, count: int) -> Ints:
        """Visits (k,) that fit: to as many of the first `count` zones as can be, then further ones.

        Those go to the zone with the greatest priority per visit that it would then have, so that
        visits end up in proportion to priority.

        Source: D'Hondt's method of highest averages, as in Balinski and Young (1982), Fair
        Representation.
        """
        visits = np.zeros(len(worth), dtype=np.int64)
        visits[:count] = 1
        while self.left_s(visits) < 0.0:
            visits[np.flatnonzero(visits)[-1]] = 0
        more: Ints | None = visits
        while more is not None:
            visits, more = more, self._one_more(more, worth)
        return visits

    def left_s(self, visits: Ints) -> float:
        """What the visits and their driving leave of the hours [s]."""
        return self.budget_s - float(visits.sum() * self.visit_s + self.travel_s(visits))

    def travel_s(self, visits: Ints) -> float:
        """Driving for these visits [s]: a closed tour each through all zones due once, twice, …

        All tours share a zone, the one due most often, so that they join without a further drive.
        """
        order = tour(self.times, np.flatnonzero(visits).tolist())
        rounds = range(1, int(visits.max(initial=0)) + 1)
        return sum(length_s(self.times, [k for k in order if visits[k] >= due]) for due in rounds)

    def why(self, visits: Ints, zone: int) -> str:
        """Why a zone without visits has none, in numbers."""
        if self.budget_s < self.visit_s:
            return f"{self.budget_s:.0f} s are less than a visit of {self.visit_s:.0f} s"
        left_s = self.left_s(visits)
        drive_s = left_s - self.left_s(_with(visits, zone)) - self.visit_s
        return (
            f"a visit of {self.visit_s:.0f} s and {drive_s:.0f} s more of driving "
            f"do not fit into the {left_s:.0f} s that are left"
        )

    def _one_more(self, visits: Ints, worth: Floats) -> Ints | None:
        """The visits with one more, if any fits: to a zone that has some, else to another."""
        served = visits > 0
        again = np.flatnonzero(served & (visits < self.most))
        again = again[np.argsort(-worth[again] / (visits[again] + 1), kind="stable")]
        for zone in (*again.tolist(), *np.flatnonzero(~served).tolist()):
            if self.left_s(_with(visits, zone)) >= 0.0:
                return _with(visits, zone)
        return None


def _with(visits: Ints, zone: int) -> Ints:
    more = visits.copy()
    more[zone] += 1
    return more


def _centres(grid: Grid, zones: Sequence[Ints]) -> tuple[Floats, Floats]:
    """Latitude and longitude [deg] of the middle of each zone's cells, across ±180 too."""
    lat, lon = np.radians(grid.lat), np.radians(grid.lon)
    globe = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    x, y, z = np.array([globe[:, zone].sum(axis=1) for zone in zones]).reshape(-1, 3).T
    return np.degrees(np.arctan2(z, np.hypot(x, y))), np.degrees(np.arctan2(y, x))


def _notes(
    priority: Floats,
    neighbours: Ints,
    zones: Sequence[Ints],
    plan: _Hours,
    visits: Ints,
    parameters: ZoneParameters,
) -> Iterator[str]:
    """What a supervisor should know of a choice: why it is empty, small, or leaves hours over."""
    if not len(priority):
        yield "the district holds no cell of this resolution"
    elif not priority.any():
        yield "no cell has any priority: no harm is expected, or patrol has met it"
    elif not zones and parameters.max_zones:
        yield "what has priority lies on islands that are smaller than a zone"
    if not parameters.max_zones:
        yield "no zones are asked for"
    if plan.budget_s == 0.0:
        yield "there are no unit-hours, so nothing can be patrolled"
    elif plan.budget_s < plan.visit_s:
        yield f"the hours are shorter than one visit of {plan.visit_s:.0f} s"
    elif zones and visits.all() and (visits == plan.most).all():
        yield f"{plan.left_s(visits):.0f} s are left over: every zone has its {plan.most} visits"
    part = largest_part(neighbours)
    if zones and part < parameters.zone_min_cells:
        yield (
            f"no connected part of the district holds {parameters.zone_min_cells} cells, "
            f"so zones are of the {part} there are"
        )
