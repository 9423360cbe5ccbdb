"""Pages of features: cut from the text of plans, or written from the rows of the other layers."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from app.geo.grid import from_text
from app.ogc import written
from app.ogc.collections import CELLS, Collection
from app.ogc.filters import condition_of
from app.ogc.memory import Memory
from app.ogc.query import Query
from app.store import layers, sources
from app.store.columns import is_postgres
from app.store.layers import Planned, Texts
from app.store.revisions import revision_of
from app.store.sources import Source

Ints = NDArray[np.int64]
MIB = 1 << 20
TEXT_BYTES, KEY_BYTES = 96 * MIB, 32 * MIB  # that a process remembers
PLAN_ID = 36  # characters; a point stands between it and the rest of a feature's id
REVISIONS = {
    "zones": "plans",
    "cells": "plans",
    "incidents": "incidents",
    "districts": "districts",
}  # units change with every ping, and have none


@dataclass(frozen=True)
class Page:
    """Features joined by commas: how many, of how many that match.

    `version`: of the collection when they were read, None where it has none.
    """

    text: bytes
    returned: int
    matched: int
    version: int | None


class PlanPages:
    """Pages of the layers that are made with plans, cut from their text."""

    def __init__(self, most_bytes: int) -> None:
        """`most_bytes` of a page, unless it has only one feature. Reads nothing yet."""
        self._most_bytes = most_bytes
        self._texts: Memory[Texts] = Memory(TEXT_BYTES, lambda t: len(t.text) + 16 * len(t))
        self._keys: Memory[list[Ints]] = Memory(KEY_BYTES, size_of_keys)
        self._planned: Memory[Planned] = Memory(KEY_BYTES, lambda p: 200 + 100 * len(p.plan))

    def page(self, c: Connection, collection: Collection, source: Source, query: Query) -> Page:
        """The features that a request asks for. Raises BadInput for an impossible filter."""
        version = revision_of(c, "plans")
        key = (collection.id, version)
        planned = self._planned.get(key, lambda: layers.planned(c, collection.id))
        last = query.offset + query.limit
        if query.is_all:
            matched = planned.features
            parts = self._runs(c, collection, planned, query.offset, min(last, matched))
        else:
            numbers, keys = self._keys.get(
                (*key, query.chooses), lambda: _chosen(c, collection, source, query)
            )
            matched = len(keys)
            some = slice(query.offset, last)
            parts = self._picked(c, collection, planned, numbers[some], keys[some])
        text, returned = _joined(parts, self._most_bytes)
        return Page(written.in_crs(text, query.crs), returned, matched, version)

    def feature(self, c: Connection, collection: Collection, source: Source, id: str) -> bytes:  # noqa: A002  the format's word
        """One feature by its id; nothing where there is none."""
        plan, point, rest = id[:PLAN_ID], id[PLAN_ID : PLAN_ID + 1], id[PLAN_ID + 1 :]
        if point != "." or not id.isprintable():
            return b""
        mine = source.columns["plan"] == plan
        if collection is CELLS:
            key = _cell(rest)
        else:
            same = mine & (source.columns["zone"] == rest)
            ranks = sources.keys_where(c, source, same)[1].tolist()
            key = ranks[0] if ranks else -1
        texts = self._text(c, collection, plan)
        if texts is None:
            return b""
        i = int(np.searchsorted(texts.keys, key))
        return texts.cut(i, i + 1) if i < len(texts) and texts.keys[i] == key else b""

    def _runs(
        self, c: Connection, collection: Collection, planned: Planned, first: int, last: int
    ) -> Iterator[tuple[Texts, Ints]]:
        """The texts that hold features `first` to `last - 1` of all plans, and which of each."""
        i = int(np.searchsorted(planned.last, first, side="right"))
        while first < last:
            begin = int(planned.last[i - 1]) if i else 0
            end = min(last, int(planned.last[i]))
            texts = self._text(c, collection, planned.plan[i])
            if texts is not None:
                yield texts, np.arange(first - begin, end - begin)
            first, i = end, i + 1

    def _picked(
        self, c: Connection, collection: Collection, planned: Planned, numbers: Ints, keys: Ints
    ) -> Iterator[tuple[Texts, Ints]]:
        """The texts that hold the features of these keys (n,), and which of each."""
        for number in np.unique(numbers).tolist():
            i = int(np.searchsorted(planned.number, number))
            if i == len(planned.number) or planned.number[i] != number:
                continue
            texts = self._text(c, collection, planned.plan[i])
            if texts is not None:
                yield texts, np.searchsorted(texts.keys, keys[numbers == number])

    def _text(self, c: Connection, collection: Collection, plan: str) -> Texts | None:
        """The text of a plan; None where it has none, which is not remembered."""
        try:
            return self._texts.get((collection.id, plan), lambda: _read(c, collection, plan))
        except LookupError:
            return None


class RowPages:
    """Pages of the other layers, written from their rows."""

    def __init__(self, most_bytes: int) -> None:
        """`most_bytes` of a page, unless it has only one feature. Reads nothing yet."""
        self._most_bytes = most_bytes
        self._keys: Memory[list[Ints]] = Memory(KEY_BYTES, size_of_keys)

    def page(self, c: Connection, collection: Collection, source: Source, query: Query) -> Page:
        """The features that a request asks for. Raises BadInput for an impossible filter."""
        name = REVISIONS.get(collection.id)
        version = None if name is None else revision_of(c, name)
        if version is None:
            keys = _in_front(c, source, _chosen(c, collection, source, query)[0])
        else:
            (keys,) = self._keys.get(
                (collection.id, version, query.chooses),
                lambda: [_in_front(c, source, _chosen(c, collection, source, query)[0])],
            )
        rows = sources.rows_of(c, source, keys[query.offset : query.offset + query.limit])
        made = [text.encode() for text in written.features(collection, rows, query.crs)]
        ends = np.cumsum([len(text) + 1 for text in made], dtype=np.int64)
        fit = max(1, int(np.searchsorted(ends, self._most_bytes, side="right")))
        return Page(b",".join(made[:fit]), len(made[:fit]), len(keys), version)

    def feature(
        self,
        c: Connection,
        collection: Collection,
        source: Source,
        id: str,  # noqa: A002  the format's word
        crs: str,
    ) -> bytes:
        """One feature by its id; nothing where there is none."""
        if not id.isprintable():
            return b""
        same = source.columns[str(collection.id_property)] == id
        rows = sources.rows_of(c, source, sources.keys_where(c, source, same)[0])
        return written.features(collection, rows, crs)[0].encode() if rows else b""


def size_of_keys(keys: Sequence[Ints]) -> int:
    """The bytes of remembered keys."""
    return 200 + sum(array.nbytes for array in keys)


def _chosen(c: Connection, collection: Collection, source: Source, query: Query) -> list[Ints]:
    condition = condition_of(query, collection, source, sqlite=not is_postgres(c))
    return sources.keys_where(c, source, condition)


def _in_front(c: Connection, source: Source, keys: Ints) -> Ints:
    """The keys (n,) with those first from which a client can tell the type of every property."""
    front = np.isin(keys, np.array(sources.foremost(c, source), dtype=np.int64))
    return np.concatenate([keys[front], keys[~front]])


def _read(c: Connection, collection: Collection, plan: str) -> Texts:
    found = layers.read_texts(c, plan, collection.id)
    if found is None:
        raise LookupError(plan)
    return found


def _joined(parts: Iterable[tuple[Texts, Ints]], most_bytes: int) -> tuple[bytes, int]:
    """Features joined by commas until they have so many bytes, and how many they are."""
    pieces: list[bytes] = []
    taken = count = 0
    for texts, index in parts:
        starts = np.where(index > 0, texts.ends[index - 1] + 1, 0)
        sizes = np.cumsum(texts.ends[index] - starts + 1)
        fit = int(np.searchsorted(sizes, most_bytes - taken, side="right"))
        fit = max(fit, 1) if not count else fit
        if not fit:
            break
        pieces.append(_cut(texts, index[:fit]))
        taken += int(sizes[fit - 1]) if fit <= len(sizes) else 0
        count += fit
        if fit < len(index):
            break
    return b",".join(pieces), count


def _cut(texts: Texts, index: Ints) -> bytes:
    first, last = int(index[0]), int(index[-1])
    if last - first + 1 == len(index):
        return texts.cut(first, last + 1)
    return b",".join(texts.cut(i, i + 1) for i in index.tolist())


def _cell(text: str) -> int:
    try:
        return int(from_text([text]).astype(np.int64)[0])
    except ValueError:
        return -1
