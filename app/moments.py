"""Instants and days in the texts of a request, and instants in the texts of an answer."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from app.instants import known, rfc3339_us, unix_us
from app.shifts import SECOND_US

DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_UNIX = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,9})?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
YEARS = range(1900, 2201)  # of days that are asked for; every calendar and time zone works here


def moment_us(text: str) -> int:
    """An instant, RFC 3339 with an offset or Unix seconds, in microseconds since 1970 UTC.

    Raises ValueError for another form.
    """
    if _UNIX.fullmatch(text):
        found = unix_us(np.array([float(text)]))
    else:
        found = rfc3339_us(pa.array([_with_plus(text)]))
    if not known(found)[0]:
        raise ValueError("write an RFC 3339 time with an offset, or Unix seconds")
    return int(found[0])


def day_of(text: str) -> date:
    """A calendar day written YYYY-MM-DD. Raises ValueError for another form or a far year."""
    if not DAY.fullmatch(text):
        raise ValueError("write a day as YYYY-MM-DD")
    day = date.fromisoformat(text)
    if day.year not in YEARS:
        raise ValueError(f"the year must be {YEARS.start} to {YEARS.stop - 1}")
    return day


def text_of(time_us: int) -> str:
    """An instant as RFC 3339 in UTC, with a fraction only where it has one."""
    moment = _EPOCH + timedelta(microseconds=time_us)
    return moment.isoformat().replace("+00:00", "Z")


def texts_of(time_us: NDArray[np.int64]) -> list[str]:
    """Instants (n,) as RFC 3339 in UTC, all to the second or all to the microsecond."""
    moments = time_us.astype("datetime64[us]")
    unit: Literal["us", "s"] = "us" if np.any(time_us % SECOND_US) else "s"
    texts: list[str] = np.datetime_as_string(moments, unit=unit, timezone="UTC").tolist()
    return texts


def _with_plus(text: str) -> str:
    """A time as it was meant: a query string turns a `+` that is not escaped into a blank."""
    return f"{text[:-6]}+{text[-5:]}" if len(text) > 20 and text[-6] == " " else text
