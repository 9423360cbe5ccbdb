"""One pull of a feed: what is new, through the profile and the checks, into the database.

Each page is stored in one transaction with the cursor behind it. So a pull may end anywhere, by a
power failure too, and the next goes on; a page that comes twice changes nothing.
"""

import hashlib
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import structlog

from app import files
from app.checks import Limits
from app.db import Database
from app.errors import BadInput, DatabaseAway, FocusPatrolError
from app.facts import IncidentColumns
from app.feeds.body import Fault
from app.feeds.feed import PAGED, Source
from app.feeds.paging import Step, cursor_of, position_of, rewound, walk
from app.feeds.portals import Page, portal_of
from app.feeds.records import rows_of
from app.feeds.upstream import Answer, Upstream
from app.files import Numbering
from app.intake import Receipt, keep_incidents, summed
from app.load import Piece, piece_of
from app.settings import Settings
from app.store.feeds import FeedState, feed_state, move_feed

log = structlog.get_logger(__name__)


class _Collection(msgspec.Struct):
    """Looked at for being whole, without making objects of it."""

    features: msgspec.Raw


class Pulled(NamedTuple):
    """What a pull did, and what ended it before its time, if anything did.

    `receipt`: as that of a loaded file, and `feed`, `pages`, `bytes` (as they came), `complete`
    (whether all that there is was read) and `unchanged` (the source says that nothing is new).
    """

    receipt: dict[str, Any]
    failure: FocusPatrolError | None


@dataclass
class _Pull:
    """A pull under way."""

    database: Database
    settings: Settings
    source: Source
    now_us: Callable[[], int]
    stop: threading.Event
    state: FeedState
    receipts: list[Receipt] = field(default_factory=list)
    excluded: int = 0
    pages: int = 0
    complete: bool = False
    unchanged: bool = False

    def keep(self, piece: Piece[IncidentColumns] | None, after: FeedState) -> None:
        """Stores rows together with where the feed stands behind them."""
        with self.database.write() as c:
            if piece is not None:
                receipt = keep_incidents(c, piece.batch, self.settings.resolution)
            move_feed(c, self.state, after)
        self.state = after
        if piece is None:
            return
        self.receipts.append(receipt)
        self.excluded += piece.excluded
        counts = {k: getattr(receipt, k) for k in ("received", "accepted", "rejected")}
        log.info("feed_page", feed=self.source.name, page=self.pages, **counts)

    @property
    def limits(self) -> Limits:
        """Those of now."""
        return Limits(self.now_us())

    def finished(self) -> FeedState:
        """Where the feed stands once this pull has gone through."""
        return replace(self.state, last_pull_us=self.now_us(), last_error=None)


def pull(
    database: Database,
    settings: Settings,
    source: Source,
    now_us: Callable[[], int],
    stop: threading.Event,
) -> Pulled:
    """Reads what is new of a feed and stores it; ends early, after a page, once `stop` is set.

    What fails is in the answer, beside the receipt of what was stored until then; the cursor is
    behind exactly that. Raises BadInput for a token that is not there, and DatabaseAway where
    nothing can be begun.
    """
    token = _token(settings, source)
    with database.write() as c:
        state = feed_state(c, source.name, source.digest)
    run = _Pull(database, settings, source, now_us, stop, state)
    failure: FocusPatrolError | None = None
    with (
        tempfile.TemporaryDirectory(prefix="focus-patrol-") as folder,
        Upstream(source.feed, token, Path(folder), stop) as upstream,
    ):
        try:
            (_pages if source.feed.kind in PAGED else _file)(run, upstream)
        except FocusPatrolError as error:
            failure = error
            _remember(run, error)
    receipt = {
        "feed": source.name,
        **summed(run.receipts).as_dict(),
        "excluded": run.excluded,
        "pages": run.pages,
        "bytes": upstream.bytes,
        "complete": run.complete,
        "unchanged": run.unchanged,
    }
    said = {k: v for k, v in receipt.items() if k not in ("errors", "errors_truncated")}
    if failure is None:
        log.info("feed_pulled", **said)
    else:
        log.warning("feed_failed", **said, error=str(failure))
    return Pulled(receipt, failure)


def keep_pulling(
    database: Database,
    settings: Settings,
    source: Source,
    now_us: Callable[[], int],
    stop: threading.Event,
    every_s: float,
) -> Iterator[Pulled]:
    """Pull after pull, that many seconds between the end of one and the next, until `stop`.

    A database that is away is waited for, as a portal that is.
    """
    while not stop.is_set():
        try:
            yield pull(database, settings, source, now_us, stop)
        except DatabaseAway as error:
            log.warning("feed_failed", feed=source.name, error=str(error))
        stop.wait(every_s)


def _token(settings: Settings, source: Source) -> str | None:
    name = source.feed.token
    if name is None:
        return None
    if name not in settings.feed_tokens:
        raise BadInput(f"the feed {source.name} needs a token {name!r} in FOCUS_PATROL_FEED_TOKENS")
    token: str = settings.feed_tokens[name].get_secret_value()
    return token


def _remember(run: _Pull, error: FocusPatrolError) -> None:
    """Leaves the reason where it can be seen; the cursor stays as it is."""
    try:
        run.keep(None, replace(run.state, last_error=str(error)))
    except FocusPatrolError:
        log.warning("feed_error_not_stored", feed=run.source.name)


def _pages(run: _Pull, upstream: Upstream) -> None:
    """A portal, page by page."""
    feed, profile = run.source.feed, run.source.profile
    portal, numbering, received = portal_of(feed), Numbering(), 0

    def ask(params: dict[str, str]) -> Page:
        run.pages += 1
        return upstream.get(params, {}, lambda answer: portal.page(_data(answer).read_bytes()))

    position = rewound(portal, position_of(run.state.cursor), feed.overlap_s)
    steps = walk(portal, ask, position, feed.update_column is not None)
    while not run.complete and not _enough(run, upstream):
        step: Step | None = next(steps, None)
        if step is None:
            run.complete = True
            break
        piece = None
        if step.records:
            rows, layout = rows_of(step.records, profile, received)
            mapped = files.incidents_of_rows(rows, layout, numbering)
            piece = piece_of(rows, mapped, run.limits)
            received += len(step.records)
        run.keep(piece, replace(run.state, cursor=cursor_of(step.position)))
    run.keep(None, run.finished())


def _enough(run: _Pull, upstream: Upstream) -> bool:
    """Whether a pull that has not seen the end is to leave the rest to the next."""
    feed = run.source.feed
    return run.pages >= feed.max_pages or upstream.bytes >= feed.max_pull_bytes or run.stop.is_set()


def _file(run: _Pull, upstream: Upstream) -> None:
    """A file that is published whole: nothing, where it is the one that was stored last."""
    state, profile = run.state, run.source.profile
    known = {"If-None-Match": state.etag} if state.etag and state.cursor else {}
    run.pages += 1
    answer = upstream.get({}, known, lambda answer: _whole(answer, run.source.feed.kind, known))
    digest = None if answer is None else _digest(answer.path)
    run.unchanged = answer is None or digest == state.cursor
    if answer is None or run.unchanged:
        run.complete = True
        etag = state.etag if answer is None else answer.headers.get("etag")
        run.keep(None, replace(run.finished(), etag=etag))
        return
    opened = files.open_rows(answer.path, profile, "incidents")
    numbering = Numbering()
    for rows in opened.rows:
        if run.stop.is_set():
            break
        mapped = files.incidents_of_rows(rows, opened.layout, numbering)
        run.keep(piece_of(rows, mapped, run.limits), run.state)
    else:
        run.complete = True
        run.keep(None, replace(run.finished(), etag=answer.headers.get("etag"), cursor=digest))


def _whole(answer: Answer, kind: str, known: dict[str, str]) -> Answer | None:
    """An answer with a file that is not cut short, None where the file is the one we have."""
    if answer.status == 304 and known:
        return None
    path = _data(answer)
    if kind == "geojson":
        _check_geojson(path)
    if kind == "georss":
        try:
            files.check_georss(path)
        except BadInput as error:
            raise Fault(f"it answered with no feed: {error}") from error
    if kind in ("csv", "ndjson") and not answer.framed and not _ends_with_line(path):
        raise Fault("the answer ends in the middle of a line")
    return answer


def _check_geojson(path: Path) -> None:
    try:
        msgspec.json.decode(path.read_bytes(), type=_Collection)
    except msgspec.ValidationError as error:
        raise BadInput("the answer is JSON, but no GeoJSON FeatureCollection") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Fault("it answered with no JSON, or with only a part of it") from error


def _data(answer: Answer) -> Path:
    """The body of an answer that has one. Raises Fault."""
    if answer.status == 304:
        raise Fault("it answered 304, though nothing was said to be known")
    return answer.path


def _ends_with_line(path: Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 1))
        return file.read(1) in (b"", b"\n")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
