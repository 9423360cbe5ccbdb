"""Files in every form give the same rows; a broken row takes no other with it."""

import gzip
import json
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from app import files
from app.errors import BadInput
from app.facts import PingColumns
from app.files import Rows, open_rows, pings_of_file, pings_of_rows, read_area, read_districts
from app.instants import ABSENT, INVALID
from app.profile import Kind, profile_of, read_profile

GENERIC = read_profile("generic")
PINGS: list[dict[str, Any]] = [
    {"unit_id": "A", "time": "1970-01-01T00:00:01Z", "lat": 1.5, "lon": 2.5, "speed_mps": 3.0},
    {"unit_id": "B", "time": "1970-01-01T00:00:02Z", "lat": -1.0, "lon": 2.0, "speed_mps": None},
    {"unit_id": "A", "time": "1970-01-01T00:00:03Z", "lat": 1.0, "lon": 180.0, "speed_mps": 0.0},
]


def write(path: Path, text: str | bytes) -> Path:
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def csv_of(items: list[dict[str, Any]]) -> str:
    rows = [items[0].keys(), *(item.values() for item in items)]
    return "".join(",".join("" if v is None else str(v) for v in row) + "\n" for row in rows)


def geojson_of(items: list[dict[str, Any]]) -> str:
    features = []
    for item in items:
        attributes = {name: v for name, v in item.items() if name not in ("lat", "lon")}
        point = {"type": "Point", "coordinates": [item["lon"], item["lat"]]}
        features.append({"type": "Feature", "geometry": point, "properties": attributes})
    return json.dumps({"type": "FeatureCollection", "features": features})


def in_form(folder: Path, form: str, items: list[dict[str, Any]]) -> Path:
    path = folder / f"pings.{form}"
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(items), path)
        return path
    texts = {
        "csv": csv_of(items),
        "ndjson": "\n".join(map(json.dumps, items)),
        "json": "\n".join(map(json.dumps, items)),
        "geojson": geojson_of(items),
    }
    return write(path, texts[form.removesuffix(".gz")])


def opened(path: Path, kind: Kind = "pings", **profile: Any) -> list[Rows]:
    return list(open_rows(path, profile_of(profile), kind).rows)


def columns(path: Path, **profile: Any) -> PingColumns:
    source = open_rows(path, profile_of(profile), "pings")
    (rows,) = source.rows
    return pings_of_rows(rows, source.layout).columns


FORMS = ["csv", "csv.gz", "ndjson", "ndjson.gz", "json", "parquet", "geojson", "geojson.gz"]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_pings(tmp_path: Path, form: str) -> None:
    path = in_form(tmp_path, form, PINGS)
    found = columns(path)
    assert found.unit_id.texts() == ["A", "B", "A"]
    assert found.time_us.tolist() == [1_000_000, 2_000_000, 3_000_000]
    assert (found.lat.tolist(), found.lon.tolist()) == ([1.5, -1, 1], [2.5, 2, 180])
    assert [str(speed) for speed in found.speed_mps] == ["3.0", "nan", "0.0"]
    (rows,) = opened(path)
    assert rows.index.tolist() == [0, 1, 2]
    assert rows.done == rows.total  # the progress bar is full


@pytest.mark.parametrize("form", [form for form in FORMS if "geojson" not in form])
def test_unix_seconds_in_every_form(tmp_path: Path, form: str) -> None:
    items = [item | {"time": 1.5} for item in PINGS]
    assert columns(in_form(tmp_path, form, items)).time_us.tolist() == [1_500_000] * 3


@pytest.mark.parametrize("form", [form for form in FORMS if "geojson" not in form])
def test_unix_milliseconds_where_a_profile_says_so(tmp_path: Path, form: str) -> None:
    items = [item | {"time": 1_488_322_493_123} for item in PINGS]
    path = in_form(tmp_path, form, items)
    for formats in (["unix_ms"], ["unix", "unix_ms"]):
        found = columns(path, time_formats=formats)
        assert found.time_us.tolist() == [1_488_322_493_123_000] * 3
    assert columns(path, time_formats=["unix"]).time_us.tolist() == [INVALID] * 3


def test_quotes_blanks_and_a_byte_order_mark_in_csv(tmp_path: Path) -> None:
    text = '\ufeff"unit_id",time,lat,lon\r\n"A, 7",1,"1",2\r\n\r\n"B""\n7",,3,4\r\n'
    found = columns(write(tmp_path / "a.csv", text))
    assert found.unit_id.texts() == ["A, 7", 'B"\n7']
    assert found.time_us.tolist() == [1_000_000, ABSENT]
    assert found.lat.tolist() == [1, 3]


def test_another_delimiter_and_encoding(tmp_path: Path) -> None:
    text = "unit_id;time;lat;lon\nMüller;1;1;2\n".encode("latin-1")
    path = write(tmp_path / "a.csv", text)
    assert columns(path, delimiter=";", encoding="latin-1").unit_id.texts() == ["Müller"]


def test_broken_rows_of_csv_take_no_other_with_them(tmp_path: Path) -> None:
    lines = ["unit_id,time,lat,lon", "A,1,1,1", "B,1", "C,1,1,1", "D,1,1,1,1", "E,1,1,1", "F"]
    (rows, rest) = opened(write(tmp_path / "a.csv", "\n".join(lines)))
    assert rows.columns["unit_id"].to_pylist() == ["A", "C", "E"]
    assert rows.index.tolist() == [0, 2, 4]
    assert [index for index, _ in (*rows.broken, *rest.broken)] == [1, 3, 5]
    assert len(rest) == 0


def test_a_row_that_is_not_utf_8(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b"unit_id,time,lat,lon\nA,1,1,1\n\xff,1,1,1\nC,1,1,1\n")
    (rows,) = opened(path)
    assert rows.columns["unit_id"].to_pylist() == ["A", "C"]
    assert rows.index.tolist() == [0, 2]
    assert [(index, flaw.code) for index, flaw in rows.broken] == [(1, "malformed")]


def test_broken_rows_are_numbered_across_pieces(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("app.files.text.BLOCK_BYTES", 2_000)
    lines = ["unit_id,time,lat,lon", *("A,1,1,1" if k % 100 else "A" for k in range(1_000))]
    pieces = opened(write(tmp_path / "a.csv", "\n".join(lines)))
    assert len(pieces) > 2
    good = np.concatenate([rows.index for rows in pieces])
    broken = [index for rows in pieces for index, _ in rows.broken]
    assert broken == list(range(0, 1_000, 100))
    assert good.tolist() == [k for k in range(1_000) if k % 100]


def test_broken_lines_of_ndjson(tmp_path: Path) -> None:
    good = json.dumps(PINGS[0])
    odd = [
        good,
        "{",
        "",
        json.dumps(PINGS[0] | {"altitude": 3}),
        json.dumps(PINGS[0] | {"lat": "1"}),
    ]
    (rows,) = opened(write(tmp_path / "a.ndjson", "\n".join([*odd, "[]", '{"lat": "\xff"}', good])))
    assert rows.index.tolist() == [0, 6]  # the blank line is no row
    assert [(index, flaw.code, flaw.field) for index, flaw in rows.broken] == [
        (1, "malformed", None),
        (2, "unknown_field", "altitude"),
        (3, "malformed", "lat"),
        (4, "malformed", None),
        (5, "malformed", "lat"),
    ]


def test_texts_and_numbers_among_the_times_of_ndjson(tmp_path: Path) -> None:
    items = [PINGS[0], PINGS[1] | {"time": 2}, PINGS[2] | {"time": 3.5}, PINGS[0] | {"time": "4"}]
    path = in_form(tmp_path, "ndjson", items)
    pieces = opened(path)
    assert sorted(index for rows in pieces for index in rows.index.tolist()) == [0, 1, 2, 3]
    found, _ = pings_of_file(path, "generic")
    assert sorted(found.time_us.tolist()) == [ABSENT, 1_000_000, 2_000_000, 3_500_000]


def test_files_without_rows(tmp_path: Path) -> None:
    assert opened(write(tmp_path / "a.csv", "unit_id,time,lat,lon")) == []
    assert opened(write(tmp_path / "a.ndjson", "\n\n")) == []
    with pytest.raises(BadInput, match="empty"):
        opened(write(tmp_path / "b.csv", ""))


@pytest.mark.parametrize("name", ["a.csv.gz", "a.parquet", "a.ndjson.gz", "a.geojson", "a.xyz"])
def test_files_that_are_damaged(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x1f\x8b\x08 this is no such file")
    with pytest.raises(BadInput):
        opened(tmp_path / name)
    with pytest.raises(BadInput, match="no file"):
        opened(tmp_path / f"other-{name}")


def test_a_csv_file_whose_gzip_ends_too_early(tmp_path: Path) -> None:
    data = gzip.compress(csv_of(PINGS * 1_000).encode(), mtime=0)
    (tmp_path / "a.csv.gz").write_bytes(data[: len(data) // 2])
    with pytest.raises(BadInput):
        opened(tmp_path / "a.csv.gz")


def test_columns_that_do_not_fit_a_file(tmp_path: Path) -> None:
    for form in ("csv", "parquet", "geojson"):
        with pytest.raises(BadInput, match="altitude"):
            opened(in_form(tmp_path, form, [item | {"altitude": 3} for item in PINGS]))
        with pytest.raises(BadInput, match="unit_id"):
            opened(in_form(tmp_path, form, [{"time": 1, "lat": 1.0, "lon": 1.0}]))


def test_a_layer_in_metres_and_features_without_a_point(tmp_path: Path) -> None:
    points = [shapely.Point(500_000, 0), None, shapely.LineString([(0, 0), (1, 1)])]
    frame = geopandas.GeoDataFrame(
        {"unit_id": ["A"] * 3, "time": [1, 2, 3]}, geometry=points, crs="EPSG:26910"
    )
    frame.to_file(tmp_path / "a.gpkg")
    found = columns(tmp_path / "a.gpkg")
    assert found.lon[0] == pytest.approx(-123)  # the central meridian of zone 10
    assert found.lat[0] == pytest.approx(0)
    assert np.isnan(found.lat[1:]).all()


def test_no_row_is_left_out_of_a_whole_file(tmp_path: Path) -> None:
    lines = ["unit_id,time,lat,lon,speed_mps,status", "A,1,1,1,5,busy", ",2,1,1,,", "B,x,1,1,,"]
    lines += ["C,4,95,1,-5,parked", "D,5,,,,", "E,6"]
    pings, units = pings_of_file(write(tmp_path / "a.csv", "\n".join(lines)), "generic")
    assert [units[k] for k in pings.unit] == ["A", "", "B", "C", "D", ""]
    assert pings.time_us.tolist() == [1_000_000, 2_000_000, ABSENT, 4_000_000, 5_000_000, ABSENT]
    # No place without a unit or a time; an impossible one stays for cleaning to see.
    assert [str(lat) for lat in pings.lat] == ["1.0", "nan", "nan", "95.0", "nan", "nan"]
    assert [str(speed) for speed in pings.speed_mps[:4]] == ["5.0", "nan", "nan", "nan"]
    assert pings.status.tolist() == [4, -1, -1, -1, -1, -1]
    assert len(pings_of_file(write(tmp_path / "b.csv", lines[0]), "generic")[0]) == 0


def test_incidents_of_a_whole_file(tmp_path: Path) -> None:
    header = "incident_id,occurred_from,lat,lon,category,occurred_to,reported_at,source"
    lines = [
        header,
        "1,10,1,1,THEFT,,,",
        "2,5,1,1,ARSON,7,9,officer",
        "1,20,1,1,THEFT,,,alarm",  # takes the place of the first
        "3,5,91,1,THEFT,,,",
        "4",
    ]
    path = write(tmp_path / "a.csv", "\n".join(lines))
    incidents, refused = files.incidents_of_file(path, "generic", 9)
    assert refused == 2
    assert incidents.time_us.tolist() == [5_000_000, 20_000_000]
    assert incidents.to_us.tolist() == [7_000_000, 20_000_000]
    assert incidents.known_us.tolist() == [9_000_000, 20_000_000]
    assert [incidents.categories[k] for k in incidents.category] == ["ARSON", "THEFT"]
    assert incidents.source.tolist() == [2, 3]
    empty, _ = files.incidents_of_file(write(tmp_path / "b.csv", header), "generic", 9)
    assert len(empty) == 0


SQUARE = shapely.box(0, 0, 1, 1)
# A bow tie crosses itself at (0.5, 0.5): two triangles of a quarter each.
BOW_TIE = shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])


def boundaries(path: Path, shapes: list[Any], crs: str = "EPSG:4326", **fields: Any) -> Path:
    geopandas.GeoDataFrame(fields, geometry=shapes, crs=crs).to_file(path)
    return path


def test_districts_are_valid_areas_with_ids_and_names(tmp_path: Path) -> None:
    path = boundaries(tmp_path / "a.geojson", [SQUARE, BOW_TIE], ID=[1.0, 2.0], Name=["East", None])
    east, west = read_districts(path)
    assert (east.id, east.name, east.geometry.area) == ("1", "East", 1)
    assert (west.id, west.name) == ("2", "2")
    assert west.geometry.is_valid
    assert west.geometry.geom_type == "MultiPolygon"
    assert west.geometry.area == 0.5
    with pytest.raises(BadInput, match="feature 1"):
        read_districts(path, id_field="Name")
    assert read_area(path).area == 1


def test_districts_in_metres(tmp_path: Path) -> None:
    square = shapely.box(500_000, 0, 501_000, 1_000)
    (found,) = read_districts(boundaries(tmp_path / "a.gpkg", [square], "EPSG:26910", name=["A"]))
    west, south, east, north = found.geometry.bounds
    assert (west, south) == pytest.approx((-123, 0))
    # A kilometre is about 1/111 of a degree at the equator, 0.04 % more in this projection.
    assert (east, north) == pytest.approx((-123 + 1 / 111.3, 1 / 110.5), abs=1e-5)


@pytest.mark.parametrize(
    ("shapes", "fields", "said"),
    [
        ([shapely.Point(0, 0)], {"id": ["A"]}, "Point"),
        ([SQUARE, None], {"id": ["A", "B"]}, "without geometry"),
        ([SQUARE, SQUARE], {"id": ["A", "A"]}, "'A' stands there twice"),
        ([SQUARE, SQUARE], {"id": ["A", None]}, "feature 1"),
        ([SQUARE], {"id": ["A/B"]}, "no /"),
        ([SQUARE], {"beatle": ["A"]}, "--id-field, one of beatle"),
        ([shapely.box(0, 0, 1_000, 1_000)], {"id": ["A"]}, "degrees"),
    ],
)
def test_boundaries_that_are_none(
    tmp_path: Path, shapes: list[Any], fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        read_districts(boundaries(tmp_path / "a.geojson", shapes, **fields))


def test_a_file_with_no_districts(tmp_path: Path) -> None:
    path = write(tmp_path / "a.geojson", '{"type": "FeatureCollection", "features": []}')
    with pytest.raises(BadInput, match="no polygons"):
        read_districts(path)
    with pytest.raises(BadInput, match="cannot be read"):
        read_districts(write(tmp_path / "b.geojson", "no"))
    with pytest.raises(BadInput, match="among id, geom_name"):
        read_districts(
            boundaries(tmp_path / "c.geojson", [SQUARE], id=["A"], geom_name=["x"]), "beat"
        )


def test_what_is_written_stands_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    schema = pa.schema([("cell", pa.string()), ("dwell_s", pa.float64())])
    piece = {"cell": ["a", "b"], "dwell_s": np.array([1.0, 2.0])}
    assert files.write_parquet(path, [piece, piece], schema) == 4
    assert pq.read_table(path).to_pylist()[3] == {"cell": "b", "dwell_s": 2.0}
    with pytest.raises(KeyError):
        files.write_parquet(path, [piece, {}], schema)
    assert pq.read_table(path).num_rows == 4
    assert files.write_parquet(path, [], schema) == 0
    files.write_text(tmp_path / "a.txt", "ü")
    assert (tmp_path / "a.txt").read_bytes() == "ü".encode()
    with pytest.raises(BadInput, match="cannot be written"):
        files.write_text(tmp_path / "nowhere" / "a.txt", "")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.parquet", "a.txt"]


GPX = """<gpx version="1.0" creator="a" xmlns="http://www.topografix.com/GPX/1/0">
<wpt lat="1" lon="2"/>
<trk><name>4A12</name><trkseg>
<trkpt lat="44.5" lon="-79.8"><time>2024-01-03T12:00:00.25Z</time><course>90</course>
<speed>5.5</speed><hdop>2</hdop></trkpt>
<trkpt lat="44.6" lon="-79.8"><time>2024-01-03T07:00:01-05:00</time></trkpt></trkseg>
<trkseg><trkpt lat="44.7" lon="-79.8"/></trkseg></trk>
<trk><trkseg><trkpt lat="44.5" lon="-79.9"><time>2024-01-03T12:00:02</time></trkpt></trkseg></trk>
</gpx>"""


@pytest.mark.parametrize("name", ["car.gpx", "car.gpx.gz"])
def test_the_tracks_of_a_gpx_file(tmp_path: Path, name: str) -> None:
    found = columns(write(tmp_path / name, GPX))
    assert found.unit_id.texts() == ["4A12", "4A12", "4A12", "car"]
    noon_us = 1_704_283_200_000_000  # 2024-01-03 12:00 UTC
    seconds = [0.25, 1, None, 2]
    assert found.time_us.tolist() == [
        ABSENT if s is None else noon_us + round(s * 1e6) for s in seconds
    ]
    assert found.lat.tolist() == [44.5, 44.6, 44.7, 44.5]
    first = (found.speed_mps[0], found.heading_deg[0], found.accuracy_m[0])
    assert first == (5.5, 90, 10)  # an HDOP of 2 is 10 m
    assert np.isnan([found.speed_mps[1], found.heading_deg[1], found.accuracy_m[1]]).all()
