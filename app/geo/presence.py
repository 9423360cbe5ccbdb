"""Presence: time with at least one unit there, beside the time of all units together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.geo.grid import Cells
from app.geo.order import changes
from app.geo.stays import Stays
from app.shifts import SECOND_US

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Presence:
    """Seconds per cell, sorted by cell, each (m,): `cell` uint64; `unit_s`, `presence_s` float64.

    `unit_s` adds up all units, `presence_s` counts time with several of them once: it is at most
    `unit_s`, and at most the length of the interval.
    """

    cell: Cells
    unit_s: NDArray[np.float64]
    presence_s: NDArray[np.float64]


def presence_of(stays: Stays) -> Presence:
    """Unit-seconds and presence-seconds of all cells that the stays name; empty for none."""
    cells, which = np.unique(stays.cell, return_inverse=True)
    spent_us = np.zeros(len(cells), dtype=np.int64)
    np.add.at(spent_us, which, stays.end_us - stays.start_us)
    group, start_us, end_us = merged(which, stays.start_us, stays.end_us)
    present_us = np.zeros(len(cells), dtype=np.int64)
    np.add.at(present_us, group, end_us - start_us)
    return Presence(cells, spent_us / SECOND_US, present_us / SECOND_US)


def merged(
    group: Ints, start_us: Ints, end_us: Ints, absence_us: int = 0
) -> tuple[Ints, Ints, Ints]:
    """The union of half-open intervals by group, each (n,) int64: group, start and end, sorted.

    Intervals that are at most `absence_us` apart become one.
    """
    if not len(group):
        return group, start_us, end_us
    order = np.lexsort((end_us, start_us, group))
    group, start_us, end_us = group[order], start_us[order], end_us[order]
    # The furthest end so far in each group: groups are moved apart, so that one cannot reach on.
    low_us = int(start_us.min())
    apart = group * (int(end_us.max()) - low_us + absence_us + 1)
    reach = np.maximum.accumulate(end_us - low_us + apart)
    new = changes(group)
    new[1:] |= (start_us - low_us + apart)[1:] - reach[:-1] > absence_us
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(group)) - 1
    return group[first], start_us[first], (reach - apart + low_us)[last]
