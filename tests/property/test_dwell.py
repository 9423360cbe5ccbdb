"""What holds for the dwell of any pings."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.geo.dwell import (
    CONTEXT_HOURS,
    Coverage,
    Dwell,
    DwellParameters,
    coverage_summary,
    dwell_of,
    dwell_parts,
)
from app.geo.fixes import Pings, concat, set_aside
from app.geo.ways import WayParameters
from app.shifts import HOUR_US, SECOND_US
from tests.property.strategies import fleets

RESOLUTIONS = st.sampled_from([7, 9, 10])


def same(one: Dwell | Coverage, other: Dwell | Coverage) -> bool:
    """Whether all columns agree to the last bit."""
    return all(
        getattr(one, column.name).tobytes() == getattr(other, column.name).tobytes()
        for column in fields(one)
    )


def rows(of: Dwell | Coverage, chosen: np.ndarray) -> Dwell | Coverage:
    return type(of)(*(getattr(of, column.name)[chosen] for column in fields(of)))


def microseconds(seconds: np.ndarray) -> int:
    """A sum of seconds that are whole microseconds each."""
    return int(np.rint(seconds * SECOND_US).astype(np.int64).sum())


@given(fleets(), RESOLUTIONS)
def test_time_is_conserved_to_the_microsecond(pings: Pings, resolution: int) -> None:
    dwell, coverage = dwell_of(pings, resolution)
    kept = pings.take(set_aside(pings) == 0)
    silence_us = WayParameters().silence_s * SECOND_US
    for unit in np.unique(pings.unit):
        time_us = kept.time_us[kept.unit == unit]
        gap_us = np.diff(time_us)
        mine = rows(coverage, coverage.unit == unit)
        assert isinstance(mine, Coverage)
        counted = microseconds(mine.observed_s) + microseconds(mine.unobserved_s)
        assert counted + gap_us[gap_us > silence_us].sum() == gap_us.sum()
        assert np.all(mine.observed_s + mine.unobserved_s <= 3600)
    for unit, hour, observed_s in zip(
        coverage.unit, coverage.hour, coverage.observed_s, strict=True
    ):
        inside = (dwell.unit == unit) & (dwell.hour == hour)
        assert microseconds(dwell.dwell_s[inside]) == microseconds(observed_s)
    np.testing.assert_allclose(
        dwell.stationary_s + dwell.slow_s + dwell.transit_s, dwell.dwell_s, atol=1e-9
    )


@given(fleets(), RESOLUTIONS)
def test_intervals_hold_the_estimate(pings: Pings, resolution: int) -> None:
    dwell, _ = dwell_of(pings, resolution)
    assert np.all(dwell.dwell_low_s >= 0)
    assert np.all(dwell.dwell_low_s <= dwell.dwell_s)
    assert np.all(dwell.dwell_s <= dwell.dwell_high_s)
    assert np.all(dwell.dwell_high_s <= 3600)
    assert np.all(dwell.dwell_high_s > 0)
    assert np.all(dwell.dwell_low_s[dwell.dwell_s == 0] == 0)


@given(fleets(), RESOLUTIONS, st.randoms())
def test_order_and_batches_of_arrival_change_nothing(pings, resolution, random) -> None:
    order = list(range(len(pings)))
    random.shuffle(order)
    half = len(order) // 2
    late = concat(
        [pings.take(np.array(part, dtype=np.int64)) for part in (order[half:], order[:half])]
    )
    for one, other in zip(dwell_of(pings, resolution), dwell_of(late, resolution), strict=True):
        assert same(one, other)


@settings(max_examples=150, deadline=None)
@given(fleets(), RESOLUTIONS)
def test_hour_by_hour_is_the_same_as_all_at_once(pings: Pings, resolution: int) -> None:
    whole = dwell_of(pings, resolution)
    for hour in np.unique(pings.time_us // HOUR_US):
        seen = (pings.time_us >= (hour - CONTEXT_HOURS) * HOUR_US) & (
            pings.time_us < (hour + 1 + CONTEXT_HOURS) * HOUR_US
        )
        part = dwell_of(pings.take(seen), resolution)
        for one, other in zip(whole, part, strict=True):
            assert same(rows(one, one.hour == hour), rows(other, other.hour == hour))


@given(fleets(), RESOLUTIONS)
def test_each_unit_is_derived_for_itself(pings: Pings, resolution: int) -> None:
    whole = dwell_of(pings, resolution)
    for unit in np.unique(pings.unit):
        part = dwell_of(pings.take(pings.unit == unit), resolution)
        for one, other in zip(whole, part, strict=True):
            assert same(rows(one, one.unit == unit), other)


@given(fleets(), st.integers(1, 60))
def test_how_much_is_in_work_at_a_time_changes_nothing(pings: Pings, at_once: int) -> None:
    assert set_aside(pings, at_once=at_once).tolist() == set_aside(pings).tolist()
    whole = dwell_of(pings, 9)
    parts = list(dwell_parts(pings, 9, at_once=at_once))
    for one, some in zip(whole, zip(*parts, strict=True), strict=True):
        columns = [np.concatenate([getattr(p, c.name) for p in some]) for c in fields(one)]
        joined = type(one)(*columns)
        cell = joined.cell if isinstance(joined, Dwell) else joined.hour
        assert same(one, rows(joined, np.lexsort((cell, joined.unit, joined.hour))))


@given(fleets(), RESOLUTIONS, st.integers(0, 14_400))
def test_intervals_of_time_add_up(pings: Pings, resolution: int, after_s: int) -> None:
    start_us, end_us = int(pings.time_us.min()), int(pings.time_us.max()) + 1
    middle_us = min(start_us + after_s * SECOND_US, end_us)
    _, whole = dwell_of(pings, resolution)
    parts = [
        dwell_of(pings, resolution, between_us=between)
        for between in ((start_us, middle_us), (middle_us, end_us))
    ]
    for name in ("observed_s", "unobserved_s"):
        assert sum(microseconds(getattr(c, name)) for _, c in parts) == microseconds(
            getattr(whole, name)
        )
    assert sum(c.pings.sum() for _, c in parts) == len(pings)
    assert sum(microseconds(d.dwell_s) for d, _ in parts) == microseconds(whole.observed_s)


@given(fleets())
def test_the_summary_adds_up(pings: Pings) -> None:
    _, coverage = dwell_of(pings, 9)
    summary = coverage_summary(pings, coverage)
    assert summary["pings"] == summary["kept"] + sum(summary["set_aside"].values()) == len(pings)
    assert summary["observed_s"] + summary["unobserved_s"] == pytest.approx(
        summary["span_s"], abs=1e-6
    )
    assert coverage.pings.sum() == len(pings)
    assert coverage.kept.sum() == summary["kept"]
    assert summary["unobserved_s"] >= 0


def test_parameters_that_reach_too_far_are_refused() -> None:
    with pytest.raises(ValueError, match="an hour"):
        DwellParameters(ways=WayParameters(silence_s=3000.0))
