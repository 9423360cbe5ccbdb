"""The text of plans' features: cut where it should be, and made again where a plan has none."""

import json

import numpy as np
from sqlalchemy import delete, func, select

from app import features
from app.db import Database
from app.migrate import migrate
from app.settings import Settings
from app.store import layers
from app.tables import cells, plan_layers
from tests import layered


def test_a_text_is_cut_between_features() -> None:
    texts = layers.texts_of(np.array([3, 5, 9]), ["a", "bé", "c"])
    assert (len(texts), texts.text.decode()) == (3, "a,bé,c")
    assert texts.ends.tolist() == [1, 5, 7]  # é has two bytes
    assert [texts.cut(i, i + 1).decode() for i in range(3)] == ["a", "bé", "c"]
    assert texts.cut(1, 3).decode() == "bé,c"
    assert texts.cut(2, 2) == layers.texts_of(np.array([]), []).cut(0, 0) == b""


def test_what_is_stored_comes_back(database: Database) -> None:
    layered.fill(database)
    with database.read() as c:
        texts = layers.read_texts(c, layered.PLAN, "cells")
        planned = layers.planned(c, "cells")
        assert layers.read_texts(c, "nothing", "cells") is None
        outlines = c.scalar(select(func.count()).select_from(cells))
    assert texts is not None
    assert texts.keys.tolist() == layered.disk().astype(np.int64).tolist()
    found = json.loads(b"[" + texts.text + b"]")
    assert len(found) == len(texts) == planned.features == outlines == 10_267
    assert found[7] == json.loads(texts.cut(7, 8))
    assert (list(planned.plan), planned.number.tolist()) == ([layered.PLAN], [1])


def test_migrating_makes_the_text_of_plans_that_have_none(
    database: Database, settings: Settings
) -> None:
    layered.fill(database)
    with database.write() as c:
        before = layers.read_texts(c, layered.PLAN, "zones")
        c.execute(delete(plan_layers))
        c.execute(delete(cells))
    migrate(settings)
    with database.write() as c:
        after = layers.read_texts(c, layered.PLAN, "zones")
        assert features.add_missing(c) == 0
    assert before is not None
    assert after is not None
    assert after.text == before.text
