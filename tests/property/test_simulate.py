from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import simulate
from app.shifts import DAY_US, HOUR_US, SECOND_US
from app.simulate.streets import in_town

FROM_US = 1_730_000_000 * SECOND_US  # 27 October 2024: the clocks change a week later
seeds = st.integers(0, 2**32)
# Any instant within the two weeks around the clock change.
moments = st.integers(FROM_US, FROM_US + 14 * DAY_US)
few = settings(max_examples=15, deadline=None)


def _same(one: Any, other: Any) -> bool:
    return all(
        np.array_equal(getattr(one, column.name), getattr(other, column.name), equal_nan=False)
        if getattr(one, column.name).dtype.kind != "f"
        else np.array_equal(getattr(one, column.name), getattr(other, column.name), equal_nan=True)
        for column in fields(one)
    )


def _joined(one: Any, other: Any) -> Any:
    columns = (
        np.concatenate([getattr(one, column.name), getattr(other, column.name)])
        for column in fields(one)
    )
    return type(one)(*columns)


@few
@given(seeds, moments, st.lists(st.integers(0, 30 * HOUR_US), min_size=2, max_size=2))
def test_however_time_is_cut_the_incidents_are_the_same(
    seed: int, from_us: int, lengths: list[int]
) -> None:
    town = simulate.town(seed)
    cut_us, to_us = from_us + lengths[0], from_us + sum(lengths)
    whole = simulate.incidents(town, from_us, to_us)
    parts = [simulate.incidents(town, from_us, cut_us), simulate.incidents(town, cut_us, to_us)]
    assert _same(_joined(*parts), whole)


@few
@given(seeds, moments, st.lists(st.integers(0, 10 * HOUR_US), min_size=2, max_size=2))
def test_however_time_is_cut_the_pings_are_the_same(
    seed: int, from_us: int, lengths: list[int]
) -> None:
    town = simulate.town(seed)
    cut_us, to_us = from_us + lengths[0], from_us + sum(lengths)
    whole = simulate.pings(town, from_us, to_us)
    parts = [simulate.pings(town, from_us, cut_us), simulate.pings(town, cut_us, to_us)]
    pings = _joined(parts[0].pings, parts[1].pings)
    sent_us = np.concatenate([part.sent_us for part in parts])
    order = np.lexsort((pings.time_us, pings.unit, sent_us))
    assert (sent_us[order] == whole.sent_us).all()
    assert _same(pings.take(order), whole.pings)


@few
@given(seeds, moments, st.integers(0, 12 * HOUR_US), st.sampled_from([8, 9, 10]))
def test_true_seconds_are_conserved(
    seed: int, from_us: int, length_us: int, resolution: int
) -> None:
    town = simulate.town(seed)
    paths = simulate.patrol(town, from_us, from_us + length_us)
    dwell = simulate.true_dwell(town, paths, resolution)
    expected = np.full(len(town.units), length_us / SECOND_US)
    assert np.bincount(dwell.unit, dwell.dwell_s, len(town.units)) == pytest.approx(
        expected, abs=1e-6
    )
    off = paths.activity == simulate.ACTIVITIES.index("off_duty")
    on_duty_s = (paths.end_us - paths.start_us)[~off].sum() / SECOND_US
    assert dwell.on_duty_s.sum() == pytest.approx(on_duty_s, abs=1e-6)
    assert (dwell.moving_s <= dwell.on_duty_s + 1e-9).all()


@few
@given(seeds, moments)
def test_nobody_drives_through_the_bay(seed: int, from_us: int) -> None:
    town = simulate.town(seed)
    paths = simulate.patrol(town, from_us, from_us + 8 * HOUR_US)
    for share in (0.0, 0.5, 1.0):
        x_m = paths.x_m + share * (paths.to_x_m - paths.x_m)
        y_m = paths.y_m + share * (paths.to_y_m - paths.y_m)
        assert in_town(town.streets, x_m, y_m).all()
