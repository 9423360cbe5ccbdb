"""Shifts tile time, whatever the calendar, the zone and the clock changes."""

from datetime import date, timedelta
from zoneinfo import available_timezones

from hypothesis import given
from hypothesis import strategies as st

from app import shifts

TIMES = st.times().map(lambda t: t.strftime("%H:%M"))
CALENDARS = st.lists(TIMES, min_size=1, max_size=6, unique=True).map(
    lambda starts: {f"s{i}": start for i, start in enumerate(starts)}
)
ZONES = st.sampled_from(
    ["UTC", "America/Toronto", "Europe/London", "Australia/Lord_Howe", "Asia/Kathmandu"]
)


@given(CALENDARS, ZONES, st.dates(date(1990, 1, 1), date(2037, 1, 1)), st.integers(0, 8))
def test_shifts_tile_time(calendar: dict[str, str], zone: str, first: date, days: int) -> None:
    found = shifts.instances(calendar, zone, first, first + timedelta(days=days))
    assert len(found) == (days + 1) * len(calendar)
    assert (found.end_us >= found.start_us).all()
    assert (found.end_us[:-1] == found.start_us[1:]).all()


def test_the_zones_used_here_exist() -> None:
    assert {"America/Toronto", "Australia/Lord_Howe"} <= available_timezones()
