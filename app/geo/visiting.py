"""Visits that zones received: when a unit came, how long it stayed, and what that is worth.

The visits that a plan suggests are in `app.geo.visits`; these here took place.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.geo.grid import Cells
from app.geo.presence import merged
from app.geo.stays import Stays, is_patrol
from app.shifts import SECOND_US

Ints = NDArray[np.int64]

MINUTE_US = 60 * SECOND_US
# Koper (1995) found that the time until disorder comes back grows with a visit of up to 15 minutes,
# most after one of some 10 to 16, and that it gets shorter again after longer ones.
LENGTHS = ("<1", "1-5", "5-10", "10-16", "16-20", ">20")  # [min]
_LIMITS_US = np.array([1, 5, 10, 16, 20]) * MINUTE_US
OVER = 1.25  # a visit of 13 minutes may last 16: the end of the class that lasts longest
KOPER = LENGTHS.index("10-16")


@dataclass(frozen=True)
class VisitingParameters:
    """Absences up to `absence_s` are part of a visit; pings must be no further apart than
    `judged_gap_s` for its length to be judged. Both are choices.
    """

    absence_s: float = 120.0
    judged_gap_s: float = 120.0


@dataclass(frozen=True)
class Visits:
    """Visits of units to zones, sorted by zone, start and unit, each (v,).

    `zone`, `unit` int64; `start_us`, `end_us` int64; `inside_us` int64, the part of it that was
    seen inside; `gap_us` int64, the longest time between two fixes during it.
    """

    zone: Ints
    unit: Ints
    start_us: Ints
    end_us: Ints
    inside_us: Ints
    gap_us: Ints

    def __len__(self) -> int:
        return len(self.zone)

    def take(self, index: Any) -> "Visits":
        """The rows that an index array or a mask selects."""
        return Visits(*(getattr(self, column.name)[index] for column in fields(self)))


def zones_of(cells: Cells, zones: Sequence[Cells]) -> Ints:
    """The zone, by its position, that each cell belongs to: (n,) int64, -1 for none.

    The zones are disjoint sets of cells of the same resolution.
    """
    if not len(zones) or not len(cells):
        return np.full(len(cells), -1, dtype=np.int64)
    every = np.concatenate([np.asarray(zone, dtype=np.uint64) for zone in zones])
    of = np.repeat(np.arange(len(zones)), [len(zone) for zone in zones])
    order = np.argsort(every)
    every, of = every[order], of[order]
    at = np.minimum(np.searchsorted(every, cells), max(len(every) - 1, 0))
    return np.where(every[at] == cells, of[at], -1) if len(every) else np.full(len(cells), -1)


def visits_of(
    stays: Stays, zones: Sequence[Cells], parameters: VisitingParameters | None = None
) -> Visits:
    """The visits of patrol to zones; driving through in transit is none. Empty for no stays."""
    parameters = parameters or VisitingParameters()
    stays = stays.take(is_patrol(stays))
    zone = zones_of(stays.cell, zones)
    inside = zone >= 0
    stays, zone = stays.take(inside), zone[inside]
    units, which = np.unique(stays.unit, return_inverse=True)
    group = zone * max(len(units), 1) + which
    absence_us = int(parameters.absence_s * SECOND_US)
    found, start_us, end_us = merged(group, stays.start_us, stays.end_us, absence_us)
    visit = _visit_of(group, stays.start_us, found, start_us)
    inside_us = np.zeros(len(found), dtype=np.int64)
    np.add.at(inside_us, visit, stays.end_us - stays.start_us)
    gap_us = np.zeros(len(found), dtype=np.int64)
    np.maximum.at(gap_us, visit, stays.gap_us)
    whose = units[found % max(len(units), 1)]
    visits = Visits(found // max(len(units), 1), whose, start_us, end_us, inside_us, gap_us)
    return visits.take(np.lexsort((visits.unit, visits.start_us, visits.zone)))


def _visit_of(group: Ints, begin_us: Ints, found: Ints, start_us: Ints) -> Ints:
    """Which of the found intervals, sorted by group and start, each stay is part of: (n,)."""
    if not len(group):
        return group
    low_us = int(start_us.min())
    size = int(begin_us.max()) - low_us + 1
    key = found * size + (start_us - low_us)
    return np.asarray(np.searchsorted(key, group * size + (begin_us - low_us), side="right") - 1)


def lengths_of(visits: Visits) -> NDArray[np.int8]:
    """The class of each visit's length: (v,) int8 into LENGTHS; a limit opens the longer class.

    Only 20 minutes to the microsecond are still in the class that ends there.
    """
    lasted_us = visits.end_us - visits.start_us
    classes = np.searchsorted(_LIMITS_US, lasted_us, side="right")
    return np.where(lasted_us == _LIMITS_US[-1], len(LENGTHS) - 2, classes).astype(np.int8)


def koper(visits: Visits, parameters: VisitingParameters | None = None) -> list[bool | None]:
    """Whether each visit was of the length that lasts longest; None where that cannot be said.

    It cannot where the pings were further apart than `judged_gap_s`: the visit's ends, and whether
    the unit left in between, are then not known well enough.

    Source: Koper (1995), doi:10.1080/07418829500096231.
    """
    parameters = parameters or VisitingParameters()
    judged = visits.gap_us <= parameters.judged_gap_s * SECOND_US
    right = lengths_of(visits) == KOPER
    return [bool(r) if j else None for j, r in zip(judged, right, strict=True)]


def refusal(gap_us: int, parameters: VisitingParameters | None = None) -> str:
    """Why a visit's length is not judged, in numbers."""
    parameters = parameters or VisitingParameters()
    return (
        f"pings were up to {gap_us / SECOND_US:.0f} s apart; "
        f"beyond {parameters.judged_gap_s:.0f} s the length of a visit is not known well enough"
    )


def status_of(delivered_s: float, target_s: float, *, known: bool) -> str:
    """How a zone's dosage stands: none, part, met or over; unknown where the feed cannot tell.

    Over is above `OVER` times the target.
    """
    if not known:
        return "unknown"
    if delivered_s >= target_s:
        return "over" if delivered_s > OVER * target_s else "met"
    return "part" if delivered_s > 0 else "none"
