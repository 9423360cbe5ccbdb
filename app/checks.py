"""The checks of pings and incidents, in their order, and what each says of a row that fails it.

Each check is a named predicate over columns. A row gets the first flaw that is found, so that
every row has at most one. What is wrong only beside other rows (a jump, a repetition) is not
looked for here: that is cleaning, and belongs to derivation.
"""

from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from app.facts import BAD_CODE, Coded, IncidentColumns, Ints, Mask, PingColumns
from app.geo.fixes import STATUS
from app.geo.risk import SOURCES
from app.instants import ABSENT, INVALID, known
from app.shifts import DAY_US, SECOND_US

MALFORMED = "malformed"
MISSING_FIELD = "missing_field"
UNKNOWN_FIELD = "unknown_field"
LAT_OUT_OF_RANGE = "lat_out_of_range"
LON_OUT_OF_RANGE = "lon_out_of_range"
NULL_ISLAND = "null_island"
TIME_INVALID = "time_invalid"
IN_FUTURE = "in_future"
TOO_OLD = "too_old"
UNKNOWN_UNIT = "unknown_unit"
CODES = (
    MALFORMED,
    MISSING_FIELD,
    UNKNOWN_FIELD,
    LAT_OUT_OF_RANGE,
    LON_OUT_OF_RANGE,
    NULL_ISLAND,
    TIME_INVALID,
    IN_FUTURE,
    TOO_OLD,
    UNKNOWN_UNIT,
)

AHEAD_S = 300  # how far a device's clock may be ahead of ours
UNIT_ID_LENGTH = 64
INCIDENT_ID_LENGTH = 128
TEXT_LENGTH = 256


class Flaw(NamedTuple):
    """Why a row is refused; the members of an error in a receipt."""

    code: str
    field: str | None
    message: str


class Limits(NamedTuple):
    """What the checks of time depend on."""

    now_us: int
    retention_days: int = 0  # 0 accepts any age

    @property
    def latest_us(self) -> int:
        """No later than this."""
        return self.now_us + AHEAD_S * SECOND_US

    @property
    def oldest_us(self) -> int:
        """No earlier than this."""
        return self.now_us - self.retention_days * DAY_US if self.retention_days else INVALID


C = TypeVar("C", PingColumns, IncidentColumns)


class Check(NamedTuple, Generic[C]):
    """A named predicate: which rows have this flaw."""

    flaw: Flaw
    found: Callable[[C, Limits], Mask]


class Checked(NamedTuple):
    """`flaw` (n,) int64 indexes `flaws`, -1 for a row that has none."""

    flaw: Ints
    flaws: tuple[Flaw, ...]

    @property
    def good(self) -> Mask:
        """The rows without a flaw. (n,) bool."""
        result: Mask = self.flaw < 0
        return result


def checked(
    columns: C, limits: Limits, found: Ints | None = None, flaws: Sequence[Flaw] = ()
) -> Checked:
    """The first flaw of each row.

    `found` (n,) and `flaws`: what reading the rows brought up already (-1 for nothing); it is
    malformed, so it comes before every check.
    """
    checks: tuple[Check[Any], ...] = (
        PING_CHECKS if isinstance(columns, PingColumns) else INCIDENT_CHECKS
    )
    result = np.full(len(columns), -1, dtype=np.int64) if found is None else found.copy()
    for k, check in enumerate(checks, len(flaws)):
        result[(result < 0) & check.found(columns, limits)] = k
    return Checked(result, (*flaws, *(check.flaw for check in checks)))


def is_unit_id(text: str) -> bool:
    """Whether a text can name a unit."""
    return _is_name(text, UNIT_ID_LENGTH)


def is_incident_id(text: str) -> bool:
    """Whether a text can name an incident."""
    return _is_name(text, INCIDENT_ID_LENGTH)


def _is_name(text: str, longest: int) -> bool:
    return 0 < len(text) <= longest and text.isprintable() and text == text.strip()


def is_text(text: str) -> bool:
    """Whether a text says something: at most 256 characters, none of them a control character.

    Half a surrogate pair is no character, and what is all blanks says nothing.
    """
    return (
        len(text) <= TEXT_LENGTH
        and bool(text.strip())
        and not any(c < " " or "\x7f" <= c < "\xa0" or "\ud800" <= c <= "\udfff" for c in text)
    )


_NAME_RULE = "must be 1 to {} printable characters without a blank at either end"
UNIT_ID_RULE = _NAME_RULE.format(UNIT_ID_LENGTH)
INCIDENT_ID_RULE = _NAME_RULE.format(INCIDENT_ID_LENGTH)
TEXT_RULE = f"must be 1 to {TEXT_LENGTH} characters, not all blank, without control characters"


def one_of(allowed: Sequence[str]) -> str:
    """The rule of a field that takes only some texts."""
    return "must be one of " + ", ".join(allowed)


def _malformed(field: str, rule: str, found: Callable[[C], Mask]) -> Check[C]:
    return Check(Flaw(MALFORMED, field, f"{field} {rule}"), lambda c, _: found(c))


def _missing(field: str, found: Callable[[C], Mask]) -> Check[C]:
    return Check(Flaw(MISSING_FIELD, field, f"{field} is missing"), lambda c, _: found(c))


def _time_invalid(field: str, found: Callable[[C], Mask]) -> Check[C]:
    rule = "must be RFC 3339 with an offset, or Unix seconds, in the years 1 to 9999"
    return Check(Flaw(TIME_INVALID, field, f"{field} {rule}"), lambda c, _: found(c))


def _in_future(field: str, instants: Callable[[C], Ints]) -> Check[C]:
    message = f"{field} is more than {AHEAD_S} s ahead of the clock here"
    return Check(Flaw(IN_FUTURE, field, message), lambda c, limits: instants(c) > limits.latest_us)


def _place(kind: type[C]) -> tuple[Check[C], ...]:
    return (
        Check(
            Flaw(LAT_OUT_OF_RANGE, "lat", "lat must be -90 to 90 degrees"),
            lambda c, _: np.abs(c.lat) > 90,
        ),
        Check(
            Flaw(LON_OUT_OF_RANGE, "lon", "lon must be -180 to 180 degrees"),
            lambda c, _: np.abs(c.lon) > 180,
        ),
        Check(
            Flaw(NULL_ISLAND, None, "lat and lon are both exactly 0: the device had no position"),
            lambda c, _: (c.lat == 0) & (c.lon == 0),
        ),
    )


def _odd(c: Coded, fits: Callable[[str], bool]) -> Mask:
    """Where a text was sent that does not fit."""
    result: Mask = (c.code >= 0) & ~c.where(fits)
    return result


def _unnamed(c: IncidentColumns) -> Mask:
    return np.fromiter((name is None for name in c.incident_id), np.bool_, len(c))


NON_NEGATIVE = "must be a number, not negative"
HEADING_RULE = "must be 0 to 360 degrees"

PING_CHECKS: tuple[Check[PingColumns], ...] = (
    _malformed(
        "unit_id",
        UNIT_ID_RULE,
        lambda c: _odd(c.unit_id, is_unit_id),
    ),
    _malformed("speed_mps", NON_NEGATIVE, lambda c: (c.speed_mps < 0) | np.isinf(c.speed_mps)),
    _malformed("heading_deg", HEADING_RULE, lambda c: np.abs(c.heading_deg - 180) > 180),
    _malformed("accuracy_m", NON_NEGATIVE, lambda c: (c.accuracy_m < 0) | np.isinf(c.accuracy_m)),
    _malformed("status", one_of(STATUS), lambda c: c.status == BAD_CODE),
    _missing("unit_id", lambda c: c.unit_id.code < 0),
    _missing("time", lambda c: c.time_us == ABSENT),
    _missing("lat", lambda c: np.isnan(c.lat)),
    _missing("lon", lambda c: np.isnan(c.lon)),
    *_place(PingColumns),
    _time_invalid("time", lambda c: c.time_us == INVALID),
    _in_future("time", lambda c: c.time_us),
    Check(
        Flaw(TOO_OLD, "time", "time is older than what is kept (FOCUS_PATROL_RETENTION_DAYS)"),
        lambda c, limits: c.time_us < limits.oldest_us,
    ),
)

INCIDENT_CHECKS: tuple[Check[IncidentColumns], ...] = (
    _malformed(
        "incident_id",
        INCIDENT_ID_RULE,
        lambda c: np.fromiter(
            (i is not None and not is_incident_id(i) for i in c.incident_id), np.bool_, len(c)
        ),
    ),
    _malformed("category", TEXT_RULE, lambda c: _odd(c.category, is_text)),
    _malformed("final_category", TEXT_RULE, lambda c: _odd(c.final_category, is_text)),
    _malformed("source", one_of(SOURCES), lambda c: c.source == BAD_CODE),
    _malformed("municipality", TEXT_RULE, lambda c: _odd(c.municipality, is_text)),
    _missing(
        "incident_id", lambda c: np.fromiter((i is None for i in c.incident_id), np.bool_, len(c))
    ),
    _missing("occurred_from", lambda c: c.occurred_from_us == ABSENT),
    _missing("lat", lambda c: np.isnan(c.lat)),
    _missing("lon", lambda c: np.isnan(c.lon)),
    _missing("category", lambda c: c.category.code < 0),
    *_place(IncidentColumns),
    _time_invalid("occurred_from", lambda c: c.occurred_from_us == INVALID),
    _time_invalid("occurred_to", lambda c: c.occurred_to_us == INVALID),
    _time_invalid("reported_at", lambda c: c.reported_at_us == INVALID),
    Check(
        Flaw(TIME_INVALID, "occurred_to", "occurred_to is before occurred_from"),
        lambda c, _: known(c.occurred_to_us) & (c.occurred_to_us < c.occurred_from_us),
    ),
    _in_future("occurred_from", lambda c: c.occurred_from_us),
    _in_future("reported_at", lambda c: c.reported_at_us),
    Check(
        Flaw(IN_FUTURE, "occurred_to", "occurred_to is more than a day ahead of the clock here"),
        lambda c, limits: c.occurred_to_us > limits.latest_us + DAY_US,  # the day may not be over
    ),
)
