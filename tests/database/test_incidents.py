"""Incidents in and out: upserts one after the other, revisions, and the remembered history."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields

import numpy as np
import pytest
from sqlalchemy import select, text

from app.db import Database
from app.geo.risk import Incidents
from app.store.columns import ABSENT
from app.store.history import Box, History
from app.store.incidents import IncidentRows, add_incidents, revision_of
from app.tables import incidents

LATER_US = 10**15
RESOLUTION = 10


def rows(*some: dict[str, object]) -> IncidentRows:
    """Incidents of these values; what is left out is the same for all."""
    full = [
        {
            "incident_id": "a",
            "occurred_from_us": 10,
            "occurred_to_us": ABSENT,
            "reported_at_us": ABSENT,
            "lat": 37.5,
            "lon": -122.5,
            "cell": 0x8A2830829A17FFF,
            "category": "THEFT",
            "final_category": None,
            "source": 0,
            "municipality": None,
            **row,
        }
        for row in some
    ]
    kinds = {"lat": np.float64, "lon": np.float64, "cell": np.uint64, "source": np.int8}
    columns = {name: [row[name] for row in full] for name in full[0]}
    texts = ("incident_id", "category", "final_category", "municipality")
    return IncidentRows(
        **{  # type: ignore[arg-type]  # the kinds are those of the fields
            name: column if name in texts else np.array(column, dtype=kinds.get(name, np.int64))
            for name, column in columns.items()
        }
    )


def add(database: Database, *some: dict[str, object]) -> int:
    with database.write() as c:
        return add_incidents(c, rows(*some))


def read(database: Database, until_us: int = LATER_US, **limits: object) -> Incidents:
    with database.read() as c:
        return History(RESOLUTION).read(c, until_us, **limits)  # type: ignore[arg-type]  any limit


def categories(found: Incidents) -> list[str]:
    return [found.categories[code] for code in found.category]


def same(a: Incidents, b: Incidents) -> bool:
    return a.categories == b.categories and all(
        getattr(a, column.name).tobytes() == getattr(b, column.name).tobytes()
        for column in fields(Incidents)
        if column.name != "categories"
    )


def test_no_incidents_are_none_accepted_and_none_read(database: Database) -> None:
    with database.write() as c:
        assert add_incidents(c, rows({}).take(np.empty(0, dtype=np.int64))) == 0
        assert revision_of(c) == 0
    assert len(read(database)) == 0


def test_every_column_is_stored_as_it_came(database: Database) -> None:
    odd = {
        "incident_id": "Ü '%s\" \\ ?",
        "occurred_to_us": 20,
        "reported_at_us": 30,
        "category": "VOL, ÉTÉ 🚓",
        "final_category": "",
        "source": 2,
        "municipality": "北",
    }
    add(database, odd, {"incident_id": "plain"})
    with database.read() as c:
        plain, first = c.execute(select(incidents).order_by(incidents.c.category)).all()
    assert (first.incident_id, first.category) == (odd["incident_id"], odd["category"])
    assert (first.occurred_from_us, first.occurred_to_us, first.reported_at_us) == (10, 20, 30)
    assert (first.final_category, first.source, first.municipality) == ("", "officer", "北")
    assert (first.lat, first.lon, first.cell) == (37.5, -122.5, 0x8A2830829A17FFF)
    assert (first.geometry.x, first.geometry.y) == (-122.5, 37.5)
    assert (plain.occurred_to_us, plain.reported_at_us) == (None, None)
    assert (plain.final_category, plain.municipality, plain.source) == (None, None, "unknown")


@pytest.mark.parametrize(
    "change",
    [
        {"occurred_from_us": 11},
        {"occurred_to_us": 12},
        {"reported_at_us": 12},
        {"lat": 37.6, "cell": 0x8A2830829A1FFFF},
        {"lon": -122.6},
        {"category": "ARSON"},
        {"final_category": "ARSON"},
        {"source": 1},
        {"municipality": "Harrow Bay"},
    ],
)
def test_a_changed_incident_is_accepted_and_an_unchanged_one_a_duplicate(
    database: Database, change: dict[str, object]
) -> None:
    assert add(database, {}) == 1
    assert add(database, {}) == 0
    assert add(database, change) == 1
    assert add(database, change) == 0
    assert add(database, {}) == 1  # back again, null included
    assert len(read(database)) == 1


# What is stored before, what one batch says one after the other, how much of it changes something,
# and what is left.
SEQUENCES = [
    ("", "A", 1, "A"),
    ("", "AAA", 1, "A"),
    ("", "ABA", 3, "A"),
    ("A", "A", 0, "A"),
    ("A", "ABA", 2, "A"),
    ("A", "BA", 2, "A"),
    ("A", "BB", 1, "B"),
    ("A", "BBCCB", 3, "B"),
]


@pytest.mark.parametrize(("before", "batch", "accepted", "left"), SEQUENCES)
def test_a_batch_is_read_one_row_after_the_other(
    database: Database, before: str, batch: str, accepted: int, left: str
) -> None:
    for category in before:
        add(database, {"category": category})
    others = [{"incident_id": f"other {k}"} for k in range(3)]
    mixed = [others[0], *({"category": category} for category in batch), *others[1:]]
    assert add(database, *mixed) == accepted + 3
    assert sorted(categories(read(database))) == sorted([left, *["THEFT"] * 3])


def test_the_revision_moves_with_every_change_and_only_then(database: Database) -> None:
    seen = []
    for batch in ([{}], [{}], [{"category": "B"}, {"incident_id": "b"}], [{"incident_id": "b"}]):
        add(database, *batch)
        with database.read() as c:
            seen.append(revision_of(c))
    assert seen == [1, 1, 2, 2]


def test_an_undone_write_leaves_no_trace(database: Database) -> None:
    history = History(RESOLUTION)
    with database.write() as c:
        add_incidents(c, rows({}))
        c.rollback()
    add(database, {"incident_id": "b", "category": "B"})
    with database.read() as c:
        assert categories(history.read(c, LATER_US)) == ["B"]
        assert revision_of(c) == 1


def test_only_what_was_known_before_is_read(database: Database) -> None:
    add(
        database,
        {"incident_id": "known when it happened", "category": "A"},  # at 10
        {"incident_id": "known when over", "category": "B", "occurred_to_us": 20},
        {
            "incident_id": "known when reported",
            "category": "C",
            "occurred_to_us": 20,
            "reported_at_us": 30,
        },
        {"incident_id": "reported before it happened", "category": "D", "reported_at_us": 5},
    )
    assert [sorted(categories(read(database, until))) for until in (10, 11, 20, 21, 30, 31)] == [
        [],
        ["A", "D"],
        ["A", "D"],
        ["A", "B", "D"],
        ["A", "B", "D"],
        ["A", "B", "C", "D"],
    ]


def test_times_and_codes_are_what_the_risk_expects(database: Database) -> None:
    add(
        database,
        {"incident_id": "b", "category": "B", "occurred_to_us": 20, "source": 3},
        {"incident_id": "a", "category": "A", "reported_at_us": 12, "occurred_from_us": 9},
    )
    found = read(database)
    assert found.categories == ("A", "B")
    assert (found.time_us.tolist(), found.to_us.tolist()) == ([9, 10], [9, 20])
    assert found.known_us.tolist() == [12, 20]
    assert (found.category.tolist(), found.source.tolist()) == ([0, 1], [0, 3])
    assert (found.cell.dtype, found.category.dtype, found.source.dtype) == (
        *(np.uint64, np.int32),
        np.int8,
    )


def test_a_box_includes_its_edges_and_may_cross_the_date_line(database: Database) -> None:
    places = {"A": (1.0, 179.0), "B": (1.0, -179.0), "C": (1.0, 0.0), "D": (3.0, 179.5)}
    add(
        database,
        *(
            {"incident_id": name, "category": name, "lat": lat, "lon": lon}
            for name, (lat, lon) in places.items()
        ),
    )
    assert sorted(categories(read(database, box=Box(1, 0, 2, 179)))) == ["A", "C"]
    assert sorted(categories(read(database, box=Box(1, 178, 3, -178)))) == ["A", "B", "D"]
    assert categories(read(database, box=Box(10, 0, 11, 1))) == []


def test_reading_since_an_instant_includes_it(database: Database) -> None:
    add(database, *({"incident_id": str(t), "occurred_from_us": t} for t in (1, 2, 3)))
    assert read(database, 3, from_us=2).time_us.tolist() == [2]


def many(seed: int, count: int = 500) -> list[dict[str, object]]:
    rng = np.random.default_rng(seed)
    return [
        {
            "incident_id": f"{rng.integers(0, count)}",
            "occurred_from_us": int(rng.integers(0, 50)),
            "category": "ABCDE"[rng.integers(0, 1 + seed % 5)],
            "source": int(rng.integers(0, 4)),
        }
        for _ in range(count)
    ]


def test_the_remembered_history_is_the_one_that_is_stored(database: Database) -> None:
    history = History(RESOLUTION)
    for seed in (0, 4, 1, 3):
        add(database, *many(seed))
        with database.read() as c:
            assert same(history.read(c, LATER_US), History(RESOLUTION).read(c, LATER_US))
            assert same(history.read(c, 25, 5), History(RESOLUTION).read(c, 25, 5))


def test_an_older_view_does_not_disturb_the_history(database: Database) -> None:
    history = History(RESOLUTION)
    add(database, {})
    with database.read() as old:
        assert len(history.read(old, LATER_US)) == 1
        add(database, {"incident_id": "b"})
        with database.read() as new:
            assert len(history.read(new, LATER_US)) == 2
        assert len(history.read(old, LATER_US)) == 1


def test_both_databases_give_the_same_bytes_whatever_the_order(database: Database) -> None:
    batch = [{**row, "incident_id": str(k)} for k, row in enumerate(many(4))]
    order = np.random.default_rng(len(database.engine.dialect.name)).permutation(len(batch))
    add(database, *(batch[k] for k in order))
    found = read(database)
    expected = sorted(batch, key=lambda r: (r["occurred_from_us"], r["category"], r["source"]))
    assert found.time_us.tolist() == [row["occurred_from_us"] for row in expected]
    assert categories(found) == [row["category"] for row in expected]
    assert found.source.tolist() == [row["source"] for row in expected]


def test_writers_at_once_count_each_incident_once(database: Database) -> None:
    batch = [{"incident_id": str(k), "category": "ABC"[k % 3]} for k in range(300)]

    def writer(seed: int) -> int:
        order = np.random.default_rng(seed).permutation(len(batch))
        return sum(add(database, *(batch[k] for k in part)) for part in np.array_split(order, 5))

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(writer, range(4))) == 300
    with database.read() as c:
        assert c.execute(text("SELECT count(*), max(code) FROM categories")).one() == (3, 2)
