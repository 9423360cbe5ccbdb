"""Stays, duty, presence and visits on the hand-made town and a few tracks beside it."""

from dataclasses import replace

import numpy as np
import pytest
import shapely

from app.geo.duty import (
    DutyParameters,
    duty_rows,
    no_duty_rows,
    on_duty,
    patrol_s,
    selected_s,
    spans_of,
    with_calls,
)
from app.geo.dwell import dwell_of
from app.geo.fixes import STATUS, Pings, no_pings
from app.geo.grid import centres
from app.geo.presence import merged, presence_of
from app.geo.stays import (
    COMMITTED,
    OFF_DUTY,
    PLACE,
    STATES,
    UNALLOCATED,
    UNKNOWN,
    Stays,
    is_patrol,
    stays_of,
)
from app.geo.visiting import LENGTHS, koper, lengths_of, refusal, status_of, visits_of, zones_of
from app.shifts import HOUR_US, SECOND_US
from tests import town

EIGHT_US = town.MONDAY_US + 8 * HOUR_US
STAYS = stays_of(town.PINGS, town.RESOLUTION)
DWELL, _ = dwell_of(town.PINGS, town.RESOLUTION)


def with_status(*told: tuple[int, str]) -> Pings:
    """T-1, who stands in CENTRE from 08:00 to 08:10, with a status at some minutes."""
    mine = town.PINGS.take(town.PINGS.unit == 0)
    status = mine.status.copy()
    for minute, name in told:
        status[minute] = STATUS.index(name)
    return replace(mine, status=status)


def seconds_of(stays: Stays, duty: int) -> float:
    return float((stays.end_us - stays.start_us)[stays.duty == duty].sum() / SECOND_US)


def test_the_town_stays_where_dwell_has_it() -> None:
    first = STAYS.take(STAYS.unit == 0)
    assert set(first.cell.tolist()) == {int(town.CENTRE)}
    assert (first.start_us[0], first.end_us[-1]) == (EIGHT_US, EIGHT_US + 600 * SECOND_US)
    assert np.all(first.start_us[1:] == first.end_us[:-1])
    assert set(first.state.tolist()) == {STATES.index("stationary")}
    assert set(first.gap_us.tolist()) == {60 * SECOND_US}
    # T-2 passes WEST, CENTRE and EAST in this order: 15, 30 and 15 s.
    second = STAYS.take(STAYS.unit == 1)
    order = [int(c) for k, c in enumerate(second.cell) if k == 0 or c != second.cell[k - 1]]
    assert order == [int(c) for c in (town.WEST, town.CENTRE, town.EAST)]
    assert (second.end_us - second.start_us).sum() == 60 * SECOND_US


def test_no_pings_no_stays() -> None:
    nothing = stays_of(no_pings(), 9)
    assert len(nothing) == len(on_duty(nothing, spans_of(no_pings()))) == len(duty_rows(nothing))
    assert len(presence_of(nothing).cell) == 0
    assert len(visits_of(nothing, [np.array([town.CENTRE])])) == 0
    assert len(stays_of(town.PINGS, 9).within(0, 1)) == 0


def test_what_is_cut_from_an_interval() -> None:
    part = STAYS.within(EIGHT_US + 90 * SECOND_US, EIGHT_US + 200 * SECOND_US)
    assert (part.start_us[0], part.end_us[-1]) == (
        EIGHT_US + 90 * SECOND_US,
        EIGHT_US + 200 * SECOND_US,
    )


def test_without_a_status_nothing_is_proactive() -> None:
    stays = on_duty(STAYS, spans_of(town.PINGS))
    assert set(stays.duty.tolist()) == {UNKNOWN}
    assert len(duty_rows(stays)) == 0


def test_a_status_holds_until_the_next_one() -> None:
    pings = with_status((1, "available"), (4, "enroute"), (6, "busy"), (7, "off_duty"))
    stays = on_duty(stays_of(pings, 9), spans_of(pings))
    # Unknown for the first minute, available for 3, responding for 3, off duty for the last 3.
    found = [seconds_of(stays, d) for d in (UNKNOWN, UNALLOCATED, COMMITTED, OFF_DUTY)]
    assert found == [60.0, 180.0, 180.0, 180.0]
    dwell, _ = dwell_of(pings, 9)
    rows = duty_rows(stays)
    assert rows.duty.tolist() == [UNALLOCATED, COMMITTED, OFF_DUTY]
    assert rows.stationary_s.tolist() == [180.0, 180.0, 180.0]
    assert patrol_s(dwell, rows).tolist() == [420.0]  # all but off duty
    every = range(len(STATES))
    assert selected_s(dwell, rows, [UNKNOWN], every).tolist() == [60.0]
    assert selected_s(dwell, rows, [COMMITTED, OFF_DUTY], every).tolist() == [360.0]
    assert selected_s(dwell, no_duty_rows(), [COMMITTED], every).tolist() == [0.0]
    assert int(is_patrol(stays).sum()) == int((stays.duty != OFF_DUTY).sum())


def test_a_status_does_not_hold_for_ever() -> None:
    pings = with_status((0, "available"))
    spans = spans_of(pings, DutyParameters(status_s=150.0))
    stays = on_duty(stays_of(pings, 9), spans)
    # In the middle of a minute between two pings the status is 150 s old: the stay is cut there.
    assert (seconds_of(stays, UNALLOCATED), seconds_of(stays, UNKNOWN)) == (150.0, 450.0)
    with pytest.raises(ValueError, match="at most"):
        DutyParameters(status_s=3601.0)


def test_a_call_commits_whatever_the_status_says() -> None:
    pings = with_status((0, "available"))
    call = (
        np.array([0]),
        np.array([EIGHT_US + 90 * SECOND_US]),
        np.array([EIGHT_US + 100_000_000]),
    )
    stays = on_duty(stays_of(pings, 9), with_calls(spans_of(pings), *call))
    assert (seconds_of(stays, COMMITTED), seconds_of(stays, UNALLOCATED)) == (10.0, 590.0)
    alone = on_duty(stays_of(pings, 9), with_calls(spans_of(no_pings()), *call))
    assert (seconds_of(alone, COMMITTED), seconds_of(alone, UNKNOWN)) == (10.0, 590.0)


def test_time_at_the_station_is_kept_apart_whatever_the_status() -> None:
    lat, lon = (float(x[0]) for x in centres(np.array([town.CENTRE])))
    station = shapely.MultiPolygon([shapely.Point(lon, lat).buffer(0.0003)])  # some 30 m
    pings = with_status((0, "busy"))
    stays = on_duty(stays_of(pings, 9, apart=station), spans_of(pings))
    assert seconds_of(stays, PLACE) == 600.0
    dwell, _ = dwell_of(pings, 9)
    assert patrol_s(dwell, duty_rows(stays)).tolist() == [0.0]
    # T-2 drives by: both ends of its ways would have to lie inside.
    by = stays_of(town.PINGS.take(town.PINGS.unit == 1), 9, apart=station)
    assert seconds_of(by, PLACE) == 0.0


def test_presence_counts_two_at_once_once() -> None:
    # T-1 from 08:00 to 08:10, and another one from 08:05 to 08:15, in the same cell.
    mine = town.PINGS.take(town.PINGS.unit == 0)
    other = replace(mine, unit=mine.unit + 7, time_us=mine.time_us + 300 * SECOND_US)
    both = presence_of(
        Stays(
            *(
                np.concatenate([a, b])
                for a, b in zip(
                    vars(stays_of(mine, 9)).values(), vars(stays_of(other, 9)).values(), strict=True
                )
            )
        )
    )
    assert both.cell.tolist() == [town.CENTRE]
    assert (both.unit_s.tolist(), both.presence_s.tolist()) == ([1200.0], [900.0])


def test_intervals_are_joined_within_their_group_alone() -> None:
    group, start, end = (
        np.array([1, 0, 1, 1]),
        np.array([0, 5, 8, 30]),
        np.array([10, 9, 20, 40]),
    )
    found = [column.tolist() for column in merged(group, start, end)]
    assert found == [[0, 1, 1], [5, 0, 30], [9, 20, 40]]
    assert [c.tolist() for c in merged(group, start, end, 10)] == [[0, 1], [5, 0], [9, 40]]


def stay(unit: int, from_s: float, until_s: float, cell: int = 7, gap_s: float = 60) -> list[int]:
    return [unit, cell, int(from_s * 1e6), int(until_s * 1e6), 0, 0, int(gap_s * 1e6)]


def stays(*rows: list[int]) -> Stays:
    unit, cell, start, end, state, duty, gap = np.array(rows, dtype=np.int64).T
    return Stays(
        unit, cell.astype(np.uint64), start, end, state.astype(np.int8), duty.astype(np.int8), gap
    )


ZONES = [np.array([7, 8], dtype=np.uint64), np.array([9], dtype=np.uint64)]


def test_short_absences_are_part_of_a_visit() -> None:
    # Away for 120 s: one visit of 600 s, 480 s of it inside. Away for 121 s: two.
    one = visits_of(stays(stay(1, 0, 240), stay(1, 360, 600, cell=8)), ZONES)
    assert (one.end_us - one.start_us).tolist() == [600 * SECOND_US]
    assert one.inside_us.tolist() == [480 * SECOND_US]
    two = visits_of(stays(stay(1, 0, 240), stay(1, 361, 600)), ZONES)
    assert len(two) == 2
    # Two units, or two zones, are never one visit.
    several = visits_of(stays(stay(1, 0, 60), stay(2, 60, 120), stay(1, 60, 90, cell=9)), ZONES)
    assert several.zone.tolist() == [0, 0, 1]
    assert several.unit.tolist() == [1, 2, 1]
    assert zones_of(np.array([6, 7, 9], dtype=np.uint64), ZONES).tolist() == [-1, 0, 1]
    assert zones_of(np.array([6], dtype=np.uint64), []).tolist() == [-1]


def test_driving_through_is_no_visit() -> None:
    through = replace(stays(stay(1, 0, 20)), state=np.array([2], dtype=np.int8))
    assert len(visits_of(through, ZONES)) == 0


@pytest.mark.parametrize(
    ("minutes", "length", "right"),
    [
        (0.9, "<1", False),
        (1, "1-5", False),
        (5, "5-10", False),
        (10, "10-16", True),
        (15.9, "10-16", True),
        (16, "16-20", False),
        (20, "16-20", False),
        (20.1, ">20", False),
    ],
)
def test_lengths_by_koper(minutes: float, length: str, right: bool) -> None:
    visits = visits_of(stays(stay(1, 0, minutes * 60)), ZONES)
    assert LENGTHS[lengths_of(visits)[0]] == length
    assert koper(visits) == [right]


def test_lengths_are_not_judged_where_pings_are_far_apart() -> None:
    judged = [koper(visits_of(stays(stay(1, 0, 780, gap_s=gap_s)), ZONES)) for gap_s in (120, 121)]
    assert judged == [[True], [None]]
    assert "121 s apart" in refusal(121 * SECOND_US)


@pytest.mark.parametrize(
    ("delivered_s", "status"),
    [(0, "none"), (1, "part"), (779, "part"), (780, "met"), (975, "met"), (976, "over")],
)
def test_how_a_zone_stands(delivered_s: float, status: str) -> None:
    # 780 s are 13 minutes; a quarter more is 975 s.
    assert status_of(delivered_s, 780.0, known=True) == status
    assert status_of(delivered_s, 780.0, known=False) == "unknown"
