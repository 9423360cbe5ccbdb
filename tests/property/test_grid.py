"""What holds for cells anywhere, judged by H3's own functions."""

import h3.api.numpy_int as h3
import numpy as np
import shapely
from hypothesis import assume, given
from hypothesis import strategies as st

from app.geo import lattice
from app.geo.grid import (
    cells_at,
    from_text,
    grid_from,
    grid_of,
    index_of,
    neighbour_cells,
    neighbours,
    parents,
    to_text,
)
from app.geo.paths import pieces_of

latitudes = st.floats(-90, 90)
longitudes = st.floats(-180, 180)
resolutions = st.integers(4, 12)


def cell(lat: float, lon: float, resolution: int) -> int:
    return int(h3.latlng_to_cell(lat, lon, resolution))


@given(st.lists(st.tuples(st.floats(), st.floats())), st.integers(0, 15))
def test_points_on_earth_have_their_cell_and_others_none(
    points: list[tuple[float, float]], resolution: int
) -> None:
    lat, lon = np.array([p[0] for p in points]), np.array([p[1] for p in points])
    expected = [cell(*p, resolution) if abs(p[0]) <= 90 and abs(p[1]) <= 180 else 0 for p in points]
    assert cells_at(lat, lon, resolution).tolist() == expected


@given(latitudes, longitudes, resolutions, st.integers(0, 4))
def test_parents_and_text(lat: float, lon: float, resolution: int, up: int) -> None:
    one = np.array([cell(lat, lon, resolution)], dtype=np.uint64)
    assert parents(one, resolution - up)[0] == h3.cell_to_parent(int(one[0]), resolution - up)
    assert to_text(one) == [h3.int_to_str(int(one[0]))]
    assert from_text(to_text(one)) == one


@given(latitudes, longitudes, resolutions)
def test_neighbours_are_the_cells_around(lat: float, lon: float, resolution: int) -> None:
    disk = h3.grid_disk(cell(lat, lon, resolution), 2)
    grid = grid_from(disk, resolution)
    beside = neighbours(grid)
    for i, row in enumerate(beside.tolist()):
        around = {int(c) for c in h3.grid_ring(int(grid.cells[i]), 1)}
        assert {int(grid.cells[j]) for j in row if j >= 0} == around & set(grid.cells.tolist())
        assert all(i in beside[j] for j in row if j >= 0)


def test_pentagons_have_five_neighbours() -> None:
    for resolution in (0, 5, 9):
        around = neighbour_cells(np.array(h3.get_pentagons(resolution), dtype=np.uint64))
        assert (around > 0).sum(axis=1).tolist() == [5] * 12
        assert np.all(around[:, 5] == 0)


@given(st.floats(-60, 60), longitudes, st.lists(st.tuples(st.floats(0, 6.28), st.floats(300, 900))))
def test_a_grid_holds_the_cells_whose_centre_is_inside(
    lat: float, lon: float, corners: list[tuple[float, float]]
) -> None:
    assume(len({angle for angle, _ in corners}) >= 3)
    north = np.array([r * np.sin(a) / 111_195 for a, r in sorted(corners)])
    east = np.array([r * np.cos(a) / 111_195 for a, r in sorted(corners)])
    polygon = shapely.make_valid(
        shapely.Polygon(np.stack([lon + east / np.cos(np.radians(lat)), lat + north], axis=1))
    )
    grid = grid_of(polygon, 10)
    disk = grid_from(h3.grid_disk(cell(lat, lon, 10), 25), 10)
    turn = 360 * np.round((lon - disk.lon) / 360)  # near ±180 as the polygon has it
    inside = shapely.contains_xy(polygon, disk.lon + turn, disk.lat)
    assert grid.cells.tolist() == disk.cells[inside].tolist()
    assert index_of(grid, disk.cells).tolist() == [
        list(grid.cells).index(c) if i else -1 for c, i in zip(disk.cells, inside, strict=True)
    ]


@given(st.lists(st.tuples(latitudes, longitudes), min_size=1), resolutions)
def test_the_lattice_gives_the_same_cells(
    points: list[tuple[float, float]], resolution: int
) -> None:
    lat, lon = np.array(points).T
    plane = lattice.project(lattice.unit_vectors(lat, lon), resolution)
    codes = lattice.codes_at(plane)
    u, v = lattice.centres_of(codes)
    off = np.abs([plane.u - u, plane.v - v, (plane.v - v) - (plane.u - u)]).max(axis=0)
    assert np.all(off <= 0.5 + 1e-9)
    differ = lattice.cells_of(codes, resolution) != cells_at(lat, lon, resolution)
    assert np.all(off[differ] > 0.5 - 1e-7)  # on a border either is right


@given(latitudes, longitudes, st.floats(0, 6.28), st.floats(0, 10_000), resolutions)
def test_pieces_of_a_way_tile_it_and_lie_in_their_cells(
    lat: float, lon: float, heading: float, metres: float, resolution: int
) -> None:
    start = lattice.unit_vectors(np.array([lat]), np.array([lon]))[:, 0]
    side = np.cross(start, [0.0, 0.0, 1.0] if abs(lat) < 45 else [1.0, 0.0, 0.0])
    side /= np.linalg.norm(side)
    ahead = np.cos(heading) * side + np.sin(heading) * np.cross(start, side)
    angle = metres / lattice.EARTH_M
    stop = np.cos(angle) * start + np.sin(angle) * ahead
    points = np.stack([start, stop], axis=1)
    plane = lattice.project(points, resolution)
    pieces = pieces_of(points, plane, np.array([0]), np.array([1]), resolution)
    assert pieces.begin[0] == 0
    assert pieces.end[-1] == 1
    assert pieces.begin[1:].tolist() == pieces.end[:-1].tolist()
    assert np.all(pieces.begin <= pieces.end)
    long = (pieces.end - pieces.begin) * metres > 30  # shares of a way are good to 0.1 %
    middle = start[:, None] + (pieces.begin + pieces.end) / 2 * (stop - start)[:, None]
    middle /= np.linalg.norm(middle, axis=0)
    found = cells_at(
        np.degrees(np.arcsin(middle[2])), np.degrees(np.arctan2(middle[1], middle[0])), resolution
    )
    assert lattice.cells_of(pieces.code, resolution)[long].tolist() == found[long].tolist()
