"""Which model serves a district: the learned one only where it beat plain counts there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from app.geo import accuracy
from app.geo.compare import Record, Verdict, verdict, weeks_of
from app.geo.features import Evidence, evidence_of
from app.geo.grid import Grid
from app.geo.mixture import Happened, Mixture, MixtureParameters, happened, learn, predict
from app.geo.risk import DEFAULTS, Component, Floats, Incidents, RiskParameters
from app.geo.rolling import rolling
from app.shifts import DAY_US, Shifts

MODES = ("auto", "learned", "counts")
COUNTS = Component("last_12_months", 1, float("inf"), same_shift=False, ring=False, window_days=365)
JUDGED_DAYS = 91  # of the rolling backtest that opens the gate: a season, thirteen weeks
BUDGETS = (0.01, 0.02, 0.05)  # areas that zones usually cover


class History(NamedTuple):
    """All that a model of a grid is learned from and judged by."""

    incidents: Incidents
    grid: Grid
    shifts: Shifts
    evidence: Evidence
    met: Happened
    risk: RiskParameters


@dataclass(frozen=True)
class Chosen:
    """The model that serves: None stands for counts. `reason` says which and why, with figures."""

    mixture: Mixture | None
    reason: str


def history_of(
    incidents: Incidents,
    grid: Grid,
    shifts: Shifts,
    severity: Mapping[str, float],
    risk: RiskParameters = DEFAULTS,
) -> History:
    """Incidents made ready for learning; what happened before the first shift is not used."""
    evidence = evidence_of(incidents, grid, shifts, severity, risk)
    met = happened(evidence, incidents.time_us, incidents.to_us, shifts)
    return History(incidents, grid, shifts, evidence, met, risk)


def choose(
    history: History,
    before: int,
    mode: str = "auto",
    parameters: MixtureParameters | None = None,
) -> Chosen:
    """The model for the shifts from position `before` on, from what was known before it.

    `auto` learns twice: on what lies before the last thirteen weeks, to be judged on those, and
    on everything. Raises ValueError for a mode that does not exist.
    """
    if mode not in MODES:
        raise ValueError(f"no mode is called {mode!r}; there are {', '.join(MODES)}")
    if mode == "counts":
        return Chosen(None, "Counts: set to descriptive counts only.")
    if mode == "auto":
        found = gate(history, before, parameters)
        if not found.learned:
            return Chosen(None, f"Counts: {found.reason}.")
        reason = f"Learned: {found.reason}."
    else:
        reason = "Learned: set so, without a test."
    model = learn(history.evidence, history.met, history.grid, history.shifts, before, parameters)
    if model is None:
        return Chosen(None, "Counts: the history is too short to learn from.")
    return Chosen(model, reason)


def gate(history: History, before: int, parameters: MixtureParameters | None = None) -> Verdict:
    """Whether a model learned before the last thirteen weeks beat counts in them."""
    shifts = history.shifts
    if before <= 0 or before > len(shifts):
        return Verdict(False, "there is no history")
    since_us = int(shifts.end_us[before - 1]) - JUDGED_DAYS * DAY_US
    tested = range(int(np.searchsorted(shifts.start_us, since_us)), before)
    model = learn(history.evidence, history.met, history.grid, shifts, tested.start, parameters)
    if model is None:
        return Verdict(False, "the history is too short to learn from and to test on")
    learned = predict(model, history.evidence, history.grid, shifts, tested, harm=False)
    plain = RiskParameters(
        components=(COUNTS,),
        sources_left_out=history.risk.sources_left_out,
        categories_left_out=history.risk.categories_left_out,
    )
    counts = rolling(history.incidents, history.grid, shifts, tested, {}, plain)
    weeks = weeks_of(shifts.start_us[tested.start : tested.stop])
    return verdict(
        _record(history, [parts[0].sum(axis=0) for _, parts in learned], tested),
        _record(history, [parts[0].sum(axis=0) for _, parts in counts], tested),
        weeks,
        BUDGETS,
    )


def _record(history: History, surfaces: Sequence[Floats], tested: range) -> Record:
    cells = len(history.grid.cells)
    sizes = [accuracy.cells_within(budget, cells) for budget in BUDGETS]
    caught, total, deviance = [], [], []
    for i, surface in zip(tested, surfaces, strict=True):
        here = slice(*np.searchsorted(history.met.shift, [i, i + 1]))
        counted = np.bincount(history.met.where[here], history.met.weight[here], cells)
        truth = counted.astype(np.float64)
        caught.append(accuracy.hits(surface, truth, sizes))
        total.append(float(truth.sum()))
        deviance.append(float(accuracy.poisson_deviance(surface, truth).sum()))
    return Record(np.array(caught), np.array(total), np.array(deviance))
