"""Whatever changes while a portal's pages are read: once it is quiet, all of it has been read."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.feeds.paging import BEGINNING, Position, walk
from app.feeds.portals import Page
from app.feeds.records import Record
from app.feeds.upstream import UpstreamRefused

TICKS = 10  # of the portal's clock in a block


class Table:
    """A portal in memory: (time of change, id) -> content; it can be asked by whole blocks."""

    def __init__(self, page_size: int, by_change: bool) -> None:
        self.page_size, self.by_change = page_size, by_change
        self.rows: dict[int, tuple[int, int]] = {}  # id: time of change, content
        self.now = 0

    def change(self, name: int, ticks: int) -> None:
        self.now += ticks
        self.rows[name] = (self.now, self.now * 100 + len(self.rows))

    def params(self, since: Any, offset: int) -> dict[str, str]:
        return {"since": str(since or 0), "offset": str(offset)}

    def before(self, one: Any, other: Any) -> bool:
        return bool(one < other)

    def earlier(self, block: Any) -> Any:
        return block

    def page(self, body: bytes) -> Page:
        raise NotImplementedError

    def ask(self, params: dict[str, str]) -> Page:
        order = (lambda k: (self.rows[k][0], k)) if self.by_change else (lambda k: (0, k))
        names = [
            k
            for k in sorted(self.rows, key=order)
            if not self.by_change or self.rows[k][0] // TICKS >= int(params["since"])
        ]
        start = int(params["offset"])
        return Page([self.record(k) for k in names[start : start + self.page_size]], None)

    def record(self, name: int) -> Record:
        changed, content = self.rows[name]
        mark = (str(changed), changed // TICKS) if self.by_change else (None, None)
        return Record({"content": content}, str(name), *mark, None)


# Which row changes or is new, how far the clock goes on, and whether a row goes.
CHANGES = st.lists(st.tuples(st.integers(0, 12), st.integers(1, 12), st.booleans()), max_size=3)


@given(
    page_size=st.integers(2, 4),
    by_change=st.booleans(),
    first=st.integers(0, 12),
    together=st.booleans(),
    between=st.lists(CHANGES, max_size=8),
)
def test_nothing_is_lost(
    page_size: int, by_change: bool, first: int, together: bool, between: list[Any]
) -> None:
    table = Table(page_size, by_change)
    for k in range(first):
        table.change(k, 0 if together else 1)
    read: dict[str, int] = {}
    changes = iter(between)

    def ask(params: dict[str, str]) -> Page:
        page = table.ask(params)
        for name, ticks, goes in next(changes, []):
            if goes:
                table.rows.pop(name, None)
            else:
                table.change(name, ticks)
        return page

    def pull(position: Position) -> Position:
        try:
            for step in walk(table, ask, position, by_change):
                read.update((r.id, r.values["content"]) for r in step.records)
                position = step.position
        except UpstreamRefused:  # faster than they are read; the cursor stays
            pass
        return position

    position = pull(BEGINNING)
    list(changes)
    for _ in range(2):  # one may have begun in the middle of all rows
        position = pull(position)
    assert {int(name): content for name, content in read.items() if int(name) in table.rows} == {
        name: content for name, (_, content) in table.rows.items()
    }
    count = len(read)
    assert pull(position) == position
    assert len(read) == count
