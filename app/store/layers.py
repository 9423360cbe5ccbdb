"""Layers: the text of a plan's features, the outlines of cells, and where a layer's rows stand."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from sqlalchemy import Connection, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from app.geo import geojson
from app.store import columns
from app.tables import cells, plan_layers, plans

Ints = NDArray[np.int64]
LEVEL = 1  # of zlib: hexagons shrink to an eighth, and 6 MB take 20 ms to come back


@dataclass(frozen=True)
class Texts:
    """Features of a plan as one text, joined by commas.

    `keys` (n,) int64 sorted: the cell, or the rank of the zone. `ends` (n,) int64: where each
    feature's text ends [bytes].
    """

    keys: Ints
    ends: Ints
    text: bytes

    def __len__(self) -> int:
        return len(self.ends)

    def start(self, i: int) -> int:
        """Where the text of the i-th feature begins [bytes]."""
        return int(self.ends[i - 1]) + 1 if i else 0

    def cut(self, first: int, last: int) -> bytes:
        """The text of features `first` to `last - 1`, joined by commas."""
        return self.text[self.start(first) : int(self.ends[last - 1])] if last > first else b""


@dataclass(frozen=True)
class Planned:
    """Every plan that has features in a layer, in the order in which they were stored.

    `number` (n,) int64; `last` (n,) int64: how many features there are up to this plan.
    """

    plan: Sequence[str]
    number: Ints
    last: Ints

    @property
    def features(self) -> int:
        """How many features all plans have together."""
        return int(self.last[-1]) if len(self.last) else 0


def texts_of(keys: Ints, features: Sequence[str]) -> Texts:
    """Features as one text; `keys` (n,) sorted."""
    encoded = [feature.encode() for feature in features]
    sizes = np.fromiter(map(len, encoded), np.int64, len(encoded))
    return Texts(keys, np.cumsum(sizes + 1) - 1, b",".join(encoded))


def add_texts(c: Connection, plan: str, layer: str, texts: Texts) -> None:
    """Stores the features of a plan that has none in this layer yet."""
    row = {
        "plan": plan,
        "layer": layer,
        "features": len(texts),
        "keys": zlib.compress(texts.keys.astype("<i8").tobytes(), LEVEL),
        "ends": zlib.compress(texts.ends.astype("<i8").tobytes(), LEVEL),
        "text": zlib.compress(texts.text, LEVEL),
    }
    c.execute(insert(plan_layers).values(row))


def read_texts(c: Connection, plan: str, layer: str) -> Texts | None:
    """The features of a plan in a layer; None where they were never stored."""
    t = plan_layers.c
    # By their names: a collection of columns has a method `keys` of its own.
    query = select(t["keys"], t["ends"], t["text"]).where(t.plan == plan, t.layer == layer)
    row = c.execute(query).first()
    if row is None:
        return None
    keys, ends, text = (zlib.decompress(packed) for packed in row)
    return Texts(np.frombuffer(keys, "<i8"), np.frombuffer(ends, "<i8"), text)


def planned(c: Connection, layer: str) -> Planned:
    """Every plan with features in this layer."""
    t = plan_layers.c
    query = (
        select(plans.c.id, plans.c.number, t.features)
        .join(plan_layers, t.plan == plans.c.id)
        .where(t.layer == layer, t.features > 0)
        .order_by(plans.c.number)
    )
    rows = c.execute(query).all()
    numbers = np.array([row.number for row in rows], dtype=np.int64)
    counts = np.array([row.features for row in rows], dtype=np.int64)
    return Planned([row.id for row in rows], numbers, np.cumsum(counts))


def without_texts(c: Connection) -> list[str]:
    """Plans whose features were never stored, the oldest first."""
    known = select(plan_layers.c.plan)
    query = select(plans.c.id).where(plans.c.id.not_in(known)).order_by(plans.c.number)
    return list(c.scalars(query))


def add_outlines(c: Connection, wanted: NDArray[np.uint64]) -> None:
    """Stores the outlines of those cells (n,) that have none yet."""
    known = columns.read(c, select(cells.c.cell))["cell"].astype(np.uint64)
    new = np.setdiff1d(wanted, known)
    if not len(new):
        return
    shapes = geojson.hexagons(new)
    edges = shapely.bounds(shapes)
    rows = [
        {"cell": cell, "west": w, "south": s, "east": e, "north": n, "geometry": _multi(shape)}
        for cell, shape, (w, s, e, n) in zip(new.tolist(), shapes, edges.tolist(), strict=True)
    ]
    kind = postgresql if columns.is_postgres(c) else sqlite
    c.execute(kind.insert(cells).on_conflict_do_nothing(index_elements=["cell"]), rows)


def _multi(shape: shapely.Geometry) -> shapely.MultiPolygon:
    return shapely.MultiPolygon(shapely.get_parts(shape).tolist())
