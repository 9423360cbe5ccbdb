"""What holds for stays, duty and presence of any pings."""

from dataclasses import fields

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from app.geo.duty import duty_rows, on_duty, selected_s, spans_of
from app.geo.dwell import CONTEXT_HOURS, dwell_of
from app.geo.fixes import Pings, concat
from app.geo.presence import presence_of
from app.geo.stays import DUTIES, STATES, Stays, stays_of
from app.geo.visiting import visits_of
from app.shifts import HOUR_US, SECOND_US
from tests.property.strategies import fleets

RESOLUTIONS = st.sampled_from([7, 9, 10])
DOWNTOWN = shapely.MultiPolygon([shapely.box(-122.405, 37.745, -122.395, 37.755)])
APART = st.sampled_from([None, DOWNTOWN])


def derived(pings: Pings, resolution: int, apart: shapely.MultiPolygon | None) -> Stays:
    return on_duty(stays_of(pings, resolution, apart=apart), spans_of(pings))


def same(one: Stays, other: Stays) -> bool:
    return all(np.array_equal(getattr(one, c.name), getattr(other, c.name)) for c in fields(Stays))


@given(fleets(), RESOLUTIONS, APART)
def test_stays_add_up_to_dwell_by_state_and_by_duty(pings, resolution, apart) -> None:
    dwell, _ = dwell_of(pings, resolution)
    stays = derived(pings, resolution, apart)
    assert np.all(stays.end_us > stays.start_us)
    same_unit = stays.unit[1:] == stays.unit[:-1]
    assert np.all(stays.start_us[1:][same_unit] >= stays.end_us[:-1][same_unit])
    spent_us = stays.end_us - stays.start_us
    for k, name in enumerate(STATES):
        whole_us = np.rint(getattr(dwell, f"{name}_s") * SECOND_US).astype(np.int64)
        assert spent_us[stays.state == k].sum() == whole_us.sum()
    rows = duty_rows(stays)
    parts = [selected_s(dwell, rows, [d], range(len(STATES))) for d in range(len(DUTIES))]
    np.testing.assert_allclose(sum(parts), dwell.dwell_s, atol=1e-5)
    all_at_once = selected_s(dwell, rows, range(len(DUTIES)), range(len(STATES)))
    np.testing.assert_allclose(all_at_once, dwell.dwell_s, atol=1e-6)


@given(fleets(), RESOLUTIONS)
def test_presence_is_at_most_what_units_spent(pings: Pings, resolution: int) -> None:
    stays = stays_of(pings, resolution)
    found = presence_of(stays)
    assert np.all(found.presence_s <= found.unit_s)
    span_us = int(stays.end_us.max() - stays.start_us.min()) if len(stays) else 0
    assert np.all(found.presence_s <= span_us / SECOND_US)
    for unit in np.unique(stays.unit):  # nobody meets himself
        alone = presence_of(stays.take(stays.unit == unit))
        assert np.array_equal(alone.presence_s, alone.unit_s)


@settings(max_examples=50, deadline=None)
@given(fleets(), RESOLUTIONS, APART)
def test_in_small_blocks_it_is_the_same(pings, resolution, apart) -> None:
    whole = stays_of(pings, resolution, apart=apart)
    assert same(whole, stays_of(pings, resolution, apart=apart, at_once=7))


@given(fleets(), RESOLUTIONS, APART, st.randoms())
def test_order_of_arrival_changes_nothing(pings, resolution, apart, random) -> None:
    order = list(range(len(pings)))
    random.shuffle(order)
    late = concat([pings.take(np.array(order[k::2], dtype=np.int64)) for k in range(2)])
    one, other = derived(pings, resolution, apart), derived(late, resolution, apart)
    assert same(one, other)
    assert np.array_equal(presence_of(one).presence_s, presence_of(other).presence_s)


@settings(max_examples=50, deadline=None)
@given(fleets(), RESOLUTIONS, APART)
def test_hour_by_hour_is_the_same_as_all_at_once(pings, resolution, apart) -> None:
    whole = duty_rows(derived(pings, resolution, apart))
    for hour in np.unique(pings.time_us // HOUR_US):
        low_us, high_us = ((hour + k) * HOUR_US for k in (-CONTEXT_HOURS, 1 + CONTEXT_HOURS))
        near = pings.take((pings.time_us >= low_us) & (pings.time_us < high_us))
        part = duty_rows(derived(near, resolution, apart))
        one, other = whole.take(whole.hour == hour), part.take(part.hour == hour)
        assert all(
            getattr(one, c.name).tobytes() == getattr(other, c.name).tobytes() for c in fields(one)
        )


@given(fleets())
def test_visits_hold_all_patrol_of_their_zones(pings: Pings) -> None:
    stays = stays_of(pings, 8)
    cells = np.unique(stays.cell)
    visits = visits_of(stays, [cells[:2], cells[2:5]])
    slow = stays.take(stays.state != STATES.index("transit"))
    for zone, of in enumerate((cells[:2], cells[2:5])):
        inside = slow.take(np.isin(slow.cell, of))
        spent_us = (inside.end_us - inside.start_us).sum()
        assert visits.inside_us[visits.zone == zone].sum() == spent_us
    assert np.all(visits.end_us - visits.start_us >= visits.inside_us)
