"""Straight ways between points, cut where they pass from cell to cell."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.geo import lattice
from app.geo.grid import Floats
from app.geo.lattice import Codes, Plane

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Pieces:
    """Parts of ways that lie in one cell each, in order of way and of passing, each (p,).

    `way` int64; `code` int64, the cell's lattice code; `begin`, `end` float64, the shares of the
    way's length at which the piece begins and ends. The pieces of a way tile [0, 1].
    """

    way: Indices
    code: Codes
    begin: Floats
    end: Floats

    def __len__(self) -> int:
        return len(self.way)


@dataclass(frozen=True)
class _Ahead:
    """What ways in the plane meet next, per axis u, v, w: three arrays each.

    `at` is the share of the way at which the next edge across the axis comes; `by[m][a]` what
    passing an edge of axis m adds to `at` of axis a; `code[m]` what it adds to the cell's code.
    """

    at: list[Floats]
    by: list[list[Floats]]
    code: list[Codes]


def pieces_of(
    points: Floats, plane: Plane, start: Indices, stop: Indices, resolution: int
) -> Pieces:
    """The pieces of the straight ways from `start` to `stop`, two (k,) int64 into `points`.

    `points` (3, n) unit vectors, `plane` the same projected. Every way has at least one piece;
    empty for no ways.
    """
    split = np.flatnonzero(plane.face[start] != plane.face[stop])
    if len(split):
        return _over_edges(points, plane, start, stop, split, resolution)
    return _pieces(plane, start, stop)


def _pieces(plane: Plane, start: Indices, stop: Indices) -> Pieces:
    """The pieces of ways whose two ends lie on one face.

    All ways advance in lock-step from cell to cell, each through the edge that it meets first.
    """
    codes = lattice.codes_at(plane)
    code, goal = codes[start], codes[stop]
    crossing = np.flatnonzero(code != goal)
    ahead = _ahead(plane, start[crossing], stop[crossing], code[crossing])
    at = ahead.at
    code, goal, row = code[crossing], goal[crossing], np.arange(len(crossing))
    begin = np.zeros(len(row))
    rounds: list[tuple[Indices, Codes, Floats, Floats]] = []
    count = np.ones(len(start), dtype=np.int64)
    while len(row):
        leave = np.maximum(np.minimum(np.minimum(at[0], at[1]), at[2]), begin)
        more = (leave < 1) & (code != goal)  # an end on an edge may round to either side
        rounds.append((crossing[row], code, begin, np.where(more, leave, 1.0)))
        row, begin, code, goal = row[more], leave[more], code[more], goal[more]
        count[crossing[row]] += 1
        at = [axis[more] for axis in at]
        first = (at[0] <= at[1]) & (at[0] <= at[2])
        second = at[1] <= at[2]
        add = [codes[row] for codes in ahead.code]
        code = code + np.where(first, add[0], np.where(second, add[1], add[2]))
        for axis in range(3):
            by = [ahead.by[met][axis][row] for met in range(3)]
            at[axis] = at[axis] + np.where(first, by[0], np.where(second, by[1], by[2]))
    return _gathered(codes[start], rounds, count)


def _ahead(plane: Plane, start: Indices, stop: Indices, code: Codes) -> _Ahead:
    """What ways that begin in the cells `code` meet."""
    mid_u, mid_v = lattice.centres_of(code)
    u, v = plane.u[start] - mid_u, plane.v[start] - mid_v
    run_u, run_v = plane.u[stop] - plane.u[start], plane.v[stop] - plane.v[start]
    at, pace, sign = [], [], []
    for place, run in ((u, run_u), (v, run_v), (v - u, run_v - run_u)):
        still = run == 0
        per_step = 1.0 / np.where(still, 1.0, np.abs(run))
        at.append(np.where(still, np.inf, (0.5 - np.sign(run) * place) * per_step))
        pace.append(np.where(still, 0.0, per_step))  # inf stays inf, whatever is passed
        sign.append(np.sign(run))
    # Passing an edge moves the centre one step along its axis, half a step along the others.
    uv, vw, uw = sign[0] * sign[1] / 2, sign[1] * sign[2] / 2, -sign[0] * sign[2] / 2
    share = [[1.0, uv, uw], [uv, 1.0, vw], [uw, vw, 1.0]]
    by = [[share[m][a] * pace[a] for a in range(3)] for m in range(3)]
    steps = [s.astype(np.int64) * across for s, across in zip(sign, lattice.ACROSS, strict=True)]
    return _Ahead(at, by, steps)


def _gathered(
    start_code: Codes, rounds: list[tuple[Indices, Codes, Floats, Floats]], count: Indices
) -> Pieces:
    """The pieces in order of way and of passing; a way that is in no round is one piece."""
    offset = np.cumsum(count) - count
    way = np.repeat(np.arange(len(count)), count)
    code, begin, end = start_code[way], np.zeros(len(way)), np.ones(len(way))
    for passed, (rows, codes, begins, ends) in enumerate(rounds):
        at = offset[rows] + passed
        code[at], begin[at], end[at] = codes, begins, ends
    return Pieces(way, code, begin, end)


def _over_edges(
    points: Floats, plane: Plane, start: Indices, stop: Indices, split: Indices, resolution: int
) -> Pieces:
    """The pieces where the ways in `split` pass from one face to another.

    Each of these is two legs that meet where both faces' centres are equally near. (A way over
    three faces passes a corner; H3 laid all corners into the sea.)
    """
    from_face, to_face = plane.face[start[split]], plane.face[stop[split]]
    one, other = points[:, start[split]], points[:, stop[split]]
    share = lattice.share_at_edge(one, other, from_face, to_face)
    middle = one + share * (other - one)
    middle /= np.sqrt((middle * middle).sum(axis=0))
    sides = [plane]
    for faces in (from_face, to_face):
        u, v = np.empty(len(split)), np.empty(len(split))
        for face in np.unique(faces):
            rows = faces == face
            u[rows], v[rows] = lattice.on_face(middle[:, rows], int(face), resolution)
        sides.append(Plane(faces, u, v))
    whole = Plane(*(np.concatenate([getattr(s, c) for s in sides]) for c in ("face", "u", "v")))
    legs = np.ones(len(start), dtype=np.int64)
    legs[split] = 2
    way = np.repeat(np.arange(len(start)), legs)
    low, high = np.zeros(len(way)), np.ones(len(way))
    leg_start, leg_stop = start[way], stop[way]
    before = (np.cumsum(legs) - legs)[split]
    leg_stop[before] = len(plane.face) + np.arange(len(split))
    leg_start[before + 1] = leg_stop[before] + len(split)
    high[before] = low[before + 1] = share
    pieces = _pieces(whole, leg_start, leg_stop)
    size = (high - low)[pieces.way]
    return Pieces(
        way[pieces.way],
        pieces.code,
        low[pieces.way] + pieces.begin * size,
        np.where(pieces.end == 1.0, high[pieces.way], low[pieces.way] + pieces.end * size),
    )
