import math

import h3.api.numpy_int as h3
import numpy as np
import pytest

from app.geo.grid import Grid, grid_from, neighbours
from app.geo.tours import drive_s, length_s, tour
from app.geo.visits import Choice, ChoiceParameters, VisitParameters, choose
from app.geo.zones import ZoneParameters, zone_id

ONE_CELL = ZoneParameters(zone_min_cells=1, zone_max_cells=1, max_zones=4)
STEADY = VisitParameters(visit_s=900.0, detour_factor=1.0, speed_mps=10.0)
QUARTERS = ChoiceParameters(ONE_CELL, STEADY)  # four visits an hour, but for the driving


def spots(*places: tuple[float, float]) -> Grid:
    """One cell at each place; none touch."""
    return grid_from(np.array([h3.latlng_to_cell(*p, 9) for p in places], dtype=np.uint64), 9)


def made(grid: Grid, value: list[float], unit_hours: float, shift_hours: float = 8.0) -> Choice:
    beside = neighbours(grid)
    return choose(np.array(value), grid, beside, unit_hours, QUARTERS, shift_hours)


LINE = spots((49.28, -123.12), (49.28, -123.10), (49.28, -123.08), (49.28, -123.06))


def test_a_degree_of_latitude_is_driven_in_three_hours_at_ten_metres_a_second() -> None:
    # 6,371,008.8 m * pi / 180 = 111,195 m; with a detour of 1.5 at 10 m/s: 16,679 s.
    times = drive_s(np.array([0.0, 1.0]), np.array([5.0, 5.0]), 1.5, 10.0)
    assert np.allclose(times, [[0, 16_679.3], [16_679.3, 0]], atol=0.1)


def test_a_tour_of_a_square_goes_round_and_does_not_cross() -> None:
    corners = np.array([0, 1 + 1j, 1, 1j])  # 1 + 1j comes second: a tour in this order crosses
    times = np.abs(corners[:, None] - corners)
    order = tour(times, range(4))
    assert order[0] == 0
    assert length_s(times, order) == 4.0
    assert length_s(times, range(4)) == pytest.approx(2 + 2 * math.sqrt(2))


def test_crossed_links_are_turned_around() -> None:
    angles = np.random.default_rng(0).permutation(12) * math.tau / 12
    places = np.exp(1j * angles)
    times = np.abs(places[:, None] - places)
    # The shortest tour of a regular polygon with 12 corners on the unit circle is its outline.
    assert length_s(times, tour(times, range(12))) == pytest.approx(24 * math.sin(math.pi / 12))


def test_a_tour_of_no_or_one_place_takes_no_driving() -> None:
    times = np.zeros((1, 1))
    assert tour(times, []) == []
    assert length_s(times, []) == length_s(times, [0]) == 0.0


def test_one_zone_gets_the_visits_that_fit_and_needs_no_driving() -> None:
    # An hour is four visits of 900 s; a shift of eight hours has four returns of two hours.
    choice = made(spots((49.28, -123.12)), [1.0], 1.0)
    assert choice.visits.tolist() == [4]
    assert choice.target_dosage_s.tolist() == [3600.0]
    assert choice.travel_s == 0.0
    assert (choice.objective, choice.bound, choice.gap) == (1.0, 1.0, 0.0)


def test_no_zone_is_visited_more_often_than_every_two_hours() -> None:
    choice = made(spots((49.28, -123.12)), [1.0], 3.0, shift_hours=4.0)
    assert choice.visits.tolist() == [2]
    assert choice.notes == ("9000 s are left over: every zone has its 2 visits",)


def test_a_round_is_a_closed_tour() -> None:
    # From end to end of the line and back: 0.06 degrees of longitude at 49.28 degrees are
    # 0.06 * 111,195 m * cos(49.28) = 4,352 m, there and back at 10 m/s 870 s; cells' centres lie
    # up to 200 m from the places, so up to 80 s more or less.
    choice = made(LINE, [4.0, 3.0, 2.0, 1.0], 4 * 0.25 + 0.3)
    assert choice.visits.tolist() == [1, 1, 1, 1]
    assert choice.travel_s == pytest.approx(870, abs=80)


def test_fewer_hours_drop_the_least_valuable_and_say_why() -> None:
    value = [4.0, 1.0, 3.0, 2.0]
    full, half = made(LINE, value, 2.6), made(LINE, value, 0.8)
    assert full.priority.tolist() == [4.0, 3.0, 2.0, 1.0]
    assert full.dropped == ()
    # 2,880 s: three visits are 2,700 s and leave no time to drive; two are 1,800 s and do.
    assert half.priority.tolist() == [4.0, 3.0]
    assert [zone.priority for zone in half.dropped] == [2.0, 1.0]
    assert {zone.id for zone in half.dropped} == set(full.ids) - set(half.ids)
    assert "a visit of 900 s" in half.dropped[0].reason
    assert half.gap > 0.0


def test_what_is_left_over_is_less_than_one_more_visit_or_zone() -> None:
    for hours in np.arange(0.5, 8.0, 0.25):
        choice = made(LINE, [4.0, 3.0, 2.0, 1.0], float(hours))
        left_s = hours * 3600 - choice.target_dosage_s.sum() - choice.travel_s
        assert left_s >= 0.0
        done = len(choice.visits) == 4 and (choice.visits == 4).all()
        # Any further visit takes 900 s and at most a drive along the line and back.
        assert done or left_s < 900 + 950


def test_a_far_zone_that_does_not_fit_leaves_its_hours_to_a_near_one() -> None:
    # The second best is a degree away, 11,120 s of driving: it never fits into two hours.
    grid = spots((49.28, -123.12), (50.28, -123.12), (49.28, -123.10))
    value = np.where(grid.lat > 50, 5.0, np.where(grid.lon < -123.11, 9.0, 1.0))
    choice = made(grid, value.tolist(), 2.0)
    assert choice.priority.tolist() == [9.0, 1.0]
    assert [zone.priority for zone in choice.dropped] == [5.0]


def test_further_visits_follow_priority() -> None:
    # Zones of 6 and 1 beside each other: D'Hondt gives the next four visits to the first
    # (6/2, 6/3, 6/4 and the cap of four visits), before 1/2 of the second.
    grid = spots((49.28, -123.12), (49.28, -123.112))
    assert made(grid, [6.0, 1.0], 1.4).visits.tolist() == [4, 1]


def test_no_hours_no_zones_and_a_reason() -> None:
    none = made(LINE, [4.0, 3.0, 2.0, 1.0], 0.0)
    assert none.zones == ()
    assert (none.objective, none.bound, none.gap, none.travel_s) == (0.0, 0.0, 0.0, 0.0)
    assert none.notes == ("there are no unit-hours, so nothing can be patrolled",)
    assert len(none.dropped) == 4
    short = made(LINE, [4.0, 3.0, 2.0, 1.0], 0.2)
    assert short.notes == ("the hours are shorter than one visit of 900 s",)


def test_no_priority_and_no_cells_are_said() -> None:
    assert made(LINE, [0.0] * 4, 6.0).notes == (
        "no cell has any priority: no harm is expected, or patrol has met it",
    )
    assert made(spots(), [], 6.0).notes == ("the district holds no cell of this resolution",)


def test_priority_on_an_island_too_small_for_a_zone_is_said() -> None:
    island, land = h3.latlng_to_cell(49.4, -123.12, 9), h3.latlng_to_cell(49.28, -123.12, 9)
    disk = np.array([*h3.grid_disk(land, 1), island], dtype=np.uint64)
    grid = grid_from(disk, 9)
    value = np.where(grid.cells == np.uint64(island), 1.0, 0.0)
    choice = choose(value, grid, neighbours(grid), 6.0, ChoiceParameters())
    assert choice.zones == ()
    assert choice.notes == ("what has priority lies on islands that are smaller than a zone",)


def test_a_district_smaller_than_a_zone_is_said() -> None:
    beside = neighbours(LINE)
    choice = choose(np.ones(4), LINE, beside, 6.0, ChoiceParameters())
    assert [len(zone) for zone in choice.zones] == [1, 1, 1, 1]
    assert any("no connected part" in note for note in choice.notes)


def test_unchanged_input_gives_the_same_ids() -> None:
    first, again = (made(LINE, [4.0, 3.0, 2.0, 1.0], 2.0) for _ in range(2))
    assert first.ids == again.ids
    assert first.ids[0] == zone_id(LINE.cells[first.zones[0]])


def test_a_zone_on_the_antimeridian_is_not_a_drive_around_the_world() -> None:
    beside_each_other = spots((-16.6, 179.99), (-16.6, -179.99))
    assert made(beside_each_other, [2.0, 1.0], 2.0).travel_s < 3600


def test_wrong_values_are_refused() -> None:
    for hours in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="unit_hours"):
            made(LINE, [1.0] * 4, hours)
    for visit_s in (659.0, 901.0, math.nan):
        with pytest.raises(ValueError, match="visit_s"):
            VisitParameters(visit_s=visit_s)
    for wrong in ({"speed_mps": 0.0}, {"detour_factor": 0.9}, {"return_s": 0.0}):
        with pytest.raises(ValueError, match="above zero"):
            VisitParameters(**wrong)
