"""Local shift calendars as half-open UTC intervals that tile time, across clock changes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d", re.ASCII)
SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US
DAY_US = 24 * HOUR_US


@dataclass(frozen=True)
class Shift:
    """One shift: `[start_us, end_us)` in UTC, belonging to the local day on which it starts."""

    name: str
    start_us: int
    end_us: int


@dataclass(frozen=True)
class Shifts:
    """Consecutive shifts as columns: `name[i]` indexes `names`; `[start_us[i], end_us[i])`.

    `weekday` (k,) int8 is the local weekday of the start, 0 = Monday; `middle_weekday` that of the
    middle, so that the night from Friday to Saturday counts as Saturday.
    """

    names: tuple[str, ...]
    name: NDArray[np.int8]
    start_us: NDArray[np.int64]
    end_us: NDArray[np.int64]
    weekday: NDArray[np.int8]
    middle_weekday: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.start_us)

    def at(self, i: int) -> Shift:
        """The `i`-th shift."""
        return Shift(self.names[int(self.name[i])], int(self.start_us[i]), int(self.end_us[i]))


def zone(timezone: str) -> ZoneInfo:
    """The IANA time zone of that name. Raises ValueError for a name that does not exist."""
    try:
        return ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"no time zone is called {timezone!r}; use an IANA name") from error


def calendar_of(shifts: Mapping[str, str]) -> dict[str, time]:
    """Shift names and local start times, sorted by start.

    Raises ValueError where there is none, a time is not HH:MM, or two start together.
    """
    if not shifts:
        raise ValueError("a shift calendar needs at least one shift, such as day=07:00")
    starts: dict[str, time] = {}
    for name, text in shifts.items():
        if not name or name != name.strip():
            raise ValueError(f"{name!r} is no name for a shift")
        if not isinstance(text, str) or not _CLOCK.fullmatch(text):
            raise ValueError(f"shift {name!r} starts at {text!r}; write HH:MM")
        starts[name] = time.fromisoformat(text)
    if len(set(starts.values())) < len(starts):
        raise ValueError("two shifts start at the same time of day")
    return dict(sorted(starts.items(), key=lambda item: item[1]))


def parse_calendar(text: str) -> dict[str, str]:
    """`day=07:00,night=19:00` as a mapping. Raises ValueError for another form."""
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if any(not sign for _, sign, _ in pairs):
        raise ValueError(f"{text!r} is no shift calendar; write name=HH:MM,name=HH:MM")
    shifts = {name.strip(): start.strip() for name, _, start in pairs}
    if len(shifts) < len(pairs):
        raise ValueError("two shifts have the same name")
    calendar_of(shifts)
    return shifts


def instances(shifts: Mapping[str, str], timezone: str, first: date, last: date) -> Shifts:
    """Every shift that starts on the local days `first` to `last`, both included, in time order.

    A shift ends where the next begins, so they tile time. A start inside the hour that a clock
    change leaves out is read with the offset before the change, as RFC 5545 (3.3.5) has it; a
    shift that this leaves no time for is empty on that day.
    Empty where `last` is before `first`. Raises ValueError for an unusable calendar or zone.
    """
    starts = calendar_of(shifts)
    where = zone(timezone)
    days = [first + timedelta(days=k) for k in range((last - first).days + 2)]
    moments = [
        (_utc_us(day, start, where), code, day.weekday())
        for day in days
        for code, start in enumerate(starts.values())
    ]
    count = max(0, (len(days) - 1) * len(starts))
    late = _past_midnight(list(starts.values()))
    start_us = np.maximum.accumulate(np.array([m[0] for m in moments], dtype=np.int64))
    return Shifts(
        names=tuple(starts),
        name=np.array([m[1] for m in moments[:count]], dtype=np.int8),
        start_us=start_us[:count],
        end_us=start_us[1 : count + 1],
        weekday=np.array([m[2] for m in moments[:count]], dtype=np.int8),
        middle_weekday=np.array([(m[2] + late[m[1]]) % 7 for m in moments[:count]], dtype=np.int8),
    )


def instance(shifts: Mapping[str, str], timezone: str, name: str, day: date) -> Shift:
    """The shift called `name` that starts on the local `day`. Raises ValueError if none is."""
    found = instances(shifts, timezone, day, day)
    if name not in found.names:
        raise ValueError(f"no shift is called {name!r}; there are {', '.join(found.names)}")
    return found.at(found.names.index(name))


def local_date(time_us: int, timezone: str) -> date:
    """The local calendar day at an instant."""
    return (
        (datetime.fromtimestamp(0, UTC) + timedelta(microseconds=time_us))
        .astimezone(zone(timezone))
        .date()
    )


def _past_midnight(starts: list[time]) -> list[bool]:
    """Whether the middle of each shift lies after midnight; only the last one's can."""
    first, last = starts[0], starts[-1]
    begin_h = last.hour + last.minute / 60
    end_h = 24 + first.hour + first.minute / 60
    return [False] * (len(starts) - 1) + [(begin_h + end_h) / 2 >= 24]


def _utc_us(day: date, start: time, where: ZoneInfo) -> int:
    moment = datetime.combine(day, start, tzinfo=where).astimezone(UTC)
    return (moment - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)
