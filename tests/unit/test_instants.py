"""Written times: every notation of one instant is that instant, and what is none is INVALID."""

import numpy as np
import pyarrow as pa
import pytest

from app.instants import (
    ABSENT,
    FIRST_US,
    INVALID,
    LAST_US,
    civil_us,
    format_us,
    rfc3339_us,
    unix_us,
    utc_us,
)

DAY_S = 86_400
Y2K_S = 946_684_800  # 2000-01-01T00:00:00Z: 30 years of 365 days and 7 leap days after 1970


def one(text: str | None) -> int:
    return int(rfc3339_us(pa.array([text], pa.string()))[0])


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2000-01-01T00:00:00Z", Y2K_S * 10**6),
        ("2000-01-01t00:00:00z", Y2K_S * 10**6),
        ("2000-01-01 00:00:00+00:00", Y2K_S * 10**6),
        ("2000-01-01T05:30:00+05:30", Y2K_S * 10**6),  # the same instant in India
        ("1999-12-31T16:00:00-08:00", Y2K_S * 10**6),  # and in California
        ("2000-01-01T00:00:00-00:00", Y2K_S * 10**6),
        ("2000-01-01T00:00:00.5Z", Y2K_S * 10**6 + 500_000),
        ("2000-01-01T00:00:00.123456+00:00", Y2K_S * 10**6 + 123_456),
        ("2000-01-01T00:00:00.123456999Z", Y2K_S * 10**6 + 123_456),  # cut off, not rounded
        ("2000-02-29T00:00:00Z", (Y2K_S + 59 * DAY_S) * 10**6),  # 31 + 28 days later
        ("1999-12-31T23:59:60Z", Y2K_S * 10**6),  # a leap second is the next second
        ("1999-12-31T15:59:60.25-08:00", Y2K_S * 10**6 + 250_000),
        ("0001-01-01T00:00:00Z", FIRST_US),
        ("9999-12-31T23:59:59.999999Z", LAST_US),
    ],
)
def test_rfc_3339(text: str, us: int) -> None:
    assert one(text) == us


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2000-01-01",
        "2000-01-01T00:00:00",  # no offset
        "2000-01-01T00:00Z",
        "2000-01-01T00:00:00+0000",
        "2000-01-01T00:00:00+00",
        "2000-01-01T00:00:00+24:00",
        "2000-01-01T00:00:00+00:60",
        "2000-01-01T00:00:00 +00:00",
        "2000-01-01T00:00:00.Z",
        "2000-01-01T00:00:00,5Z",
        "2000-01-01T24:00:00Z",
        "2000-01-01T00:60:00Z",
        "2000-01-01T12:30:60Z",  # no leap second falls there
        "2000-01-01T00:00:61Z",
        "2001-02-29T00:00:00Z",
        "2000-13-01T00:00:00Z",
        "2000-00-01T00:00:00Z",
        "2000-01-00T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2000_01_01T00:00:00Z",
        "946684800",
        "２０００-01-01T00:00:00Z",  # full-width digits
        "0001-01-01T00:00:00+14:00",  # fourteen hours before year 1
        "9999-12-31T23:59:59-14:00",  # and after year 9999
        "2000-01-01T00:00:00Z" + " " * 100,
        "2000-01-01T00:00:00." + "0" * 2_000_000 + "Z",
    ],
)
def test_what_is_no_rfc_3339(text: str) -> None:
    assert one(text) == INVALID


def test_null_is_absent_and_lengths_may_be_mixed() -> None:
    column = pa.array(["x", "1970-01-01T00:00:01Z", None, "1970-01-01T00:00:02.0Z", "x" * 30])
    assert rfc3339_us(column).tolist() == [INVALID, 1_000_000, ABSENT, 2_000_000, INVALID]
    assert rfc3339_us(column[1:4]).tolist() == [1_000_000, ABSENT, 2_000_000]  # a slice
    assert rfc3339_us(column[:0]).tolist() == []


def test_unix_seconds() -> None:
    seconds = [0, -1.5, 1e9 + 0.123456, np.nan, np.inf, 1.7e12, 253_402_300_799, 253_402_300_800]
    expected = [0, -1_500_000, 1_000_000_000_123_456, ABSENT, INVALID, INVALID]
    # Milliseconds of our days (1.7e12) lie far beyond the year 9999, whose last second is next.
    expected += [253_402_300_799_000_000, INVALID]
    assert unix_us(np.array(seconds)).tolist() == expected


def test_twelve_hours_without_a_blank() -> None:
    texts = ["1970-01-01 12:01:00AM", "1970-01-01 9:05:00pm", "1970-01-01 12:00:00PM"]
    texts += ["1970-01-01 13:00:00PM", "1970-02-30 1:00:00AM", "1970-01-01 0:00:00AM"]
    minutes = [1, 21 * 60 + 5, 12 * 60]
    found = format_us(pa.array([*texts, None]), "%Y-%m-%d %I:%M:%S%p").tolist()
    assert found == [*(m * 60_000_000 for m in minutes), INVALID, INVALID, INVALID, ABSENT]


def test_other_formats() -> None:
    assert format_us(pa.array(["2/1/1970"]), "%d/%m/%Y").tolist() == [DAY_S * 10**6]
    assert format_us(pa.array(["19700101.5"]), "%Y%m%d.%f").tolist() == [500_000]
    assert format_us(pa.array(["100 % 1970"]), "100 %% %Y").tolist() == [0]
    with pytest.raises(ValueError, match="%Q"):
        format_us(pa.array(["x"]), "%Q")


def test_days_that_do_not_exist() -> None:
    days = np.array([[1970, 1, 1], [1970, 2, 29], [1972, 2, 29], [0, 1, 1], [1970, 1, 0]]).T
    # 1972-02-29 is two years of 365 days and 59 days after the first day.
    expected = [0, INVALID, (730 + 59) * DAY_S * 10**6, INVALID, INVALID]
    assert civil_us(*days, np.zeros(5, dtype=np.int64)).tolist() == expected


def wall(text: str) -> int:
    return int(np.datetime64(text, "us").astype(np.int64))


@pytest.mark.parametrize(
    ("shown", "utc"),
    [
        ("2024-01-15T12:00", "2024-01-15T20:00"),  # PST is 8 h behind
        ("2024-07-15T12:00", "2024-07-15T19:00"),  # PDT is 7 h behind
        ("2024-03-10T01:59", "2024-03-10T09:59"),
        ("2024-03-10T02:30", "2024-03-10T10:30"),  # left out: the offset before
        ("2024-03-10T03:00", "2024-03-10T10:00"),
        ("2024-11-03T01:30", "2024-11-03T08:30"),  # shown twice: the first time
        ("2024-11-03T02:00", "2024-11-03T10:00"),
    ],
)
def test_clocks_on_the_wall(shown: str, utc: str) -> None:
    assert utc_us(np.array([wall(shown)]), "America/Vancouver").tolist() == [wall(utc)]


def test_years_of_clock_changes_at_once() -> None:
    shown = np.array([wall(f"{y}-{m}-01T00:00") for y in range(1995, 2024) for m in ("01", "07")])
    hours = (utc_us(shown, "Europe/Berlin") - shown) // 3_600_000_000
    assert hours.tolist() == [-1, -2] * 29
    assert utc_us(np.array([ABSENT, INVALID]), "UTC").tolist() == [ABSENT, INVALID]
    with pytest.raises(ValueError, match="Nowhere"):
        utc_us(np.array([], dtype=np.int64), "Nowhere")
