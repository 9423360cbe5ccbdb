"""Whether one ranking of cells did better than another, and whether that could be chance.

Both are judged on the same shifts. Weeks are drawn with replacement, whole, so that what makes
one shift like the next (weather, events, a crew of burglars) stays together.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.shifts import DAY_US

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ROUNDS = 2000
COVERAGE = 0.95


class Interval(NamedTuple):
    """A difference between two rankings, with a bootstrap interval around it."""

    low: float
    middle: float
    high: float


@dataclass(frozen=True)
class Record:
    """How one model did: per shift, (t,) or (t, b).

    `caught` (t, b) incidents within each budget, `happened` (t,), `deviance` (t,) summed over
    the cells.
    """

    caught: Floats
    happened: Floats
    deviance: Floats


@dataclass(frozen=True)
class Verdict:
    """Whether the learned model is to be used, and why, in a sentence with figures."""

    learned: bool
    reason: str


def weeks_of(start_us: Ints) -> Ints:
    """The week of each shift, counted from the first one's start: (t,) int64."""
    if not len(start_us):
        return np.zeros(0, dtype=np.int64)
    weeks: Ints = (start_us - start_us[0]) // (7 * DAY_US)
    return weeks


def paired(
    gain: Floats, per: Floats, weeks: Ints, rng: np.random.Generator, rounds: int = ROUNDS
) -> Interval | None:
    """Interval of `sum(gain) / sum(per)` when weeks are drawn with replacement.

    `gain` (t,): how much more one model had than the other in each shift; `per` (t,): of how
    much. None where there is nothing to divide by, or fewer than two weeks.

    Source: Künsch (1989), doi:10.1214/aos/1176347265 (blocks); Efron & Tibshirani (1993), An
    Introduction to the Bootstrap, 13.3 (percentile interval).
    """
    count = int(weeks.max()) + 1 if len(weeks) else 0
    total = float(per.sum())
    if count < 2 or total <= 0:
        return None
    gains, pers = np.bincount(weeks, gain, count), np.bincount(weeks, per, count)
    drawn = rng.integers(0, count, (rounds, count))
    ratios = gains[drawn].sum(axis=1) / np.maximum(pers[drawn].sum(axis=1), 1e-12)
    low, high = np.quantile(ratios, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return Interval(float(low), float(gain.sum()) / total, float(high))


def verdict(learned: Record, counts: Record, weeks: Ints, budgets: tuple[float, ...]) -> Verdict:
    """The gate: the learned model serves only where it beat plain counts on the same shifts.

    It has to have the smaller deviance, and together over the budgets at least as many hits;
    without enough to tell (no incidents, fewer than four weeks) counts serve.
    """
    total = float(learned.happened.sum())
    span = int(weeks.max()) + 1 if len(weeks) else 0
    if total <= 0 or span < 4:
        return Verdict(False, f"{total:.0f} incidents in {span} tested weeks are too few to tell")
    ours, theirs = learned.caught.sum(axis=0), counts.caught.sum(axis=0)
    fit, plain = float(learned.deviance.sum()), float(counts.deviance.sum())
    better = fit < plain and float(ours.sum()) >= float(theirs.sum())
    rates = ", ".join(
        f"{a / total:.1%} against {b / total:.1%} at {share:.1%} of the area"
        for share, a, b in zip(budgets, ours, theirs, strict=True)
    )
    drop = 1 - fit / plain if plain > 0 else 0.0
    return Verdict(
        better,
        f"over {span} weeks and {total:.0f} incidents it caught {rates}; its deviance is "
        f"{abs(drop):.1%} {'smaller' if drop >= 0 else 'larger'} than that of 12-month counts",
    )
