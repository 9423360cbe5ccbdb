import h3.api.numpy_int as h3
import numpy as np
import pytest

from app.geo.candidates import candidates_of, largest_part, lattice_of
from app.geo.grid import Grid, grid_from, neighbours
from app.geo.packing import pack
from app.geo.polyhexes import polyhexes
from app.geo.zones import ZoneParameters, Zones, choose_zones, zone_id, zone_parameters
from tests.brute import best_value, connected_sets

CITY = int(h3.latlng_to_cell(49.28, -123.12, 9))
THREES = ZoneParameters(zone_min_cells=3, zone_max_cells=3, max_zones=5)


def disk(k: int, centre: int = CITY) -> Grid:
    return grid_from(np.array(h3.grid_disk(centre, k), dtype=np.uint64), h3.get_resolution(centre))


def chosen(grid: Grid, value: np.ndarray, count: int, parameters: ZoneParameters) -> Zones:
    return choose_zones(value, grid, neighbours(grid), count, parameters)


def test_there_are_as_many_shapes_as_the_encyclopedia_has() -> None:
    # OEIS A001207: fixed hexagonal polyominoes with n cells.
    counts = [len(level.parent) for level in polyhexes(6).levels]
    assert counts == [1, 3, 11, 44, 186, 814]


def test_every_connected_set_is_a_candidate_once() -> None:
    grid = disk(2)
    beside = neighbours(grid)
    found = candidates_of(grid, beside, 1, 4)
    shapes = [
        frozenset(zone.tolist())
        for level in found.shapes.levels
        for zone in found.reach[level.members].transpose(0, 2, 1).reshape(-1, level.size)
        if (zone < len(grid)).all()
    ]
    assert len(shapes) == len(set(shapes))
    assert set(shapes) == connected_sets(beside, 1, 4)


def test_a_lattice_is_complete_except_around_a_pentagon() -> None:
    city = disk(3)
    assert lattice_of(city, neighbours(city), 5).complete
    pentagon = int(h3.get_pentagons(9)[0])
    around = disk(3, pentagon)
    assert not lattice_of(around, neighbours(around), 5).complete


def test_around_a_pentagon_zones_still_are_connected_and_the_bound_holds() -> None:
    grid = disk(2, int(h3.get_pentagons(9)[0]))
    beside = neighbours(grid)
    value = np.arange(1.0, len(grid) + 1)
    every = connected_sets(beside, 3, 3)
    found = choose_zones(value, grid, beside, 2, THREES)
    assert found.zones
    assert {frozenset(zone.tolist()) for zone in found.zones} <= every
    assert found.bound >= best_value(every, value.tolist(), 2)


def test_the_hottest_cell_and_its_two_best_neighbours_are_the_zone() -> None:
    grid = disk(1)
    value = np.full(7, 1.0)
    ring = [int(cell) for cell in h3.grid_ring(CITY, 1)]
    place = {int(cell): k for k, cell in enumerate(grid.cells)}
    value[place[CITY]], value[place[ring[0]]], value[place[ring[3]]] = 10.0, 5.0, 4.0
    found = chosen(grid, value, 1, THREES)
    [zone] = found.zones
    assert set(zone.tolist()) == {place[CITY], place[ring[0]], place[ring[3]]}
    assert found.objective == found.bound == 19.0
    assert found.gap == 0.0


def test_two_zones_share_a_hot_spot_better_than_greed_does() -> None:
    # A row of six cells: 1 3 3 3 3 1. The best zone, 3 3 3, leaves no room for a second one;
    # 1 3 3 and 3 3 1 hold 14.
    row = h3.grid_path_cells(CITY, int(h3.latlng_to_cell(49.28, -123.08, 9)))[:6]
    grid = grid_from(np.array(row, dtype=np.uint64), 9)
    value = np.zeros(6)
    value[np.searchsorted(grid.cells, np.array(row, dtype=np.uint64))] = [1, 3, 3, 3, 3, 1]
    found = chosen(grid, value, 2, THREES)
    assert found.objective == 14.0
    assert found.gap < 0.01


@pytest.mark.parametrize("seed", range(6))
def test_the_bound_holds_for_the_best_of_all_choices_and_the_choice_is_near_it(seed: int) -> None:
    grid = disk(2)
    beside = neighbours(grid)
    value = np.random.default_rng(seed).pareto(1.5, len(grid))
    parameters = ZoneParameters(zone_min_cells=3, zone_max_cells=4, max_zones=3)
    best = best_value(connected_sets(beside, 3, 4), value.tolist(), 3)
    found = choose_zones(value, grid, beside, 3, parameters)
    assert found.objective <= best * (1 + 1e-12) <= found.bound * (1 + 2e-12)
    assert found.objective >= 0.95 * best


def test_without_priority_there_are_no_zones() -> None:
    found = chosen(disk(2), np.zeros(19), 3, THREES)
    assert found.zones == found.spare == ()
    assert found.objective == found.bound == found.gap == 0.0


def test_where_there_is_no_priority_there_is_no_zone() -> None:
    value = np.zeros(19)
    value[4] = 1.0
    found = chosen(disk(2), value, 3, THREES)
    assert len(found.zones) == 1
    assert 4 in found.zones[0]
    assert found.gap == 0.0


def test_a_zone_grows_no_further_than_priority_does() -> None:
    value = np.zeros(19)
    value[4] = 1.0
    wide = ZoneParameters(zone_min_cells=3, zone_max_cells=5)
    assert len(chosen(disk(2), value, 1, wide).zones[0]) == 3


def test_an_empty_grid_has_no_zones() -> None:
    none = grid_from(np.empty(0, dtype=np.uint64), 9)
    assert chosen(none, np.empty(0), 3, THREES).zones == ()


def test_one_cell_is_a_zone_of_what_there_is() -> None:
    found = chosen(disk(0), np.array([2.0]), 3, THREES)
    assert [zone.tolist() for zone in found.zones] == [[0]]
    assert found.objective == found.bound == 2.0


def test_two_cells_are_a_zone_of_what_there_is() -> None:
    pair = grid_from(disk(1).cells[:2], 9)
    assert largest_part(neighbours(pair)) == 2
    found = chosen(pair, np.array([2.0, 1.0]), 3, THREES)
    assert [zone.tolist() for zone in found.zones] == [[0, 1]]


def test_an_island_too_small_for_a_zone_holds_none_beside_one_that_is_large_enough() -> None:
    far = int(h3.latlng_to_cell(49.4, -123.12, 9))
    grid = grid_from(np.append(disk(1).cells, np.uint64(far)), 9)
    value = np.where(grid.cells == far, 100.0, 1.0)
    found = chosen(grid, value, 3, THREES)
    assert [len(zone) for zone in found.zones] == [3, 3]
    assert found.objective == 6.0


def test_priority_on_a_small_island_alone_makes_no_zone() -> None:
    far = int(h3.latlng_to_cell(49.4, -123.12, 9))
    grid = grid_from(np.append(disk(1).cells, np.uint64(far)), 9)
    found = chosen(grid, np.where(grid.cells == far, 100.0, 0.0), 3, THREES)
    assert (found.zones, found.bound, found.gap) == ((), 0.0, 0.0)


def test_zones_reach_round_a_lake() -> None:
    # Only a ring of six cells is left: two arcs of three are all its disjoint zones.
    ring = grid_from(np.array(h3.grid_ring(CITY, 1), dtype=np.uint64), 9)
    found = chosen(ring, np.ones(6), 3, THREES)
    assert [len(zone) for zone in found.zones] == [3, 3]
    assert found.objective == 6.0
    assert found.gap < 1e-9


def test_spare_zones_are_disjoint_from_the_chosen_and_worth_less() -> None:
    grid = disk(3)
    value = np.random.default_rng(1).pareto(1.5, len(grid))
    found = chosen(grid, value, 2, THREES)
    assert len(found.zones) == 2
    assert len(found.spare) == 3  # to five, max_zones, in all
    cells = np.concatenate([*found.zones, *found.spare])
    assert len(set(cells.tolist())) == 5 * 3
    least = min(value[zone].sum() for zone in found.zones)
    assert all(value[zone].sum() <= least for zone in found.spare)


def test_the_same_input_gives_the_same_zones_and_ties_are_settled() -> None:
    grid = disk(3)
    first, again = (chosen(grid, np.ones(len(grid)), 4, THREES) for _ in range(2))
    assert [z.tolist() for z in first.zones] == [z.tolist() for z in again.zones]
    assert first.objective == first.bound == 12.0


def test_the_scale_of_priority_changes_no_zone() -> None:
    grid = disk(3)
    value = np.random.default_rng(2).pareto(1.5, len(grid))
    plain, tiny = chosen(grid, value, 3, THREES), chosen(grid, value * 2.0**-40, 3, THREES)
    assert [z.tolist() for z in plain.zones] == [z.tolist() for z in tiny.zones]
    assert tiny.gap == plain.gap


def test_a_zones_id_depends_on_its_cells_alone() -> None:
    cells = disk(1).cells
    assert zone_id(cells) == zone_id(cells[::-1])
    assert zone_id(cells) != zone_id(cells[:-1])
    assert zone_id(cells).isalnum()


def test_a_count_of_zero_proves_nothing_and_keeps_all_spare() -> None:
    grid = disk(2)
    beside = neighbours(grid)
    found = pack(candidates_of(grid, beside, 3, 3), np.ones(19), 0, spare=2)
    assert (found.zones, len(found.spare), found.bound) == ((), 2, 0.0)


def test_wrong_input_is_refused() -> None:
    grid = disk(1)
    for wrong in (np.full(7, -1.0), np.full(7, np.nan), np.full(7, np.inf), np.ones(6)):
        with pytest.raises(ValueError, match="priority"):
            chosen(grid, wrong, 1, THREES)
    for limits in ((0, 3), (4, 3), (3, 9)):
        with pytest.raises(ValueError, match="cells"):
            ZoneParameters(*limits)
    with pytest.raises(ValueError, match="max_zones"):
        ZoneParameters(max_zones=-1)
    with pytest.raises(ValueError, match="cannot be"):
        candidates_of(grid, neighbours(grid), 3, 2)


def test_finer_cells_make_zones_of_more_of_them() -> None:
    nine, ten = zone_parameters(9), zone_parameters(10)
    assert (nine.zone_min_cells, nine.zone_max_cells) == (3, 5)
    assert (ten.zone_min_cells, ten.zone_max_cells) == (4, 8)
