"""Calls that bring pings gathered into groups: one durable write each, a receipt for every call.

A flush to disk costs the same for one ping as for ten thousand. So what arrives while the last
group is written, or within a few milliseconds, is decoded, checked and written together by the one
thread that writes. The loop of the service gathers; all it shares with that thread is a group on
its way there and its outcomes on the way back, so nothing here needs a lock.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from app.errors import DatabaseAway, TooBusy
from app.intake.accept import Call, Done
from app.intake.receipt import Receipt
from app.metrics import Metrics

GATHER_S = 0.001  # how long the first call of a group waits for others, where none is written
GROUP_BYTES = 4 << 20  # of bodies in a group: some 40,000 pings; more would only wait together
GROUP_CALLS = 1_000
WAITING_CALLS = 8_192  # each some 4 KB beside its body; the bodies are counted by the gate
WAIT_S = 4.0  # for a turn; with the database's own 5 s a caller knows within 10 s

Outcome = Receipt | Exception
Accept = Callable[[Sequence[Call], int], Done]


class Waiting(NamedTuple):
    """A call that waits for its group."""

    call: Call
    size: int
    now_us: int
    since: float
    answer: asyncio.Future[Receipt]


class Queue:
    """Takes calls from one event loop; gives each its receipt once its pings are on disk."""

    def __init__(
        self, accept: Accept, metrics: Metrics, waiting_calls: int = WAITING_CALLS
    ) -> None:
        """`accept` writes a group at an instant; it runs in a thread of its own."""
        self._accept = accept
        self._metrics = metrics
        self._most = waiting_calls
        self._waiting: deque[Waiting] = deque()
        self._thread = ThreadPoolExecutor(1, "intake")
        self._under_way = False  # a group is gathered or written
        self._away: DatabaseAway | None = None  # what the last write met

    async def put(self, call: Call, size: int, now_us: int) -> Receipt:
        """The receipt of a call whose body has `size` bytes [as good as] taken at `now_us`.

        Raises what the call itself raises, DatabaseAway where nothing could be stored, and
        TooBusy, or DatabaseAway if that is why, where too many wait already.
        """
        if len(self._waiting) >= self._most:
            raise self._away or TooBusy("too many calls at once; send this one again in a second")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Receipt] = loop.create_future()
        self._waiting.append(Waiting(call, size, now_us, time.monotonic(), answer))
        if not self._under_way:
            self._under_way = True
            loop.call_later(GATHER_S, self._write)
        return await answer

    def __len__(self) -> int:
        return len(self._waiting)

    def close(self) -> None:
        """Ends the thread once what it is given is written."""
        self._thread.shutdown()

    def _write(self) -> None:
        """Sends the next group to the thread."""
        group = self._next()
        self._under_way = bool(group)
        if group:
            calls, now_us = [each.call for each in group], group[-1].now_us
            loop = asyncio.get_running_loop()
            done = loop.run_in_executor(self._thread, self._accept, calls, now_us)
            done.add_done_callback(lambda work: self._answer(group, work))

    def _next(self) -> list[Waiting]:
        """The calls that have waited longest; at least one, even if it alone is too large."""
        oldest = time.monotonic() - WAIT_S
        group: list[Waiting] = []
        room = GROUP_BYTES
        while self._waiting and len(group) < GROUP_CALLS:
            room -= self._waiting[0].size
            if room < 0 and group:
                break
            each = self._waiting.popleft()
            if each.since < oldest:
                _settle(each, TooBusy("no turn came in time; send this one again in a second"))
            else:
                group.append(each)
        return group

    def _answer(self, group: list[Waiting], work: asyncio.Future[Done]) -> None:
        """Tells each call its outcome, and sends the next group."""
        error = work.exception()
        self._away = error if isinstance(error, DatabaseAway) else None
        if isinstance(error, Exception):
            # Who waited behind a database that is away has waited as long, and would again.
            for each in (*group, *(self._waiting if self._away else ())):
                _settle(each, error)
            if self._away:
                self._waiting.clear()
        else:
            for each, outcome in zip(group, work.result().outcomes, strict=True):
                _settle(each, outcome)
            self._count(work.result())
        self._write()

    def _count(self, done: Done) -> None:
        receipts = [outcome for outcome in done.outcomes if isinstance(outcome, Receipt)]
        self._metrics.count(
            "pings",
            accepted=sum(receipt.accepted for receipt in receipts),
            duplicate=sum(receipt.duplicate for receipt in receipts),
            rejected=sum(receipt.rejected for receipt in receipts),
        )
        for code, count in done.codes.items():
            self._metrics.refused.labels(code).inc(count)
        self._metrics.lag_s.observe(done.lag_s)
        self._metrics.group_calls.observe(len(done.outcomes))
        self._metrics.write_s.observe(done.write_s)


def _settle(waiting: Waiting, outcome: Outcome) -> None:
    if waiting.answer.done():  # nobody waits for it any more
        return
    if isinstance(outcome, Exception):
        waiting.answer.set_exception(outcome)
    else:
        waiting.answer.set_result(outcome)
