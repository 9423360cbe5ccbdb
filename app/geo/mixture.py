"""A risk learned from history: a non-negative sum of features, weighted by maximum likelihood.

    λ = level · Σ_k Σ_b w[name, k, b] · φ_b(own risk) · f_k,    w ≥ 0

f_k are the features of `app.geo.features`; φ_b are hat functions of the cell's own risk (they sum
to 1), so that weights slide from quiet to busy cells; each shift name has its own weights; `level`
is the square root of the city's current level for that shift and weekday over its level of the
last year. Because everything is a sum of counts, a cell's risk is exactly what its parts say.

Source: Mohler, Short, Brantingham, Schoenberg & Tita (2011), doi:10.1198/jasa.2011.ap09546 (a
sum of history weighted by EM); Dempster, Laird & Rubin (1977),
doi:10.1111/j.2517-6161.1977.tb01600.x.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.geo.features import EVER, FEATURES, Evidence, Feature, stream
from app.geo.grid import Grid
from app.geo.risk import Floats, Ints
from app.shifts import DAY_US, Shifts

Singles = NDArray[np.float32]
TINY = 1e-12  # expected incidents below which a cell is as good as empty

# The cell's own risk that the weights slide with: a plain guess, fixed so that it needs no fit.
INDEX = (
    (Feature("all", 30.0), 0.10),
    (Feature("all", 365.0), 0.10),
    (Feature("same", 365.0), 0.60),
    (Feature("same", EVER), 0.10),
    (Feature("same", 365.0, ring=1), 0.07),
    (Feature("district", 365.0), 0.03),
)
# Numerator and denominator of the level, as sums over all cells.
LEVEL_NOW = (Feature("weekend", 30.0), Feature("weekday", 120.0))
LEVEL_YEAR = Feature("same", 365.0)


@dataclass(frozen=True)
class MixtureParameters:
    """How the weights are found; stored with each model. No value depends on a city."""

    features: tuple[Feature, ...] = FEATURES
    # Hats stand at these quantiles of the own risk of cells in which something happened.
    hats: tuple[float, ...] = (0.1, 0.4, 0.75, 0.97)
    pooled_rounds: int = 30  # of EM, all shift names together
    rounds: int = 150  # of EM for each shift name; stopping early is itself a shrinkage
    # Each weight is drawn to that of all names together as if so many incidents had said so.
    prior_incidents: float = 10.0
    train_half_life_days: float = 730.0  # of what a past shift says about the weights
    train_most_days: float = 1460.0
    burn_in_days: float = 365.0  # before that the features know too little; a third at most
    level_power: float = 0.5
    level_prior: float = 20.0  # incidents that say that the level is as it was
    least_incidents: int = 300  # below which nothing is learned


@dataclass(frozen=True)
class Mixture:
    """Learned weights: `weights` (names, k, b) float64, hats at `knots` (b,) of ln own risk.

    Learned from `incidents` incidents before `until_us`.
    """

    names: tuple[str, ...]
    knots: Floats
    weights: Floats
    until_us: int
    incidents: float
    parameters: MixtureParameters


class Happened(NamedTuple):
    """What happened in which shift, by position of shift: sorted columns of length n.

    `weight` is the share of an incident that may have happened in several shifts.
    """

    shift: Ints
    where: Ints
    weight: Floats


class Lessons(NamedTuple):
    """What the shifts of one name teach: a row per incident, and sums over all cells.

    The rows are float32, as EM mostly waits for memory.
    """

    features: Singles  # (n, k)
    hats: Singles  # (n, b), times level
    weight: Singles  # (n,)
    exposure: Floats  # (k, b): what each weight of 1 would have expected in all


def happened(evidence: Evidence, first_us: Ints, last_us: Ints, shifts: Shifts) -> Happened:
    """Each incident by the shifts in which it may have happened, in equal time shares.

    `first_us`, `last_us` (n,): when each incident of the evidence's `origin` happened. One that
    may have happened in more than 42 shifts (two weeks) says nothing about any.
    """
    origin, at = np.unique(evidence.origin, return_index=True)
    where, first, last = evidence.where[at], first_us[origin], last_us[origin]
    i = np.searchsorted(shifts.start_us, first, side="right") - 1
    j = np.maximum(np.searchsorted(shifts.start_us, last, side="left") - 1, i)
    inside = (i >= 0) & (first < np.append(shifts.end_us, 0)[i]) & (j - i < 42)
    where, first, last, i, j = (column[inside] for column in (where, first, last, i, j))
    many = j - i + 1
    row = np.repeat(np.arange(len(i)), many)
    shift = i[row] + np.arange(len(row)) - np.repeat(np.cumsum(many) - many, many)
    overlap = np.minimum(last[row], shifts.end_us[shift]) - np.maximum(
        first[row], shifts.start_us[shift]
    )
    length = (last - first)[row]
    weight = np.where(length > 0, overlap / np.maximum(length, 1), 1.0)
    order = np.lexsort((where[row], shift))
    return Happened(shift[order], where[row][order], weight[order])


def learn(
    evidence: Evidence,
    met: Happened,
    grid: Grid,
    shifts: Shifts,
    before: int,
    parameters: MixtureParameters | None = None,
) -> Mixture | None:
    """The weights that history before shift `before` supports, or None where it is too short.

    Deterministic. Streams through the training shifts once; memory grows with the number of
    incidents and with cells x features.
    """
    chosen = parameters or MixtureParameters()
    pilot, training = _training(shifts, before, chosen)
    last_us = int(shifts.start_us[before]) if before < len(shifts) else int(shifts.end_us[-1])
    spans = np.searchsorted(met.shift, [training.start, training.stop])
    count = float(met.weight[spans[0] : spans[1]].sum())
    if count < chosen.least_incidents:
        return None
    knots = np.zeros(0)
    found: list[Floats] = []
    taught: dict[int, list[tuple[Singles, ...]]] = {n: [] for n in range(len(shifts.names))}
    k, b = len(chosen.features), len(chosen.hats)
    exposure = np.zeros((len(shifts.names), k, b))
    positions = range(pilot.start, training.stop)
    for i, values in stream(evidence, grid, shifts, positions, chosen.features):
        features = values[0]
        index = own_risk(features, chosen)
        here = slice(*np.searchsorted(met.shift, [i, i + 1]))
        where, weight = met.where[here], met.weight[here]
        if i < training.start:
            found.append(index[where])
            continue
        if not len(knots):
            knots = _knots(np.concatenate(found), chosen)
        name = int(shifts.name[i])
        age_days = (last_us - int(shifts.start_us[i])) / DAY_US
        telling = 2.0 ** (-age_days / chosen.train_half_life_days)
        scaled = hats(index, knots, b) * level(features, chosen)
        exposure[name] += telling * (features @ scaled)
        rows = (features[:, where].T, scaled[where], telling * weight)
        taught[name].append(tuple(column.astype(np.float32) for column in rows))
    lessons = [_lessons(taught[n], exposure[n]) for n in range(len(shifts.names))]
    return Mixture(shifts.names, knots, _weights(lessons, chosen), last_us, count, chosen)


def parts(model: Mixture, name: int, values: Floats) -> Floats:
    """What each feature adds to the risk of each cell: (v, k, m) float64, as `values` (v, k, m).

    The first of `values` counts incidents; the weights slide with it for the others as well.
    """
    chosen = model.parameters
    scaled = hats(own_risk(values[0], chosen), model.knots, len(chosen.hats))
    scaled = scaled * level(values[0], chosen)
    result: Floats = values * (model.weights[name] @ scaled.T)
    return result


def predict(
    model: Mixture,
    evidence: Evidence,
    grid: Grid,
    shifts: Shifts,
    tested: Sequence[int],
    harm: bool = True,
    cut_us: int | None = None,
) -> Iterator[tuple[int, Floats]]:
    """For each tested shift its position and the parts of its risk, (v, k, m)."""
    wanted = model.parameters.features
    for i, values in stream(evidence, grid, shifts, tested, wanted, harm, cut_us):
        yield i, parts(model, int(shifts.name[i]), values)


def own_risk(features: Floats, parameters: MixtureParameters) -> Floats:
    """ln of the plain guess of each cell's risk: (m,), from features (k, m)."""
    place = {feature: k for k, feature in enumerate(parameters.features)}
    guess = np.zeros(features.shape[1])
    for feature, weight in INDEX:
        guess += weight * features[place[feature]]
    result: Floats = np.log(guess + 1e-6)
    return result


def level(features: Floats, parameters: MixtureParameters) -> float:
    """The city's current level for this shift and weekday over that of the year, to a power."""
    place = {feature: k for k, feature in enumerate(parameters.features)}
    # The counts behind a rate of 120 days are those of about 24 shifts of one weekday.
    shifts_behind = 120 / np.log(2) / 7
    now = np.mean([features[place[f]].sum() for f in LEVEL_NOW]) * shifts_behind
    year = features[place[LEVEL_YEAR]].sum() * shifts_behind
    prior = parameters.level_prior
    return float(((now + prior) / (year + prior)) ** parameters.level_power)


def hats(index: Floats, knots: Floats, count: int) -> Floats:
    """Piecewise linear functions that sum to 1: (m, count); all in the first without knots."""
    result = np.zeros((len(index), count))
    if len(knots) < 2:
        result[:, 0] = 1
        return result
    clipped = np.clip(index, knots[0], knots[-1])
    left = np.clip(np.searchsorted(knots, clipped, side="right") - 1, 0, len(knots) - 2)
    share = (clipped - knots[left]) / (knots[left + 1] - knots[left])
    rows = np.arange(len(index))
    result[rows, left] = 1 - share
    result[rows, left + 1] += share
    return result


def _training(shifts: Shifts, before: int, chosen: MixtureParameters) -> tuple[range, range]:
    """The shifts that place the hats, and those that teach the weights."""
    if before <= 0:
        return range(0), range(0)
    start_us = shifts.start_us[:before]
    last_us = int(shifts.end_us[before - 1])
    whole_days = (last_us - int(start_us[0])) / DAY_US
    burn_days = min(chosen.burn_in_days, whole_days / 3)
    used_days = min(chosen.train_most_days, whole_days - burn_days)
    pilot_days = used_days / 8
    first = int(np.searchsorted(start_us, last_us - used_days * DAY_US))
    after = int(np.searchsorted(start_us, last_us - (used_days - pilot_days) * DAY_US))
    return range(first, after), range(after, before)


def _lessons(taught: Sequence[tuple[Singles, ...]], exposure: Floats) -> Lessons:
    """The rows of all shifts of one name, one under the other."""
    k, b = exposure.shape
    return Lessons(
        np.concatenate([np.zeros((0, k), np.float32), *(rows[0] for rows in taught)]),
        np.concatenate([np.zeros((0, b), np.float32), *(rows[1] for rows in taught)]),
        np.concatenate([np.zeros(0, np.float32), *(rows[2] for rows in taught)]),
        exposure,
    )


def _knots(index: Floats, chosen: MixtureParameters) -> Floats:
    """Where the hats stand, rising; none where the cells do not differ."""
    if not len(index):
        return np.zeros(1)
    knots: Floats = np.quantile(index, chosen.hats)
    return knots if (np.diff(knots) > 1e-3).all() else np.zeros(1)


def _weights(lessons: Sequence[Lessons], chosen: MixtureParameters) -> Floats:
    """EM from equal weights: first all names together, then each drawn to that: (names, k, b)."""
    shape = lessons[0].exposure.shape
    pooled = np.full(shape, 1 / shape[0])
    exposure = np.sum([lesson.exposure for lesson in lessons], axis=0)
    for _ in range(chosen.pooled_rounds):
        explained = np.sum([_explained(lesson, pooled) for lesson in lessons], axis=0)
        pooled = pooled * explained / np.maximum(exposure, TINY)
    result = []
    for lesson in lessons:
        weights = pooled
        for _ in range(chosen.rounds):
            drawn = weights * _explained(lesson, weights) + chosen.prior_incidents * pooled
            weights = drawn / (lesson.exposure + chosen.prior_incidents)
        result.append(weights)
    return np.array(result)


def _explained(lesson: Lessons, weights: Floats) -> Floats:
    """Incidents that each weight of 1 explains, given the present weights: (k, b)."""
    expected = np.einsum("nb,nb->n", lesson.features @ weights.astype(np.float32), lesson.hats)
    share = lesson.weight / np.maximum(expected, TINY)
    result: Floats = (lesson.features.T @ (lesson.hats * share[:, None])).astype(np.float64)
    return result
