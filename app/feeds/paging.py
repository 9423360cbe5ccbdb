"""A walk over a portal's pages that loses no row which changes meanwhile.

Rows are read in the order of their last change. A row that changes during the walk moves behind
everything, and moves all rows after its old place up by one, so that an offset alone would skip
one. So each page begins again at the last row of the page before: it is there again as the first,
or the rows have moved, and the block of rows with that time of change is read once more.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec

from app.feeds.portals import Page, Portal
from app.feeds.records import Record
from app.feeds.upstream import UpstreamRefused

MOST_SHIFTS = 8  # in one pull

Ask = Callable[[dict[str, str]], Page]


class Position(msgspec.Struct, frozen=True):
    """After which row to go on.

    `since`: the block that the last row is in, None where all rows are one. `read`: how many rows
    of that block were read. `last`: the last row's id, None where none was read; `changed`: when it
    had changed.
    """

    since: str | int | None = None
    read: int = 0
    last: str | None = None
    changed: str | None = None

    def is_at(self, record: Record) -> bool:
        """Whether that is the last row, as it was read."""
        return (record.id, record.changed) == (self.last, self.changed)


class Step(NamedTuple):
    """New records, and the position once they are stored."""

    records: list[Record]
    position: Position


BEGINNING = Position()


def position_of(cursor: str | None) -> Position:
    """The position that a cursor holds; the beginning for None."""
    return BEGINNING if cursor is None else msgspec.json.decode(cursor, type=Position)


def cursor_of(position: Position) -> str | None:
    """A position as a cursor."""
    return None if position == BEGINNING else msgspec.json.encode(position).decode()


def rewound(portal: Portal, position: Position, overlap_s: int) -> Position:
    """The position to begin a pull at."""
    if not overlap_s or position.since is None:
        return position
    return Position(portal.earlier(position.since))


def walk(portal: Portal, ask: Ask, position: Position, by_change: bool) -> Iterator[Step]:
    """Pages of new records until there are no more; the last step, without records, ends it.

    `by_change`: whether blocks tell when a row changed; otherwise all rows are one block, and the
    end of the walk is the beginning of the next. Raises UpstreamRefused where the portal does not
    keep to the order that was asked for, and what `ask` raises.
    """
    shifts = 0
    while True:
        anchored = position.last is not None
        page = ask(portal.params(position.since, position.read - 1 if anchored else 0))
        records = page.records
        if anchored and not (records and position.is_at(records[0])):
            shifts += 1
            if shifts > MOST_SHIFTS:
                raise UpstreamRefused(
                    "rows move between pages faster than they are read, or the server does not "
                    "heed the offset; try again, with a larger page_size"
                )
            position = Position(position.since)
            continue
        new = records[1:] if anchored else records
        _check_order(portal, new, position)
        if not new and page.more:
            raise UpstreamRefused("the server says that rows follow, and gives none")
        if not new:
            yield Step([], position if by_change else BEGINNING)
            return
        position = _after(new, position)
        if page.more is False:
            yield Step(new, position if by_change else BEGINNING)
            return
        yield Step(new, position)


def _after(new: list[Record], position: Position) -> Position:
    """Behind the last of the new records."""
    last = new[-1]
    here = sum(record.block == last.block for record in new)
    before = position.read if last.block == position.since else 0
    return Position(last.block, before + here, last.id, last.changed)


def _check_order(portal: Portal, new: list[Record], position: Position) -> None:
    blocks: list[Any] = [record.block for record in new if record.block is not None]
    if position.since is not None:
        blocks.insert(0, position.since)
    for one, other in pairwise(blocks):
        if portal.before(other, one):
            raise UpstreamRefused(
                f"the server does not keep to the order that was asked for: {other} after {one}"
            )
