"""Pings as columns, and cleaning: an ordered list of named steps that delete nothing."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.geo.grid import Floats, on_earth
from app.geo.lattice import EARTH_M, unit_vectors
from app.shifts import HOUR_US, SECOND_US

Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]

# What holds of an hour depends on the pings in it and at most this far from it, on nothing else:
# cleaning and derivation keep to that, so that a late ping changes a few hours and no more.
CONTEXT_HOURS = 1
REACH_US = CONTEXT_HOURS * HOUR_US

AT_ONCE = 100_000  # pings in work at a time: bounds memory, and stays in the processor's cache

STATUS = ("unknown", "available", "enroute", "on_scene", "busy", "off_duty")  # code = index
NOT_SENT = -1  # the status code of a ping without a status


@dataclass(frozen=True)
class Pings:
    """Position messages as columns, each (n,).

    `unit` int64; `time_us` int64, microseconds since 1970 UTC; `lat`, `lon` float64 [deg];
    `speed_mps`, `heading_deg`, `accuracy_m` float64, NaN where not sent; `status` int8, an index
    into STATUS or -1 where not sent.
    """

    unit: NDArray[np.int64]
    time_us: NDArray[np.int64]
    lat: NDArray[np.float64]
    lon: NDArray[np.float64]
    speed_mps: NDArray[np.float64]
    heading_deg: NDArray[np.float64]
    accuracy_m: NDArray[np.float64]
    status: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.unit)

    def take(self, index: Any) -> "Pings":
        """The rows that an index array, a mask or a slice selects, in that order."""
        return Pings(*(getattr(self, column.name)[index] for column in fields(self)))

    def ordered(self) -> "Pings":
        """The pings sorted by unit, time and content: the same for any order of arrival.

        Itself where it is sorted already.
        """
        same = self.unit[1:] == self.unit[:-1]
        later = self.time_us[1:] > self.time_us[:-1]
        if np.all((self.unit[1:] > self.unit[:-1]) | (same & later)):
            return self
        order = np.lexsort((self.time_us, self.unit))
        return self.take(order[_by_content(self.take(order))])


def pings_of(
    unit: NDArray[np.int64],
    time_us: NDArray[np.int64],
    lat: NDArray[np.float64],
    lon: NDArray[np.float64],
) -> Pings:
    """Pings that carry no more than a unit, an instant and a place [deg]."""
    absent = np.broadcast_to(np.nan, len(unit))  # takes no room
    return Pings(
        unit=np.asarray(unit, dtype=np.int64),
        time_us=np.asarray(time_us, dtype=np.int64),
        lat=np.asarray(lat, dtype=np.float64),
        lon=np.asarray(lon, dtype=np.float64),
        speed_mps=absent,
        heading_deg=absent,
        accuracy_m=absent,
        status=np.full(len(unit), NOT_SENT, dtype=np.int8),
    )


def no_pings() -> Pings:
    """Pings of no rows."""
    nothing = np.empty(0)
    return pings_of(nothing.astype(np.int64), nothing.astype(np.int64), nothing, nothing)


def concat(parts: Sequence[Pings]) -> Pings:
    """The rows of all parts, one after another; no rows for no parts."""
    if not parts:
        return no_pings()
    if len(parts) == 1:
        return parts[0]
    columns = (np.concatenate([getattr(p, c.name) for p in parts]) for c in fields(Pings))
    return Pings(*columns)


def blocks(pings: Pings, size: int) -> Iterator[tuple[slice, slice]]:
    """Blocks of about `size` of sorted pings: the rows to look at, and those that it is about.

    Whole units; a unit with more than twice as many is cut at full hours, and what lies within
    REACH_US of such a block is to be looked at, too. Nothing for no pings.
    """
    start, count = 0, len(pings)
    while start < count:
        unit = pings.unit[min(start + size, count) - 1]
        first, end = np.searchsorted(pings.unit, [unit, unit + 1]).tolist()
        if end - first > 2 * size:
            if first > start:
                yield slice(start, first), slice(start, first)
            yield from _hours(pings.time_us, first, end, size)
        else:
            yield slice(start, end), slice(start, end)
        start = end


def _hours(
    time_us: NDArray[np.int64], first: int, end: int, size: int
) -> Iterator[tuple[slice, slice]]:
    """One unit's rows `first` to `end` cut at full hours, with what is in reach of each block."""
    mine = time_us[first:end]
    start = first
    while start < end:
        from_us = int(time_us[start]) // HOUR_US * HOUR_US
        to_us = (int(time_us[min(start + size, end) - 1]) // HOUR_US + 1) * HOUR_US
        cuts = [from_us - REACH_US, to_us, to_us + REACH_US]
        begin, stop, far = (np.searchsorted(mine, cuts) + first).tolist()
        yield slice(begin, far), slice(start, stop)
        start = stop


def _by_content(pings: Pings) -> NDArray[np.int64]:
    """The order that sorts rows of one unit and instant by their content; not sent comes first.

    `pings` are sorted by unit and time; only rows that share both are moved.
    """
    same = (pings.unit[1:] == pings.unit[:-1]) & (pings.time_us[1:] == pings.time_us[:-1])
    order = np.arange(len(pings))
    tied = np.flatnonzero(np.concatenate([same, [False]]) | np.concatenate([[False], same]))
    group = np.cumsum(~np.concatenate([[False], same]))[tied]
    sent = [getattr(pings, column.name)[tied] for column in fields(pings)[2:]]
    content = [np.where(np.isnan(column), -np.inf, column) for column in sent]
    order[tied] = tied[np.lexsort((*reversed(content), group))]
    return order


@dataclass(frozen=True)
class CleaningParameters:
    """What a ping must be like to be kept. All are choices.

    `accuracy_m`: the worst accuracy stated; a cell of resolution 10 is 130 m wide. `fastest_mps`:
    198 km/h, faster than a patrol car goes. `neighbour_s`: pings further apart do not judge each
    other (a moving way that long is unobserved anyway). `frozen_mps`: a unit that reports this
    speed does not stay at one place to the last digit.
    """

    accuracy_m: float = 100.0
    fastest_mps: float = 55.0
    neighbour_s: float = 180.0
    frozen_mps: float = 3.0


@dataclass(frozen=True)
class _Track:
    """The pings that are kept so far, sorted by unit and time."""

    pings: Pings
    parameters: CleaningParameters
    points: Floats  # (3, n) unit vectors, NaN for what is nowhere

    def take(self, kept: Mask) -> "_Track":
        rows = np.flatnonzero(kept)
        return _Track(self.pings.take(rows), self.parameters, self.points[:, rows])

    @cached_property
    def jumps(self) -> Mask:
        """Whether a unit cannot have come from a ping to its next: (n - 1,) bool."""
        unit, time_us = self.pings.unit, self.pings.time_us
        gap_us = time_us[1:] - time_us[:-1]
        off = self.points[:, 1:] - self.points[:, :-1]
        off *= off
        least_us = EARTH_M * SECOND_US / self.parameters.fastest_mps * np.sqrt(off.sum(axis=0))
        found = (unit[1:] == unit[:-1]) & (least_us > gap_us)
        return np.asarray(found & (gap_us <= self.parameters.neighbour_s * SECOND_US))

    def near(self, start: Indices, stop: Indices) -> Mask:
        """Whether pings are of one unit and close enough in time to judge each other."""
        gap_us = self.pings.time_us[stop] - self.pings.time_us[start]
        same = self.pings.unit[start] == self.pings.unit[stop]
        return np.asarray(same & (gap_us <= self.parameters.neighbour_s * SECOND_US))

    def reachable(self, start: Indices, stop: Indices) -> Mask:
        """Whether a unit can have come from one ping to a later one."""
        seconds = (self.pings.time_us[stop] - self.pings.time_us[start]) / SECOND_US
        off = self.points[:, start] - self.points[:, stop]
        metres = EARTH_M * np.sqrt((off * off).sum(axis=0))
        return np.asarray(metres <= self.parameters.fastest_mps * seconds)


def _no_position(track: _Track) -> Mask:
    return ~(np.isfinite(track.pings.lat) & np.isfinite(track.pings.lon))


def _impossible_position(track: _Track) -> Mask:
    return ~on_earth(track.pings.lat, track.pings.lon)


def _null_island(track: _Track) -> Mask:
    return np.asarray((track.pings.lat == 0) & (track.pings.lon == 0))


def _duplicate(track: _Track) -> Mask:
    pings, again = track.pings, np.zeros(len(track.pings), dtype=np.bool_)
    again[1:] = (pings.unit[1:] == pings.unit[:-1]) & (pings.time_us[1:] == pings.time_us[:-1])
    return again


def _inaccurate(track: _Track) -> Mask:
    return np.asarray(track.pings.accuracy_m > track.parameters.accuracy_m)  # not sent: false


def _frozen(track: _Track) -> Mask:
    """Repeats of one place to the last digit that show a box stuck, not a car parked.

    Either the unit cannot have gone on from the last repeat but can from an earlier one, or two of
    three repeats in a row report speed.
    """
    pings, count = track.pings, len(track.pings)
    here = np.flatnonzero((pings.lat[1:] == pings.lat[:-1]) & (pings.lon[1:] == pings.lon[:-1]))
    again = np.zeros(count, dtype=np.bool_)
    again[here + 1] = track.near(here, here + 1)
    fast = (again & (pings.speed_mps > track.parameters.frozen_mps)).astype(np.int64)
    three = again[2:] & again[1:-1] & again[:-2] & (fast[2:] + fast[1:-1] + fast[:-2] >= 2)
    return _around(three, 3, count) | _left_too_late(track, again)


def _left_too_late(track: _Track, again: Mask) -> Mask:
    """Repeats after which the unit cannot have gone on, where it can have from an earlier one."""
    first = np.flatnonzero(~again)
    last = np.append(first[1:], len(again)) - 1
    stuck = (last > first) & (last + 1 < len(again))
    first, last = first[stuck], last[stuck]
    gone = track.jumps[last]
    first, last = first[gone], last[gone]
    size = last - first + 1
    member = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size - first, size)
    of = np.repeat(last, size)
    recent = track.near(member, of)
    earliest = np.full(len(again), len(again))
    np.minimum.at(earliest, of[recent], member[recent])
    possible = track.reachable(earliest[last], last + 1)
    frozen = np.zeros(len(again), dtype=np.bool_)
    frozen[member] = recent & (member > earliest[of]) & np.repeat(possible, size)
    return frozen


def _two_boxes(track: _Track) -> Mask:
    """Pings of two boxes that send under one unit: two possible tracks, a ping of each in turn.

    Three of each at least; nobody knows which of the two is the unit.
    """
    count = len(track.pings)
    skip = np.flatnonzero(track.jumps[1:] & track.jumps[:-1])
    passes = np.zeros(count, dtype=np.bool_)
    passes[skip] = track.reachable(skip, skip + 2)
    six = passes[3:-2] & passes[2:-3] & passes[1:-4] & passes[:-5]
    return _around(six, 6, count)


def _spike(track: _Track) -> Mask:
    """Pings that cannot be reached nor left, where the way past them is possible.

    Of two such in a row the first goes first, and the other is judged again without it.
    """
    rows, found = np.arange(len(track.pings)), np.zeros(len(track.pings), dtype=np.bool_)
    for _ in range(_SPIKE_ROUNDS):
        lone = np.flatnonzero(track.jumps[1:] & track.jumps[:-1]) + 1
        spike = np.zeros(len(rows), dtype=np.bool_)
        spike[lone[track.reachable(lone - 1, lone + 1)]] = True
        spike[1:] &= ~spike[:-1]
        if not spike.any():
            break
        found[rows[spike]] = True
        rows, track = rows[~spike], track.take(~spike)
    return found


_SPIKE_ROUNDS = 2


def _around(start: Mask, length: int, count: int) -> Mask:
    """Which of `count` rows lie in a stretch of that length that starts where `start`."""
    found = np.zeros(count, dtype=np.bool_)
    for offset in range(length if len(start) else 0):
        found[offset : offset + len(start)] |= start
    return found


# Each step sees what the ones before it kept.
STEPS: dict[str, Callable[[_Track], Mask]] = {
    "no_position": _no_position,
    "impossible_position": _impossible_position,
    "null_island": _null_island,
    "duplicate": _duplicate,
    "inaccurate": _inaccurate,
    "frozen": _frozen,
    "two_boxes": _two_boxes,
    "spike": _spike,
}
REASONS = ("kept", *STEPS)
# How far a ping may bear on others: frozen looks 2 neighbours ahead, two_boxes 5, spikes 2 a round.
REACH_NEIGHBOURS = 2 + 5 + 2 * _SPIKE_ROUNDS


def set_aside(
    pings: Pings, parameters: CleaningParameters | None = None, at_once: int = AT_ONCE
) -> NDArray[np.uint8]:
    """Why each ping is set aside: (n,) uint8 codes of REASONS, 0 where it is kept.

    `pings` are sorted as `Pings.ordered` sorts; else ValueError. Empty for empty input. About
    `at_once` pings are in work at a time, which changes nothing but memory and speed.
    """
    _check_order(pings)
    parameters = parameters or CleaningParameters()
    reasons = np.zeros(len(pings), dtype=np.uint8)
    for seen, rows in blocks(pings, at_once):
        found = _reasons(pings.take(seen), parameters)
        reasons[rows] = found[rows.start - seen.start : rows.stop - seen.start]
    return reasons


def _reasons(pings: Pings, parameters: CleaningParameters) -> NDArray[np.uint8]:
    reasons = np.zeros(len(pings), dtype=np.uint8)
    kept = np.arange(len(pings))
    lat = np.where(np.isfinite(pings.lat), pings.lat, np.nan)  # no sine of infinity
    lon = np.where(np.isfinite(pings.lon), pings.lon, np.nan)
    track = _Track(pings, parameters, unit_vectors(lat, lon))
    for code, step in enumerate(STEPS.values(), start=1):
        bad = step(track)
        if bad.any():
            reasons[kept[bad]] = code
            kept = kept[~bad]
            track = track.take(~bad)
    return reasons


def _check_order(pings: Pings) -> None:
    same = pings.unit[1:] == pings.unit[:-1]
    later = pings.time_us[1:] >= pings.time_us[:-1]
    if not np.all((pings.unit[1:] > pings.unit[:-1]) | (same & later)):
        raise ValueError("pings must be sorted by unit and time; use Pings.ordered")
