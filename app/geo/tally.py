"""Seconds per unit, hour and cell, added up from the pieces of ways."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.geo import lattice
from app.geo.doubt import StopDoubts
from app.geo.grid import Floats
from app.geo.lattice import Codes
from app.geo.legs import Legs
from app.geo.order import changes, order_of
from app.geo.paths import Indices, Pieces
from app.geo.ways import Ways
from app.shifts import SECOND_US

Sums = NDArray[np.int64]

HOUR_S = 3_600.0
_GRAIN = 1e6  # variances are added as whole millionths of s², so that no order can matter


@dataclass(frozen=True)
class StateParameters:
    """Time at less than `slow_mps` is stationary, above `transit_mps` transit, else slow patrol.

    Both are choices: walking pace, and 47 km/h.
    """

    slow_mps: float = 1.5
    transit_mps: float = 13.0


@dataclass(frozen=True)
class Shares:
    """Time of ways in cells, in order of time, each (p,) int64.

    `way`; `code`, a lattice code; `spent_us`, of which `slow_us` and `transit_us` were spent going
    so fast, and the rest standing.
    """

    way: Indices
    code: Codes
    spent_us: Indices
    slow_us: Indices
    transit_us: Indices


@dataclass(frozen=True)
class Tally:
    """Time per chunk and cell, sorted by both, each (r,) int64.

    `slow_us` and `transit_us` are parts of `dwell_us`, the rest is stationary. `variance` in
    millionths of s²; `less_us` and `more_us` may be too much and may be missing.
    """

    chunk: Indices
    code: Codes
    dwell_us: Sums
    slow_us: Sums
    transit_us: Sums
    variance: Sums
    less_us: Sums
    more_us: Sums

    def __len__(self) -> int:
        return len(self.chunk)


def shares_of(ways: Ways, legs: Legs, pieces: Pieces, parameters: StateParameters) -> Shares:
    """The time of each way in each cell that it passes; none is without time.

    Borders are passed at whole microseconds, so the shares of a way sum exactly to its time.
    """
    leg, way = pieces.way, legs.way[pieces.way]
    last = np.append(changes(way, pieces.code)[1:], True)[: len(way)]  # none of no way
    ends = np.flatnonzero(last)  # legs meet within cells
    leg, way, code = leg[ends], way[ends], pieces.code[ends]
    share = legs.begin[leg] + pieces.end[ends] * (legs.end - legs.begin)[leg]
    going_us = ways.total_us - ways.wait_us - ways.linger_us
    first = changes(way)
    end_us = ways.wait_us[way] + np.rint(share * going_us[way]).astype(np.int64)
    end_us = np.where(np.append(first[1:], True), ways.total_us[way], end_us)
    begin_us = np.zeros_like(end_us)
    begin_us[1:] = np.where(first[1:], 0, end_us[:-1])
    begin_us = np.maximum(begin_us, ways.low_us[way])
    end_us = np.minimum(end_us, ways.high_us[way])
    some = np.flatnonzero(end_us > begin_us)
    way, begin_us, end_us = way[some], begin_us[some], end_us[some]
    moved_us = np.minimum(end_us, (ways.total_us - ways.linger_us)[way])
    moved_us = np.maximum(moved_us - np.maximum(begin_us, ways.wait_us[way]), 0)
    pace_mps = ways.length_m / np.maximum(going_us, 1) * SECOND_US
    slow = (pace_mps >= parameters.slow_mps) & (pace_mps <= parameters.transit_mps)
    fast = pace_mps > parameters.transit_mps
    return Shares(way, code[some], end_us - begin_us, moved_us * slow[way], moved_us * fast[way])


def tally_of(
    ways: Ways,
    shares: Shares,
    doubts: StopDoubts,
    resolution: int,
    variances_s2: Callable[[Indices, Indices], Floats],
) -> Tally:
    """The shares added up per chunk and cell, together with what is in doubt.

    `variances_s2` gives the variance [s²] for each way and the microseconds it spent in a cell.
    """
    none, extra = np.zeros(len(shares.way), np.int64), np.zeros(len(doubts.chunk), np.int64)
    chunk = np.concatenate([ways.chunk[shares.way], doubts.chunk])
    code = lattice.one_code_each(np.concatenate([shares.code, doubts.code]), resolution)
    way = np.concatenate([shares.way, extra - 1])
    order = order_of(chunk, *lattice.halves(code), way)
    chunk, code, way = chunk[order], code[order], way[order]
    new = changes(chunk, code)
    rows = np.flatnonzero(new)
    new_part = new | changes(way)  # a bent way may come back to a cell
    parts = np.flatnonzero(new_part)
    spent_us = np.concatenate([shares.spent_us, extra])[order]
    of_ways = way[parts] >= 0
    variance = np.zeros(len(parts), dtype=np.int64)
    found = variances_s2(way[parts][of_ways], _sums(spent_us, parts)[of_ways])
    variance[of_ways] = np.rint(found * _GRAIN).astype(np.int64)
    return Tally(
        chunk[rows],
        code[rows],
        _sums(spent_us, rows),
        _sums(np.concatenate([shares.slow_us, extra])[order], rows),
        _sums(np.concatenate([shares.transit_us, extra])[order], rows),
        _sums(variance, (np.cumsum(new_part) - 1)[rows]),
        _sums(np.concatenate([none, doubts.less_us])[order], rows),
        _sums(np.concatenate([none, doubts.more_us])[order], rows),
    )


def interval_s(tally: Tally, deviations: float) -> tuple[Floats, Floats]:
    """The lowest and highest seconds that each row may truly have: two (r,) float64 [s]."""
    dwell_s = tally.dwell_us / SECOND_US
    spread_s = deviations * np.sqrt(tally.variance / _GRAIN)
    low_s = np.maximum(dwell_s - spread_s - tally.less_us / SECOND_US, 0.0)
    return low_s, np.minimum(dwell_s + spread_s + tally.more_us / SECOND_US, HOUR_S)


def _sums(values: Sums, starts: Indices) -> Sums:
    """Sums of the stretches that begin at `starts`: (k,) int64."""
    if not len(starts):
        return np.empty(0, dtype=np.int64)
    return np.asarray(np.add.reduceat(values, starts))
