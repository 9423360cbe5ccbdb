"""What units were doing while they were seen: responding, free for patrol, off duty, or unknown.

A unit is committed from a status that says so, or during a call that names it. It is unallocated
only where a status says that it is available. Nothing else is known: time without a status is
unknown, and never counted as proactive.
"""

from collections.abc import Collection
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from app.geo.dwell import REACH_US, Dwell
from app.geo.fixes import STATUS, Pings
from app.geo.grid import Cells, Floats
from app.geo.order import changes, order_of
from app.geo.stays import (
    COMMITTED,
    OFF_DUTY,
    STATES,
    UNALLOCATED,
    UNKNOWN,
    Stays,
)
from app.shifts import HOUR_US, SECOND_US

Ints = NDArray[np.int64]

PATROL_DUTIES = (UNKNOWN, UNALLOCATED, COMMITTED)
PATROL_STATES = (STATES.index("stationary"), STATES.index("slow"))

_DUTY_OF = {
    "unknown": UNKNOWN,
    "available": UNALLOCATED,
    "enroute": COMMITTED,
    "on_scene": COMMITTED,
    "busy": COMMITTED,
    "off_duty": OFF_DUTY,
}
DUTY_OF_STATUS = np.array([_DUTY_OF[name] for name in STATUS], dtype=np.int8)


@dataclass(frozen=True)
class DutyParameters:
    """A status holds until the next one, and at most for `status_s`. A choice.

    It must not reach further than the pings that an hour may depend on; else ValueError.
    """

    status_s: float = 1800.0

    def __post_init__(self) -> None:
        if not 0 < self.status_s * SECOND_US <= REACH_US:
            raise ValueError(f"a status may hold for {REACH_US // SECOND_US} s at most")


@dataclass(frozen=True)
class Spans:
    """When units had a duty, sorted by unit and time and without overlap, each (k,).

    `unit`, `start_us`, `end_us` int64, half-open; `duty` int8, an index into DUTIES.
    """

    unit: Ints
    start_us: Ints
    end_us: Ints
    duty: NDArray[np.int8]


@dataclass(frozen=True)
class DutyRows:
    """Dwell by duty, sorted by (hour, unit, cell, duty); what is unknown has no row.

    `unit`, `hour` int64, `cell` uint64, `duty` int8 into DUTIES; the rest float64 [s]. Dwell less
    its rows here is unknown.
    """

    unit: Ints
    cell: Cells
    hour: Ints
    duty: NDArray[np.int8]
    stationary_s: Floats
    slow_s: Floats
    transit_s: Floats

    def __len__(self) -> int:
        return len(self.unit)

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> "DutyRows":
        """The rows that an index array or a mask selects."""
        return DutyRows(*(getattr(self, column.name)[index] for column in fields(self)))


def spans_of(pings: Pings, parameters: DutyParameters | None = None) -> Spans:
    """The duties that statuses tell, of pings in any order; also of those that cleaning drops.

    Pings without a status say nothing and end nothing. No spans for no statuses.
    """
    parameters = parameters or DutyParameters()
    said = pings.take(pings.status >= 0).ordered()
    following = np.zeros(len(said), dtype=np.int64)
    end_us = said.time_us + int(parameters.status_s * SECOND_US)
    following[:-1] = said.time_us[1:]
    same = np.zeros(len(said), dtype=np.bool_)
    same[:-1] = said.unit[1:] == said.unit[:-1]
    end_us = np.where(same, np.minimum(end_us, following), end_us)
    duty = DUTY_OF_STATUS[said.status]
    some = end_us > said.time_us
    return Spans(said.unit[some], said.time_us[some], end_us[some], duty[some])


def with_calls(spans: Spans, unit: Ints, start_us: Ints, end_us: Ints) -> Spans:
    """The spans with the units committed during calls, each (c,) int64, whatever a status says.

    Calls may overlap each other; empty ones count for nothing.
    """
    at = np.concatenate([spans.unit, spans.unit, unit, unit])
    when = np.concatenate([spans.start_us, spans.end_us, start_us, end_us])
    edges = np.unique(np.stack([at, when]), axis=1) if len(at) else np.empty((2, 0), np.int64)
    one, start, end = edges[0, :-1], edges[1, :-1], edges[1, 1:]
    same = edges[0, 1:] == one
    one, start, end = one[same], start[same], end[same]
    duty = _duty_at(spans, one, start)
    called = np.zeros(len(one), dtype=np.bool_)
    for who, begin_us, until_us in zip(unit, start_us, end_us, strict=True):
        called |= (one == who) & (start >= begin_us) & (start < until_us)
    duty = np.where(called, COMMITTED, duty).astype(np.int8)
    known = duty != UNKNOWN
    return Spans(one[known], start[known], end[known], duty[known])


def on_duty(stays: Stays, spans: Spans) -> Stays:
    """The stays with the duty that the spans tell, cut where it changes.

    What is at a place that is no patrol stays so, whatever the status.
    """
    if not len(spans.unit) or not len(stays):
        return stays
    at = np.concatenate([spans.unit, spans.unit])
    when = np.concatenate([spans.start_us, spans.end_us])
    low_us = int(min(when.min(), stays.start_us.min()))
    size = int(max(when.max(), stays.end_us.max())) - low_us + 1
    units = np.unique(np.concatenate([at, stays.unit]))

    def key(unit: Ints, time_us: Ints) -> Ints:
        return np.asarray(np.searchsorted(units, unit) * size + (time_us - low_us))

    edge = np.unique(key(at, when))
    cut_us = np.append(edge % size, 0) + low_us
    first = np.searchsorted(edge, key(stays.unit, stays.start_us), side="right")
    last = np.searchsorted(edge, key(stays.unit, stays.end_us), side="left")
    number = np.maximum(last - first, 0) + 1
    row = np.repeat(np.arange(len(stays)), number)
    nth = np.arange(len(row)) - np.repeat(np.cumsum(number) - number, number)
    cut = stays.take(row)
    start_us = np.where(nth == 0, cut.start_us, cut_us[first[row] + nth - 1])
    end_us = np.where(nth == number[row] - 1, cut.end_us, cut_us[first[row] + nth])
    told = _duty_at(spans, cut.unit, start_us)
    duty = np.where(cut.duty == UNKNOWN, told, cut.duty).astype(np.int8)
    return replace(cut, start_us=start_us, end_us=end_us, duty=duty)


def duty_rows(stays: Stays) -> DutyRows:
    """The stays added up per hour, unit, cell and duty, without what is unknown."""
    known = stays.take(stays.duty != UNKNOWN)
    hour, cell = known.start_us // HOUR_US, known.cell.astype(np.int64)
    duty = known.duty.astype(np.int64)
    order = order_of(hour, known.unit, cell, duty)
    known, hour, cell, duty = known.take(order), hour[order], cell[order], duty[order]
    rows = np.flatnonzero(changes(hour, known.unit, cell, duty)) if len(known) else order
    spent_us = known.end_us - known.start_us
    sums = [
        np.add.reduceat(np.where(known.state == code, spent_us, 0), rows) / SECOND_US
        if len(rows)
        else np.empty(0)
        for code in range(len(STATES))
    ]
    return DutyRows(known.unit[rows], known.cell[rows], hour[rows], known.duty[rows], *sums)


def patrol_s(dwell: Dwell, rows: DutyRows) -> Floats:
    """Dosage of each row of dwell [s]: (n,) float64, without transit and what is no patrol."""
    return selected_s(dwell, rows, PATROL_DUTIES, PATROL_STATES)


def selected_s(
    dwell: Dwell, rows: DutyRows, duties: Collection[int], states: Collection[int]
) -> Floats:
    """What each row of dwell holds of some duties and states [s]: (n,) float64, never below 0.

    `rows` are those of the same pings and resolution; dwell that has none is of unknown duty.
    Rounded to the microseconds that all of it is made of.
    """
    names = [f"{STATES[code]}_s" for code in sorted(states)]
    wanted = np.isin(rows.duty, list(duties))
    if UNKNOWN in duties:
        whole_s = sum((getattr(dwell, name) for name in names), np.zeros(len(dwell)))
        rows, sign = rows.take(~wanted), -1.0
    else:
        whole_s = np.zeros(len(dwell))
        rows, sign = rows.take(wanted), 1.0
    if len(rows):
        part_s = sum((getattr(rows, name) for name in names), np.zeros(len(rows)))
        whole_s = whole_s + sign * _summed_on(dwell, rows, part_s)
    return np.asarray(np.maximum(np.round(whole_s, 6), 0.0))


def _summed_on(dwell: Dwell, rows: DutyRows, seconds: Floats) -> Floats:
    """Seconds (r,) of duty rows added up on the rows of dwell they are part of: (n,) float64."""
    keys = [
        np.concatenate([getattr(dwell, name), getattr(rows, name)]).astype(np.int64)
        for name in ("hour", "unit", "cell")
    ]
    order = order_of(*keys)
    group = np.empty(len(order), dtype=np.int64)
    group[order] = np.cumsum(changes(*(key[order] for key in keys))) - 1 if len(order) else 0
    mine, theirs = group[: len(dwell)], group[len(dwell) :]
    sums = np.bincount(theirs, seconds, int(group.max(initial=-1)) + 1)
    return np.asarray(sums[mine])


def no_duty_rows() -> DutyRows:
    """Duty rows of nothing."""
    whole, seconds = np.empty(0, np.int64), np.empty(0)
    cell, duty = whole.astype(np.uint64), whole.astype(np.int8)
    return DutyRows(whole, cell, whole, duty, seconds, seconds, seconds)


def _duty_at(spans: Spans, unit: Ints, time_us: Ints) -> NDArray[np.int8]:
    """The duty of units at instants, each (n,): UNKNOWN where no span tells."""
    if not len(spans.unit):
        return np.full(len(unit), UNKNOWN, dtype=np.int8)
    units = np.unique(np.concatenate([spans.unit, unit]))
    every = np.concatenate([spans.start_us, time_us])
    low_us, size = int(every.min()), int(every.max() - every.min()) + 1
    starts = np.searchsorted(units, spans.unit) * size + (spans.start_us - low_us)
    asked = np.searchsorted(units, unit) * size + (time_us - low_us)
    at = np.searchsorted(starts, asked, side="right") - 1
    there = (at >= 0) & (spans.unit[at] == unit) & (time_us < spans.end_us[at])
    return np.where(there, spans.duty[at], UNKNOWN).astype(np.int8)
