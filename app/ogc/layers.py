"""The layers of one database: their versions, pages and single features."""

import time

from anyio import to_thread

from app.db import Database
from app.ogc import written
from app.ogc.collections import Collection
from app.ogc.extents import Extent, extent_of
from app.ogc.memory import Memory
from app.ogc.pages import MIB, REVISIONS, Page, PlanPages, RowPages
from app.ogc.query import Query
from app.settings import Settings
from app.shifts import SECOND_US
from app.store.revisions import revision_of
from app.store.sources import Source, source_of

REMEMBERED_S = 1.0  # what another process writes is seen after this at the latest
EXTENT_BYTES = MIB


class Layers:
    """Answers from the database, and from what this process remembers of it."""

    def __init__(self, database: Database, settings: Settings) -> None:
        """Reads nothing yet."""
        self._database = database
        self._stale_us = settings.stale_s * SECOND_US
        self._plans = PlanPages(settings.layer_page_mib * MIB)
        self._rows = RowPages(settings.layer_page_mib * MIB)
        self._extents: Memory[Extent] = Memory(EXTENT_BYTES, lambda _: 200)
        self._versions: dict[str, tuple[float, int, int]] = {}

    async def version(self, collection: Collection) -> int | None:
        """The version of a collection, at most a second old; None where it has none."""
        name = REVISIONS.get(collection.id)
        if name is None:
            return None
        until, written_then, version = self._versions.get(name, (0.0, -1, 0))
        asked, written_now = time.monotonic(), self._database.written
        if written_then == written_now and asked < until:
            return version
        version = await to_thread.run_sync(self._read_version, name)
        self._versions[name] = (asked + REMEMBERED_S, written_now, version)
        return version

    def page(self, collection: Collection, query: Query, now_us: int) -> Page:
        """The features that a request asks for. Raises BadInput for an impossible filter."""
        pages = self._plans if collection.planned else self._rows
        with self._database.read() as c:
            return pages.page(c, collection, self._source(collection, now_us), query)

    def feature(self, collection: Collection, id: str, crs: str, now_us: int) -> bytes:  # noqa: A002  the format's word
        """One feature by its id; nothing where there is none."""
        source = self._source(collection, now_us)
        with self._database.read() as c:
            if not collection.planned:
                return self._rows.feature(c, collection, source, id, crs)
            found = self._plans.feature(c, collection, source, id)
        return written.in_crs(found, crs)

    def extent(self, collection: Collection, now_us: int) -> Extent:
        """Where and when the features of a collection are."""
        source = self._source(collection, now_us)
        with self._database.read() as c:
            name = REVISIONS.get(collection.id)
            if name is None:
                return extent_of(c, collection, source)
            key = (collection.id, revision_of(c, name))
            return self._extents.get(key, lambda: extent_of(c, collection, source))

    def _read_version(self, name: str) -> int:
        with self._database.read() as c:
            return revision_of(c, name)

    def _source(self, collection: Collection, now_us: int) -> Source:
        return source_of(collection.id, now_us, self._stale_us)
