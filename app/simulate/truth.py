"""The true dwell of simulated cars, against which estimates from their reports are judged."""

from dataclasses import dataclass
from typing import NamedTuple

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
    parts = _in_cells(town, paths, _at_hours(paths), resolution)
    cell = _cells(town, paths, parts, (parts.from_share + parts.to_share) / 2, resolution)
    unit, took_s = paths.unit[parts.piece], _took_s(paths, parts)
    order = np.lexsort((cell, unit, parts.hour))
    parts, unit, cell, took_s = parts.take(order), unit[order], cell[order], took_s[order]
    hour = parts.hour
    new = (unit[1:] != unit[:-1]) | (hour[1:] != hour[:-1]) | (cell[1:] != cell[:-1])
    row = np.cumsum(np.concatenate([np.zeros(min(1, len(unit)), dtype=np.bool_), new]))
    first = np.flatnonzero(np.diff(row, prepend=-1))
    moving = (paths.x_m != paths.to_x_m) | (paths.y_m != paths.to_y_m)
    on_duty = paths.activity != OFF_DUTY
    return TrueDwell(
        unit[first],
        cell[first],
        hour[first],
        np.bincount(row, took_s).astype(np.float64),
        np.bincount(row, took_s * on_duty[parts.piece]).astype(np.float64),
        np.bincount(row, took_s * moving[parts.piece]).astype(np.float64),
    )


class _Parts(NamedTuple):
    """Parts of pieces (n,): which piece, in which hour, from and to which share of its time."""

    piece: Ints
    hour: Ints
    from_share: Floats
    to_share: Floats

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> "_Parts":
        return _Parts(
            self.piece[index], self.hour[index], self.from_share[index], self.to_share[index]
        )


def _joined(parts: list[_Parts]) -> _Parts:
    return _Parts(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _in_cells(town: Town, paths: Paths, parts: _Parts, resolution: int) -> _Parts:
    """The parts cut at borders of cells.

    A cell is convex, so a straight part whose ends share one lies in it; any other is halved.
    """
    done = [parts.take(np.zeros(0, dtype=np.int64))]
    from_cell = _cells(town, paths, parts, parts.from_share, resolution)
    to_cell = _cells(town, paths, parts, parts.to_share, resolution)
    while len(parts.piece):
        whole = (from_cell == to_cell) | (_took_s(paths, parts) <= BORDER_S)
        done.append(parts.take(whole))
        parts, from_cell, to_cell = parts.take(~whole), from_cell[~whole], to_cell[~whole]
        middle = (parts.from_share + parts.to_share) / 2
        middle_cell = _cells(town, paths, parts, middle, resolution)
        parts = _joined([parts._replace(to_share=middle), parts._replace(from_share=middle)])
        from_cell = np.append(from_cell, middle_cell)
        to_cell = np.append(middle_cell, to_cell)
    return _joined(done)


def _took_s(paths: Paths, parts: _Parts) -> Floats:
    share = parts.to_share - parts.from_share
    took_s: Floats = share * (paths.end_us - paths.start_us)[parts.piece] / SECOND_US
    return took_s


def _cells(
    town: Town, paths: Paths, parts: _Parts, share: Floats, resolution: int
) -> NDArray[np.uint64]:
    """The cell at which each part's piece stands after a share of its time."""
    piece = parts.piece
    x_m = paths.x_m[piece] + share * (paths.to_x_m - paths.x_m)[piece]
    y_m = paths.y_m[piece] + share * (paths.to_y_m - paths.y_m)[piece]
    return cells_at(*degrees(town.streets, x_m, y_m), resolution)


def _at_hours(paths: Paths) -> _Parts:
    """The pieces cut at each full hour."""
    first, last = paths.start_us // HOUR_US, (paths.end_us - 1) // HOUR_US
    parts = last - first + 1
    piece = np.repeat(np.arange(len(paths)), parts)
    hour = first[piece] + np.arange(len(piece)) - np.repeat(np.cumsum(parts) - parts, parts)
    start_us, took_us = paths.start_us[piece], (paths.end_us - paths.start_us)[piece]
    from_share = np.maximum(hour * HOUR_US - start_us, 0) / took_us
    to_share = np.minimum(((hour + 1) * HOUR_US - start_us) / took_us, 1.0)
    return _Parts(piece, hour, from_share, to_share)
