"""Changes as they happen, for any number of listeners: one look at the database serves all.

A view holds documents by kind and id. What differs between two views becomes an event, with a
number that counts on; a listener begins with a snapshot, or, if it says which event it had last
and that is not too long ago, with those after it. Whoever reads too slowly is dropped.
"""

import contextlib
import json
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
import structlog
from anyio import to_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from app.errors import DatabaseAway, TooBusy

Document = Mapping[str, Any]
View = Mapping[str, Mapping[str, Document]]  # kind, id, document

WAITING = 256  # events that may wait for one listener
REMEMBERED = 1_000  # events that a listener may have missed
LISTENERS = 200
QUIET_S = 2.0  # how often a listener is looked after
BEAT_S = 10.0

log = structlog.get_logger()


@dataclass(eq=False)
class _Listener:
    """One listener: where events are put for it, and why it was let go."""

    send: MemoryObjectSendStream[str]
    receive: MemoryObjectReceiveStream[str]
    reason: str | None = None


@dataclass
class Hub:
    """Looks for changes and tells them. `look` gives the view of now and may wait for a database.

    `every_s` [s]: how old a view may be before there is another look.
    """

    look: Callable[[], View]
    every_s: float
    _view: View | None = None
    _looked: float = float("-inf")
    _count: int = 0
    _epoch: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    _past: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    _listeners: set[_Listener] = field(default_factory=set)
    _turn: anyio.Lock = field(default_factory=anyio.Lock)
    _stopped: bool = False

    async def keep_looking(self) -> None:
        """Looks again and again while there are listeners; never ends."""
        while True:
            if self._listeners:
                try:
                    await self.refresh()
                except DatabaseAway as away:
                    log.warning("events wait", reason=str(away))
                except Exception:
                    log.exception("events failed")
            await anyio.sleep(self.every_s)

    async def refresh(self) -> None:
        """Looks, unless somebody just has, and tells what has changed. Raises DatabaseAway."""
        async with self._turn:
            if anyio.current_time() - self._looked < self.every_s / 2:
                return
            new = await to_thread.run_sync(self.look)
            self._looked = anyio.current_time()
            old, self._view = self._view, new
            for kind, document in changes(old, new) if old is not None else ():
                self._tell(kind, document)

    def stop(self) -> None:
        """Lets every listener go; to be called from the event loop's own thread."""
        self._stopped = True
        for listener in list(self._listeners):
            self._drop(listener, "stopping")

    async def listen(
        self, last_id: str | None, allowed: Callable[[], Any], *, once: bool = False
    ) -> AsyncIterator[str]:
        """Server-sent events for one listener, as text. Raises TooBusy, DatabaseAway at once.

        `allowed` is awaited every few seconds; the stream ends with the reason when it says one.
        `once`: the snapshot alone.
        """
        if len(self._listeners) >= LISTENERS:
            raise TooBusy(f"{LISTENERS} listen already; come back")
        await self.refresh()
        return self._stream(last_id, allowed, once=once)

    async def _stream(
        self, last_id: str | None, allowed: Callable[[], Any], *, once: bool
    ) -> AsyncIterator[str]:
        first = self._first(last_id)
        if once:
            yield first
            return
        send, receive = anyio.create_memory_object_stream[str](WAITING)
        listener = _Listener(send, receive)
        self._listeners.add(listener)
        if self._stopped:
            self._drop(listener, "stopping")
        try:
            yield first
            async for text in self._following(listener, allowed):
                yield text
            yield _event("end", {"reason": listener.reason})
        finally:
            self._listeners.discard(listener)
            send.close()
            receive.close()

    async def _following(
        self, listener: _Listener, allowed: Callable[[], Any]
    ) -> AsyncIterator[str]:
        """Events and signs of life, until the listener is let go."""
        asked = beaten = anyio.current_time()
        while True:
            text = None
            with anyio.move_on_after(QUIET_S):
                try:
                    text = await listener.receive.receive()
                except anyio.EndOfStream:
                    return
            now = anyio.current_time()
            if text is not None:
                yield text
            elif now - beaten >= BEAT_S:
                beaten = now
                yield ": still here\n\n"
            if now - asked >= QUIET_S:
                asked = now
                if (reason := await allowed()) is not None:
                    listener.reason = reason
                    return

    def _first(self, last_id: str | None) -> str:
        """What a listener missed, or a snapshot where that is not known."""
        epoch, _, number = (last_id or "").rpartition("-")
        if epoch == self._epoch and number.isdecimal():
            oldest = self._past[0][0] if self._past else self._count + 1
            if oldest - 1 <= int(number) <= self._count:
                missed = [text for n, text in self._past if n > int(number)]
                return "".join(missed) or ": nothing missed\n\n"
        view = self._view or {}
        snapshot = {kind: list(documents.values()) for kind, documents in view.items()}
        return _event("snapshot", snapshot, self._id())

    def _tell(self, kind: str, document: Document) -> None:
        self._count += 1
        text = _event(kind, document, self._id())
        self._past.append((self._count, text))
        for listener in list(self._listeners):
            try:
                listener.send.send_nowait(text)
            except anyio.WouldBlock:
                self._drop(listener, "slow")
            except anyio.BrokenResourceError:
                self._listeners.discard(listener)

    def _drop(self, listener: _Listener, reason: str) -> None:
        listener.reason = reason
        self._listeners.discard(listener)
        with contextlib.suppress(anyio.ClosedResourceError):
            listener.send.close()

    def _id(self) -> str:
        return f"{self._epoch}-{self._count}"


def changes(old: View, new: View) -> list[tuple[str, Document]]:
    """The documents of `new` that are not in `old` as they are, by kind; what has gone is silent.

    `age_s` and `as_of` go on by themselves and are no change.
    """
    return [
        (_SINGULAR[kind], document)
        for kind, documents in new.items()
        for id_, document in documents.items()
        if _lasting(old.get(kind, {}).get(id_)) != _lasting(document)
    ]


_SINGULAR = {"units": "unit", "plans": "plan", "dosage": "dosage", "alerts": "alert"}
_PASSING = ("age_s", "as_of")


def _lasting(document: Document | None) -> Document | None:
    if document is None:
        return None
    return {name: value for name, value in document.items() if name not in _PASSING}


def _event(kind: str, data: Document, id: str | None = None) -> str:  # noqa: A002  the format's word
    """One event of text/event-stream. JSON has no raw line breaks, so it is one line of data."""
    named = f"id: {id}\n" if id is not None else ""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"{named}event: {kind}\ndata: {text}\n\n"
