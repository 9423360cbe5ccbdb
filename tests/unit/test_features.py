import numpy as np
import pytest

from app.geo.features import EVER, FEATURES, Feature, evidence_of, group_of, stream
from app.geo.risk import NO_INCIDENTS
from app.shifts import DAY_US, HOUR_US
from tests.learning_town import SHIFTS, TOWN, drawn, incidents_at

START_US = int(SHIFTS.start_us[0])  # Saturday 1 January 2022, 07:00
HERE = 45  # a position on the grid's axis
CELL = int(TOWN.cells[HERE])


def rates(incidents, position, *features, **options):
    evidence = evidence_of(incidents, TOWN, SHIFTS, {"theft": 4.0})
    return next(stream(evidence, TOWN, SHIFTS, [position], features or FEATURES, **options))[1]


def test_features_have_different_names():
    assert len({feature.name for feature in FEATURES}) == len(FEATURES)
    assert Feature("same", 365.0, ring=1).name == "ring1_same_365"
    assert Feature("all", EVER).name == "all_ever"


def test_an_undecayed_count_is_the_mean_per_shift():
    # Three incidents in the first 30 shifts (ten days): 0.1 a shift of all, whatever the name.
    found = incidents_at(START_US + np.array([1, 2, 3]) * HOUR_US, CELL)
    assert rates(found, 30, Feature("all"))[0, 0, HERE] == pytest.approx(0.1)
    # All three lie in day shifts, of which there were ten: 0.3 by day and 0 in the evening.
    assert rates(found, 30, Feature("same"))[0, 0, HERE] == pytest.approx(0.3)
    assert rates(found, 31, Feature("same"))[0, 0].sum() == 0


def test_the_weekend_has_its_own_count():
    # Saturday the 1st by day; shift 21 is Saturday the 8th, shift 27 Monday the 10th.
    found = incidents_at([START_US + HOUR_US], CELL)
    # Two weekend days so far (1st, 2nd): 1/2; the first Saturday alone: 1.
    assert rates(found, 21, Feature("weekend"))[0, 0, HERE] == pytest.approx(0.5)
    assert rates(found, 21, Feature("weekday"))[0, 0, HERE] == pytest.approx(1.0)
    assert rates(found, 27, Feature("weekend"))[0, 0].sum() == 0


def test_the_night_after_friday_is_weekend():
    # Shift 20 begins on Friday the 7th at 23:00; its middle is Saturday 03:00.
    assert SHIFTS.weekday[20] == 4
    assert group_of(SHIFTS)[20] == 2 * 7 + 5
    # And the night after Sunday is not.
    assert group_of(SHIFTS)[26] == 2 * 7 + 0


def test_half_lives_halve():
    # Two cells, one incident each, 7 days apart: the later counts twice as much.
    times = [START_US + HOUR_US, START_US + HOUR_US + 7 * DAY_US]
    found = incidents_at(times, TOWN.cells[[10, 20]])
    value = rates(found, 60, Feature("all", 7.0))[0, 0]
    assert value[20] / value[10] == pytest.approx(2.0)


def test_rings_hand_on_all_of_a_count():
    found = incidents_at([START_US + HOUR_US], CELL)
    values = rates(found, 30, Feature("all"), Feature("all", ring=1), Feature("all", ring=2))[0]
    assert values.sum(axis=1) == pytest.approx(np.full(3, 1 / 30))
    assert (values[:, HERE] > 0).tolist() == [True, False, False]
    assert ((values[1] > 0) & (values[2] > 0)).sum() == 0


def test_the_district_feature_is_the_mean_cell():
    found = incidents_at([START_US + HOUR_US], CELL)
    same, district = rates(found, 30, Feature("same", 365.0), Feature("district", 365.0))[0]
    assert district == pytest.approx(np.full(91, same.mean()))


def test_harm_counts_the_same_incidents_by_weight():
    found = incidents_at([START_US + HOUR_US], CELL)
    values = rates(found, 30, harm=True)
    assert values.shape == (2, len(FEATURES), 91)
    assert values[1] == pytest.approx(4 * values[0])


def test_an_unknown_hour_is_evidence_for_each_shift_it_touches():
    # A whole day from 07:00 on the 1st: eight hours by day, evening and night.
    found = incidents_at([START_US], CELL, [START_US + DAY_US])
    for position in (30, 31, 32):
        assert rates(found, position, Feature("same"))[0, 0, HERE] == pytest.approx(
            1 / 30, rel=0.05
        )


def test_nothing_at_or_after_the_start_or_the_cut_is_used():
    cut_us = int(SHIFTS.start_us[30])
    assert rates(incidents_at([cut_us], CELL), 30).sum() == 0
    assert rates(incidents_at([cut_us - 1], CELL), 30).sum() > 0
    assert rates(incidents_at([cut_us - HOUR_US], CELL), 30, cut_us=cut_us - HOUR_US).sum() == 0


def test_streaming_gives_what_a_single_shift_gives():
    evidence = evidence_of(drawn(), TOWN, SHIFTS, {})
    tested = range(100, 2100, 333)
    for i, values in stream(evidence, TOWN, SHIFTS, tested):
        single = next(stream(evidence, TOWN, SHIFTS, [i]))[1]
        assert values == pytest.approx(single, abs=1e-12)


def test_nothing_on_record():
    assert rates(NO_INCIDENTS, 30).sum() == 0
    assert rates(NO_INCIDENTS, 0).shape == (1, len(FEATURES), 91)
    assert list(stream(evidence_of(NO_INCIDENTS, TOWN, SHIFTS, {}), TOWN, SHIFTS, [])) == []


def test_a_first_shift_has_no_history():
    assert rates(drawn(), 0).sum() == 0
