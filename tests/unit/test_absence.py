"""Breaches of a rule from 22:00 to 02:00 with no unit for 60 minutes, in minutes since 22:00."""

import pytest

from app.geo.absence import Breach, breaches

MINUTE_US = 60_000_000
Spans = list[tuple[int, int]]


def found(present: Spans = [], silent: Spans = [], now: int = 240) -> list[tuple[int, int | None]]:  # noqa: B006  never changed
    def us(spans: Spans) -> Spans:
        return [(a * MINUTE_US, b * MINUTE_US) for a, b in spans]

    made = breaches((0, 240 * MINUTE_US), us(present), us(silent), 60 * MINUTE_US, now * MINUTE_US)
    assert all(isinstance(one, Breach) for one in made)
    minutes = [(b.from_us, b.until_us) for b in made]
    return [(a // MINUTE_US, None if b is None else b // MINUTE_US) for a, b in minutes]


@pytest.mark.parametrize(
    ("case", "present", "silent", "now", "expected"),
    [
        ("the hour is not over", [], [], 59, []),
        ("nobody for an hour", [], [], 60, [(60, None)]),
        ("still nobody: one breach, not two", [], [], 200, [(60, None)]),
        ("a unit comes", [(90, 100)], [], 120, [(60, 90)]),
        ("and nobody for an hour again", [(90, 100)], [], 170, [(60, 90), (160, None)]),
        ("a unit comes in time", [(59, 60)], [], 119, []),
        ("and an hour after it left", [(59, 60)], [], 120, [(120, None)]),
        ("a unit is there all along", [(0, 240)], [], 240, []),
        ("a silent feed hides who comes", [], [(30, 70)], 129, []),
        ("the hour begins anew after it", [], [(30, 70)], 130, [(130, None)]),
        ("nothing is known to the end", [], [(30, 240)], 240, []),
        ("silence does not end a breach", [], [(70, 100)], 240, [(60, None)]),
        ("who comes after a silence ends it", [(110, 120)], [(70, 100)], 130, [(60, 110)]),
        ("before the window", [], [], 0, []),
        ("the window ends", [(0, 185)], [], 300, []),
    ],
    ids=lambda value: value.replace(" ", "_") if isinstance(value, str) else "",
)
def test_breaches(
    case: str, present: Spans, silent: Spans, now: int, expected: list[tuple[int, int | None]]
) -> None:
    assert found(present, silent, now) == expected
