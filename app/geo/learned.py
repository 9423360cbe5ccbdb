"""The learned model in the place of the fixed one: the same risk, and what it is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from app.geo.features import EVER, Feature, evidence_of
from app.geo.grid import Grid
from app.geo.mixture import Mixture, MixtureParameters, happened, learn, predict
from app.geo.risk import DEFAULTS, Floats, Incidents, Ints, Risk, RiskParameters
from app.shifts import Shift, Shifts

NAME = "mixture-1"  # what a plan calls this model

SCOPES = {
    "all": "all shifts",
    "same": "this shift",
    "weekend": "this shift in this part of the week",
    "weekday": "this shift on this weekday",
    "district": "the district's mean for this shift",
}
# Half the weight of a count lies within its half-life, nine tenths within some three of them.
TIMES = ((10.0, "of the last days"), (60.0, "of the last weeks"), (200.0, "of the last months"))
PLACES = ("", " in the cells around", " two cells away")


class Reason(NamedTuple):
    """A part of a zone's risk in words, with what it adds: incidents expected, and harm."""

    words: str
    incidents: float
    harm: float


class Behind(NamedTuple):
    """The incidents on record behind a zone's risk: `origin` (n,) int64 are their positions."""

    origin: Ints
    latest_us: int | None  # when the latest of them happened


def fit(
    incidents: Incidents,
    grid: Grid,
    shifts: Shifts,
    before: int,
    risk: RiskParameters = DEFAULTS,
    parameters: MixtureParameters | None = None,
) -> Mixture | None:
    """The model that history before the shift at position `before` supports, or None."""
    evidence = evidence_of(incidents, grid, shifts, {}, risk)
    met = happened(evidence, incidents.time_us, incidents.to_us, shifts)
    return learn(evidence, met, grid, shifts, before, parameters)


def expected(
    incidents: Incidents,
    grid: Grid,
    shifts: Shifts,
    shift: Shift,
    data_until_us: int,
    severity: Mapping[str, float],
    model: Mixture,
    parameters: RiskParameters = DEFAULTS,
) -> Risk:
    """The risk of each cell in `shift`, one of `shifts`, as `app.geo.risk.expected` gives it.

    Only what was known before the shift and before `data_until_us` is used.
    Raises ValueError where the shift is not one of `shifts`, or has a name the model never saw.
    """
    position = int(np.searchsorted(shifts.start_us, shift.start_us))
    if position >= len(shifts) or shifts.at(position) != shift:
        raise ValueError("the shift is not one of the calendar's")
    if shifts.names != model.names:
        raise ValueError(f"the model knows the shifts {', '.join(model.names)} alone")
    evidence = evidence_of(incidents, grid, shifts, severity, parameters)
    cut_us = min(shift.start_us, data_until_us)
    _, parts = next(predict(model, evidence, grid, shifts, [position], cut_us=cut_us))
    known = evidence.origin[: int(np.searchsorted(evidence.latest_us, cut_us))]
    names = tuple(feature.name for feature in model.parameters.features)
    sums = parts.sum(axis=1)
    return Risk(names, parts[0], parts[1], sums[0], sums[1], len(np.unique(known)))


def words_of(feature: Feature) -> str:
    """What a feature counts, for people; features of one kind have the same words."""
    if feature.scope == "district":
        return SCOPES["district"]
    place = PLACES[feature.ring]
    if feature.half_life_days == EVER:
        return f"{SCOPES[feature.scope]}{place} over the whole record"
    for days, words in TIMES:
        if feature.half_life_days <= days:
            return f"{SCOPES[feature.scope]}{place} {words}"
    return f"{SCOPES[feature.scope]}{place} over the last year or two"


def reasons(risk: Risk, features: Sequence[Feature], cells: Ints) -> tuple[Reason, ...]:
    """What the risk of a set of cells is made of, the largest part first.

    The parts add up to the cells' risk; those that add nothing are left out.
    """
    found: dict[str, Floats] = {}
    for k, feature in enumerate(features):
        both = np.array([risk.incident_parts[k, cells].sum(), risk.harm_parts[k, cells].sum()])
        found[words_of(feature)] = found.get(words_of(feature), np.zeros(2)) + both
    parts = [Reason(words, float(both[0]), float(both[1])) for words, both in found.items()]
    return tuple(
        sorted((p for p in parts if p.incidents > 0), key=lambda p: (-p.incidents, p.words))
    )


def behind(
    incidents: Incidents,
    grid: Grid,
    shifts: Shifts,
    shift: Shift,
    cut_us: int,
    cells: Ints,
    days: float = 365.0,
    parameters: RiskParameters = DEFAULTS,
) -> Behind:
    """The usable incidents that may have happened in these cells in shifts of that name lately."""
    evidence = evidence_of(incidents, grid, shifts, {}, parameters)
    name = shifts.names.index(shift.name)
    since_us = cut_us - int(days * 86_400_000_000)
    chosen = (evidence.latest_us < cut_us) & (evidence.moment_us >= since_us)
    chosen &= (evidence.group // 7 == name) & np.isin(evidence.where, cells)
    origin = np.unique(evidence.origin[chosen])
    return Behind(origin, int(incidents.time_us[origin].max()) if len(origin) else None)


def to_members(model: Mixture) -> dict[str, Any]:
    """The model as JSON has it; `from_members` gives the same model back, to the last bit."""
    return {
        "name": NAME,
        "shifts": list(model.names),
        "knots": model.knots.tolist(),
        "weights": model.weights.tolist(),
        "until_us": model.until_us,
        "incidents": model.incidents,
        "parameters": asdict(model.parameters)
        | {
            # JSON has no infinity: a count that never fades has the half-life null.
            "features": [
                [f.scope, None if f.half_life_days == EVER else f.half_life_days, f.ring]
                for f in model.parameters.features
            ],
        },
    }


def from_members(members: Mapping[str, Any]) -> Mixture:
    """The model that `to_members` wrote. Raises ValueError where it is of another kind."""
    if members.get("name") != NAME:
        raise ValueError(f"a model {members.get('name')!r} is not read here, only {NAME!r}")
    read = dict(members["parameters"])
    read["features"] = tuple(
        Feature(scope, EVER if life is None else life, ring)
        for scope, life, ring in read["features"]
    )
    read["hats"] = tuple(read["hats"])
    return Mixture(
        tuple(members["shifts"]),
        np.array(members["knots"], dtype=np.float64),
        np.array(members["weights"], dtype=np.float64),
        int(members["until_us"]),
        float(members["incidents"]),
        MixtureParameters(**read),
    )
