"""Where each unit was, from when to when: dwell before it is added up.

Stays come from the same steps as dwell, so that their time per unit, hour and cell is that of
dwell to the microsecond. They carry what sums cannot: when.
"""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from app.geo import lattice
from app.geo.dwell import DwellParameters
from app.geo.fixes import AT_ONCE, Pings, blocks, set_aside
from app.geo.grid import Cells, Floats
from app.geo.legs import legs_of
from app.geo.order import changes
from app.geo.paths import pieces_of
from app.geo.tally import Shares, StateParameters, shares_of
from app.geo.ways import Fixes, Mask, Places, Ways, fixes_of, places_of, ways_of
from app.shifts import HOUR_US

STATES = ("stationary", "slow", "transit")  # code = index
DUTIES = ("unknown", "unallocated", "committed", "off_duty", "place")  # code = index
UNKNOWN, UNALLOCATED, COMMITTED, OFF_DUTY, PLACE = range(len(DUTIES))
NOT_PATROL = (OFF_DUTY, PLACE)  # kept apart: no dosage


@dataclass(frozen=True)
class Stays:
    """Observed time of units in cells, as columns sorted by unit and time, each (n,).

    `unit` int64, `cell` uint64; `[start_us, end_us)` int64, within one UTC hour; `state` int8, an
    index into STATES; `duty` int8, one into DUTIES; `gap_us` int64, the time between the two fixes
    around. The stays of a unit do not overlap.
    """

    unit: NDArray[np.int64]
    cell: Cells
    start_us: NDArray[np.int64]
    end_us: NDArray[np.int64]
    state: NDArray[np.int8]
    duty: NDArray[np.int8]
    gap_us: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.unit)

    def take(self, index: Any) -> "Stays":
        """The rows that an index array, a mask or a slice selects, in that order."""
        return Stays(*(getattr(self, column.name)[index] for column in fields(self)))

    def within(self, from_us: int, until_us: int) -> "Stays":
        """What lies in `[from_us, until_us)`: stays across an end are cut there."""
        start_us, end_us = np.maximum(self.start_us, from_us), np.minimum(self.end_us, until_us)
        return replace(self, start_us=start_us, end_us=end_us).take(end_us > start_us)


def is_patrol(stays: Stays) -> Mask:
    """Which stays are dosage: no transit, not off duty, not at a place that is no patrol. (n,)."""
    return np.asarray((stays.state != STATES.index("transit")) & ~np.isin(stays.duty, NOT_PATROL))


def stays_of(
    pings: Pings,
    resolution: int,
    parameters: DwellParameters | None = None,
    apart: shapely.Geometry | None = None,
    at_once: int = AT_ONCE,
) -> Stays:
    """All observed time of pings in any order, by cell of one resolution.

    `apart` (x = lon, y = lat): the areas that are not patrol; what lies in them has the duty
    PLACE, all else UNKNOWN until `app.geo.duty` says more. Empty for no pings. As with dwell, the
    stays of an hour depend on pings at most `fixes.REACH_US` from it. About `at_once` pings are in
    work at a time, which changes nothing but memory and speed.
    """
    parameters = parameters or DwellParameters()
    pings = pings.ordered()
    if apart is not None:
        shapely.prepare(apart)
    return _joined(
        [
            _of_hours(_part(pings.take(seen), resolution, parameters, apart), pings, seen, rows)
            for seen, rows in blocks(pings, at_once)
        ]
    )


def _of_hours(stays: Stays, pings: Pings, seen: slice, rows: slice) -> Stays:
    """The stays of the hours that a block is about, where it is a part of a unit."""
    if seen == rows:
        return stays
    hours = pings.time_us[[rows.start, rows.stop - 1]] // HOUR_US
    hour = stays.start_us // HOUR_US
    return stays.take((hour >= hours[0]) & (hour <= hours[1]))


def _joined(parts: list[Stays]) -> Stays:
    if not parts:
        whole, byte = np.empty(0, np.int64), np.empty(0, np.int8)
        return Stays(whole, whole.astype(np.uint64), whole, whole, byte, byte, whole)
    return Stays(*(np.concatenate([getattr(p, c.name) for p in parts]) for c in fields(Stays)))


def _part(
    pings: Pings, resolution: int, parameters: DwellParameters, apart: shapely.Geometry | None
) -> Stays:
    """Stays of whole units."""
    kept = pings.take(np.flatnonzero(set_aside(pings, parameters.cleaning) == 0))
    fixes = fixes_of(kept.unit, kept.time_us, kept.lat, kept.lon)
    places = places_of(fixes, parameters.stops)
    ways = ways_of(fixes, places, parameters.ways)
    ways = ways.take(np.flatnonzero(ways.seen & (ways.high_us > ways.low_us)))
    legs = legs_of(fixes, places, ways, parameters.legs)
    plane = lattice.project(legs.points, resolution)
    pieces = pieces_of(legs.points, plane, legs.start, legs.stop, resolution)
    shares = shares_of(ways, legs, pieces, parameters.states)
    codes, which = np.unique(lattice.one_code_each(shares.code, resolution), return_inverse=True)
    cell = lattice.cells_of(codes, resolution)[which]
    sides = _apart(fixes, places, ways, apart)
    return _timed(fixes, ways, shares, cell, sides, parameters.states)


def _timed(
    fixes: Fixes,
    ways: Ways,
    shares: Shares,
    cell: Cells,
    sides: tuple[Mask, Mask],
    parameters: StateParameters,
) -> Stays:
    """The shares of ways as stays, cut where a unit begins to go and where it stands again."""
    way = shares.way
    first = changes(way) if len(way) else np.empty(0, np.bool_)
    before_us = np.cumsum(shares.spent_us) - shares.spent_us
    began_us = before_us[first][np.cumsum(first) - 1] if len(way) else before_us
    begin_us = ways.low_us[way] + before_us - began_us
    end_us = begin_us + shares.spent_us
    goes_us, stands_us = ways.wait_us[way], (ways.total_us - ways.linger_us)[way]
    begins = [begin_us, np.maximum(begin_us, goes_us), np.maximum(begin_us, stands_us)]
    ends = [np.minimum(end_us, goes_us), np.minimum(end_us, stands_us), end_us]
    begin_us, end_us = np.stack(begins, axis=1).ravel(), np.stack(ends, axis=1).ravel()
    rows = np.flatnonzero(end_us > begin_us)
    row, phase = rows // 3, rows % 3
    way = way[row]
    start_us = fixes.time_us[ways.fix[way]]
    left, reached = sides[0][way], sides[1][way]
    at_place = np.where(phase == 0, left, np.where(phase == 2, reached, left & reached))
    return Stays(
        fixes.unit[ways.fix[way]],
        cell[row],
        start_us + begin_us[rows],
        start_us + end_us[rows],
        np.where(phase == 1, _going(ways, parameters)[way], 0).astype(np.int8),
        np.where(at_place, PLACE, UNKNOWN).astype(np.int8),
        ways.total_us[way],
    )


def _going(ways: Ways, parameters: StateParameters) -> NDArray[np.int64]:
    """The state of a unit while it goes: (k,) int64."""
    going_us = ways.total_us - ways.wait_us - ways.linger_us
    pace_mps = ways.length_m / np.maximum(going_us, 1) * 1e6
    return np.where(
        pace_mps > parameters.transit_mps, 2, np.where(pace_mps >= parameters.slow_mps, 1, 0)
    )


def _apart(
    fixes: Fixes, places: Places, ways: Ways, apart: shapely.Geometry | None
) -> tuple[Mask, Mask]:
    """Whether each way begins and ends in an area that is no patrol: two (k,) bool.

    Over an hour's end the fix of the other hour counts as measured, as it does for dwell.
    """
    nowhere = np.zeros(len(ways), dtype=np.bool_)
    if apart is None or apart.is_empty or not len(ways):
        return nowhere, nowhere
    placed, measured = (_inside(p, apart) for p in (places.points, fixes.points))
    own = ways.chunk == fixes.chunk[ways.fix]
    start = np.where(ways.over & ~own, measured[ways.fix], placed[ways.fix])
    end = np.where(ways.over & own, measured[ways.fix + 1], placed[ways.fix + 1])
    return start, end


def _inside(points: Floats, area: shapely.Geometry) -> Mask:
    """Which unit vectors (3, n) lie in an area of degrees: (n,) bool."""
    lat = np.degrees(np.arctan2(points[2], np.hypot(points[0], points[1])))
    lon = np.degrees(np.arctan2(points[1], points[0]))
    return np.asarray(shapely.contains_xy(area, lon, lat))
