"""A position as a device words it, in our units; and what is read alike in several formats."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa

from app.checks import MALFORMED, MISSING_FIELD, TIME_INVALID, Flaw
from app.facts import RANGE_ERROR_M
from app.instants import ABSENT, FIRST_US, INVALID, LAST_US, rfc3339_us
from app.shifts import DAY_US, SECOND_US

KNOT_MPS = 1852 / 3600  # by definition
MPH_MPS = 0.44704  # by definition
KMH_MPS = 1 / 3.6
ERA_US = 1024 * 7 * DAY_US  # old receivers count weeks modulo 1024
KEPT_US = 31 * DAY_US  # longer than devices keep positions that they could not send

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})"
    r"(?:\.([0-9]{1,9}))?(?:[Zz]|([+-][0-9]{2}):?([0-9]{2}))?"
)
_OFFSET = re.compile(r"(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})$")


class Unreadable(ValueError):
    """A message that is none of its format; `flaw` says why."""

    def __init__(self, code: str, field: str | None, message: str) -> None:
        super().__init__(message)
        self.flaw = Flaw(code, field, message)


class Position(NamedTuple):
    """One position. NaN: not sent or not known; `valid` false: the device had no fix just then."""

    identifier: str | None
    time_us: int
    lat: float
    lon: float
    speed_mps: float = math.nan
    heading_deg: float = math.nan
    accuracy_m: float = math.nan
    valid: bool = True


NO_FIX = Flaw(MALFORMED, "valid", "the device had no fix: the position is an older one, or none")


def flaw_of(heard: Position | Flaw) -> Flaw | None:
    """Why something heard is no ping: it could not be read, or the device had no fix."""
    if isinstance(heard, Flaw):
        return heard
    return None if heard.valid else NO_FIX


def json_object(body: bytes) -> dict[str, Any]:
    """A body as one JSON object. Raises Unreadable."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(MALFORMED, None, "the body is not JSON in UTF-8") from error
    if not isinstance(found, dict):
        raise Unreadable(MALFORMED, None, "the body is not one JSON object")
    return found


def member(parent: Mapping[str, Any], field: str) -> dict[str, Any]:
    """A member that is an object itself. Raises Unreadable where there is none."""
    found = parent.get(field)
    if found is None:
        raise Unreadable(MISSING_FIELD, field, f"{field} is missing")
    if not isinstance(found, dict):
        raise Unreadable(MALFORMED, field, f"{field} must be an object")
    return found


def degrees(value: Any, field: str) -> float:
    """A coordinate, a number or its text; NaN where none was sent. Raises Unreadable."""
    if value is None or value == "":
        return math.nan
    found = number(value)
    if math.isnan(found):
        raise Unreadable(MALFORMED, field, f"{field} must be a number")
    return found


def number(value: Any) -> float:
    """A number, or a text that is one; NaN for everything else."""
    if isinstance(value, str):
        return float(value) if _NUMBER.fullmatch(value) else math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.copysign(math.inf, value)


def measure(value: Any, factor: float = 1.0) -> float:
    """A speed or a length in our unit. What cannot be, negative above all, is not known: NaN."""
    found = number(value) * factor
    return found if 0 <= found < math.inf else math.nan


def heading(value: Any) -> float:
    """A heading [deg]; what lies outside 0 to 360 is not known: NaN."""
    found = number(value)
    return found if 0 <= found <= 360 else math.nan


def accuracy(value: Any) -> float:
    """An accuracy [m]; devices that know none send 0: NaN."""
    found = measure(value)
    return found if found > 0 else math.nan


def accuracy_of_hdop(value: Any) -> float:
    """The accuracy [m] that a horizontal dilution of precision stands for; NaN for none."""
    return accuracy(measure(value, RANGE_ERROR_M))


def identifier_of(*values: Any) -> str | None:
    """The first of the values that is a text, or a whole number; None where none is."""
    for value in values:
        if isinstance(value, str) and value.strip():
            return value.strip()
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**19:
            return str(value)
    return None


def written_us(text: str, assume_utc: bool = False) -> int:
    """An instant written as in RFC 3339, also without the colon of the offset; else INVALID.

    `assume_utc`: a time without an offset is one in UTC; otherwise it is INVALID.
    """
    found = _TIME.fullmatch(text)
    if found is None or not (assume_utc or _OFFSET.search(text, 19)):
        return INVALID
    day, clock, fraction, hours, minutes = found.groups()
    if clock.endswith(":60"):  # leap seconds, which datetime does not know
        offset = f"{hours}:{minutes}" if hours else "Z"
        return int(rfc3339_us(pa.array([f"{day}T{clock}{offset}"]))[0])
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}+00:00") - _offset(hours, minutes)
    except (ValueError, OverflowError):
        return INVALID
    micro = int(((fraction or "") + "000000")[:6])
    return (moment - _EPOCH) // timedelta(microseconds=1) + micro


def _offset(hours: str | None, minutes: str | None) -> timedelta:
    if hours is None or minutes is None:
        return timedelta(0)
    if int(hours[1:]) > 23 or int(minutes) > 59:
        raise ValueError("no such offset")
    ahead = timedelta(hours=int(hours[1:]), minutes=int(minutes))
    return -ahead if hours[0] == "-" else ahead


def seconds_us(seconds: float) -> int:
    """The instant of Unix seconds; ABSENT for NaN, INVALID outside the years 1 to 9999."""
    if math.isnan(seconds):
        return ABSENT
    if not abs(seconds) < 2.6e11:
        return INVALID
    whole = math.floor(seconds)
    us = whole * SECOND_US + round((seconds - whole) * SECOND_US)
    return us if FIRST_US <= us <= LAST_US else INVALID


def midnight_us(year: int, month: int, day: int) -> int:
    """The beginning of a day in UTC. Raises Unreadable where there is no such day."""
    try:
        days = date(year, month, day).toordinal() - _EPOCH.toordinal()
    except ValueError as error:
        raise Unreadable(TIME_INVALID, "time", "there is no such day") from error
    return days * DAY_US


def of_day_us(hour: int, minute: int, second: int) -> int:
    """A time of day [µs]; second 60 is a leap second. Raises Unreadable for one that cannot be."""
    if not (hour < 24 and minute < 60 and second < 61):
        raise Unreadable(TIME_INVALID, "time", "there is no such time of day")
    return ((hour * 60 + minute) * 60 + second) * SECOND_US


def nearest_day_us(time_of_day_us: int, received_us: int) -> int:
    """The instant with that time of day [µs] which is nearest to the receipt."""
    return time_of_day_us + round((received_us - time_of_day_us) / DAY_US) * DAY_US


def in_this_era_us(time_us: int, received_us: int) -> int:
    """An instant put right by 1024 weeks or several, where that makes it one of the last month.

    Receivers that count weeks in ten bits fall back by 1024 weeks when that count overflows.
    Source: IS-GPS-200 (2022), section 20.3.3.3.1.1 (transmission week number).
    """
    behind_us = received_us - time_us
    age_us = (behind_us + DAY_US) % ERA_US - DAY_US  # a clock may be a little ahead
    return received_us - age_us if behind_us > KEPT_US and age_us <= KEPT_US else time_us
