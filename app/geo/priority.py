"""Priority: the harm expected in a cell that patrol has not already met.

Presence deters, and for a while after it has gone; then the effect fades. So each second of patrol
counts less the longer ago it was, and a cell with much of it left gives way to others.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.shifts import HOUR_US, SECOND_US

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_HOUR_S = HOUR_US / SECOND_US


@dataclass(frozen=True)
class PriorityParameters:
    """How long patrol counts, how fast its effect fades, and how much of it lowers priority.

    That deterrence outlives presence and decays: Sherman (1990), doi:10.1086/449163; over weeks,
    Sorg et al. (2013), doi:10.1111/j.1745-9125.2012.00290.x, saw it fade during foot patrols and
    none left afterwards. How fast within a day, no study says: the defaults put Koper's findings
    (1995, doi:10.1080/07418829500096231) and the practice built on them (Telep, Mitchell and
    Weisburd 2014, doi:10.1080/07418825.2012.710645) into the formula.
    `dosage_window_s` [s]: older patrol is left out; after a day, less than a thousandth is left.
    `dosage_half_life_s` [s]: two hours, about when a car should be back.
    `tau_s` [s]: about a quarter of an hour, where further minutes add little: a cell with so much
    presence left keeps 1/e of its priority.
    """

    dosage_window_s: float = 86_400.0
    dosage_half_life_s: float = 7_200.0
    tau_s: float = 900.0

    def __post_init__(self) -> None:
        """Raises ValueError for a time that is not above zero."""
        times = (self.dosage_window_s, self.dosage_half_life_s, self.tau_s)
        if not all(np.isfinite(time) and time > 0 for time in times):
            raise ValueError("the dosage's window, its half-life and tau must be above zero")


def dosage(
    cell: Ints,
    hour: Ints,
    presence_s: Floats,
    size: int,
    at_us: int,
    parameters: PriorityParameters,
) -> Floats:
    """Seconds of patrol in each cell within the window before `at_us`: (size,) float64 [s].

    A row says that patrol was in the cell with index `cell` (n,) int64 for `presence_s` (n,) [s]
    of the UTC hour `hour` (n,) int64, transit left out; rows with cell -1 are of elsewhere. Seconds
    are taken as spread evenly over what of their hour lies before `at_us`: the caller gives none
    from later. Zeros for no rows.
    """
    first_s, last_s = _ages(hour, at_us)
    inside = np.clip(parameters.dosage_window_s, last_s, first_s) - last_s
    return _summed(cell, presence_s * _share(inside, first_s - last_s), size)


def residual(
    cell: Ints,
    hour: Ints,
    presence_s: Floats,
    size: int,
    at_us: int,
    parameters: PriorityParameters,
) -> Floats:
    """What is left at `at_us` of the patrol in each cell within the window: (size,) float64 [s].

    Each second counts 2 ** (-age / dosage_half_life_s). Arguments as for `dosage`, which it never
    exceeds. Zeros for no rows.

    Source: exponential decay of residual deterrence, after Sherman (1990), doi:10.1086/449163.
    """
    first_s, last_s = _ages(hour, at_us)
    oldest_s = np.clip(parameters.dosage_window_s, last_s, first_s)
    mean_life_s = parameters.dosage_half_life_s / np.log(2.0)
    # The integral of the decay over the ages that the row spans, within the window.
    left_s = mean_life_s * (np.exp(-last_s / mean_life_s) - np.exp(-oldest_s / mean_life_s))
    return _summed(cell, presence_s * _share(left_s, first_s - last_s), size)


def priority(harm: Floats, residual_s: Floats, parameters: PriorityParameters) -> Floats:
    """Expected harm times exp(-residual_s / tau_s): (m,) float64, in the unit of `harm` (m,).

    More harm never lowers it, more residual dosage never raises it. Empty for empty input.
    """
    unmet: Floats = harm * np.exp(-residual_s / parameters.tau_s)
    return unmet


def _ages(hour: Ints, at_us: int) -> tuple[Floats, Floats]:
    """Age at `at_us` of the first and the last moment that a row may speak of [s], 0 at least."""
    first_s = (at_us - hour * HOUR_US) / SECOND_US
    return np.maximum(first_s, 0.0), np.maximum(first_s - _HOUR_S, 0.0)


def _share(part_s: Floats, span_s: Floats) -> Floats:
    """`part_s / span_s`, 0 for rows from after the moment asked for."""
    return np.divide(part_s, span_s, out=np.zeros(len(span_s)), where=span_s > 0.0)


def _summed(cell: Ints, seconds: Floats, size: int) -> Floats:
    inside = (cell >= 0) & (cell < size)
    return np.bincount(cell[inside], weights=seconds[inside], minlength=size).astype(np.float64)
