"""Groups: one write for many calls, each with the receipt it would have had alone."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest

from app.db import Database
from app.errors import BadInput, DatabaseAway, TooBusy
from app.intake import Call, Done, accept_pings, decoded_pings
from app.intake import queue as queues
from app.intake.decode import Decoded
from app.intake.queue import Queue
from app.intake.receipt import Receipt
from app.metrics import Metrics
from app.settings import Settings

NOW_S = 1_700_000_000
NOW_US = NOW_S * 10**6
PING: dict[str, Any] = {"unit_id": "A", "time": NOW_S, "lat": 49.25, "lon": -123.1}


def call(items: Any) -> Call:
    body = items if isinstance(items, bytes) else json.dumps(items).encode()
    return Call(partial(decoded_pings, body, None, None))


class Writer:
    """Writes groups as the service does, notes how large they were, and can be held up."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database, self.settings = database, settings
        self.sizes: list[int] = []
        self.may_go = threading.Event()
        self.may_go.set()
        self.away = False

    def __call__(self, calls: Sequence[Call], now_us: int) -> Done:
        self.may_go.wait(10)
        if self.away:
            raise DatabaseAway("gone")
        self.sizes.append(len(calls))
        return accept_pings(self.database, self.settings, calls, now_us)


@pytest.fixture
def writer(sqlite_settings: Settings) -> Iterator[Writer]:
    database = Database(sqlite_settings)
    yield Writer(database, sqlite_settings)
    database.close()


Together = Callable[[Queue], Awaitable[list[Any]]]


def run(writer: Writer, work: Together, **limits: int) -> list[Any]:
    async def within() -> list[Any]:
        queue = Queue(writer, Metrics(), **limits)
        try:
            return await work(queue)
        finally:
            queue.close()

    return asyncio.run(within())


def all_of(*bodies: Any, size: int = 100) -> Together:
    async def put(queue: Queue) -> list[Any]:
        puts = (queue.put(call(body), size, NOW_US) for body in bodies)
        return await asyncio.gather(*puts, return_exceptions=True)

    return put


def counts(receipt: Receipt) -> tuple[int, int, int]:
    return receipt.accepted, receipt.duplicate, receipt.rejected


def test_calls_at_once_are_one_write_with_a_receipt_each(writer: Writer) -> None:
    other = PING | {"unit_id": "B"}
    receipts = run(writer, all_of(PING, [PING, other], PING | {"lat": 91}, [], other | {"lat": 1}))
    # As in a row: A is new; then A again and B; a bad one; nothing; B again with other content.
    expected = [(1, 0, 0), (1, 1, 0), (0, 0, 1), (0, 0, 0), (0, 1, 0)]
    assert [counts(receipt) for receipt in receipts] == expected
    assert receipts[2].errors[0].index == 0
    assert writer.sizes == [5]


def test_a_body_that_cannot_be_read_troubles_nobody_else(writer: Writer) -> None:
    first, bad, last = run(writer, all_of(PING, b"{", PING | {"unit_id": "B"}))
    assert (counts(first), counts(last)) == ((1, 0, 0), (1, 0, 0))
    assert isinstance(bad, BadInput)


def test_a_call_that_shows_a_defect_troubles_nobody_else(writer: Writer) -> None:
    def defect() -> Any:
        # Decoded, but not into pings: it shows only once all are put into columns together.
        return Decoded(1, [object()], np.arange(1), [])

    async def put(queue: Queue) -> list[Any]:
        calls = (call(PING), Call(defect), call(PING | {"unit_id": "B"}))
        puts = (queue.put(each, 100, NOW_US) for each in calls)
        return await asyncio.gather(*puts, return_exceptions=True)

    first, odd, last = run(writer, put)
    assert (counts(first), counts(last)) == ((1, 0, 0), (1, 0, 0))
    assert isinstance(odd, AttributeError)


def test_what_is_too_large_for_a_group_goes_alone(writer: Writer) -> None:
    bodies = [PING | {"unit_id": str(k)} for k in range(4)]
    run(writer, all_of(*bodies, size=queues.GROUP_BYTES + 1))
    assert writer.sizes == [1, 1, 1, 1]


def test_no_more_wait_than_may(writer: Writer) -> None:
    outcomes = run(writer, all_of(*[PING] * 5), waiting_calls=3)
    assert [isinstance(outcome, TooBusy) for outcome in outcomes] == [False] * 3 + [True] * 2


def test_who_waits_too_long_is_told_so(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "WAIT_S", 0.0)
    (outcome,) = run(writer, all_of(PING))
    assert isinstance(outcome, TooBusy)


def test_a_database_that_is_away_answers_all_that_wait(writer: Writer) -> None:
    writer.away = True
    writer.may_go.clear()

    async def put(queue: Queue) -> list[Any]:
        async def one(unit_id: str) -> Receipt:
            return await queue.put(call(PING | {"unit_id": unit_id}), 100, NOW_US)

        early = [asyncio.create_task(one(f"early {k}")) for k in range(3)]
        await asyncio.sleep(0.1)  # they are with the writer
        late = [asyncio.create_task(one(f"late {k}")) for k in range(3)]
        await asyncio.sleep(0.01)
        writer.may_go.set()
        outcomes = await asyncio.gather(*early, *late, return_exceptions=True)
        writer.away = False
        return [*outcomes, await one("again")]

    *refused, again = run(writer, put)
    assert all(isinstance(outcome, DatabaseAway) for outcome in refused)
    assert counts(again) == (1, 0, 0)
    assert writer.sizes == [1]


def test_while_one_group_is_written_the_next_one_gathers(writer: Writer) -> None:
    writer.may_go.clear()

    async def put(queue: Queue) -> list[Any]:
        tasks = [asyncio.create_task(queue.put(call(PING), 100, NOW_US))]
        await asyncio.sleep(0.1)
        tasks += [asyncio.create_task(queue.put(call(PING), 100, NOW_US)) for _ in range(9)]
        await asyncio.sleep(0.1)
        writer.may_go.set()
        return await asyncio.gather(*tasks)

    receipts = run(writer, put)
    assert writer.sizes == [1, 9]
    assert [counts(receipt) for receipt in receipts] == [(1, 0, 0)] + [(0, 1, 0)] * 9
