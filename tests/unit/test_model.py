import numpy as np
import pytest

from app import model, review
from app.geo.mixture import MixtureParameters
from app.geo.risk import NO_INCIDENTS
from app.shifts import DAY_US
from tests.learning_town import SHIFTS, TOWN, drawn

QUICK = MixtureParameters(rounds=15, pooled_rounds=8)
BEFORE = 1900
INCIDENTS = drawn()


def history(incidents):
    return model.history_of(incidents, TOWN, SHIFTS, {})


def test_the_learned_model_serves_where_it_beat_counts():
    found = model.choose(history(INCIDENTS), BEFORE, parameters=QUICK)
    assert found.mixture is not None
    assert found.reason.startswith("Learned: over 13 weeks")
    assert "smaller than that of 12-month counts" in found.reason
    assert found.mixture.until_us == SHIFTS.start_us[BEFORE]


def test_counts_serve_where_the_past_says_nothing():
    # Every shift of the tested weeks is a surprise: nothing happened in the year before.
    late = INCIDENTS.take(INCIDENTS.time_us > SHIFTS.start_us[BEFORE] - 60 * DAY_US)
    found = model.choose(history(late), BEFORE, parameters=QUICK)
    assert found.mixture is None
    assert found.reason.startswith("Counts: ")


def test_a_district_can_be_set_to_counts():
    found = model.choose(history(INCIDENTS), BEFORE, "counts")
    assert found == model.Chosen(None, "Counts: set to descriptive counts only.")


def test_it_can_be_set_to_learn_without_a_test():
    assert model.choose(history(INCIDENTS), BEFORE, "learned", QUICK).mixture is not None
    assert model.choose(history(NO_INCIDENTS), BEFORE, "learned").mixture is None


def test_no_history_keeps_to_counts():
    for before in (0, 5):
        assert model.choose(history(INCIDENTS), before, parameters=QUICK).mixture is None
    assert model.choose(history(NO_INCIDENTS), BEFORE).mixture is None


def test_what_comes_later_does_not_open_the_gate():
    early = INCIDENTS.take(INCIDENTS.time_us < SHIFTS.start_us[BEFORE])
    once = model.choose(history(INCIDENTS), BEFORE, parameters=QUICK)
    again = model.choose(history(early), BEFORE, parameters=QUICK)
    assert once.reason == again.reason
    assert (once.mixture.weights == again.mixture.weights).all()


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="auto, learned, counts"):
        model.choose(history(INCIDENTS), BEFORE, "best")


def test_the_backtest_judges_the_model_that_would_have_served():
    tested = range(2000, 2042)
    learned = list(review.backtest(INCIDENTS, TOWN, SHIFTS, tested, {"theft": 2.0}))
    counts = list(review.backtest(INCIDENTS, TOWN, SHIFTS, tested, {}, mode="counts"))
    assert {step.reason[:7] for step in learned} == {"Learned"}
    assert {step.reason[:6] for step in counts} == {"Counts"}
    for step in learned:
        assert step.expected_harm == pytest.approx(2 * step.expected_incidents)
    # The baselines do not depend on the model.
    assert all(
        (a.scores.caught[1:] == b.scores.caught[1:]).all()
        for a, b in zip(learned, counts, strict=True)
    )
    assert np.mean([s.scores.deviance[0] for s in learned]) < np.mean(
        [s.scores.deviance[3] for s in learned]
    )
