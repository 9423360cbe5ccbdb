"""Feeds pulled from a portal that misbehaves: nothing lost, nothing twice, errors that help."""

import gzip
import json
import threading
import time

import pytest
from pydantic import SecretStr
from sqlalchemy import select

from app.db import Database
from app.errors import BadInput, Conflict, TooLarge
from app.feeds import feed_of, pull, source_of
from app.feeds.upstream import GivenUp, Stopped, UpstreamRefused
from app.store.feeds import FeedState, feed_state, list_feeds, move_feed
from app.tables import incidents
from tests import portal as tricks
from tests.portal import Portal
from tests.puller import NOW_US, PROFILE, Puller, counts, published, some, stored

NAME = "k"  # of a token


@pytest.fixture(params=["socrata", "arcgis"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_pages_then_nothing_then_what_changed(puller: Puller, portal: Portal, kind: str) -> None:
    some(portal, 12)
    first = puller(kind)
    assert counts(first) == (12, 0, 0)
    assert first.receipt["complete"]
    assert stored(puller.database) == published(portal)
    with puller.database.read() as c:
        lat = c.scalars(select(incidents.c.lat).where(incidents.c.incident_id == "c007")).one()
    assert lat == 44.4 + 7 / 10_000
    assert counts(puller(kind)) == (0, 0, 0)
    portal.put("c003", 100, category="theft")
    portal.put("c013", 101)
    assert counts(puller(kind)) == (2, 0, 0)
    # The last row that was read changes, and so is the last one again.
    portal.put("c013", 102, category="theft")
    assert counts(puller(kind)) == (1, 0, 0)
    assert stored(puller.database) == published(portal)


def test_without_an_update_column_each_pull_reads_all(
    puller: Puller, portal: Portal, kind: str
) -> None:
    some(portal, 12)
    for expected in ((12, 0, 0), (0, 12, 0)):
        assert counts(puller(kind, path=f"/{kind}", page_size=5)) == expected


@pytest.mark.parametrize("seconds", [None, 7], ids=["each its time", "all at one time"])
@pytest.mark.parametrize("number", [2, 3, 4])
def test_rows_that_change_between_pages_take_no_other_with_them(
    puller: Puller, portal: Portal, kind: str, seconds: int | None, number: int
) -> None:
    """The first row moves to the end, the second goes: all others move up by two."""
    some(portal, 20, seconds)

    def change(asked: int) -> None:
        if asked == number:
            portal.put("c001", 500, category="theft")
            del portal.rows["c002"]

    portal.before = change
    pulled = puller(kind)
    assert pulled.failure is None, pulled
    assert stored(puller.database).items() >= published(portal).items()
    assert counts(puller(kind)) == (0, 0, 0)


def test_a_server_that_gives_fewer_rows_than_asked_loses_none(
    puller: Puller, portal: Portal, kind: str
) -> None:
    some(portal, 9)
    portal.at_most = 2
    assert counts(puller(kind)) == (9, 0, 0)


def test_every_fault_once_and_then_the_truth(puller: Puller, portal: Portal) -> None:
    some(portal, 12)
    portal.tricks = [
        tricks.status(500),
        tricks.status(503),
        None,  # the first page
        tricks.reset,
        tricks.hang_up,
        tricks.silent(0.6),
        tricks.web_page,
        tricks.cut_short,
        tricks.zipped,  # the second page
        tricks.zipped_short,
        tricks.drip,
        tricks.body(b"[" * 100_000),
        tricks.body(b'{"error": true, "message": "Timeout"}'),
        tricks.status(429),
        tricks.zipped,
    ]
    assert counts(puller(tries=7)) == (12, 0, 0)
    assert portal.tricks == []
    assert stored(puller.database) == published(portal)


def test_giving_up_leaves_the_cursor_behind_what_is_stored(
    puller: Puller, portal: Portal, kind: str
) -> None:
    some(portal, 12)
    portal.tricks = [None, None]
    portal.forever = tricks.status(502)
    pulled = puller(kind, tries=3)
    assert isinstance(pulled.failure, GivenUp)
    assert "127.0.0.1 could not be read in 3 tries: it answered 502" in str(pulled.failure)
    # Five rows, then the fifth again with four more.
    assert pulled.receipt["accepted"] == 9
    assert not pulled.receipt["complete"]
    assert len(portal.asked) == 2 + 3
    with puller.database.read() as c:
        state = list_feeds(c)[0]
    assert state.last_error == str(pulled.failure)
    assert state.last_pull_us is None
    portal.forever = None
    assert counts(puller(kind)) == (3, 0, 0)
    with puller.database.read() as c:
        state = list_feeds(c)[0]
    assert (state.last_error, state.last_pull_us) == (None, NOW_US)
    assert stored(puller.database) == published(portal)


def test_retry_after_is_heeded_as_long_as_patience_lasts(puller: Puller, portal: Portal) -> None:
    some(portal, 3)
    portal.tricks = [tricks.status(429, Retry_After="1")]
    began = time.monotonic()
    assert counts(puller()) == (3, 0, 0)
    assert time.monotonic() - began >= 1
    # Ten seconds by the server's own clock, whatever ours says.
    date, later = "Sun, 01 Mar 2026 00:00:00 GMT", "Sun, 01 Mar 2026 00:00:10 GMT"
    for said in ({"Retry_After": "3600"}, {"Retry_After": later, "Date": date}):
        portal.tricks = [tricks.status(503, **said)]
        asked = len(portal.asked)
        pulled = puller(patience_s=5)
        assert isinstance(pulled.failure, GivenUp)
        assert "patience_s = 5" in str(pulled.failure)
        assert len(portal.asked) == asked + 1


def test_what_would_not_get_better_is_not_tried_again(
    puller: Puller, portal: Portal, kind: str
) -> None:
    some(portal, 3)
    denied = b'{"error": {"code": 400, "message": "Invalid query"}, "message": "Invalid query"}'
    portal.forever = lambda h: h.send(denied, status=400 if kind == "socrata" else 200)
    pulled = puller(kind)
    assert isinstance(pulled.failure, UpstreamRefused)
    assert "Invalid query" in str(pulled.failure)
    assert len(portal.asked) == 1
    portal.forever = tricks.body(b'{"error": {"code": 503, "message": "busy"}}')
    assert isinstance(puller(kind, tries=2).failure, GivenUp)
    assert len(portal.asked) == 3


def test_a_server_that_gives_the_same_page_again_is_found_out(
    puller: Puller, portal: Portal, kind: str
) -> None:
    some(portal, 12, seconds=7)
    portal.heeds_offset = False
    pulled = puller(kind)
    assert isinstance(pulled.failure, UpstreamRefused)
    assert len(portal.asked) < 30
    # It needs no offset where each row has its own time.
    for k, name in enumerate(portal.rows):
        portal.put(name, 100 + k)
    assert puller(kind).failure is None
    assert stored(puller.database) == published(portal)


def test_rows_out_of_order_are_not_trusted(puller: Puller, portal: Portal) -> None:
    some(portal, 5)
    rows = [tricks.soda(row) for row in portal.rows.values()]
    portal.forever = tricks.body(json.dumps(rows[::-1]).encode())
    assert "order" in str(puller().failure)
    assert stored(puller.database) == {}


def test_bad_rows_are_refused_each_with_its_code_and_stop_no_other(
    puller: Puller, portal: Portal
) -> None:
    some(portal, 7)
    portal.put("c002", 2, lat="north")
    portal.put("c004", 4, lat=91)
    portal.put("c006", 6, category="\ud800")  # half a character
    del portal.rows["c007"]["category"]
    portal.put("c008", 8, lat="9" * 5000)
    pulled = puller()
    assert counts(pulled) == (3, 0, 5)
    codes = [(error["index"], error["code"]) for error in pulled.receipt["errors"]]
    assert codes == [
        (1, "malformed"),
        (3, "lat_out_of_range"),
        (5, "malformed"),
        (6, "missing_field"),
        (7, "malformed"),
    ]


def test_a_column_that_the_profile_does_not_know_stores_nothing(
    puller: Puller, portal: Portal
) -> None:
    some(portal, 3)
    portal.put("c002", 2, mood="good")
    pulled = puller()
    assert isinstance(pulled.failure, BadInput)
    assert "'mood'" in str(pulled.failure)
    assert stored(puller.database) == {}
    # A profile that ignores it is another source: it begins anew, as far as it ever got.
    (puller.folder / "profile.toml").write_text(PROFILE.replace('"changed"', '"changed", "mood"'))
    assert counts(puller()) == (3, 0, 0)


def test_caps_end_a_pull_and_the_next_goes_on(puller: Puller, portal: Portal, kind: str) -> None:
    some(portal, 12)
    first = puller(kind, max_pages=1)
    assert (counts(first), first.receipt["complete"]) == ((5, 0, 0), False)
    second = puller(kind, max_pull_bytes=10)
    assert (counts(second), second.receipt["complete"]) == ((4, 0, 0), False)
    assert counts(puller(kind)) == (3, 0, 0)


def test_a_body_larger_than_allowed_is_not_read(puller: Puller, portal: Portal) -> None:
    bomb = gzip.compress(b" " * 20_000_000)  # 20 kB on the way
    portal.tricks = [tricks.body(bomb, Content_Encoding="gzip")]
    assert isinstance(puller(max_body_bytes=1_000_000).failure, TooLarge)
    portal.files["/calls.csv"] = gzip.compress(bomb)
    assert isinstance(puller("csv", "/calls.csv", max_body_bytes=1_000).failure, TooLarge)


def test_an_overlap_reads_again_what_may_have_come_late(
    puller: Puller, portal: Portal, kind: str
) -> None:
    some(portal, 5)
    assert counts(puller(kind)) == (5, 0, 0)
    portal.put("c009", 3)  # appears with a time that has been read already
    assert counts(puller(kind)) == (0, 0, 0)
    # From 5 - 2 on: c003, c009, c004 and c005.
    assert counts(puller(kind, overlap_s=2)) == (1, 3, 0)


def test_redirects_stay_in_the_scheme_and_take_no_token_along(
    puller: Puller, portal: Portal
) -> None:
    some(portal, 3)
    other = Portal()
    other.rows = portal.rows
    puller.settings = puller.settings.model_copy(
        update={"feed_tokens": {NAME: SecretStr("s3cr3t")}}
    )
    portal.forever = tricks.moved(f"{other.url}/socrata?$limit=5&$offset=0&$order=changed")
    assert counts(puller(token=NAME, max_pages=1)) == (3, 0, 0)
    assert portal.headers[0]["X-App-Token"] == "s3cr3t"
    assert "X-App-Token" not in other.headers[0]
    other.close()
    for location in ("https://127.0.0.1/", "file:///etc/hostname", "", "http:///calls"):
        portal.forever = tricks.moved(location)
        assert isinstance(puller().failure, UpstreamRefused)
    portal.forever = tricks.moved("/socrata")
    assert "without an end" in str(puller().failure)


def test_a_proxy_is_used_where_the_feed_names_one(puller: Puller, portal: Portal) -> None:
    some(portal, 3)
    url, puller.url = puller.url, "http://portal.invalid"
    assert counts(puller(proxy=url)) == (3, 0, 0)
    assert portal.headers[0]["Host"] == "portal.invalid"


def test_a_token_stands_in_no_log_and_in_no_table(
    puller: Puller, portal: Portal, capsys: pytest.CaptureFixture[str]
) -> None:
    some(portal, 3)
    puller.settings = puller.settings.model_copy(
        update={"feed_tokens": {NAME: SecretStr("s3cr3t")}}
    )
    for kind, path in (("socrata", ""), ("arcgis", ""), ("csv", "/none.csv")):
        portal.tricks = [tricks.status(500)]
        said = str(puller(kind, path, token=NAME))
        assert "s3cr3t" not in said + str(puller.settings)
        assert "s3cr3t" in str(portal.headers[-1])
    assert "s3cr3t" not in capsys.readouterr().out
    puller.settings = puller.settings.model_copy(update={"feed_tokens": {}})
    with pytest.raises(BadInput, match="'k' in FOCUS_PATROL_FEED_TOKENS"):
        puller(token=NAME)


def test_of_two_pulls_at_once_one_gives_way(puller: Puller, portal: Portal) -> None:
    some(portal, 12)

    def overtake(asked: int) -> None:
        if asked == 2:  # while the first pull waits for its second page
            assert puller().failure is None

    portal.before = overtake
    pulled = puller()
    assert isinstance(pulled.failure, Conflict)
    assert stored(puller.database) == published(portal)
    assert counts(puller()) == (0, 0, 0)


def test_a_cursor_moves_with_the_facts_or_not_at_all(database: Database) -> None:
    with database.write() as c:
        before = feed_state(c, "calls", "digest")

    def fail() -> None:
        with database.write() as c:
            move_feed(c, before, FeedState("calls", "digest", cursor="1"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with database.read() as c:
        assert list_feeds(c) == [before]


def test_304_to_one_who_knows_nothing_is_a_fault(puller: Puller, portal: Portal) -> None:
    portal.forever = lambda h: (h.send_response(304), h.end_headers())[1]
    assert "304" in str(puller("csv", "/calls", tries=1).failure)
    assert "304" in str(puller(tries=1).failure)


def test_a_pull_that_is_told_to_end_ends(puller: Puller, portal: Portal) -> None:
    feed = feed_of({"kind": "csv", "url": puller.url, "profile": "profile.toml", "retry_s": 60})
    source, stop = source_of("calls", feed, puller.folder), threading.Event()
    portal.forever = tricks.status(500)
    threading.Timer(0.2, stop.set).start()
    pulled = pull(puller.database, puller.settings, source, lambda: NOW_US, stop)
    assert isinstance(pulled.failure, Stopped)
