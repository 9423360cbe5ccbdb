import json

import h3.api.numpy_int as h3
import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from app.geo import geojson

places = st.tuples(st.floats(-70, 70), st.floats(-180, 180), st.integers(7, 11))


@settings(max_examples=60, deadline=None)
@given(places, st.integers(0, 2))
def test_what_is_written_parses_back_as_valid_shapes_within_the_earth(
    place: tuple[float, float, int], k: int
) -> None:
    around = np.array(h3.grid_disk(h3.latlng_to_cell(*place), k), dtype=np.uint64)
    shapes = [*geojson.hexagons(around), geojson.outline(around)]
    for text in geojson.geometry_texts(shapes):
        shape = shapely.from_geojson(text)
        assert shape.is_valid
        west, _, east, _ = shape.bounds
        assert west >= -180.0
        assert east <= 180.0
        for part in shapely.get_parts(shape):
            assert part.exterior.is_ccw
            assert part.bounds[2] - part.bounds[0] < 1.0  # none goes around the other way


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.text(),
            st.text() | st.floats(allow_nan=False, allow_infinity=False) | st.lists(st.text()),
        ),
        max_size=5,
    )
)
def test_properties_come_back_as_they_were(members: list[dict[str, object]]) -> None:
    names = [json.dumps(member) for member in members]  # text with every sign that matters
    features = geojson.features([None] * len(members), names, members)
    found = json.loads(geojson.collection(features))["features"]
    assert [feature["properties"] for feature in found] == members
    assert [feature["id"] for feature in found] == names
