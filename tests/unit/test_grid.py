import numpy as np
import pytest
import shapely

from app.geo.grid import (
    area_km2,
    cells_at,
    centres,
    from_text,
    grid_from,
    grid_of,
    index_of,
    neighbours,
    parents,
    resolutions,
    to_text,
)
from tests.town import CENTRE, GRID, OUTSIDE, POLYGON, RING

# The example of H3's own documentation: latLngToCell(37.775938728915946, -122.41795063018799, 9).
KNOWN = "8928308280fffff"


def test_a_published_cell() -> None:
    found = cells_at(np.array([37.775938728915946]), np.array([-122.41795063018799]), 9)
    assert to_text(found) == [KNOWN]
    assert from_text([KNOWN]) == found
    # 12,393.49 m²·10⁶ / number of cells … H3 gives the mean area at resolution 9 as 0.1053 km².
    assert area_km2(found)[0] == pytest.approx(0.105, rel=0.1)


def test_what_is_nowhere_has_no_cell() -> None:
    lat = np.array([np.nan, 91.0, 0.0, np.inf, 44.48])
    lon = np.array([0.0, 0.0, -180.5, 0.0, -79.80])
    assert cells_at(lat, lon, 9).tolist() == [0, 0, 0, 0, CENTRE]


def test_nothing_gives_nothing() -> None:
    none = np.empty(0)
    assert len(cells_at(none, none, 9)) == 0
    assert len(grid_of(shapely.Polygon(), 9)) == 0
    assert neighbours(grid_from(none.astype(np.uint64), 9)).shape == (0, 6)
    assert len(area_km2(none.astype(np.uint64))) == len(from_text([])) == len(parents(none, 3)) == 0


def test_a_grid_is_sorted_and_indexed() -> None:
    grid = grid_from(np.append(RING[::-1], CENTRE), 9)
    assert grid.cells.tolist() == sorted([*RING.tolist(), int(CENTRE)])
    assert index_of(grid, np.array([OUTSIDE, grid.cells[3]])).tolist() == [-1, 3]
    assert cells_at(grid.lat, grid.lon, 9).tolist() == grid.cells.tolist()


def test_neighbours_in_a_flower() -> None:
    # The middle touches all six petals; a petal touches the middle and the two petals beside it.
    beside = neighbours(GRID)
    middle = int(index_of(GRID, np.array([CENTRE]))[0])
    touched = (beside >= 0).sum(axis=1)
    assert touched[middle] == 6
    assert np.delete(touched, middle).tolist() == [3] * 6
    assert middle not in beside[middle]


def test_cells_of_a_polygon_are_those_whose_centre_is_inside() -> None:
    # The outline of seven cells holds their seven centres; one of their parent's edges cuts none.
    assert grid_of(POLYGON, 9).cells.tolist() == GRID.cells.tolist()
    lat, lon = centres(np.array([CENTRE]))
    tiny = shapely.box(lon[0] - 1e-6, lat[0] - 1e-6, lon[0] + 1e-6, lat[0] + 1e-6)
    assert grid_of(tiny, 9).cells.tolist() == [CENTRE]
    holed = shapely.difference(POLYGON, tiny)
    assert CENTRE not in grid_of(holed, 9).cells
    assert len(grid_of(shapely.MultiPolygon([tiny, shapely.transform(tiny, lambda p: p + 1)]), 9))


def test_polygons_that_are_no_polygons() -> None:
    bow_tie = shapely.Polygon([(-79.9, 44.4), (-79.7, 44.5), (-79.7, 44.4), (-79.9, 44.5)])
    found = grid_of(bow_tie, 9)
    assert len(found) > 0
    assert np.all(shapely.contains_xy(shapely.make_valid(bow_tie), found.lon, found.lat))
    assert len(grid_of(shapely.LineString([(-79.9, 44.4), (-79.7, 44.5)]), 9)) == 0


def test_a_polygon_over_the_antimeridian() -> None:
    # Fiji: the same box written past +180, past -180, and cut in two as RFC 7946 wants it.
    past = grid_of(shapely.box(179.9, -17.0, 180.1, -16.9), 8)
    assert (
        past.cells.tolist() == grid_of(shapely.box(-180.1, -17.0, -179.9, -16.9), 8).cells.tolist()
    )
    two = shapely.MultiPolygon(
        [shapely.box(179.9, -17.0, 180.0, -16.9), shapely.box(-180.0, -17.0, -179.9, -16.9)]
    )
    assert past.cells.tolist() == grid_of(two, 8).cells.tolist()
    assert past.lon.min() < -179.9
    assert past.lon.max() > 179.9


def test_parents_are_coarser() -> None:
    up = parents(GRID.cells, 7)
    assert resolutions(up).tolist() == [7] * 7
    assert np.all(parents(GRID.cells, 9) == GRID.cells)
    with pytest.raises(ValueError, match="coarser than resolution 10"):
        parents(GRID.cells, 10)


def test_text_that_is_no_cell() -> None:
    with pytest.raises(ValueError, match="CellIndex"):
        from_text(["nonsense"])
