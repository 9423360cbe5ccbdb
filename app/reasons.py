"""What a plan says in words: why each zone, and what the reader should know about the whole."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.coverage import Patrol
from app.geo.grid import Grid
from app.geo.priority import PriorityParameters
from app.geo.risk import Risk
from app.geo.visits import Choice
from app.moments import text_of
from app.severity import Severity
from app.shifts import SECOND_US, Shift
from app.store.plans import PlanCells

Floats = NDArray[np.float64]

MAX_PARTS = 3  # sources of risk that are named; the rest is summed up
STALE_S = 3_600  # GPS older than this at the data cut-off is worth a note
WORDS = {  # what each component of the risk counts, for people
    "all_30": "all shifts of the last weeks",
    "all_365": "all shifts of the last year",
    "same_30": "this shift in the last weeks",
    "same_365": "this shift over the last year",
    "ring_365": "this shift in the cells around",
}


def reasons_of(
    choice: Choice, cells: PlanCells, risk: Risk, areas_km2: Floats, shift: Shift
) -> list[list[str]]:
    """For each zone of the choice its reasons, in words and numbers."""
    whole = float(risk.expected_harm.sum())
    total_km2 = float(areas_km2.sum())
    return [
        [
            _expected(zone, risk, shift, whole, float(areas_km2[zone].sum()) / total_km2),
            _parts(zone, risk),
            _patrolled(zone, cells),
        ]
        for zone in choice.zones
    ]


def notes_of(
    grid: Grid,
    risk: Risk,
    patrol: Patrol,
    severity: Severity,
    choice: Choice,
    parameters: PriorityParameters,
    data_until_us: int,
    silence_s: float,
) -> list[str]:
    """What is unknown, assumed, or left out; and why a plan is empty."""
    notes: list[str] = []
    if not len(grid):
        notes.append("The district holds no cell's centre at this resolution: nothing to plan.")
    elif risk.counted == 0:
        notes.append(
            "No incident on record in this district before the data cut-off: no place can be"
            " preferred, so no zone is suggested."
        )
    notes += choice.notes
    notes += _gps_notes(patrol, parameters, data_until_us, silence_s)
    return notes + list(severity.notes)


def _gps_notes(
    patrol: Patrol, parameters: PriorityParameters, data_until_us: int, silence_s: float
) -> list[str]:
    window_h = parameters.dosage_window_s / 3600
    if patrol.last_us is None:
        return [
            f"No GPS in the {window_h:g} h before the data cut-off: patrol is unknown there, and"
            " lowers no priority."
        ]
    notes = []
    age_s = (data_until_us - patrol.last_us) / SECOND_US
    if age_s > STALE_S:
        notes.append(
            f"The last GPS before the data cut-off is of {text_of(patrol.last_us)}: patrol since"
            " then is unknown."
        )
    notes.append(
        f"GPS of all units followed them for {patrol.observed_s / 3600:.0f} h of the"
        f" {window_h:g} h before. {patrol.unobserved_s / 3600:.1f} h between messages are unknown,"
        f" and so is what a unit did while silent for more than {silence_s / 60:g} min; what is"
        " unknown lowers no priority."
    )
    return notes


def _expected(
    zone: NDArray[np.int64], risk: Risk, shift: Shift, whole: float, share_of_area: float
) -> str:
    incidents = float(risk.expected_incidents[zone].sum())
    harm = float(risk.expected_harm[zone].sum())
    share = harm / whole if whole > 0 else 0.0
    return (
        f"Expected in shift {shift.name}: {incidents:.2g} incidents with a harm of {harm:.3g},"
        f" {share:.1%} of the district's on {share_of_area:.2%} of its area."
    )


def _parts(zone: NDArray[np.int64], risk: Risk) -> str:
    sums = risk.harm_parts[:, zone].sum(axis=1)
    total = float(sums.sum())
    order = np.argsort(-sums, kind="stable")
    named = [i for i in order[:MAX_PARTS].tolist() if sums[i] > 0]
    shares = [
        f"{sums[i] / total:.0%} {WORDS.get(risk.components[i], risk.components[i])}" for i in named
    ]
    rest = total - float(sums[named].sum())
    if rest > 0.005 * total:
        shares.append(f"{rest / total:.0%} other")
    return f"That comes from: {', '.join(shares)}."


def _patrolled(zone: NDArray[np.int64], cells: PlanCells) -> str:
    minutes = float(cells.dosage_s[zone].sum()) / 60
    harm, unmet = float(cells.expected_harm[zone].sum()), float(cells.priority[zone].sum())
    lowered = 1 - unmet / harm if harm > 0 else 0.0
    if minutes < 1:
        return "No patrol was seen here in the dosage window; nothing lowers its priority."
    return (
        f"Patrol seen here in the dosage window: {minutes:.0f} min; what is left of it lowers the"
        f" priority by {lowered:.0%}."
    )


Reasons = Sequence[Sequence[str]]
