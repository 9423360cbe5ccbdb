"""Expected incidents and expected harm of each cell in one shift, from decayed counts.

The risk is a sum of a few components, each an unbiased guess by itself: the rate at which a cell
saw incidents, weighted toward the recent past, times the length of the shift. Each component's
part is kept, so that a zone's reasons can say exactly what its risk is made of.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.geo.grid import Grid, index_of, neighbours, parents
from app.shifts import DAY_US, HOUR_US, Shift, Shifts

SOURCES = ("unknown", "public", "officer", "alarm")

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Incidents:
    """Incidents as columns of length n.

    `time_us`, `to_us` int64 [µs UTC]: when it happened, at the earliest and at the latest; equal
    where the moment is known. `known_us` int64 [µs UTC]: when the record could be used. `cell`
    uint64: H3, at the grid's resolution or finer, 0 where there is no place. `category` int32
    indexes `categories`; `source` int8 indexes SOURCES.
    """

    time_us: Ints
    to_us: Ints
    known_us: Ints
    cell: NDArray[np.uint64]
    category: NDArray[np.int32]
    source: NDArray[np.int8]
    categories: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.time_us)

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> "Incidents":
        """The incidents at these positions, or where the mask is true, in that order."""
        return Incidents(
            self.time_us[index],
            self.to_us[index],
            self.known_us[index],
            self.cell[index],
            self.category[index],
            self.source[index],
            self.categories,
        )


NO_INCIDENTS = Incidents(
    np.zeros(0, dtype=np.int64),
    np.zeros(0, dtype=np.int64),
    np.zeros(0, dtype=np.int64),
    np.zeros(0, dtype=np.uint64),
    np.zeros(0, dtype=np.int32),
    np.zeros(0, dtype=np.int8),
    (),
)


class Component(NamedTuple):
    """One way of counting the past: over which time, in which shifts, in which cells."""

    name: str
    weight: float  # share of the risk; all weights sum to 1
    half_life_days: float
    same_shift: bool  # only what happened in the shift of that name; else in all shifts
    ring: bool  # what happened in the first ring of neighbours; else in the cell itself
    window_days: float = float("inf")  # nothing older counts


# Maximum likelihood (EM) finds nearly the same weights for two cities that share neither country,
# decade nor recording practice, Vancouver 2024/25 and San Francisco 2007/08: in this order .08,
# .01, .09, .77, .02 and .08, .01, .13, .77, .01. They are rounded, and moved a little toward the
# pooled parts for districts that have less to go by.
# Source: Mohler, Short, Brantingham, Schoenberg & Tita (2011), doi:10.1198/jasa.2011.ap09546
# (history as a sum of kernels, weighted by EM); Weisburd (2015), doi:10.1111/1745-9125.12070
# (stability of places).
COMPONENTS = (
    Component("all_30", 0.08, 30, same_shift=False, ring=False),
    Component("all_365", 0.03, 365, same_shift=False, ring=False),
    Component("same_30", 0.11, 30, same_shift=True, ring=False),
    Component("same_365", 0.75, 365, same_shift=True, ring=False),
    Component("ring_365", 0.03, 365, same_shift=True, ring=True),
)


@dataclass(frozen=True)
class RiskParameters:
    """What the risk depends on besides the facts; stored with each plan."""

    components: tuple[Component, ...] = COMPONENTS
    # Officers find what they look for: counting it would send them there again.
    # Source: Lum & Isaac (2016), doi:10.1111/j.1740-9713.2016.00960.x; Ensign et al. (2018),
    # arXiv:1706.09847. Alarms are mostly false: Sampson (2011), COPS problem guide 5.
    sources_left_out: tuple[str, ...] = ("officer", "alarm")
    categories_left_out: tuple[str, ...] = ()
    # A record of less than this is taken as one of this length, so that a first incident
    # yesterday is no rate of one a day.
    exposure_floor_days: float = 28.0
    name: str = "decayed-counts-1"  # what a plan calls this model


DEFAULTS = RiskParameters()
HALF_LIVES = 20  # after so many, less than a millionth of an incident counts


def oldest_us(cut_us: int, parameters: RiskParameters = DEFAULTS) -> int:
    """Before this instant [µs UTC] an incident has no weight left for a risk as of `cut_us`."""
    longest_days = max(part.half_life_days for part in parameters.components)
    return cut_us - int(HALF_LIVES * longest_days * DAY_US)


@dataclass(frozen=True)
class Risk:
    """What a shift is expected to bring, per cell of the grid.

    `incident_parts`, `harm_parts` (k, m) float64: what each of the k `components` adds;
    `expected_incidents`, `expected_harm` (m,): their sums. `counted`: incidents of this grid
    that were used.
    """

    components: tuple[str, ...]
    incident_parts: Floats
    harm_parts: Floats
    expected_incidents: Floats
    expected_harm: Floats
    counted: int


def usable(incidents: Incidents, parameters: RiskParameters = DEFAULTS) -> NDArray[np.bool_]:
    """Which incidents may count at all, whenever: (n,) bool, by place, source and category."""
    sources = np.array([name not in parameters.sources_left_out for name in SOURCES])
    left_out = set(parameters.categories_left_out)
    kinds = np.array([name not in left_out for name in incidents.categories] or [True])
    if not len(incidents):
        return np.zeros(0, dtype=np.bool_)
    placed_somewhere = incidents.cell != 0
    result: NDArray[np.bool_] = sources[incidents.source] & kinds[incidents.category]
    result &= placed_somewhere
    return result


def known_before(incidents: Incidents, cut_us: int) -> NDArray[np.bool_]:
    """Which incidents had wholly happened and were on record before that instant: (n,) bool."""
    return latest_us(incidents) < cut_us


def latest_us(incidents: Incidents) -> Ints:
    """When each incident had wholly happened and was on record: (n,) int64 [µs UTC]."""
    ended: Ints = np.maximum(incidents.to_us, incidents.time_us)
    return np.maximum(ended, incidents.known_us)


def severities(incidents: Incidents, severity: Mapping[str, float]) -> Floats:
    """The severity weight of each incident: (n,) float64, 1 for a category without weight."""
    if not len(incidents):
        return np.zeros(0)
    weights = np.array([severity.get(name, 1.0) for name in incidents.categories])
    result: Floats = weights[incidents.category]
    return result


def share_within(incidents: Incidents, shifts: Shifts, name: str) -> Floats:
    """The share of each incident's time that lies in shifts of that name: (n,) float64 in [0, 1].

    An instant lies in one shift or in none; a span of unknown moments is spread evenly over the
    shifts that it touches.

    Source: Ratcliffe (2000), aoristic analysis, doi:10.1080/136588100424963.
    """
    if not len(shifts) or not len(incidents) or name not in shifts.names:
        return np.zeros(len(incidents))
    chosen = shifts.name == shifts.names.index(name)
    at = np.searchsorted(shifts.start_us, incidents.time_us, side="right") - 1
    inside = (at >= 0) & (incidents.time_us < shifts.end_us[at])
    share: Floats = (inside & chosen[at]).astype(np.float64)
    spans = np.flatnonzero(incidents.to_us > incidents.time_us)
    if len(spans):
        first, last = incidents.time_us[spans], incidents.to_us[spans]
        share[spans] = (
            _time_within(last, shifts, chosen) - _time_within(first, shifts, chosen)
        ) / (last - first)
    return share


def expected(
    incidents: Incidents,
    grid: Grid,
    shifts: Shifts,
    shift: Shift,
    data_until_us: int,
    severity: Mapping[str, float],
    parameters: RiskParameters = DEFAULTS,
) -> Risk:
    """The risk of each cell in `shift`, from what was known before both it and `data_until_us`.

    `shifts`: the consecutive shifts of the time that the incidents cover; what lies before the
    first of them is not used. A rate is the decayed count over the decayed time on record, so
    the risk is a number of incidents in this very shift, however long it is. No incidents give
    a risk of 0 everywhere.
    """
    cut_us = min(shift.start_us, data_until_us)
    began_us = int(shifts.start_us[0]) if len(shifts) else cut_us
    fit = usable(incidents, parameters) & known_before(incidents, cut_us)
    used, where = placed(incidents.take(fit & (incidents.time_us >= began_us)), grid)
    share = share_within(used, shifts, shift.name)
    harm = severities(used, severity)
    rings = neighbours(grid)
    parts = np.zeros((2, len(parameters.components), len(grid.cells)))
    for k, part in enumerate(parameters.components):
        weight = decayed(moment_us(used), cut_us, part)
        if part.same_shift:
            weight = weight * share
        for i, weighted in enumerate((weight, weight * harm)):
            cells = np.bincount(where, weighted, len(grid.cells)).astype(np.float64)
            parts[i, k] = spread(cells, rings) if part.ring else cells
        parts[:, k] *= per_count(part, shifts, shift, cut_us, parameters)
    names = tuple(part.name for part in parameters.components)
    return Risk(names, parts[0], parts[1], parts[0].sum(axis=0), parts[1].sum(axis=0), len(used))


def placed(incidents: Incidents, grid: Grid) -> tuple[Incidents, Ints]:
    """The incidents inside the grid, and the position of each one's cell in it."""
    where = index_of(grid, parents(incidents.cell, grid.resolution))
    return incidents.take(where >= 0), where[where >= 0]


def moment_us(incidents: Incidents) -> Ints:
    """The middle of the time in which each happened: (n,) int64 [µs UTC]."""
    middle: Ints = incidents.time_us + (incidents.to_us - incidents.time_us) // 2
    return middle


def decayed(when_us: Ints, cut_us: int, part: Component) -> Floats:
    """What incidents of those moments weigh at `cut_us`: (n,) float64 in [0, 1]."""
    age_days = (cut_us - when_us) / DAY_US
    weight: Floats = np.exp2(-age_days / part.half_life_days)
    return weight if np.isinf(part.window_days) else weight * (age_days <= part.window_days)


def per_count(
    part: Component, shifts: Shifts, shift: Shift, cut_us: int, parameters: RiskParameters
) -> float:
    """What a decayed count of one adds to the risk of the shift."""
    hours = (shift.end_us - shift.start_us) / HOUR_US
    return part.weight * hours / exposure_h(shifts, cut_us, part, shift.name, parameters)


def exposure_h(
    shifts: Shifts, cut_us: int, part: Component, name: str, parameters: RiskParameters = DEFAULTS
) -> float:
    """Hours on record before `cut_us` as the component weighs them, of the same shift if it asks.

    An hour one half-life ago counts as half an hour. Never less than the parameters' floor.
    """
    first_us = np.int64(cut_us - min(part.window_days, 1e6) * DAY_US)
    start = (np.clip(shifts.start_us, first_us, cut_us) - cut_us) / DAY_US
    end = (np.clip(shifts.end_us, first_us, cut_us) - cut_us) / DAY_US
    floor, share = min(parameters.exposure_floor_days, part.window_days), 1.0
    if part.same_shift and name in shifts.names:
        chosen = shifts.name == shifts.names.index(name)
        share = _ratio((end - start)[chosen].sum(), (end - start).sum())
        start, end = start[chosen], end[chosen]
    life = part.half_life_days
    if np.isinf(life):
        return max(float((end - start).sum()), share * floor) * 24
    per_life = float((np.exp2(end / life) - np.exp2(start / life)).sum())
    least = share * float(1 - np.exp2(-floor / life))
    return max(per_life, least) * life / float(np.log(2)) * 24


def spread(cells: Floats, rings: NDArray[np.int64]) -> Floats:
    """Each cell's count handed out in equal parts to its neighbours inside the grid: (m,).

    The total stays; a cell without neighbours keeps its own.
    """
    there = rings >= 0
    degree = there.sum(axis=1)
    result = np.where(degree == 0, cells, 0.0)
    per_neighbour = cells / np.maximum(degree, 1)
    result += np.where(there, per_neighbour[rings], 0.0).sum(axis=1)
    return result


def _time_within(until_us: Ints, shifts: Shifts, chosen: NDArray[np.bool_]) -> Floats:
    """Time in chosen shifts from the first shift's start to each instant, in µs."""
    lengths = np.where(chosen, shifts.end_us - shifts.start_us, 0)
    knots = np.append(shifts.start_us, shifts.end_us[-1:])
    passed = np.concatenate([[0], np.cumsum(lengths)])
    result: Floats = np.interp(until_us, knots, passed)
    return result


def _ratio(part: float, whole: float) -> float:
    """`part / whole`, 1 where nothing is there to divide."""
    return float(part) / float(whole) if whole > 0 and part > 0 else 1.0
