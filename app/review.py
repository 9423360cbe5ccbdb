"""What the risk would have said, shift after shift, judged by what then happened.

Rolling origin: for each tested shift only what was on record before its start is used. Plain
baselines are judged beside the model, on the same cells, incidents and ties.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.errors import Invalid
from app.geo import accuracy
from app.geo.accuracy import BUDGETS
from app.geo.grid import Grid, area_km2, index_of, neighbours
from app.geo.mixture import predict
from app.geo.risk import (
    DEFAULTS,
    Component,
    Floats,
    Incidents,
    RiskParameters,
    known_before,
    placed,
    usable,
)
from app.geo.rolling import rolling
from app.geo.zones import ZoneParameters, choose_zones
from app.model import COUNTS, History, choose, history_of
from app.shifts import DAY_US, Shift, Shifts, instances

NEVER = float("inf")
REFIT_SHIFTS = 588  # 28 weeks of three shifts; learning again every four weeks gains nothing
BASELINES = (
    Component("all_history", 1, NEVER, same_shift=False, ring=False),
    COUNTS,
    Component("decay_365", 1, 365, same_shift=False, ring=False),
    Component("shift_decay_365", 1, 365, same_shift=True, ring=False),
)
MODELS = ("model", "uniform", *(part.name for part in BASELINES))


class Scores(NamedTuple):
    """How each of MODELS did in one shift; the first axis of each array is the model.

    `caught` (M, B) incidents within each budget, `deviance` (M,) summed over the cells,
    `expected` (M,) in all cells, `top_expected`, `top_caught` (M,) in the first budget's cells,
    `capture` (M,) area under the capture curve times the incidents; `possible` (B,) the most
    that each budget could have caught; `happened` all incidents that certainly happened in the
    shift, `undated` those that began in it, but may have happened in a later one.
    """

    caught: Floats
    deviance: Floats
    expected: Floats
    top_expected: Floats
    top_caught: Floats
    capture: Floats
    possible: Floats
    happened: float
    undated: int


@dataclass(frozen=True)
class Step:
    """One tested shift: `position` in the shifts, risk per cell (m,), and how it was met.

    `reason` says which model spoke, and why.
    """

    position: int
    expected_incidents: Floats
    expected_harm: Floats
    scores: Scores
    reason: str


@dataclass(frozen=True)
class Outcomes:
    """What happened in each shift: position of shift and cell of each incident, both (n,) int64.

    `undated` (u,) int64: first shift of those incidents of the grid that may have happened in
    more than one; they are not judged.
    """

    shift: NDArray[np.int64]
    cell: NDArray[np.int64]
    undated: NDArray[np.int64]


def calendar(
    shifts: Mapping[str, str], timezone: str, train_from: date, test_from: date, test_to: date
) -> tuple[Shifts, range]:
    """The shifts from the first day of history to the last tested day, and the tested positions.

    A shift belongs to the local day it starts on; all days are included.
    Raises Invalid where the test has no day or begins before the history.
    """
    if test_to < test_from:
        raise Invalid(f"the test ends on {test_to}, before it begins on {test_from}")
    if test_from < train_from:
        raise Invalid(f"the test begins on {test_from}, before the history on {train_from}")
    try:
        whole = instances(shifts, timezone, train_from, test_to)
        tested = len(instances(shifts, timezone, test_from, test_to))
    except ValueError as error:
        raise Invalid(str(error)) from error
    return whole, range(len(whole) - tested, len(whole))


def outcomes(
    incidents: Incidents, grid: Grid, shifts: Shifts, parameters: RiskParameters = DEFAULTS
) -> Outcomes:
    """The usable incidents of the grid by the shift in which they certainly happened."""
    used, cell = placed(incidents.take(usable(incidents, parameters)), grid)
    if not len(shifts):
        nothing = np.zeros(0, dtype=np.int64)
        return Outcomes(nothing, nothing, nothing)
    first = np.searchsorted(shifts.start_us, used.time_us, side="right") - 1
    last = np.searchsorted(shifts.start_us, np.maximum(used.to_us, used.time_us), side="right") - 1
    inside = (first >= 0) & (used.time_us < shifts.end_us[first])
    sure = inside & (first == last)
    return Outcomes(first[sure], cell[sure], first[inside & ~sure])


def backtest(
    incidents: Incidents,
    grid: Grid,
    shifts: Shifts,
    tested: Sequence[int],
    severity: Mapping[str, float],
    parameters: RiskParameters = DEFAULTS,
    mode: str = "auto",
) -> Iterator[Step]:
    """The risk of each tested shift, in order of time, and its scores beside the baselines.

    The model is chosen as in service (`app.model`), from what was known before each 28
    weeks of the test. Streamed: memory grows with cells and components, not with shifts.
    Raises Invalid where the grid has no cell.
    """
    if not len(grid.cells):
        raise Invalid("no cell's centre lies inside the boundary; use a finer resolution")
    own = len(parameters.components)
    both = replace(parameters, components=parameters.components + BASELINES)
    met = outcomes(incidents, grid, shifts, parameters)
    sizes = [accuracy.cells_within(budget, len(grid.cells)) for budget in BUDGETS]
    order = np.argsort(met.shift, kind="stable")
    history = history_of(incidents, grid, shifts, severity, parameters)
    counted = rolling(incidents, grid, shifts, tested, severity, both)
    learned = _learned(history, tested, mode)
    for (i, parts), (found, reason) in zip(counted, learned, strict=True):
        first, last = np.searchsorted(met.shift, [i, i + 1], sorter=order)
        here = np.bincount(met.cell[order[first:last]], minlength=len(grid.cells))
        model = parts[:, :own].sum(axis=1) if found is None else found
        level = np.full(len(grid.cells), parts[0, own].mean())
        surfaces = np.array([model[0], level, *parts[0, own:]])
        scores = _scores(surfaces, here.astype(np.float64), sizes)
        undated = int((met.undated == i).sum())
        yield Step(i, model[0], model[1], scores._replace(undated=undated), reason)


def _learned(
    history: History, tested: Sequence[int], mode: str
) -> Iterator[tuple[Floats | None, str]]:
    """The learned incidents and harm of each tested shift, (2, m), or None where counts serve."""
    for first in range(0, len(tested), REFIT_SHIFTS):
        some = tested[first : first + REFIT_SHIFTS]
        chosen = choose(history, some[0], mode)
        if chosen.mixture is None:
            yield from ((None, chosen.reason) for _ in some)
            continue
        for _, parts in predict(
            chosen.mixture, history.evidence, history.grid, history.shifts, some
        ):
            yield parts.sum(axis=1), chosen.reason


def report(scores: Sequence[Scores], grid: Grid, notes: Sequence[str] = ()) -> dict[str, Any]:
    """All tested shifts together, as JSON has it: hits pooled over incidents pooled.

    Ratios that are not defined are None. No shifts give zeros and None.
    """
    cells = len(grid.cells)
    areas = area_km2(grid.cells)
    sizes = [accuracy.cells_within(budget, cells) for budget in BUDGETS] if cells else []
    happened = float(sum(s.happened for s in scores))
    return {
        "shifts": len(scores),
        "cells": cells,
        "resolution": grid.resolution,
        "area_km2": float(areas.sum()),
        "incidents": happened,
        "undated": sum(s.undated for s in scores),
        "budgets": [
            {"share": share, "cells": n, "area_km2": float(areas.mean()) * n}
            for share, n in zip(BUDGETS, sizes, strict=False)
        ],
        "models": {
            name: _pooled(scores, m, sizes, cells, float(areas.mean()) if cells else 0.0)
            for m, name in enumerate(MODELS)
        },
        "notes": list(notes),
    }


def _scores(surfaces: Floats, happened: Floats, sizes: Sequence[int]) -> Scores:
    caught = np.array([accuracy.hits(row, happened, sizes) for row in surfaces])
    tops = [accuracy.ranking(row, happened)[: sizes[0]] for row in surfaces]
    capture = np.array([accuracy.capture_area(row, happened) or 0.0 for row in surfaces])
    total = float(happened.sum())
    # All cells tie in the uniform surface; it stands for a blind choice, not for the worst one.
    blind = MODELS.index("uniform")
    caught[blind] = total * np.array(sizes) / len(happened)
    capture[blind] = 0.5
    return Scores(
        caught=caught,
        deviance=accuracy.poisson_deviance(surfaces, happened).sum(axis=1),
        expected=surfaces.sum(axis=1),
        top_expected=np.array([row[top].sum() for row, top in zip(surfaces, tops, strict=True)]),
        top_caught=caught[:, 0],
        capture=capture * total,
        possible=accuracy.most(happened, sizes),
        happened=total,
        undated=0,
    )


def _pooled(
    scores: Sequence[Scores], m: int, sizes: Sequence[int], cells: int, mean_km2: float
) -> dict[str, Any]:
    happened = float(sum(s.happened for s in scores))
    caught = sum((s.caught[m] for s in scores), np.zeros(len(sizes)))
    possible = sum((s.possible for s in scores), np.zeros(len(sizes)))
    searched = [n * len(scores) * mean_km2 for n in sizes]
    expected = float(sum(s.expected[m] for s in scores))
    top = float(sum(s.top_expected[m] for s in scores))
    capture = float(sum(s.capture[m] for s in scores))
    trials = len(scores) * cells
    each = list(zip(map(float, caught), map(float, possible), searched, sizes, strict=True))
    return {
        "hit_rate": [accuracy.hit_rate(got, happened) for got, _, _, _ in each],
        "pai": [accuracy.pai(got, happened, n, cells) for got, _, _, n in each],
        "pei": [accuracy.pei(got, most) for got, most, _, _ in each],
        "search_efficiency": [accuracy.search_efficiency(got, km2) for got, _, km2, _ in each],
        "capture_area": capture / happened if happened else None,
        "deviance": float(sum(s.deviance[m] for s in scores)) / trials if trials else None,
        "observed_over_expected": accuracy.observed_over_expected(happened, expected),
        "observed_over_expected_top": accuracy.observed_over_expected(
            float(sum(s.top_caught[m] for s in scores)), top
        ),
    }


@dataclass(frozen=True)
class Judgement:
    """How the zones of one plan met what then happened, beside plain counts at equal area.

    `happened` incidents in the district during the shift, `caught` those inside the zones.
    `caught_by_counts`: those inside as many cells, each chosen by the last twelve months' counts;
    `caught_by_counted_zones`: inside as many zones of the same kind chosen by those counts.
    `possible`: the most that so many cells could have held. `chosen` of `cells` cells are zones.
    """

    happened: int
    caught: int
    caught_by_counts: int
    caught_by_counted_zones: int
    possible: int
    chosen: int
    cells: int


def judge(
    zones: Sequence[NDArray[np.uint64]],
    grid: Grid,
    incidents: Incidents,
    shift: Shift,
    limits: ZoneParameters,
    parameters: RiskParameters = DEFAULTS,
) -> Judgement:
    """The judgement of a plan whose zones have these cells, from all that is known now.

    `limits`: those of the plan's zones. Only incidents that certainly happened within the shift are
    judged; the counts use what was on record before its start, and their ties go against them.
    """
    used, where = placed(incidents.take(usable(incidents, parameters)), grid)
    within = (used.time_us >= shift.start_us) & (used.to_us < shift.end_us)
    happened = np.bincount(where[within], minlength=len(grid)).astype(np.float64)
    year = known_before(used, shift.start_us) & (used.time_us >= shift.start_us - 365 * DAY_US)
    counts = np.bincount(where[year], minlength=len(grid)).astype(np.float64)
    chosen = index_of(grid, np.concatenate([np.zeros(0, np.uint64), *zones]))
    counted = choose_zones(counts, grid, neighbours(grid), len(zones), limits).zones
    size = [len(chosen)]
    return Judgement(
        happened=int(happened.sum()),
        caught=int(happened[chosen].sum()),
        caught_by_counts=int(accuracy.hits(counts, happened, size)[0]),
        caught_by_counted_zones=int(sum(happened[zone].sum() for zone in counted)),
        possible=int(accuracy.most(happened, size)[0]),
        chosen=len(chosen),
        cells=len(grid),
    )
