"""What arrives turned into positions that wait to be written, and what does not count, counted."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from app.intake.formats import nmea, taip
from app.intake.formats.position import Position, Unreadable
from app.intake.heard import Heard
from app.listen.rules import Rules, plain

WAITING = 100_000  # positions in memory while the database is away, some 20 MB
BURST_S = 30.0  # so many seconds' messages may come at once: what a box could not send before
SOURCES = 65_536  # addresses that something is remembered of

Clock = Callable[[], int]


class Place(NamedTuple):
    """A source address as lists write it, and whether it may be heard."""

    address: str
    allowed: bool


@dataclass
class Source:
    """What is remembered of a source address: how much it may still send, and its last words."""

    tokens: float
    filled_s: float
    memory: nmea.Memory = field(default_factory=nmea.Memory)


class Ear:
    """Turns what arrives into positions that wait to be written; counts what does not count."""

    def __init__(self, rules: Rules, now_us: Clock) -> None:
        """`now_us`: the clock."""
        self.rules = rules
        self.counts: Counter[str] = Counter()
        self.waiting: list[Heard] = []
        self._now_us = now_us
        self._places: dict[str, Place] = {}
        self._sources: dict[str, Source] = {}

    def hear(self, data: bytes, address: str) -> None:
        """Takes a datagram, or a piece of a connection that holds whole messages."""
        there = self._place(address)
        if not there.allowed:
            self.counts["not_allowed"] += 1
            return
        source = self._source(there.address)
        if self._in_time(source):
            self._keep(self._decoded(data, source), there.address)
        else:
            self.counts["too_often"] += 1

    def allows(self, address: str) -> bool:
        """Whether anything from there is taken; counted where it is not."""
        allowed = self._place(address).allowed
        self.counts["not_allowed"] += not allowed
        return allowed

    def _place(self, address: str) -> Place:
        found = self._places.get(address)
        if found is None:
            if len(self._places) >= SOURCES:
                self._places.clear()
            there = plain(address)
            found = self._places[address] = Place(there, self.rules.allows(there))
        return found

    def _source(self, address: str) -> Source:
        found = self._sources.get(address)
        if found is None:
            if len(self._sources) >= SOURCES:
                self._sources.clear()
            found = Source(self.rules.per_s * BURST_S, time.monotonic())
            self._sources[address] = found
        return found

    def _in_time(self, source: Source) -> bool:
        """Whether a source may send one more message: a bucket that fills again over time."""
        now_s = time.monotonic()
        gained = (now_s - source.filled_s) * self.rules.per_s
        source.tokens = min(self.rules.per_s * BURST_S, source.tokens + gained)
        source.filled_s = now_s
        if source.tokens < 1:
            return False
        source.tokens -= 1
        return True

    def _decoded(self, data: bytes, source: Source) -> list[Heard]:
        if self.rules.form == "taip":
            return self._taip(data)
        found, source.memory = nmea.decode(data, source.memory, self._now_us())
        self.counts["other"] += found.others
        return [*found.positions, *found.flaws]

    def _taip(self, data: bytes) -> list[Heard]:
        try:
            messages = taip.messages_of(data)
        except Unreadable as error:
            return [error.flaw]
        result: list[Heard] = []
        for message in messages:
            try:
                found = taip.decode(message, self._now_us())
            except Unreadable as error:
                result.append(error.flaw)
                continue
            self.counts["other"] += found is None
            result += [] if found is None else [found]
        return result

    def _keep(self, heard: list[Heard], address: str) -> None:
        self.counts["received"] += len(heard)
        unit_id = self.rules.units.get(address)
        for each in heard:
            if not isinstance(each, Position):
                self.counts["unreadable"] += 1
            elif not each.valid:
                self.counts["no_fix"] += 1
            elif len(self.waiting) >= WAITING:
                self.counts["no_room"] += 1
            else:
                self.waiting.append(named(each, unit_id))


def named(position: Position, unit_id: str | None) -> Position:
    """The position under the call sign of its source address, where that has one."""
    return position if unit_id is None else position._replace(identifier=unit_id)
