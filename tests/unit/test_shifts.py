"""Shift calendars: what a local clock means in UTC, on ordinary days and on those of a change."""

from datetime import UTC, date, datetime, timedelta

import pytest

from app import shifts

DAY_NIGHT = {"day": "07:00", "night": "19:00"}


def hours(us: int) -> float:
    return us / shifts.HOUR_US


def utc(us: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)).isoformat()


def test_a_shift_is_a_half_open_utc_interval_of_its_local_day() -> None:
    night = shifts.instance(DAY_NIGHT, "America/Toronto", "night", date(2026, 1, 10))
    # Toronto in January is UTC-5: 19:00 is 00:00 UTC of the next day.
    assert utc(night.start_us) == "2026-01-11T00:00:00+00:00"
    assert utc(night.end_us) == "2026-01-11T12:00:00+00:00"


def test_the_night_of_a_clock_change_is_an_hour_shorter_or_longer() -> None:
    spring = shifts.instance(DAY_NIGHT, "America/Toronto", "night", date(2026, 3, 7))
    autumn = shifts.instance(DAY_NIGHT, "America/Toronto", "night", date(2026, 10, 31))
    assert hours(spring.end_us - spring.start_us) == 11
    assert hours(autumn.end_us - autumn.start_us) == 13


def test_a_start_in_the_hour_that_a_change_leaves_out_is_read_with_the_offset_before() -> None:
    # On 8 March 2026 02:30 does not exist in Toronto; at UTC-5 it is 07:30 UTC, locally 03:30.
    early = shifts.instance({"a": "02:30", "b": "14:00"}, "America/Toronto", "a", date(2026, 3, 8))
    assert utc(early.start_us) == "2026-03-08T07:30:00+00:00"


def test_a_shift_wholly_inside_the_missing_hour_is_empty_on_that_day() -> None:
    # 02:15 is read as 07:15 UTC (03:15 local), after the next start at 03:05 (07:05 UTC).
    day = shifts.instances(
        {"a": "02:15", "b": "03:05"}, "America/Toronto", date(2026, 3, 8), date(2026, 3, 8)
    )
    assert day.end_us[0] - day.start_us[0] == 0
    assert list(day.start_us) == sorted(day.start_us)


def test_shifts_are_listed_in_the_order_of_their_start_whatever_the_order_given() -> None:
    both = shifts.instances(
        {"night": "19:00", "day": "07:00"}, "UTC", date(2026, 1, 5), date(2026, 1, 6)
    )
    assert [both.at(i).name for i in range(4)] == ["day", "night", "day", "night"]
    assert list(both.weekday) == [0, 0, 1, 1]  # 5 January 2026 is a Monday


def test_no_days_no_shifts() -> None:
    assert len(shifts.instances(DAY_NIGHT, "UTC", date(2026, 1, 6), date(2026, 1, 5))) == 0


@pytest.mark.parametrize(
    ("calendar", "timezone", "says"),
    [
        ({}, "UTC", "at least one shift"),
        ({"day": "7 am"}, "UTC", "HH:MM"),
        ({"day": "25:00"}, "UTC", "HH:MM"),
        ({"a": "07:00", "b": "07:00"}, "UTC", "same time"),
        ({" day": "07:00"}, "UTC", "no name"),
        (DAY_NIGHT, "Mars/Olympus", "no time zone"),
        (DAY_NIGHT, "../etc/passwd", "no time zone"),
    ],
)
def test_unusable_calendars_say_what_to_do(
    calendar: dict[str, str], timezone: str, says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        shifts.instances(calendar, timezone, date(2026, 1, 5), date(2026, 1, 5))


def test_an_unknown_shift_names_those_there_are() -> None:
    with pytest.raises(ValueError, match="there are day, night"):
        shifts.instance(DAY_NIGHT, "UTC", "evening", date(2026, 1, 5))


def test_a_calendar_is_read_from_one_line_of_text() -> None:
    assert shifts.parse_calendar("day=07:00, night=19:00") == DAY_NIGHT
    for wrong in ("day", "day=07:00,day=08:00", "", "day=7"):
        with pytest.raises(ValueError, match=r".+"):
            shifts.parse_calendar(wrong)


def test_the_local_day_of_an_instant() -> None:
    assert shifts.local_date(0, "UTC") == date(1970, 1, 1)
    assert shifts.local_date(0, "America/Vancouver") == date(1969, 12, 31)
