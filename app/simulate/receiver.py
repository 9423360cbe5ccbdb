"""What a car's box reports of its true way: when, how far off, and what gets lost or comes late."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.geo.fixes import NOT_SENT, STATUS, Pings, concat
from app.shifts import SECOND_US
from app.simulate.boxes import Reporting
from app.simulate.driver import ACTIVITIES, Track
from app.simulate.harrow_bay import Town
from app.simulate.streets import degrees

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

SETTLED_S = 60.0  # a box counts as parked after standing so long
TURN_COSINE = 0.97  # a curve-based box reports turns of more than 14 degrees
_SAID = {
    "off_duty": "off_duty",
    "station": "busy",
    "patrol": "available",
    "visit": "available",
    "enroute": "enroute",
    "on_scene": "on_scene",
    "break": "busy",
}
_STATUS_OF = np.array([STATUS.index(_SAID[name]) for name in ACTIVITIES], dtype=np.int8)


@dataclass(frozen=True)
class Reports:
    """Pings in the order in which they arrive; `sent_us` (n,) int64, ascending [µs UTC].

    `pings.unit` is a position in the town's units.
    """

    pings: Pings
    sent_us: Ints

    def __len__(self) -> int:
        return len(self.sent_us)

    def take(self, index: Any) -> "Reports":
        """The rows that an index array, a mask or a slice selects, in that order."""
        return Reports(self.pings.take(index), self.sent_us[index])


def merged(parts: list[Reports]) -> Reports:
    """All reports in order of arrival, and then of unit and time."""
    pings = concat([part.pings for part in parts])
    sent_us = np.concatenate([np.zeros(0, dtype=np.int64), *(part.sent_us for part in parts)])
    return Reports(pings, sent_us).take(np.lexsort((pings.time_us, pings.unit, sent_us)))


class _Stands(NamedTuple):
    """Per piece of a track: whether the car stands, and since when [s] where it does."""

    still: Mask
    since_s: Floats


def report(town: Town, track: Track, box: Reporting, rng: np.random.Generator) -> Reports:
    """What arrives of one tour from a box, in order of arrival."""
    ends_s = (track.time_us - track.time_us[0]) / SECOND_US
    stands = _stands(track, ends_s)
    at_s = _report_times(track, ends_s, stands, box, rng)
    piece = np.clip(np.searchsorted(ends_s, at_s, side="right") - 1, 0, len(ends_s) - 2)
    xy = np.stack([np.interp(at_s, ends_s, track.x_m), np.interp(at_s, ends_s, track.y_m)])
    heard = ~_in_holes(town, xy) if box.holes else np.ones(len(at_s), dtype=np.bool_)
    xy += _wander(at_s, box, rng)
    if box.static_hold:
        xy = _held(xy, stands.still[piece] & (at_s - stands.since_s[piece] > 10.0))
    xy = _with_faults(xy, at_s, box, rng)
    pings = _pings(town, track, box, at_s, piece, xy, rng)
    arrives_s, lost = _arrivals(at_s, box, rng)
    reports = Reports(pings, track.time_us[0] + (arrives_s * 1e3).astype(np.int64) * 1_000)
    reports = reports.take(heard & ~lost)
    return merged([reports, _repeated(reports, box, rng)])


def _stands(track: Track, ends_s: Floats) -> _Stands:
    still = (np.diff(track.x_m) == 0) & (np.diff(track.y_m) == 0)
    begins = still & ~np.concatenate([[False], still[:-1]])
    since_s = np.maximum.accumulate(np.where(begins, ends_s[:-1], 0.0))
    return _Stands(still, np.where(still, since_s, ends_s[:-1]))


def _report_times(
    track: Track, ends_s: Floats, stands: _Stands, box: Reporting, rng: np.random.Generator
) -> Floats:
    """Whole seconds since the tour began at which the box makes a fix: (n,) float64, ascending."""
    at_s = np.arange(rng.uniform(0.0, box.interval_s), ends_s[-1], box.interval_s)
    if box.parked_s > 0:
        piece = np.searchsorted(ends_s, at_s, side="right") - 1
        stood_s = at_s - stands.since_s[piece]
        due = (stood_s < SETTLED_S) | (stood_s % box.parked_s < box.interval_s)
        moves = np.flatnonzero(~stands.still[1:] & stands.still[:-1]) + 1
        moves = moves[ends_s[moves] - stands.since_s[moves - 1] > SETTLED_S]
        at_s = np.concatenate([at_s[~stands.still[piece] | due], ends_s[moves]])
    if box.curve:
        at_s = np.concatenate([at_s, ends_s[_bends(track, stands)]])
    return np.unique(np.floor(at_s))


def _bends(track: Track, stands: _Stands) -> Ints:
    """Positions of the ends at which the car turns, stops or moves off; the first is one."""
    dx, dy = np.diff(track.x_m), np.diff(track.y_m)
    length = np.hypot(dx, dy) + stands.still
    dot = (dx[1:] * dx[:-1] + dy[1:] * dy[:-1]) / (length[1:] * length[:-1])
    stops = stands.still[1:] != stands.still[:-1]
    turns = ~stands.still[1:] & ~stands.still[:-1] & (dot < TURN_COSINE)
    return np.concatenate([[0], np.flatnonzero(stops | turns) + 1])


def _in_holes(town: Town, xy: Floats) -> Mask:
    inside = np.zeros(xy.shape[1], dtype=np.bool_)
    for x_from, y_from, x_to, y_to in town.holes:
        inside |= (xy[0] > x_from) & (xy[0] < x_to) & (xy[1] > y_from) & (xy[1] < y_to)
    return inside


def _wander(at_s: Floats, box: Reporting, rng: np.random.Generator) -> Floats:
    """A receiver's error on both axes: (2, n) float64 [m], normal, with an exponential memory.

    Source: Gauss–Markov errors of GPS, Rankin (1994), doi:10.1109/PLANS.1994.303303.
    """
    if box.noise_m <= 0 or not len(at_s):
        return np.zeros((2, len(at_s)))
    if box.noise_memory_s <= 0:
        return rng.normal(0.0, box.noise_m, (2, len(at_s)))
    step_s = min(5.0, box.noise_memory_s / 12)
    # An autoregression is a moving average with falling weights; eight memories hold all of it.
    kernel = np.exp(-np.arange(int(8 * box.noise_memory_s / step_s)) * step_s / box.noise_memory_s)
    kernel *= box.noise_m / np.sqrt((kernel**2).sum())
    steps = int(at_s[-1] / step_s) + 2
    errors = [
        np.convolve(rng.standard_normal(steps + len(kernel) - 1), kernel, "valid") for _ in "xy"
    ]
    return np.stack([np.interp(at_s, np.arange(steps) * step_s, error) for error in errors])


def _held(xy: Floats, still: Mask) -> Floats:
    """The places with each stay's first one repeated to its end."""
    begins = still & ~np.concatenate([[False], still[:-1]])
    source = np.maximum.accumulate(np.where(begins | ~still, np.arange(len(still)), 0))
    return xy[:, source]


def _with_faults(xy: Floats, at_s: Floats, box: Reporting, rng: np.random.Generator) -> Floats:
    """The places with some spikes (0.3 to 3 km off) and some frozen for 3 to 8 reports."""
    n = len(at_s)
    spikes = np.flatnonzero(rng.random(n) < box.spike_share)
    way, far = rng.uniform(0, 2 * np.pi, len(spikes)), rng.uniform(300.0, 3_000.0, len(spikes))
    xy[:, spikes] += far * np.stack([np.cos(way), np.sin(way)])
    span_h = float(at_s[-1] - at_s[0]) / 3600 if n else 0.0
    for start in rng.integers(0, max(n, 1), rng.poisson(box.frozen_per_h * span_h)):
        xy[:, start : start + int(rng.integers(3, 9))] = xy[:, start : start + 1]
    return xy


def _arrivals(at_s: Floats, box: Reporting, rng: np.random.Generator) -> tuple[Floats, Mask]:
    """When each report arrives [s], and whether it never does.

    In a silence of 5 to 40 minutes half of the boxes keep what they see and send it afterwards;
    the others lose it.
    """
    n = len(at_s)
    arrives_s = at_s + rng.uniform(0.4, 2.5, n)
    lost = np.zeros(n, dtype=np.bool_)
    late = rng.random(n) < box.late_share
    arrives_s[late] += np.minimum(rng.exponential(60.0, int(late.sum())), 600.0)
    span_s = float(at_s[-1]) if n else 0.0
    for _ in range(int(rng.poisson(box.silences_per_h * span_s / 3600))):
        start_s, long_s = rng.uniform(0.0, span_s), rng.uniform(300.0, 2_400.0)
        silent = (at_s >= start_s) & (at_s < start_s + long_s)
        if rng.random() < 0.5:
            lost |= silent
        else:
            backlog = np.arange(int(silent.sum())) * 0.01
            arrives_s[silent] = np.maximum(arrives_s[silent], start_s + long_s + backlog)
    return arrives_s, lost


def _repeated(reports: Reports, box: Reporting, rng: np.random.Generator) -> Reports:
    """Reports that are sent a second time, up to half a minute later."""
    again = reports.take(rng.random(len(reports)) < box.duplicate_share)
    return Reports(again.pings, again.sent_us + rng.integers(1, 31, len(again)) * SECOND_US)


def _pings(
    town: Town,
    track: Track,
    box: Reporting,
    at_s: Floats,
    piece: Ints,
    xy: Floats,
    rng: np.random.Generator,
) -> Pings:
    """The messages as the box writes them: six decimals, and only the fields that it sends."""
    n = len(at_s)
    dx, dy = np.diff(track.x_m)[piece], np.diff(track.y_m)[piece]
    took_s = np.diff(track.time_us)[piece] / SECOND_US
    speed = np.hypot(dx, dy) / took_s
    noisy = np.maximum(0.0, speed + rng.normal(0.0, 0.3, n))
    heading = (np.degrees(np.arctan2(dx, dy)) - town.streets.turn_deg) % 360.0
    status = _STATUS_OF[track.activity[piece]]
    status[-1:] = STATUS.index("off_duty")  # signing off
    bearing = np.where(speed > 0, np.round(heading) % 360.0, np.nan)
    accuracy = np.full(n, np.round(rng.gamma(9.0, box.noise_m / 6), 1))
    lat, lon = degrees(town.streets, xy[0], xy[1])
    return Pings(
        unit=np.full(n, track.unit, dtype=np.int64),
        time_us=track.time_us[0] + at_s.astype(np.int64) * SECOND_US,
        lat=np.round(lat, 6),
        lon=np.round(lon, 6),
        speed_mps=_if(box.sends_speed, np.where(speed > 0, np.round(noisy, 1), 0.0)),
        heading_deg=_if(box.sends_speed, bearing),
        accuracy_m=_if(box.sends_accuracy, accuracy),
        status=status if box.sends_status else np.full(n, NOT_SENT, dtype=np.int8),
    )


def _if(sent: bool, values: Floats) -> Floats:
    """The values of a field where the box sends it, NaN otherwise."""
    return values if sent else np.full(len(values), np.nan)
