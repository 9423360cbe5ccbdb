import json
import math

import h3.api.numpy_int as h3
import numpy as np
import pytest
import shapely

from app.geo import geojson

CITY = int(h3.latlng_to_cell(49.28, -123.12, 9))
FIJI = int(h3.latlng_to_cell(-16.6, 179.9999, 7))  # its outline spans 180 degrees


def cells(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.uint64)


def disk(cell: int, k: int) -> np.ndarray:
    return np.array(h3.grid_disk(cell, k), dtype=np.uint64)


def test_a_hexagon_is_a_closed_ring_of_seven_positions_counter_clockwise_lon_first() -> None:
    [text] = geojson.geometry_texts(geojson.hexagons(cells(CITY)))
    shape = json.loads(text)
    assert shape["type"] == "Polygon"
    [ring] = shape["coordinates"]
    assert len(ring) == 7
    assert ring[0] == ring[-1]
    assert shapely.LinearRing(ring).is_ccw
    # H3 gives the same corners as (lat, lon).
    corners = {(round(lon, 6), round(lat, 6)) for lat, lon in h3.cell_to_boundary(CITY)}
    assert {tuple(place) for place in ring} == corners


def test_cells_from_the_database_are_signed_and_give_the_same_hexagons() -> None:
    signed = cells(CITY).astype(np.int64)
    assert geojson.hexagons(signed)[0].equals(geojson.hexagons(cells(CITY))[0])


def test_coordinates_have_six_decimals_at_most_and_no_minus_zero() -> None:
    [text] = geojson.geometry_texts([shapely.Point(-0.00000049, 12.3456789)])
    assert text == '{"type":"Point","coordinates":[0.0,12.345679]}'


def test_a_clockwise_ring_is_turned_and_its_hole_the_other_way() -> None:
    square = shapely.box(0, 0, 4, 4, ccw=False).difference(shapely.box(1, 1, 2, 2))
    [outer, hole] = json.loads(geojson.geometry_texts([square])[0])["coordinates"]
    assert shapely.LinearRing(outer).is_ccw
    assert not shapely.LinearRing(hole).is_ccw


def test_the_outline_of_a_ring_of_six_cells_has_a_hole() -> None:
    around = np.array(h3.grid_ring(CITY, 1), dtype=np.uint64)
    shape = geojson.outline(around)
    # Six hexagons have 36 corners; outside, 18 of them are seen (3 each); inside, 6 (1 each).
    [part] = shape.geoms
    [hole] = part.interiors
    assert len(part.exterior.coords) == 18 + 1
    assert len(hole.coords) == 6 + 1


def test_an_outline_holds_the_area_of_its_cells() -> None:
    shape = geojson.outline(disk(CITY, 2))
    assert shape.geom_type == "MultiPolygon"
    assert shape.is_valid
    parts = sum(polygon.area for polygon in geojson.hexagons(disk(CITY, 2)))
    # Corners lie on the grid of six decimals, up to 0.07 m off.
    assert math.isclose(shape.area, parts, rel_tol=1e-5)


def test_cells_apart_are_an_outline_of_two_parts() -> None:
    assert len(geojson.outline(cells(CITY, FIJI)).geoms) == 1 + 2  # that in Fiji is cut in two


def test_a_cell_on_the_antimeridian_is_cut_there() -> None:
    [shape] = geojson.hexagons(cells(FIJI))
    west, east = sorted(part.bounds for part in shape.geoms)
    assert west[0] == -180.0
    assert east[2] == 180.0
    assert west[2] - west[0] < 0.1
    assert east[2] - east[0] < 0.1


def test_an_outline_across_the_antimeridian_is_cut_there() -> None:
    shape = geojson.outline(disk(FIJI, 1))
    assert len(shape.geoms) == 2
    assert shape.is_valid
    parts = sum(polygon.area for polygon in geojson.hexagons(disk(FIJI, 1)))
    # Corners lie on the grid of six decimals, up to 0.07 m off.
    assert math.isclose(shape.area, parts, rel_tol=1e-5)


def test_a_track_is_a_line_a_single_position_a_point_and_none_nothing() -> None:
    lat, lon = np.array([49.0, 49.5]), np.array([-123.0, -123.5])
    assert geojson.geometry_texts([geojson.line(lat, lon)]) == [
        '{"type":"LineString","coordinates":[[-123.0,49.0],[-123.5,49.5]]}'
    ]
    assert geojson.geometry_texts([geojson.line(lat[:1], lon[:1])]) == [
        '{"type":"Point","coordinates":[-123.0,49.0]}'
    ]
    assert geojson.line(lat[:0], lon[:0]) is None


def test_a_feature_without_geometry_or_id() -> None:
    assert geojson.feature(None, {"a": 1}) == (
        '{"type":"Feature","geometry":null,"properties":{"a":1}}'
    )


def test_features_carry_their_own_id_and_properties_whatever_these_hold() -> None:
    members = [{"cells": ["x", "y"], "name": 'a "},\n{" b'}, {"of": [{}, {"deep": [{}, {}]}]}, {}]
    names = ['",\n"', "é", "3"]
    found = geojson.features([shapely.Point(0, 0)] * 3, names, members)
    document = json.loads(geojson.collection(found, numberMatched=3))
    assert document["type"] == "FeatureCollection"
    assert document["numberMatched"] == 3
    assert [feature["properties"] for feature in document["features"]] == members
    assert [feature["id"] for feature in document["features"]] == names


def test_nothing_in_nothing_out() -> None:
    none = np.empty(0, dtype=np.uint64)
    assert len(geojson.hexagons(none)) == 0
    assert geojson.outline(none).is_empty
    assert geojson.geometry_texts([]) == []
    assert geojson.features([], [], []) == []
    assert geojson.collection([]) == '{"type":"FeatureCollection","features":[]}'


def test_what_json_cannot_say_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        geojson.features([None], ["a"], [{"share": math.nan}])
    with pytest.raises(ValueError, match="argument"):
        geojson.features([None, None], ["a"], [{}])
