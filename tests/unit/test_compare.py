import numpy as np
import pytest

from app.geo.compare import Record, paired, verdict, weeks_of
from app.shifts import DAY_US

RNG = np.random.default_rng
WEEKS = np.repeat(np.arange(10), 21)
ONES = np.ones(210)


def test_weeks_are_counted_from_the_first_shift():
    assert weeks_of(np.array([5, 5 + 6 * DAY_US, 5 + 7 * DAY_US])).tolist() == [0, 0, 1]
    assert weeks_of(np.zeros(0, dtype=np.int64)).shape == (0,)


def test_a_steady_gain_has_no_doubt():
    # One hit in a hundred more in each shift, whatever weeks are drawn.
    found = paired(0.01 * ONES, ONES, WEEKS, RNG(1))
    assert found == pytest.approx((0.01, 0.01, 0.01))


def test_a_gain_of_one_week_may_be_chance():
    found = paired(np.where(WEEKS == 3, 1.0, 0.0), ONES, WEEKS, RNG(1))
    assert found.low == 0
    assert found.middle == pytest.approx(0.1)
    assert found.high > 0.1


def test_nothing_to_tell_from():
    assert paired(ONES, np.zeros(210), WEEKS, RNG(1)) is None
    assert paired(np.ones(5), np.ones(5), np.zeros(5, dtype=np.int64), RNG(1)) is None


def record(hits, deviance):
    return Record(np.full((210, 2), hits), np.full(210, 10.0), np.full(210, deviance))


def test_the_gate_opens_only_for_what_is_better():
    counts = record(3.0, 5.0)
    assert verdict(record(3.0, 4.9), counts, WEEKS, (0.01, 0.05)).learned
    assert not verdict(record(2.9, 4.9), counts, WEEKS, (0.01, 0.05)).learned
    assert not verdict(record(3.1, 5.1), counts, WEEKS, (0.01, 0.05)).learned


def test_the_gate_says_why_with_figures():
    # 3 of 10 against 2.5 of 10 incidents; the deviance falls from 5 to 4.
    found = verdict(record(3.0, 4.0), record(2.5, 5.0), WEEKS, (0.01, 0.05))
    assert "30.0% against 25.0% at 1.0% of the area" in found.reason
    assert "20.0% smaller" in found.reason


def test_too_little_to_tell_keeps_to_counts():
    few = Record(np.zeros((210, 2)), np.zeros(210), np.zeros(210))
    assert not verdict(few, few, WEEKS, (0.01, 0.05)).learned
    short = WEEKS // 4
    assert not verdict(record(3.0, 4.0), record(2.5, 5.0), short, (0.01, 0.05)).learned
