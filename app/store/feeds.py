"""How far each feed has been read, moved in the transaction that stores what was read."""

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, select, text, update

from app.errors import Conflict
from app.tables import feeds


@dataclass(frozen=True)
class FeedState:
    """What is remembered of a feed.

    `source`: digest of what the cursor is about. `cursor`: None where reading begins anew.
    `etag`: of the last answer that was stored whole. `last_pull_us`: the last pull that went
    through [µs UTC]. `last_error`: why the last one did not, None if it did.
    """

    name: str
    source: str
    cursor: str | None = None
    etag: str | None = None
    last_pull_us: int | None = None
    last_error: str | None = None


_ADD = text("INSERT INTO feeds (name, source) VALUES (:name, :source) ON CONFLICT DO NOTHING")
_STATE = (
    feeds.c.name,
    feeds.c.source,
    feeds.c.cursor,
    feeds.c.etag,
    feeds.c.last_pull_us,
    feeds.c.last_error,
)


def feed_state(c: Connection, name: str, source: str) -> FeedState:
    """What is remembered of a feed; nothing but its names where it is new or another by now.

    For a connection that writes: the feed's row is there afterwards, and locked.
    """
    c.execute(_ADD, {"name": name, "source": source})
    state = _locked(c, name)
    if state is not None and state.source == source:
        return state
    put_feed(c, FeedState(name, source))
    return FeedState(name, source)


def move_feed(c: Connection, before: FeedState, after: FeedState) -> None:
    """Replaces what is remembered of a feed.

    Raises Conflict where somebody else moved it since `before` was read.
    """
    now = _locked(c, before.name)
    if now is None or (now.source, now.cursor, now.etag) != (
        before.source,
        before.cursor,
        before.etag,
    ):
        raise Conflict(f"another pull of the feed {before.name} is under way; let it finish")
    put_feed(c, after)


def put_feed(c: Connection, state: FeedState) -> None:
    """Replaces what is remembered of a feed that is there."""
    c.execute(update(feeds).where(feeds.c.name == state.name).values(**asdict(state)))


def list_feeds(c: Connection) -> list[FeedState]:
    """All feeds that were ever pulled, by name."""
    return [_state(row) for row in c.execute(select(*_STATE).order_by(feeds.c.name))]


def _locked(c: Connection, name: str) -> FeedState | None:
    row = c.execute(select(*_STATE).where(feeds.c.name == name).with_for_update()).first()
    return None if row is None else _state(row)


def _state(row: Any) -> FeedState:
    return FeedState(*row)
