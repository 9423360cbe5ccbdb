"""Columns of written times turned into whole microseconds since 1970 in UTC, in bulk.

An instant is int64; two values stand for none: ABSENT where nothing was written, INVALID where
what was written is no instant of the years 1 to 9999.
"""

import re
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from app.shifts import DAY_US, SECOND_US, zone

Instants = NDArray[np.int64]
Mask = NDArray[np.bool_]

FORMS = ("rfc3339", "unix", "unix_ms")  # of times that need no time zone
ABSENT = int(np.iinfo(np.int64).min)
INVALID = ABSENT + 1
FIRST_US = -62_135_596_800 * SECOND_US  # 0001-01-01T00:00:00Z
LAST_US = 253_402_300_800 * SECOND_US - 1  # 9999-12-31T23:59:59.999999Z

_CHANGES_US = (-25_568 * DAY_US, 47_847 * DAY_US)  # the years 1900 to 2100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST = 64  # characters; RFC 3339 puts no end to the digits of a second
_DIGITS = np.array([0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18])
_PATTERNS = {
    "Y": r"(?P<year>[0-9]{4})",
    "m": r"(?P<month>[0-9]{1,2})",
    "d": r"(?P<day>[0-9]{1,2})",
    "H": r"(?P<hour>[0-9]{1,2})",
    "I": r"(?P<hour12>0?[1-9]|1[0-2])",
    "M": r"(?P<minute>[0-9]{1,2})",
    "S": r"(?P<second>[0-9]{1,2})",
    "f": r"(?P<fraction>[0-9]{1,6})",
    "p": r"(?P<half>[AaPp])[Mm]",
    "%": "%",
}


def known(instants: Instants) -> Mask:
    """Where an instant stands at all: neither ABSENT nor INVALID. (n,) bool."""
    result: Mask = instants > INVALID
    return result


def within_calendar(us: Instants, fit: Mask) -> Instants:
    """`us` where `fit` and in the years 1 to 9999 of UTC, INVALID elsewhere. (n,) int64."""
    return np.where(fit & (us >= FIRST_US) & (us <= LAST_US), us, INVALID)


def civil_us(
    year: Instants, month: Instants, day: Instants, seconds: Instants, fit: Mask | None = None
) -> Instants:
    """Microseconds since 1970 of calendar days and `seconds` of day, without any time zone.

    All (n,) int64. INVALID where there is no such day, or where `fit` is false; seconds are not
    checked, so that a leap second is the next one.
    """
    real = (year >= 1) & (year <= 9999) & (month >= 1) & (month <= 12)
    months = np.where(real, (year - 1970) * 12 + month - 1, 0).astype("datetime64[M]")
    first = months.astype("datetime64[D]").astype(np.int64)
    after = (months + 1).astype("datetime64[D]").astype(np.int64)
    real &= (day >= 1) & (day <= after - first)
    us = (first + np.where(real, day, 1) - 1) * DAY_US + seconds * SECOND_US
    return np.where(real if fit is None else real & fit, us, INVALID)


def rfc3339_us(texts: pa.Array) -> Instants:
    """The instants that RFC 3339 texts name: (n,) int64.

    Any offset; a lower-case `t` or a blank between date and time; a leap second (23:59:60 in
    UTC) is the next second; digits beyond the microsecond are cut off. A null is ABSENT;
    everything else that is no RFC 3339 time with an offset is INVALID.

    Source: Klyne & Newman (2002), RFC 3339, section 5.6.
    """
    offsets, data = _characters(texts)
    length = np.diff(offsets)
    result = np.full(len(texts), INVALID, dtype=np.int64)
    there = texts.is_valid().to_numpy(zero_copy_only=False)
    result[~there] = ABSENT
    for size in np.unique(length[there]):
        if 20 <= size <= _LONGEST:
            rows = np.flatnonzero(there & (length == size))
            result[rows] = _of_one_length(_matrix(data, offsets[rows], int(size)))
    return result


def unix_us(seconds: NDArray[np.float64]) -> Instants:
    """The instants of Unix seconds, to the nearest microsecond: (n,) int64.

    NaN is ABSENT. What lies outside the years 1 to 9999 is INVALID, and so are milliseconds.
    """
    result = np.full(len(seconds), INVALID, dtype=np.int64)
    result[np.isnan(seconds)] = ABSENT
    fit = np.abs(seconds) < 2.6e11
    whole = np.floor(seconds[fit])
    us = whole.astype(np.int64) * SECOND_US
    us += np.rint((seconds[fit] - whole) * SECOND_US).astype(np.int64)
    result[fit] = within_calendar(us, np.ones(len(us), dtype=np.bool_))
    return result


def format_us(texts: pa.Array, form: str) -> Instants:
    """Times written as in `strptime`, as microseconds of the wall clock: (n,) int64.

    `form` may hold %Y %m %d %H %I %M %S %f %p and %%. Days and hours may lack their leading
    zero. A null is ABSENT, a text of another form or a day that does not exist INVALID.
    Raises ValueError for another directive.
    """
    found = pc.extract_regex(texts, pattern=f"^{_regex(form)}$")
    groups = {field.name for field in found.type}
    fit = found.is_valid().to_numpy(zero_copy_only=False)

    def number(name: str, otherwise: int = 0) -> Instants:
        if name not in groups:
            return np.full(len(texts), otherwise, dtype=np.int64)
        text = pc.if_else(found.is_valid(), pc.struct_field(found, name), "0")
        return np.asarray(pc.cast(text, pa.int64()).to_numpy(zero_copy_only=False))

    hour = number("hour")
    if "hour12" in groups:
        late = (
            pc.equal(pc.utf8_lower(pc.struct_field(found, "half")), "p") if "half" in groups else 0
        )
        hour = number("hour12") % 12 + 12 * np.asarray(pc.fill_null(late, False) if late else 0)
    minute, second = number("minute"), number("second")
    fit &= (hour <= 23) & (minute <= 59) & (second <= 59)
    us = civil_us(
        number("year"),
        number("month", 1),
        number("day", 1),
        hour * 3600 + minute * 60 + second,
        fit,
    )
    if "fraction" in groups:
        padded = pc.utf8_rpad(pc.fill_null(pc.struct_field(found, "fraction"), "0"), 6, "0")
        us = np.where(us > INVALID, us + np.asarray(pc.cast(padded, pa.int64())), us)
    us[texts.is_null().to_numpy(zero_copy_only=False)] = ABSENT
    return us


def check_format(form: str) -> None:
    """Raises ValueError for a time format that is none of FORMS and `format_us`'s."""
    if form not in FORMS:
        _regex(form)


def utc_us(wall_us: Instants, timezone: str) -> Instants:
    """The instants at which clocks of a time zone showed `wall_us`: (n,) int64.

    A time that clocks showed twice is its first occurrence; one that they left out is read with
    the offset before the change, as RFC 5545 (3.3.5) has it and as `app.shifts` does. ABSENT and
    INVALID stay. Raises ValueError for an unknown time zone.
    """
    there = known(wall_us)
    if not there.any():
        zone(timezone)
        return wall_us.copy()
    wall = wall_us[there]
    start_us, offset_us = _transitions(timezone, int(wall.min()), int(wall.max()))
    # Until when, by the clock on the wall, each offset lasts.
    ends = start_us[1:] + offset_us[:-1]
    at = np.searchsorted(ends, wall, side="right")
    skipped = (at > 0) & (wall - offset_us[at] < start_us[at])
    us = wall - offset_us[at - skipped]
    result = wall_us.copy()
    result[there] = within_calendar(us, np.ones(len(us), dtype=np.bool_))
    return result


def _transitions(timezone: str, first_us: int, last_us: int) -> tuple[Instants, Instants]:
    """From when (UTC) which offset holds, around a span; the first holds since ever.

    Both (k,) int64 [µs]. Changes are looked for in the years 1900 to 2100.
    """
    where = zone(timezone)

    def offset(us: int) -> int:
        moment = (_EPOCH + timedelta(microseconds=us)).astimezone(where).utcoffset()
        return (moment or timedelta(0)) // timedelta(microseconds=1)

    low, high = np.clip([first_us - 2 * DAY_US, last_us + 2 * DAY_US], *_CHANGES_US).tolist()
    starts, offsets = [low], [offset(low)]
    for day in range(low + DAY_US, high + DAY_US, DAY_US):
        if offset(day) != offsets[-1]:
            before, after = day - DAY_US, day
            while after - before > 1:
                middle = (before + after) // 2
                before, after = (
                    (middle, after) if offset(middle) == offsets[-1] else (before, middle)
                )
            starts.append(after)
            offsets.append(offset(after))
    return np.array(starts, dtype=np.int64), np.array(offsets, dtype=np.int64)


def _regex(form: str) -> str:
    parts = re.split(r"%(.)", form)
    literals, directives = parts[0::2], parts[1::2]
    unknown = [d for d in directives if d not in _PATTERNS]
    if unknown:
        raise ValueError(f"time format {form!r}: %{unknown[0]} is not supported")
    patterns = [*(_PATTERNS[d] for d in directives), ""]
    return "".join(
        re.escape(text) + pattern for text, pattern in zip(literals, patterns, strict=True)
    )


def _characters(texts: pa.Array) -> tuple[Instants, NDArray[np.uint8]]:
    """Where each text begins, (n + 1,) int64, in one array of all bytes."""
    texts = pc.cast(texts, pa.large_string())
    _, starts, data = texts.buffers()
    if not len(texts):
        return np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.uint8)
    offsets = np.frombuffer(starts, dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return offsets, np.frombuffer(data or b"", dtype=np.uint8)


def _matrix(data: NDArray[np.uint8], starts: Instants, size: int) -> NDArray[np.uint8]:
    """The `size` characters from each of `starts`, (k, size): a view where they adjoin."""
    if len(starts) and starts[-1] - starts[0] == size * (len(starts) - 1):
        return data[starts[0] : starts[0] + size * len(starts)].reshape(-1, size)
    gathered: NDArray[np.uint8] = data[starts[:, None] + np.arange(size)]
    return gathered


def _of_one_length(text: NDArray[np.uint8]) -> Instants:
    """Instants of texts of one length, as a matrix of characters (k, length)."""
    result = np.full(len(text), INVALID, dtype=np.int64)
    zulu = np.isin(text[:, -1], list(b"Zz"))
    result[zulu] = _with_offset(text[zulu, :-1], np.zeros(int(zulu.sum()), dtype=np.int64))
    if text.shape[1] < 25:
        return result
    tail = text[:, -6:]
    digits = (tail[:, [1, 2, 4, 5]] - ord("0")).astype(np.int64)
    fit = np.isin(tail[:, 0], list(b"+-")) & (tail[:, 3] == ord(":")) & (digits <= 9).all(axis=1)
    hours, minutes = digits[:, 0] * 10 + digits[:, 1], digits[:, 2] * 10 + digits[:, 3]
    fit &= (hours <= 23) & (minutes <= 59)
    offset_s = np.where(tail[:, 0] == ord("-"), -1, 1) * (hours * 3600 + minutes * 60)
    result[fit] = _with_offset(text[fit, :-6], offset_s[fit])
    return result


def _with_offset(text: NDArray[np.uint8], offset_s: Instants) -> Instants:
    """Instants of texts without their offset, which is given apart [s]."""
    digits = text - np.uint8(ord("0"))  # other characters become more than 9
    fit = (digits[:, _DIGITS] <= 9).all(axis=1)
    for position, allowed in ((4, b"-"), (7, b"-"), (10, b"Tt "), (13, b":"), (16, b":")):
        fit &= np.isin(text[:, position], list(allowed))
    micro = np.zeros(len(text), dtype=np.int64)
    if text.shape[1] > 19:
        fit &= (text[:, 19] == ord(".")) & (text.shape[1] > 20) & (digits[:, 20:] <= 9).all(axis=1)
        for place, column in enumerate(digits[:, 20:26].T):
            micro += column.astype(np.int64) * 10 ** (5 - place)
    century, of_century, month, day, hour, minute, second = (
        digits[:, k].astype(np.int64) * 10 + digits[:, k + 1] for k in (0, 2, 5, 8, 11, 14, 17)
    )
    year = century * 100 + of_century
    fit &= (hour <= 23) & (minute <= 59) & (second <= 60)
    us = civil_us(year, month, day, hour * 3600 + minute * 60 + second - offset_s, fit)
    fit &= us != INVALID
    fit &= (second < 60) | (us % DAY_US == 0)
    return within_calendar(us + micro, fit)
