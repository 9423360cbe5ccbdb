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

BORDER_S = 0.01


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


def true_dwell(town: Town, paths: Paths, resolution: int) -> TrueDwell:
    """True seconds per unit, cell and hour; for each unit they sum to the length of its paths.

    Right to BORDER_S at each border that is crossed. Empty for empty paths.
    """
    piece, hour, from_share, to_share, cell = _in_cells(town, paths, resolution)
    took_s = (to_share - from_share) * (paths.end_us - paths.start_us)[piece] / SECOND_US
    unit = paths.unit[piece]
    order = np.lexsort((cell, unit, hour))
    unit, hour, cell = unit[order], hour[order], cell[order]
    piece, took_s = piece[order], took_s[order]
    new = (unit[1:] != unit[:-1]) | (hour[1:] != hour[:-1]) | (cell[1:] != cell[:-1])
    row = np.cumsum(np.concatenate([np.zeros(min(1, len(unit)), dtype=np.bool_), new]))
    first = np.flatnonzero(np.diff(row, prepend=-1))
    moving = (paths.x_m != paths.to_x_m) | (paths.y_m != paths.to_y_m)
    return TrueDwell(
        unit[first],
        cell[first],
        hour[first],
        np.bincount(row, took_s).astype(np.float64),
        np.bincount(row, took_s * (paths.activity[piece] != OFF_DUTY)).astype(np.float64),
        np.bincount(row, took_s * moving[piece]).astype(np.float64),
    )


def _in_cells(
    town: Town, paths: Paths, resolution: int
) -> tuple[Ints, Ints, Floats, Floats, NDArray[np.uint64]]:
    """Pieces cut at hours and at borders of cells: piece, hour, from and to as shares, cell.

    A cell is convex, so a straight piece whose ends share one lies in it; any other is halved.
    """
    piece, hour, from_share, to_share = _at_hours(paths)
    from_cell = _cells(town, paths, piece, from_share, resolution)
    to_cell = _cells(town, paths, piece, to_share, resolution)
    done = []
    while len(piece):
        length_s = (to_share - from_share) * (paths.end_us - paths.start_us)[piece] / SECOND_US
        whole = (from_cell == to_cell) | (length_s <= BORDER_S)
        done.append(tuple(a[whole] for a in (piece, hour, from_share, to_share, from_cell)))
        piece, hour, from_share, to_share, from_cell, to_cell = (
            a[~whole] for a in (piece, hour, from_share, to_share, from_cell, to_cell)
        )
        middle = (from_share + to_share) / 2
        middle_cell = _cells(town, paths, piece, middle, resolution)
        piece, hour = np.tile(piece, 2), np.tile(hour, 2)
        from_share, to_share = np.append(from_share, middle), np.append(middle, to_share)
        from_cell, to_cell = np.append(from_cell, middle_cell), np.append(middle_cell, to_cell)
    parts = done or [(piece, hour, from_share, to_share, from_cell)]
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))  # type: ignore[return-value]


def _cells(
    town: Town, paths: Paths, piece: Ints, share: Floats, resolution: int
) -> NDArray[np.uint64]:
    """The cell at which each piece stands after a share of its time."""
    x_m = paths.x_m[piece] + share * (paths.to_x_m - paths.x_m)[piece]
    y_m = paths.y_m[piece] + share * (paths.to_y_m - paths.y_m)[piece]
    return cells_at(*degrees(town.streets, x_m, y_m), resolution)


def _at_hours(paths: Paths) -> tuple[Ints, Ints, Floats, Floats]:
    """Pieces cut at each full hour: piece, hour, and from and to as shares of its time."""
    first, last = paths.start_us // HOUR_US, (paths.end_us - 1) // HOUR_US
    parts = last - first + 1
    piece = np.repeat(np.arange(len(paths)), parts)
    hour = first[piece] + np.arange(len(piece)) - np.repeat(np.cumsum(parts) - parts, parts)
    start_us, took_us = paths.start_us[piece], (paths.end_us - paths.start_us)[piece]
    from_share = np.maximum(hour * HOUR_US - start_us, 0) / took_us
    return piece, hour, from_share, np.minimum(((hour + 1) * HOUR_US - start_us) / took_us, 1.0)
