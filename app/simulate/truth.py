"""The true dwell of simulated cars, against which estimates from their reports are judged."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.geo.grid import cells_at
from app.shifts import HOUR_US, SECOND_US
from app.simulate.driver import OFF_DUTY
from app.simulate.fleet import Paths
from app.simulate.harrow_bay import Town
from app.simulate.streets import degrees

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class TrueDwell:
    """Seconds that units truly spent, as columns (n,), sorted by hour, unit and cell.

    `unit` int64; `cell` uint64; `hour` int64, hours since 1970 UTC; `dwell_s` all seconds,
    `on_duty_s` those on duty, `moving_s` those in motion (float64).
    """

    unit: Ints
    cell: NDArray[np.uint64]
    hour: Ints
    dwell_s: Floats
    on_duty_s: Floats
    moving_s: Floats

    def __len__(self) -> int:
        return len(self.unit)


def true_dwell(town: Town, paths: Paths, resolution: int, step_s: float = 1.0) -> TrueDwell:
    """True seconds per unit, cell and hour; for each unit they sum to the length of its paths.

    A piece in motion is cut into steps of at most `step_s`, each counted where its middle lies:
    a border is met to within half a step. Empty for empty paths.
    """
    # Unit by unit, which bounds the memory that the steps need.
    units = [int(unit) for unit in np.unique(paths.unit)]
    parts = [_of_unit(town, paths, unit, resolution, step_s) for unit in units]
    if not parts:
        nothing = np.zeros(0)
        none = nothing.astype(np.int64)
        return TrueDwell(none, none.astype(np.uint64), none, nothing, nothing, nothing)
    unit, cell, hour, *seconds = (np.concatenate(c) for c in zip(*parts, strict=True))
    order = np.lexsort((cell, unit, hour))
    return TrueDwell(unit[order], cell[order], hour[order], *(s[order] for s in seconds))


def _of_unit(
    town: Town, paths: Paths, unit: int, resolution: int, step_s: float
) -> tuple[NDArray[np.generic], ...]:
    """One unit's columns, in the order of TrueDwell, unsorted."""
    mine = np.flatnonzero(paths.unit == unit)
    piece, start_us, end_us = _split(mine, paths.start_us[mine], paths.end_us[mine])
    still = (paths.x_m == paths.to_x_m) & (paths.y_m == paths.to_y_m)
    wanted = np.where(still[piece], 1, np.ceil((end_us - start_us) / (step_s * SECOND_US)))
    part = np.repeat(np.arange(len(piece)), wanted.astype(np.int64))
    within = np.arange(len(part)) - np.repeat(np.cumsum(wanted) - wanted, wanted.astype(np.int64))
    took_us = ((end_us - start_us) / wanted)[part]
    middle_us = start_us[part] + (within + 0.5) * took_us
    of = piece[part]
    share = (middle_us - paths.start_us[of]) / (paths.end_us[of] - paths.start_us[of])
    x_m = paths.x_m[of] + share * (paths.to_x_m[of] - paths.x_m[of])
    y_m = paths.y_m[of] + share * (paths.to_y_m[of] - paths.y_m[of])
    cell = cells_at(*degrees(town.streets, x_m, y_m), resolution)
    hour = start_us[part] // HOUR_US
    order = np.lexsort((cell, hour))
    cell, hour, of, took_us = cell[order], hour[order], of[order], took_us[order]
    first = np.flatnonzero(
        np.concatenate([[True], (cell[1:] != cell[:-1]) | (hour[1:] != hour[:-1])])
    )
    on_duty = paths.activity[of] != OFF_DUTY
    sums = (
        np.add.reduceat(took_us * counted, first) / SECOND_US
        for counted in (np.ones(len(of)), on_duty, ~still[of])
    )
    return np.full(len(first), unit), cell[first], hour[first], *sums


def _split(piece: Ints, start_us: Ints, end_us: Ints) -> tuple[Ints, Ints, Ints]:
    """Pieces cut at each full hour: their numbers, starts and ends."""
    first, last = start_us // HOUR_US, (end_us - 1) // HOUR_US
    parts = last - first + 1
    of = np.repeat(np.arange(len(piece)), parts)
    hour = first[of] + np.arange(len(of)) - np.repeat(np.cumsum(parts) - parts, parts)
    return (
        piece[of],
        np.maximum(start_us[of], hour * HOUR_US),
        np.minimum(end_us[of], (hour + 1) * HOUR_US),
    )
