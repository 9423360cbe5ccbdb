"""How far the seconds of a cell may be from what was observed: the parts of the interval.

Two things are unknown between and at fixes. A unit does not go evenly along the line that is drawn
for it, so each way's seconds in a cell have a variance; these add up. And where a unit stood close
to a border it may have stood beyond it; these seconds are in doubt as a whole.
"""

from dataclasses import dataclass

import numpy as np

from app.geo import lattice
from app.geo.grid import Floats
from app.geo.lattice import EARTH_M, Codes, Plane
from app.geo.ways import Fixes, Indices, Places, Ways
from app.shifts import SECOND_US


@dataclass(frozen=True)
class DoubtParameters:
    """What is taken to be unknown.

    A way of T seconds with w of them in a cell has there the variance `moving` w (T - w), or
    `leaving` w (T - w) where it begins or ends at a stop, and none between two stops within
    `standing_m`. A way wholly inside may have led out: its
    standard deviation is `outing` T, less by e for each `outing_m` + `outing_mps` T to the border.
    Fixes err by `noise_m` per axis, for `noise_memory_s` in the same direction; a stop's own
    scatter counts against that as much as `noise_fixes` fixes. A stop whose mean place lies within
    `border_deviations` of its error from a border may be beyond it; otherwise `strays` times
    the share of noisy fixes beyond the border are in doubt.
    """

    moving: float = 0.5
    leaving: float = 0.6
    standing_m: float = 25.0
    outing: float = 0.25
    outing_m: float = 5.0
    outing_mps: float = 0.5
    noise_m: float = 5.0
    noise_memory_s: float = 30.0
    noise_fixes: float = 4.0
    border_deviations: float = 2.5
    strays: float = 2.0
    deviations: float = 1.96


@dataclass(frozen=True)
class StopDoubts:
    """Seconds of stops that may belong to another cell, each (d,), both int64.

    Of cell `code` (d,) int64 in `chunk` (d,) int64, `less_us` may be too much and `more_us` may be
    missing.
    """

    chunk: Indices
    code: Codes
    less_us: Indices
    more_us: Indices


def variances_s2(
    ways: Ways,
    way: Indices,
    spent_us: Indices,
    places: Places,
    plane: Plane,
    resolution: int,
    parameters: DoubtParameters,
) -> Floats:
    """The variance [s²] of the seconds that a way spends in a cell, for each way and cell: (p,).

    `way` (p,) int64 into `ways`, `spent_us` (p,) int64; `plane` holds the places projected.
    """
    total_s = ways.total_us[way] / SECOND_US
    spent_s = spent_us / SECOND_US
    earlier, later = places.stop[ways.fix], places.stop[ways.fix + 1]
    part = np.where((earlier >= 0) | (later >= 0), parameters.leaving, parameters.moving)
    variance = part[way] * spent_s * (total_s - spent_s)
    wholly = spent_us == (ways.high_us - ways.low_us)[way]
    stays = (earlier >= 0) & (later >= 0) & (ways.length_m <= parameters.standing_m)
    variance[stays[way]] = 0.0
    inside = np.flatnonzero(wholly & ~stays[way])
    fix = ways.fix[way[inside]]
    room_m = _room_m(np.stack([fix, fix + 1]).ravel(), places, plane, resolution)
    reach_m = parameters.outing_m + parameters.outing_mps * spent_s[inside]
    nearest_m = np.minimum(room_m[: len(fix)], room_m[len(fix) :])
    deviation_s = parameters.outing * spent_s[inside] * np.exp(-nearest_m / reach_m)
    variance[inside] = deviation_s * deviation_s
    return variance


def stop_doubts(
    fixes: Fixes,
    places: Places,
    plane: Plane,
    resolution: int,
    parameters: DoubtParameters,
    between_us: tuple[int, int] | None,
) -> StopDoubts:
    """What is in doubt because units stood close to borders.

    Source for the share of noisy fixes beyond a border: Lin (1989), Approximating the normal tail
    probability and its inverse for use on a pocket calculator, doi:10.2307/2347681.
    """
    first, last = places.stops.first, places.stops.last
    start_us, end_us = fixes.time_us[first], fixes.time_us[last]
    if between_us is not None:
        start_us = np.maximum(start_us, between_us[0])
        end_us = np.minimum(end_us, between_us[1])
    stood_us = np.maximum(end_us - start_us, 0)
    scatter_m, mean_m = _errors_m(fixes, places, parameters)
    code, offsets, step_m = _about(first, places, plane, resolution)
    chunk, less_us = fixes.chunk[first], np.zeros(len(first), dtype=np.int64)
    columns = []
    for axis, across in zip(offsets, lattice.ACROSS, strict=True):
        for sign in (1, -1):
            border_m = np.maximum(0.5 - sign * axis, 0.0) * step_m
            off = border_m / scatter_m
            share = parameters.strays * 0.5 * np.exp(-0.717 * off - 0.416 * off * off)
            share = np.where(border_m < parameters.border_deviations * mean_m, 1.0, share)
            doubt_us = np.rint(np.minimum(share, 1.0) * stood_us).astype(np.int64)
            doubt_us[doubt_us < SECOND_US] = 0
            less_us += doubt_us
            rows = np.flatnonzero(doubt_us)
            columns.append((chunk[rows], code[rows] + sign * across, 0 * rows, doubt_us[rows]))
    own = np.flatnonzero(less_us)
    less_us = np.minimum(less_us, stood_us)
    columns.append((chunk[own], code[own], less_us[own], 0 * own))
    return StopDoubts(*(np.concatenate(column) for column in zip(*columns, strict=True)))


def _errors_m(fixes: Fixes, places: Places, parameters: DoubtParameters) -> tuple[Floats, Floats]:
    """By how much [m] a stop's fixes, and its mean place, err along one axis: two (k,) float64."""
    standing = np.flatnonzero(places.stop >= 0)
    stop, count = places.stop[standing], len(places.stops)
    off = places.points[:, standing] - fixes.points[:, standing]
    squares = np.bincount(stop, (off * off).sum(axis=0), minlength=count) * (EARTH_M**2 / 2)
    number = places.stops.last - places.stops.first + 1
    weight = parameters.noise_fixes
    scatter_m2 = (weight * parameters.noise_m**2 + squares) / (weight + number - 1)
    stood_us = fixes.time_us[places.stops.last] - fixes.time_us[places.stops.first]
    memory = 2 * parameters.noise_memory_s * SECOND_US / np.maximum(stood_us, 1)
    mean_m2 = scatter_m2 * np.minimum(1.0, np.maximum(memory, 1.0 / number))
    return np.sqrt(scatter_m2), np.sqrt(mean_m2)


def _room_m(fix: Indices, places: Places, plane: Plane, resolution: int) -> Floats:
    """How far [m] each of these fixes is from the border of its cell: (k,) float64."""
    _, offsets, step_m = _about(fix, places, plane, resolution)
    furthest = np.maximum(np.maximum(np.abs(offsets[0]), np.abs(offsets[1])), np.abs(offsets[2]))
    return np.maximum(0.5 - furthest, 0.0) * step_m


def _about(
    fix: Indices, places: Places, plane: Plane, resolution: int
) -> tuple[Codes, tuple[Floats, Floats, Floats], Floats]:
    """The cells of these fixes, their offsets from its centre on three axes, and its size [m]."""
    here = Plane(plane.face[fix], plane.u[fix], plane.v[fix])
    code = lattice.codes_at(here)
    mid_u, mid_v = lattice.centres_of(code)
    u, v = here.u - mid_u, here.v - mid_v
    return code, (u, v, v - u), lattice.step_m(places.points[:, fix], here.face, resolution)
