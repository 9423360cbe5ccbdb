"""Profiles: what they may say, which columns they need, and how rows become facts by them."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from app.errors import BadInput
from app.facts import IncidentColumns, PingColumns
from app.files import Mapped, Numbering, Rows, incidents_of_rows, pings_of_rows
from app.files.georss import COLUMNS as GEORSS_COLUMNS
from app.instants import ABSENT, INVALID
from app.profile import layout_of, profile_of, read_profile, shipped_profiles

SF = ["Dates", "Category", "Descript", "DayOfWeek", "PdDistrict", "Resolution", "Address", "X", "Y"]
VANCOUVER = ["TYPE", "YEAR", "MONTH", "DAY", "HOUR", "MINUTE"]
VANCOUVER += ["HUNDRED_BLOCK", "NEIGHBOURHOOD", "X", "Y"]
PINGS = {"unit_id": ["A"], "time": [0], "lat": [1.0], "lon": [2.0]}
INCIDENTS = {"incident_id": ["1"], "occurred_from": [0], "category": ["THEFT"]} | {
    "lat": [1.0],
    "lon": [2.0],
}


def rows(columns: dict[str, Any], quoted: bool = True) -> Rows:
    arrays = {name: v if isinstance(v, pa.Array) else pa.array(v) for name, v in columns.items()}
    return Rows(arrays, np.arange(len(next(iter(arrays.values())))), quoted=quoted)


def pings(
    profile: dict[str, Any], columns: dict[str, Any], quoted: bool = True
) -> Mapped[PingColumns]:
    layout = layout_of(profile_of(profile), "pings", columns)
    return pings_of_rows(rows(columns, quoted), layout)


def incidents(
    profile: dict[str, Any], columns: dict[str, Any], quoted: bool = True
) -> Mapped[IncidentColumns]:
    layout = layout_of(profile_of(profile), "incidents", columns)
    return incidents_of_rows(rows(columns, quoted), layout, Numbering())


def us(text: str) -> int:
    return int(np.datetime64(text, "us").astype(np.int64))


def test_the_shipped_profiles_fit_the_files_they_are_for() -> None:
    assert shipped_profiles() == [
        "generic",
        "portland_calls",
        "sf_incidents",
        "sf_taxi_gps",
        "vancouver_incidents",
    ]
    layout_of(read_profile("generic"), "pings", PINGS)
    layout_of(read_profile("generic"), "incidents", INCIDENTS)
    layout_of(read_profile("sf_incidents"), "incidents", SF)
    layout_of(read_profile("sf_incidents"), "incidents", [*SF[:1], *SF[3:5], *SF[6:], "Id"])
    layout_of(read_profile("vancouver_incidents"), "incidents", VANCOUVER)
    layout_of(read_profile("portland_calls"), "incidents", GEORSS_COLUMNS, placed=True)
    cabs = ["cab_id", "latitude", "longitude", "occupied", "time"]
    layout_of(read_profile("sf_taxi_gps"), "pings", cabs)


def test_a_profile_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[columns]\nunit_id = "Wagen"\n', encoding="utf-8")
    assert layout_of(read_profile(path), "pings", ["Wagen", "time", "lat", "lon"]).source == {
        "unit_id": "Wagen",
        "time": "time",
        "lat": "lat",
        "lon": "lon",
    }
    path.write_text("columns = 5", encoding="utf-8")
    with pytest.raises(BadInput, match=r"mine\.toml"):
        read_profile(path)
    with pytest.raises(BadInput, match="sf_incidents"):
        read_profile("nobody")


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"colums": {}}, "colums"),
        ({"columns": {"speed": "v"}}, "speed"),
        ({"defaults": {"lat": "0"}}, "lat"),
        ({"timezone": "Mars/Olympus"}, "Mars"),
        ({"crs": "EPSG:0"}, "EPSG:0"),
        ({"encoding": "klingon"}, "klingon"),
        ({"time_formats": ["%Q"], "timezone": "UTC"}, "%Q"),
        ({"time_formats": ["%Y"]}, "timezone"),
        ({"parts": {"year": "Y", "month": "M", "day": "D"}}, "timezone"),
        ({"derived_id": {"identical": "perhaps"}}, "perhaps"),
        ({"hour_unknown": {"at": ["midnight"]}, "timezone": "UTC"}, "hour_unknown"),
    ],
)
def test_a_profile_that_makes_no_sense(members: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        profile_of(members)


def test_columns_that_do_not_fit() -> None:
    generic = read_profile("generic")
    with pytest.raises(BadInput, match="'altitude' is not known"):
        layout_of(generic, "pings", [*PINGS, "altitude"])
    with pytest.raises(BadInput, match="no column 'lon'"):
        layout_of(generic, "pings", ["unit_id", "time", "lat"])
    with pytest.raises(BadInput, match="'lat' stands there twice"):
        layout_of(generic, "pings", [*PINGS, "lat"])
    with pytest.raises(BadInput, match="--profile vancouver_incidents would fit"):
        layout_of(generic, "incidents", VANCOUVER)
    everything = profile_of({"ignore": ["*"]})
    assert "altitude" not in layout_of(everything, "pings", [*PINGS, "altitude"]).needed


def test_formats_are_tried_in_order() -> None:
    profile = {
        "time_formats": ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %I:%M:%S%p", "rfc3339"],
        "timezone": "America/Los_Angeles",
    }
    times = ["2008-06-30 21:05:00", "2008-06-30 9:05:00PM", "2008-07-01T04:05:00Z", "later", None]
    columns = {name: v * 5 for name, v in PINGS.items()} | {"time": times}
    expected = us("2008-07-01T04:05")  # seven hours behind UTC in summer
    assert pings(profile, columns).columns.time_us.tolist() == [expected] * 3 + [INVALID, ABSENT]


def test_numbers_stand_in_texts_only_where_a_file_cannot_tell() -> None:
    columns = {"unit_id": ["7"], "time": ["1.5"], "lat": ["1"], "lon": ["-2e0"], "status": ["busy"]}
    found = pings({}, columns, quoted=False)
    assert found.columns.time_us.tolist() == [1_500_000]
    assert (found.columns.lat.tolist(), found.columns.lon.tolist()) == ([1.0], [-2.0])
    assert found.columns.status.tolist() == [4]
    found = pings({}, columns, quoted=True)
    assert found.columns.time_us.tolist() == [INVALID]
    assert found.flaws[found.found[0]][:2] == ("malformed", "lat")


def test_blanks_and_nonsense_in_a_text_file() -> None:
    columns = {
        "unit_id": ["A", "", "B", "C"],
        "time": ["0", "", "x", "nan"],
        "lat": ["1", "", "x", "nan"],
        "lon": ["2", "2", "2", "1,5"],
        "status": ["", "parked", "busy", "busy"],
    }
    found = pings({}, columns, quoted=False)
    assert found.columns.unit_id.texts() == ["A", None, "B", "C"]
    assert found.columns.time_us.tolist() == [0, ABSENT, INVALID, INVALID]
    assert [found.flaws[k].field if k >= 0 else None for k in found.found] == [
        None,
        None,
        "lat",
        "lat",
    ]
    assert found.columns.status.tolist() == [-1, -2, 4, 4]


def test_timestamps_with_and_without_a_zone() -> None:
    aware = pa.array([0], pa.timestamp("ms", "America/Vancouver"))
    assert pings({}, PINGS | {"time": aware}).columns.time_us.tolist() == [0]
    naive = pa.array([0], pa.timestamp("ns"))
    found = pings({"timezone": "America/Vancouver"}, PINGS | {"time": naive})
    assert found.columns.time_us.tolist() == [8 * 3600 * 10**6]
    with pytest.raises(BadInput, match="time zone"):
        pings({}, PINGS | {"time": naive})


def test_metres_and_values_that_mean_no_place() -> None:
    profile = {
        "crs": "EPSG:26910",
        "no_coordinates": [{"lat": 0, "lon": 0}, {"lat": 90}],
    }
    # On the central meridian of UTM zone 10 (123° W) the easting is 500 km.
    columns = {
        "unit_id": ["A"] * 4,
        "time": [0] * 4,
        "lat": [5_450_000.0, 0.0, 90.0, None],
        "lon": [500_000.0, 0.0, 5.0, 1.0],
    }
    found = pings(profile, columns).columns
    assert found.lon[0] == pytest.approx(-123, abs=1e-9)
    assert 49.2 < found.lat[0] < 49.21  # some 5,450 km from the equator, times 0.9996
    assert np.isnan(found.lat[1:]).all()
    assert np.isnan(found.lon[1:]).all()


def test_parts_of_a_date_and_an_hour_that_is_unknown() -> None:
    profile = read_profile("vancouver_incidents")
    columns: dict[str, Any] = {
        "TYPE": ["Mischief", "Mischief", "Mischief", "Mischief", "Mischief"],
        "YEAR": [2024, 2024, 2024, 2024, None],
        "MONTH": [7, 7, 2, 7, 7],
        "DAY": [1, 1, 30, 1, 1],
        "HOUR": [14, 0, 0, 24, 0],
        "MINUTE": [30, 0, 0, 0, 0],
        "HUNDRED_BLOCK": ["a"] * 5,
        "NEIGHBOURHOOD": ["b"] * 5,
        "X": [491_000.0] * 5,
        "Y": [5_450_000.0] * 5,
    }
    layout = layout_of(profile, "incidents", columns)
    found = incidents_of_rows(rows(columns), layout, Numbering()).columns
    assert found.occurred_from_us.tolist() == [
        us("2024-07-01T21:30"),  # seven hours behind UTC
        us("2024-07-01T07:00"),
        INVALID,
        INVALID,
        ABSENT,
    ]
    last = us("2024-07-02T07:00") - 1  # the last instant of that day in Vancouver
    assert found.occurred_to_us.tolist() == [ABSENT, last, ABSENT, ABSENT, ABSENT]
    assert found.municipality.texts() == ["Vancouver"] * 5


def test_words_defaults_and_what_is_left_out() -> None:
    profile = {
        "columns": {"category": "kind"},
        "values": {"category": {"Diebstahl": "THEFT"}, "source": {"Notruf": "public"}},
        "defaults": {"category": "OTHER", "municipality": "Berlin"},
        "exclude": {"category": ["Probe"]},
    }
    n = 4
    columns = {name: v * n for name, v in INCIDENTS.items() if name != "category"}
    columns |= {"kind": ["Diebstahl", None, "Probe", "x"], "source": ["Notruf", None, "alarm", "y"]}
    found = incidents(profile, columns)
    assert found.columns.category.texts() == ["THEFT", "OTHER", "Probe", "x"]
    assert found.columns.source.tolist() == [1, -1, 3, -2]
    assert found.columns.municipality.texts() == ["Berlin"] * n
    assert found.left.tolist() == [True, True, False, True]


def derived(identical: str, order: list[int], also: tuple[str, ...] = ()) -> dict[str, Any]:
    profile = {
        "derived_id": {"identical": identical, "also": list(also)},
        "id_prefix": "p-",
        "ignore": ["street"],
    }
    columns = {
        "occurred_from": [0, 0, 5, 0],
        "category": ["A", "A", "A", "B"],
        "lat": [1.0] * 4,
        "lon": [2.0] * 4,
        "street": ["x", "y", "x", "x"],
    }
    shuffled = {name: [values[k] for k in order] for name, values in columns.items()}
    ids = incidents(profile, shuffled).columns.incident_id
    return {str(k): ids[order.index(k)] for k in range(4)}


def test_an_id_made_of_the_content_is_the_same_in_any_order() -> None:
    first = derived("keep", [0, 1, 2, 3])
    assert len(set(first.values())) == 4
    assert first["1"] == first["0"] + "-2"  # the same but for a street that does not count
    assert all(name.startswith("p-") for name in first.values())
    again = derived("keep", [3, 1, 2, 0])
    assert sorted(again.values()) == sorted(first.values())
    assert (again["2"], again["3"]) == (first["2"], first["3"])


def test_identical_rows_can_be_one() -> None:
    dropped = derived("drop", [0, 1, 2, 3])
    assert dropped["0"] == dropped["1"]
    assert len(set(dropped.values())) == 3
    assert len(set(derived("drop", [0, 1, 2, 3], also=("street",)).values())) == 4


def test_numbering_goes_on_across_pieces() -> None:
    numbering = Numbering()
    a, b = np.uint64(7), np.uint64(9)
    assert numbering.of(np.array([a, b, a])).tolist() == [0, 0, 1]
    assert numbering.of(np.array([], dtype=np.uint64)).tolist() == []
    assert numbering.of(np.array([b, a, a])).tolist() == [1, 2, 3]
