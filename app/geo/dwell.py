"""Pings to seconds per unit, cell and UTC hour, with what was not observed kept apart."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from app.geo import lattice
from app.geo.doubt import DoubtParameters, stop_doubts, variances_s2
from app.geo.fixes import (
    AT_ONCE,
    REACH_NEIGHBOURS,
    REASONS,
    CleaningParameters,
    Pings,
    blocks,
    set_aside,
)
from app.geo.fixes import CONTEXT_HOURS as CONTEXT_HOURS  # handed on to who reads the pings
from app.geo.fixes import REACH_US as REACH_US
from app.geo.grid import Floats, resolutions
from app.geo.legs import LegParameters, legs_of
from app.geo.order import changes, order_of
from app.geo.paths import Indices, pieces_of
from app.geo.stops import StopParameters
from app.geo.tally import StateParameters, Tally, interval_s, shares_of, tally_of
from app.geo.ways import Fixes, WayParameters, Ways, fixes_of, places_of, ways_of
from app.shifts import HOUR_US, SECOND_US


@dataclass(frozen=True)
class DwellParameters:
    """How dwell is derived. Raises ValueError where an hour would depend on pings out of reach."""

    cleaning: CleaningParameters = field(default_factory=CleaningParameters)
    stops: StopParameters = field(default_factory=StopParameters)
    ways: WayParameters = field(default_factory=WayParameters)
    legs: LegParameters = field(default_factory=LegParameters)
    states: StateParameters = field(default_factory=StateParameters)
    doubt: DoubtParameters = field(default_factory=DoubtParameters)

    def __post_init__(self) -> None:
        reach_s = self.ways.silence_s + REACH_NEIGHBOURS * self.cleaning.neighbour_s
        if reach_s * SECOND_US > REACH_US or self.ways.near_gap_s > self.ways.silence_s:
            raise ValueError(f"dwell of an hour may depend on pings {REACH_US} µs from it, no more")


@dataclass(frozen=True)
class Dwell:
    """Seconds of a unit in a cell in a UTC hour, as columns sorted by (hour, unit, cell).

    `unit` int64, `cell` uint64, `hour` int64 (hours since 1970 UTC); the rest float64 [s].
    `stationary_s`, `slow_s` and `transit_s` sum to `dwell_s`; the observed truth lies within
    `[dwell_low_s, dwell_high_s]` with 95 %. A cell that may have been visited has dwell 0 and a
    high above 0.
    """

    unit: NDArray[np.int64]
    cell: NDArray[np.uint64]
    hour: NDArray[np.int64]
    dwell_s: Floats
    stationary_s: Floats
    slow_s: Floats
    transit_s: Floats
    dwell_low_s: Floats
    dwell_high_s: Floats

    def __len__(self) -> int:
        return len(self.unit)


@dataclass(frozen=True)
class Coverage:
    """How much of a unit's UTC hour is known, as columns sorted by (hour, unit).

    One row for each hour with a ping. `observed_s` + `unobserved_s` [s] is the time between
    consecutive fixes that lies in the hour. A silence longer than `WayParameters.silence_s` is in
    no row, as an hour must not depend on pings far from it; `coverage_summary` counts it.
    `pings` and `kept` int64 count the hour's pings.
    """

    unit: NDArray[np.int64]
    hour: NDArray[np.int64]
    observed_s: Floats
    unobserved_s: Floats
    pings: NDArray[np.int64]
    kept: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.unit)


Rows = TypeVar("Rows", Dwell, Coverage)


def dwell_of(
    pings: Pings,
    resolution: int,
    parameters: DwellParameters | None = None,
    between_us: tuple[int, int] | None = None,
) -> tuple[Dwell, Coverage]:
    """Dwell per unit, cell and hour, and what is known of each hour.

    `pings` in any order, good and bad. With `between_us`, only time in `[from, until)` counts;
    pings up to REACH_US outside it still bear on it. Empty for no pings.

    The same to the last bit for the same pings in any order; and an hour's rows are the same for
    any other set of pings that agrees with this one in the hour and within REACH_US of it.
    """
    dwell: dict[str, list[NDArray[Any]]] = {column.name: [] for column in fields(Dwell)}
    coverage: dict[str, list[NDArray[Any]]] = {column.name: [] for column in fields(Coverage)}
    for parts in dwell_parts(pings, resolution, parameters, between_us):
        for columns, part in zip((dwell, coverage), parts, strict=True):
            for name, arrays in columns.items():
                arrays.append(getattr(part, name))
    return Dwell(**_sorted(dwell)), Coverage(**_sorted(coverage))


def dwell_parts(
    pings: Pings,
    resolution: int,
    parameters: DwellParameters | None = None,
    between_us: tuple[int, int] | None = None,
    reasons: NDArray[np.uint8] | None = None,
    at_once: int = AT_ONCE,
) -> Iterator[tuple[Dwell, Coverage]]:
    """What `dwell_of` gives, for about `at_once` pings at a time; each part sorted by itself.

    For more than fits into memory at once. At least one part. `reasons` spares cleaning where it
    is done: `set_aside` of the same pings, which must be sorted then.
    """
    parameters = parameters or DwellParameters()
    pings = pings.ordered()
    nothing = [(slice(0), slice(0))]
    for seen, rows in blocks(pings, at_once) if len(pings) else nothing:
        part = pings.take(seen)
        why = set_aside(part, parameters.cleaning) if reasons is None else reasons[seen]
        found = _part(part, np.flatnonzero(why == 0), resolution, parameters, between_us)
        if seen == rows:
            yield found
        else:  # a part of a unit: whole hours
            hours = pings.time_us[[rows.start, rows.stop - 1]] // HOUR_US
            yield _of_hours(found[0], hours), _of_hours(found[1], hours)


def _part(
    pings: Pings,
    kept: Indices,
    resolution: int,
    parameters: DwellParameters,
    between_us: tuple[int, int] | None,
) -> tuple[Dwell, Coverage]:
    """Dwell and coverage of whole units."""
    fixes = fixes_of(pings.unit[kept], pings.time_us[kept], pings.lat[kept], pings.lon[kept])
    places = places_of(fixes, parameters.stops)
    ways = _between(ways_of(fixes, places, parameters.ways), fixes, between_us)
    seen = ways.take(np.flatnonzero(ways.seen))
    legs = legs_of(fixes, places, seen, parameters.legs)
    plane = lattice.project(legs.points, resolution)
    pieces = pieces_of(legs.points, plane, legs.start, legs.stop, resolution)
    shares = shares_of(seen, legs, pieces, parameters.states)
    doubts = stop_doubts(fixes, places, seen, plane, resolution, parameters.doubt)
    tally = tally_of(
        seen,
        shares,
        doubts,
        resolution,
        lambda way, us: variances_s2(seen, way, us, places, plane, resolution, parameters.doubt),
    )
    dwell = _dwell(tally, fixes, resolution, parameters.doubt.deviations)
    return dwell, _coverage(pings, kept, fixes, ways, between_us)


def _of_hours(rows: Rows, hours: Indices) -> Rows:
    """The rows of the hours from the first to the last."""
    inside = (rows.hour >= hours[0]) & (rows.hour <= hours[1])
    return type(rows)(*(getattr(rows, column.name)[inside] for column in fields(rows)))


def _between(ways: Ways, fixes: Fixes, between_us: tuple[int, int] | None) -> Ways:
    """What of the ways lies in an interval, without rows of no time."""
    if between_us is not None:
        start_us = fixes.time_us[ways.fix]
        low_us = np.maximum(ways.low_us, between_us[0] - start_us)
        high_us = np.minimum(ways.high_us, between_us[1] - start_us)
        ways = replace(ways, low_us=low_us, high_us=high_us)
    return ways.take(np.flatnonzero(ways.high_us > ways.low_us))


def _dwell(tally: Tally, fixes: Fixes, resolution: int, deviations: float) -> Dwell:
    """The tally with units, hours and H3 cells, sorted by hour, unit and cell."""
    codes, which = np.unique(tally.code, return_inverse=True)
    first = fixes.begin[tally.chunk]
    moved_us = tally.slow_us + tally.transit_us
    low_s, high_s = interval_s(tally, deviations)
    dwell = Dwell(
        fixes.unit[first],
        lattice.cells_of(codes, resolution)[which],
        fixes.time_us[first] // HOUR_US,
        tally.dwell_us / SECOND_US,
        (tally.dwell_us - moved_us) / SECOND_US,
        tally.slow_us / SECOND_US,
        tally.transit_us / SECOND_US,
        low_s,
        high_s,
    )
    return Dwell(
        **_sorted({column.name: [getattr(dwell, column.name)] for column in fields(dwell)})
    )


def _coverage(
    pings: Pings, kept: Indices, fixes: Fixes, ways: Ways, between_us: tuple[int, int] | None
) -> Coverage:
    """What is known of each hour that has a ping (in the interval, if there is one)."""
    hour = pings.time_us // HOUR_US
    new = changes(pings.unit, hour)
    first, chunk = np.flatnonzero(new), np.cumsum(new) - 1
    inside = np.ones(len(pings), dtype=np.bool_)
    if between_us is not None:
        inside = (pings.time_us >= between_us[0]) & (pings.time_us < between_us[1])
    of = chunk[kept][fixes.begin][ways.chunk]
    span_us = ways.high_us - ways.low_us
    observed_us = np.bincount(of, span_us * ways.seen, len(first))
    unobserved_us = np.bincount(of, span_us * ~ways.seen, len(first))
    number = np.bincount(chunk[inside], minlength=len(first))
    rows = np.flatnonzero((number > 0) | (observed_us + unobserved_us > 0))
    return Coverage(
        **_sorted(
            {
                "unit": [pings.unit[first[rows]]],
                "hour": [hour[first[rows]]],
                "observed_s": [observed_us[rows] / SECOND_US],
                "unobserved_s": [unobserved_us[rows] / SECOND_US],
                "pings": [number[rows]],
                "kept": [np.bincount(chunk[kept[inside[kept]]], minlength=len(first))[rows]],
            }
        )
    )


def _sorted(columns: dict[str, list[NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Parts of columns joined and sorted by hour, unit and (where there is one) cell.

    Takes the parts out of what it is given, so that never all is in memory twice.
    """
    keys = [np.concatenate(columns[name]) for name in ("hour", "unit")]
    if "cell" in columns:
        cell = np.concatenate(columns["cell"])
        unused = 3 * (15 - int(resolutions(cell[:1]).sum())) if len(cell) else 0
        keys.append((cell >> np.uint64(unused)).astype(np.int64))
    order = order_of(*keys)
    del keys
    return {name: np.concatenate(columns.pop(name))[order] for name in list(columns)}


def coverage_summary(
    pings: Pings,
    coverage: Coverage,
    parameters: DwellParameters | None = None,
    reasons: NDArray[np.uint8] | None = None,
) -> dict[str, Any]:
    """The summary of the contract: pings, kept, set aside by reason; observed, unobserved, span.

    `coverage` is that of all these pings. The span is the time between a unit's first and last
    fix, summed over units; what of it was not observed is unobserved, long silences included.
    `reasons` as for `dwell_parts`.
    """
    pings = pings.ordered()
    if reasons is None:
        reasons = set_aside(pings, (parameters or DwellParameters()).cleaning)
    counts = np.bincount(reasons, minlength=len(REASONS)).tolist()
    kept = np.flatnonzero(reasons == 0)
    ends = changes(pings.unit[kept]) if len(kept) else np.empty(0, np.bool_)
    first = np.flatnonzero(ends)
    last = np.append(first[1:], len(kept))[: len(first)] - 1
    time_us = pings.time_us[kept]
    span_us = int((time_us[last] - time_us[first]).sum())
    observed_us = int(np.rint(coverage.observed_s * SECOND_US).astype(np.int64).sum())
    return {
        "pings": len(pings),
        "kept": counts[0],
        "set_aside": {name: n for name, n in zip(REASONS[1:], counts[1:], strict=True) if n},
        "observed_s": observed_us / SECOND_US,
        "unobserved_s": (span_us - observed_us) / SECOND_US,
        "span_s": span_us / SECOND_US,
    }
