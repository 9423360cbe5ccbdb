"""The learned weights on a town whose truth is known."""

import json
from dataclasses import replace

import numpy as np
import pytest

from app.geo import accuracy
from app.geo.features import Feature, evidence_of
from app.geo.learned import (
    behind,
    expected,
    fit,
    from_members,
    reasons,
    to_members,
    words_of,
)
from app.geo.mixture import MixtureParameters, happened, hats, learn, predict
from app.geo.risk import NO_INCIDENTS
from app.shifts import DAY_US, HOUR_US, SECOND_US
from tests.learning_town import BUSY, SHIFTS, TOWN, drawn, incidents_at, true_rates

QUICK = MixtureParameters(rounds=20, pooled_rounds=10)
BEFORE = 1900  # of 2190 shifts
INCIDENTS = drawn()
MODEL = fit(INCIDENTS, TOWN, SHIFTS, BEFORE, parameters=QUICK)


def risk(position=BEFORE, incidents=INCIDENTS, model=MODEL, until_us=2**62):
    return expected(incidents, TOWN, SHIFTS, SHIFTS.at(position), until_us, {"theft": 2.0}, model)


def test_it_finds_the_true_rates():
    # Nights are three times as busy in the busy cells; two years make that plain.
    for position in (BEFORE, BEFORE + 1, BEFORE + 2):
        truth = true_rates()[SHIFTS.name[position]]
        found = risk(position).expected_incidents
        assert found[BUSY].mean() == pytest.approx(truth[BUSY].mean(), rel=0.15)
        assert found[~BUSY].mean() == pytest.approx(truth[~BUSY].mean(), rel=0.3)


def test_it_beats_the_last_twelve_months():
    evidence = evidence_of(INCIDENTS, TOWN, SHIFTS, {})
    met = happened(evidence, INCIDENTS.time_us, INCIDENTS.to_us, SHIFTS)
    year = (INCIDENTS.time_us < SHIFTS.start_us[BEFORE]) & (
        INCIDENTS.time_us >= SHIFTS.start_us[BEFORE] - 365 * DAY_US
    )
    cells = np.searchsorted(TOWN.cells, INCIDENTS.cell[year])
    counts = np.bincount(cells, minlength=91) / (3 * 365)
    ours = theirs = 0.0
    for i, parts in predict(MODEL, evidence, TOWN, SHIFTS, range(BEFORE, 2190), harm=False):
        here = met.shift == i
        truth = np.bincount(met.where[here], met.weight[here], 91)
        ours += float(accuracy.poisson_deviance(parts[0].sum(axis=0), truth).sum())
        theirs += float(accuracy.poisson_deviance(counts, truth).sum())
    assert ours < theirs


def test_totals_are_right():
    evidence = evidence_of(INCIDENTS, TOWN, SHIFTS, {})
    tested = range(BEFORE, 2190)
    whole = sum(
        parts[0].sum() for _, parts in predict(MODEL, evidence, TOWN, SHIFTS, tested, harm=False)
    )
    after = float((INCIDENTS.time_us >= SHIFTS.start_us[BEFORE]).sum())
    assert after / whole == pytest.approx(1.0, abs=0.06)


def test_the_parts_add_up_to_the_risk():
    found = risk()
    assert found.components == tuple(f.name for f in QUICK.features)
    assert np.abs(found.incident_parts.sum(axis=0) - found.expected_incidents).max() <= 1e-9
    assert (found.incident_parts >= 0).all()
    # Every theft weighs 2: harm is twice the incidents.
    assert found.expected_harm == pytest.approx(2 * found.expected_incidents)


def test_reasons_add_up_to_the_zone():
    found, cells = risk(), np.flatnonzero(BUSY)[:3]
    parts = reasons(found, QUICK.features, cells)
    assert sum(p.incidents for p in parts) == pytest.approx(
        found.expected_incidents[cells].sum(), abs=1e-9
    )
    assert sum(p.harm for p in parts) == pytest.approx(found.expected_harm[cells].sum(), abs=1e-9)
    assert len({p.words for p in parts}) == len(parts)


def test_words_for_people():
    assert words_of(Feature("same", 365.0)) == "this shift over the last year or two"
    assert (
        words_of(Feature("all", 7.0, ring=1)) == "all shifts in the cells around of the last days"
    )


def test_the_incidents_behind_a_zone():
    cut_us = int(SHIFTS.start_us[30])
    hours = SHIFTS.start_us[0] + np.array([1, 2, 9, 2000]) * HOUR_US  # day, day, evening, later
    found = behind(
        incidents_at(hours, TOWN.cells[5]), TOWN, SHIFTS, SHIFTS.at(30), cut_us, np.array([5])
    )
    assert found.origin.tolist() == [0, 1]
    assert found.latest_us == hours[1]
    nothing = behind(NO_INCIDENTS, TOWN, SHIFTS, SHIFTS.at(30), cut_us, np.array([5]))
    assert nothing.latest_us is None


def test_the_same_input_gives_the_same_model():
    again = fit(INCIDENTS, TOWN, SHIFTS, BEFORE, parameters=QUICK)
    assert (again.weights == MODEL.weights).all()
    assert (again.knots == MODEL.knots).all()


def test_what_comes_later_teaches_nothing():
    early = INCIDENTS.take(INCIDENTS.time_us < SHIFTS.start_us[BEFORE])
    again = fit(early, TOWN, SHIFTS, BEFORE, parameters=QUICK)
    assert (again.weights == MODEL.weights).all()
    assert (risk(incidents=early).expected_harm == risk().expected_harm).all()


def test_weights_are_never_negative_and_finite():
    assert (MODEL.weights >= 0).all()
    assert np.isfinite(MODEL.weights).all()


def test_too_little_to_learn_from():
    few = INCIDENTS.take(np.arange(200))
    assert fit(few, TOWN, SHIFTS, BEFORE, parameters=QUICK) is None
    assert fit(NO_INCIDENTS, TOWN, SHIFTS, BEFORE) is None
    assert fit(INCIDENTS, TOWN, SHIFTS, 0, parameters=QUICK) is None


RUBBISH = {
    "all at one point": lambda t: incidents_at(t, TOWN.cells[7]),
    "all at once": lambda t: incidents_at(np.full(len(t), t[900]), TOWN.cells[7]),
    "all in one shift name": lambda t: incidents_at(
        SHIFTS.start_us[(np.arange(len(t)) % 600) * 3] + SECOND_US,
        TOWN.cells[np.arange(len(t)) % 91],
    ),
    "all of unknown hour": lambda t: incidents_at(t, INCIDENTS.cell, t + DAY_US),
    "dates in the future": lambda t: incidents_at(t + 3000 * DAY_US, INCIDENTS.cell),
    "a gap of a year": lambda t: INCIDENTS.take(
        (t < t[0] + 200 * DAY_US) | (t > t[0] + 560 * DAY_US)
    ),
    "the last weeks half reported": lambda t: INCIDENTS.take(
        (t < SHIFTS.start_us[BEFORE] - 28 * DAY_US) | (np.arange(len(t)) % 2 == 0)
    ),
}


@pytest.mark.parametrize("kind", RUBBISH)
def test_rubbish_gives_a_clear_answer(kind):
    incidents = RUBBISH[kind](INCIDENTS.time_us)
    model = fit(incidents, TOWN, SHIFTS, BEFORE, parameters=QUICK)
    if model is None:
        assert kind in ("all at once", "dates in the future")
        return
    found = risk(incidents=incidents, model=model).expected_incidents
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert found.sum() < 30


def test_a_model_of_another_calendar_is_refused():
    with pytest.raises(ValueError, match="alone"):
        risk(model=replace(MODEL, names=("x", "y", "z")))


def test_hats_sum_to_one():
    found = hats(np.array([-9.0, 0.0, 0.5, 9.0]), np.array([0.0, 1.0, 2.0]), 3)
    # Below the first and above the last the outer hat stands alone; halfway, both share.
    assert found.tolist() == [[1, 0, 0], [1, 0, 0], [0.5, 0.5, 0], [0, 0, 1]]


def test_a_span_teaches_each_shift_its_share():
    # From 07:00 for 24 hours: a third in each of the first three shifts.
    start = int(SHIFTS.start_us[0])
    spans = incidents_at([start], TOWN.cells[3], [start + DAY_US])
    met = happened(evidence_of(spans, TOWN, SHIFTS, {}), spans.time_us, spans.to_us, SHIFTS)
    assert met.shift.tolist() == [0, 1, 2]
    assert met.weight == pytest.approx(np.full(3, 1 / 3))


def test_learning_needs_no_incident_in_every_shift_name():
    nights = INCIDENTS.take(
        SHIFTS.name[np.searchsorted(SHIFTS.start_us, INCIDENTS.time_us, side="right") - 1] == 2
    )
    evidence = evidence_of(nights, TOWN, SHIFTS, {})
    met = happened(evidence, nights.time_us, nights.to_us, SHIFTS)
    model = learn(evidence, met, TOWN, SHIFTS, BEFORE, QUICK)
    day, night = risk(BEFORE + 2, nights, model), risk(BEFORE + 1, nights, model)
    assert {SHIFTS.at(BEFORE + 2).name, SHIFTS.at(BEFORE + 1).name} <= set(SHIFTS.names)
    assert max(day.expected_incidents.sum(), night.expected_incidents.sum()) > 0


def test_a_stored_model_comes_back_to_the_last_bit():
    back = from_members(json.loads(json.dumps(to_members(MODEL), allow_nan=False)))
    assert (back.weights == MODEL.weights).all()
    assert back.parameters == MODEL.parameters
    assert (risk(model=back).expected_harm == risk().expected_harm).all()
    with pytest.raises(ValueError, match="mixture-1"):
        from_members({"name": "oracle"})
