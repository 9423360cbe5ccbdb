"""What holds for the risk and its accuracy whatever the incidents."""

from datetime import date

import h3
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.geo import accuracy
from app.geo.grid import grid_from
from app.geo.risk import SOURCES, Incidents, RiskParameters, expected, share_within
from app.shifts import DAY_US, HOUR_US, instances

CELLS = [h3.str_to_int(c) for c in h3.grid_disk(h3.latlng_to_cell(49.28, -123.12, 9), 2)]
TOWN = grid_from(np.array(CELLS, dtype=np.uint64), 9)
CALENDAR = {"day": "07:00", "evening": "15:00", "night": "23:00"}
SHIFTS = instances(CALENDAR, "America/Vancouver", date(2024, 1, 1), date(2024, 12, 31))
AT = SHIFTS.at(900)

ONE = st.tuples(
    st.integers(0, 360 * 24 * 60),  # minutes after the first shift's start
    st.sampled_from([0, 0, 0, 90, 1440, 20000]),  # minutes until it had happened at the latest
    st.sampled_from([0, 0, 600]),  # minutes until it was known
    st.integers(0, len(CELLS) - 1),
    st.integers(0, 1),
    st.integers(0, len(SOURCES) - 1),
)


def columns(rows):
    """Rows of ONE as incidents."""
    table = np.array(rows, dtype=np.int64).reshape(-1, 6)
    first = int(SHIFTS.start_us[0]) + table[:, 0] * (HOUR_US // 60)
    last = first + table[:, 1] * (HOUR_US // 60)
    return Incidents(
        first,
        last,
        last + table[:, 2] * (HOUR_US // 60),
        np.array(CELLS, dtype=np.uint64)[table[:, 3]],
        table[:, 4].astype(np.int32),
        table[:, 5].astype(np.int8),
        ("theft", "robbery"),
    )


def risk(found, until_us=2**62, **parameters):
    return expected(
        found, TOWN, SHIFTS, AT, until_us, {"robbery": 9.0}, RiskParameters(**parameters)
    )


@given(st.lists(ONE, max_size=30), ONE)
def test_more_incidents_never_lower_the_risk(rows, more):
    less, full = risk(columns(rows)), risk(columns([*rows, more]))
    assert (full.expected_incidents >= less.expected_incidents - 1e-12).all()
    assert (full.expected_harm >= less.expected_harm - 1e-12).all()


@given(st.lists(ONE, max_size=30), st.randoms(use_true_random=False))
def test_the_order_of_incidents_changes_nothing(rows, random):
    shuffled = random.sample(rows, len(rows))
    once, again = risk(columns(rows)), risk(columns(shuffled))
    assert once.expected_harm == pytest.approx(again.expected_harm, abs=1e-12)
    assert once.counted == again.counted


@given(st.lists(ONE, max_size=30))
def test_parts_add_up_and_nothing_is_negative(rows):
    found = risk(columns(rows))
    assert (found.incident_parts >= 0).all()
    assert np.isfinite(found.harm_parts).all()
    assert np.abs(found.harm_parts.sum(axis=0) - found.expected_harm).max() <= 1e-9


@given(st.lists(ONE, max_size=30), ONE)
def test_the_future_is_not_known(rows, late):
    when = (AT.start_us - int(SHIFTS.start_us[0])) // (HOUR_US // 60) + late[0]
    once, again = risk(columns(rows)), risk(columns([*rows, (when, *late[1:])]))
    assert (once.expected_harm == again.expected_harm).all()


@given(st.lists(ONE, min_size=1, max_size=30))
def test_an_incident_lies_wholly_in_some_shifts(rows):
    found = columns(rows)
    inside = (found.to_us <= SHIFTS.end_us[-1]) & (found.time_us < SHIFTS.end_us[-1])
    shares = sum(share_within(found, SHIFTS, name) for name in SHIFTS.names)
    assert shares[inside] == pytest.approx(np.ones(int(inside.sum())))


@given(st.lists(ONE, max_size=30), st.integers(0, 400))
def test_what_is_cut_off_does_not_count(rows, days):
    found = columns(rows)
    until = int(SHIFTS.start_us[0]) + days * DAY_US
    kept = found.take(np.maximum(found.known_us, found.to_us) < until)
    once, again = risk(found, until), risk(kept, until)
    assert (once.expected_harm == again.expected_harm).all()


SCORES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), min_size=1, max_size=40)


@given(SCORES)
def test_the_whole_district_has_a_pai_of_one(pairs):
    score, happened = np.array(pairs, dtype=np.float64).T
    caught = float(accuracy.hits(score, happened, [len(pairs)])[0])
    found = accuracy.pai(caught, float(happened.sum()), len(pairs), len(pairs))
    assert found is None if happened.sum() == 0 else found == pytest.approx(1.0)


@given(SCORES, st.integers(1, 40))
def test_no_ranking_catches_more_than_the_best(pairs, size):
    score, happened = np.array(pairs, dtype=np.float64).T
    assert accuracy.hits(score, happened, [size])[0] <= accuracy.most(happened, [size])[0]


@given(SCORES, st.integers(1, 40), st.randoms(use_true_random=False))
def test_the_order_of_cells_changes_nothing(pairs, size, random):
    score, happened = np.array(pairs, dtype=np.float64).T
    score2, happened2 = np.array(random.sample(pairs, len(pairs)), dtype=np.float64).T
    assert accuracy.hits(score, happened, [size]) == accuracy.hits(score2, happened2, [size])


@given(SCORES)
def test_deviance_is_never_negative(pairs):
    expected_, happened = np.array(pairs, dtype=np.float64).T
    assert (accuracy.poisson_deviance(expected_, happened) >= -1e-12).all()
