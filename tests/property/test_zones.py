import h3.api.numpy_int as h3
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from app.geo.candidates import largest_part
from app.geo.grid import Grid, grid_from, neighbours
from app.geo.visits import Choice, ChoiceParameters, choose
from app.geo.zones import ZoneParameters

DISK = np.sort(np.array(h3.grid_disk(h3.latlng_to_cell(49.28, -123.12, 9), 4), dtype=np.uint64))

values = st.lists(
    st.sampled_from([0.0, 0.0, 1.0, 2.0]) | st.floats(0, 1e6), min_size=61, max_size=61
).map(np.array)
districts = st.sets(st.integers(0, 60), min_size=1).map(sorted)  # with lakes and islands
limits = st.tuples(st.integers(1, 4), st.integers(0, 2), st.integers(0, 6)).map(
    lambda t: ZoneParameters(t[0], t[0] + t[1], t[2], search_rounds=5)
)
hours = st.floats(0, 12)


def made(
    cells: list[int], value: np.ndarray, unit_hours: float, zones: ZoneParameters
) -> tuple[Grid, np.ndarray, Choice]:
    grid = grid_from(DISK[cells], 9)
    beside = neighbours(grid)
    return grid, beside, choose(value[cells], grid, beside, unit_hours, ChoiceParameters(zones))


@settings(max_examples=150, deadline=None)
@given(districts, values, hours, limits)
def test_zones_are_disjoint_connected_bounded_and_inside(
    cells: list[int], value: np.ndarray, unit_hours: float, zones: ZoneParameters
) -> None:
    grid, beside, choice = made(cells, value, unit_hours, zones)
    least = min(zones.zone_min_cells, largest_part(beside))
    every = [*choice.zones, *(zone.cells for zone in choice.dropped)]
    assert len(every) <= zones.max_zones
    used = [int(cell) for zone in every for cell in zone]
    assert len(used) == len(set(used))
    assert set(used) <= set(range(len(grid)))
    for zone in every:
        assert least <= len(zone) <= zones.zone_max_cells
        assert largest_part(neighbours(grid_from(grid.cells[zone], 9))) == len(zone)
        assert value[cells][zone].sum() > 0.0


@settings(max_examples=150, deadline=None)
@given(districts, values, hours, limits)
def test_the_hours_are_kept_and_the_figures_agree(
    cells: list[int], value: np.ndarray, unit_hours: float, zones: ZoneParameters
) -> None:
    _, _, choice = made(cells, value, unit_hours, zones)
    assert choice.target_dosage_s.sum() + choice.travel_s <= unit_hours * 3600
    assert (choice.target_dosage_s == choice.visits * 780.0).all()
    assert (choice.visits >= 1).all()
    assert (np.diff(choice.priority) <= 0).all()
    assert np.isclose(choice.objective, sum(value[cells][zone].sum() for zone in choice.zones))
    assert 0.0 <= choice.objective <= choice.bound
    assert 0.0 <= choice.gap <= 1.0
    assert len(set(choice.ids)) == len(choice.ids)
    assert bool(choice.zones) or bool(choice.notes) or bool(choice.dropped)


@settings(max_examples=60, deadline=None)
@given(districts, values, limits)
def test_less_hours_serve_no_more_zones(
    cells: list[int], value: np.ndarray, zones: ZoneParameters
) -> None:
    served = [len(made(cells, value, unit_hours, zones)[2].zones) for unit_hours in (1, 2, 4)]
    assert served == sorted(served)
