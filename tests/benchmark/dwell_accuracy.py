"""How far dwell is from the truth, where the truth is known second by second.

Misallocated: seconds credited to cells beyond the truth, as a share of all that is credited; over
cells, and more strictly over rows of unit, cell and hour. Recovered: credited seconds over true
ones. Covered: rows with five minutes of truth or more whose interval holds it; width: the sum of
those rows' intervals over the sum of their truth.
"""

import csv
import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from app.geo.dwell import Dwell, DwellParameters, dwell_of
from app.geo.fixes import Pings, concat, pings_of
from app.geo.grid import cells_at
from app.shifts import SECOND_US
from tests.benchmark import street_patrol as street
from tests.benchmark.data import SHARED

MUCH_S = 300.0
GEOLIFE = SHARED / "geolife_highrate_gps" / "geolife_sample.txt.gz"

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Car:
    """One unit: its true place at every second from `start_s`, what its box sees, when it sends."""

    start_s: int
    lat: Floats
    lon: Floats
    seen_lat: Floats
    seen_lon: Floats
    sent: Ints


@dataclass(frozen=True)
class Judgement:
    """Shares, see above."""

    misallocated: float
    misallocated_rows: float
    recovered: float
    covered: float
    width: float
    rows: int


def patrol(
    cars: int,
    hours: int,
    rate: int | str,
    noise_m: float = 5.0,
    memory_s: float = 30.0,
    seed: int = 1,
) -> list[Car]:
    """Simulated cars that report every `rate` seconds, or as `parked` or `curve` boxes do."""
    found = []
    for number in range(cars):
        rng = np.random.default_rng([seed, number])
        track = street.drive(rng, hours * 3600)
        seen = street.noisy(rng, track, noise_m, memory_s)
        if rate == "parked":
            sent = street.parked_slow(track, 15, 600)
        elif rate == "curve":
            sent = street.on_curves(track)
        else:
            sent = street.every(track, int(rate), int(rng.integers(int(rate))))
        true = street.degrees(track.east_m, track.north_m)
        found.append(Car(street.START_S, *true, *street.degrees(seen.east_m, seen.north_m), sent))
    return found


def geolife(rate: int) -> list[Car]:
    """Real tracks of 1 to 5 s, thinned: every stretch without a gap above 15 s is one unit."""
    return [
        Car(start_s, lat, lon, lat, lon, np.arange(start_s % rate, len(lat), rate))
        for start_s, lat, lon in _stretches()
    ]


def pings_of_cars(cars: Sequence[Car]) -> Pings:
    """What the cars' boxes sent."""
    return concat(
        [
            pings_of(
                np.full(len(car.sent), unit),
                (car.start_s + car.sent) * SECOND_US,
                car.seen_lat[car.sent],
                car.seen_lon[car.sent],
            )
            for unit, car in enumerate(cars)
        ]
    )


def judge(
    cars: Sequence[Car], resolution: int, parameters: DwellParameters | None = None
) -> Judgement:
    """How far the dwell of these cars' pings is from where they were."""
    dwell, _ = dwell_of(pings_of_cars(cars), resolution, parameters)
    truth = _truth(cars, resolution)
    of_dwell, of_truth, count = _matched(dwell, truth)

    def column(values: Floats, rows: Ints) -> Floats:
        filled = np.zeros(count)
        filled[rows] = values
        return filled

    true_s = column(truth.seconds, of_truth)
    dwell_s = column(dwell.dwell_s, of_dwell)
    low_s, high_s = column(dwell.dwell_low_s, of_dwell), column(dwell.dwell_high_s, of_dwell)
    cell = np.concatenate([dwell.cell, truth.cell])
    _, cell = np.unique(cell, return_inverse=True)
    per_cell_s = np.bincount(cell[: len(dwell)], dwell.dwell_s, cell.max() + 1)
    true_cell_s = np.bincount(cell[len(dwell) :], truth.seconds, cell.max() + 1)
    much = true_s >= MUCH_S
    held = (low_s <= true_s + 1e-6) & (true_s <= high_s + 1e-6)
    return Judgement(
        misallocated=float(np.maximum(per_cell_s - true_cell_s, 0).sum() / dwell_s.sum()),
        misallocated_rows=float(np.maximum(dwell_s - true_s, 0).sum() / dwell_s.sum()),
        recovered=float(dwell_s.sum() / true_s.sum()),
        covered=float(held[much].mean()),
        width=float((high_s - low_s)[much].sum() / true_s[much].sum()),
        rows=int(much.sum()),
    )


@dataclass(frozen=True)
class _Truth:
    """True seconds by unit, cell and hour, as columns."""

    unit: Ints
    cell: NDArray[np.uint64]
    hour: Ints
    seconds: Floats


def _truth(cars: Sequence[Car], resolution: int) -> _Truth:
    """Between each unit's first and last ping."""
    parts = []
    for unit, car in enumerate(cars):
        sent = slice(int(car.sent[0]), int(car.sent[-1]))
        cell = cells_at(car.lat[sent], car.lon[sent], resolution)
        hour = ((car.start_s + np.arange(len(car.lat))[sent]) // 3600).astype(np.uint64)
        (hour, cell), seconds = np.unique(np.stack([hour, cell]), axis=1, return_counts=True)
        parts.append((np.full(len(cell), unit), cell, hour.astype(np.int64), seconds * 1.0))
    return _Truth(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _matched(dwell: Dwell, truth: _Truth) -> tuple[Ints, Ints, int]:
    """Which row of the union of both each row of dwell and of truth is, and how many there are."""
    keys = np.stack(
        [
            np.concatenate([dwell.unit, truth.unit]),
            np.concatenate([dwell.hour, truth.hour]),
            np.concatenate([dwell.cell, truth.cell]).astype(np.int64),
        ]
    )
    rows, which = np.unique(keys, axis=1, return_inverse=True)
    return which[: len(dwell)], which[len(dwell) :], rows.shape[1]


def _stretches(
    longest_gap_s: int = 15, shortest_s: int = 1200
) -> Iterator[tuple[int, Floats, Floats]]:
    """First second, and place second by second, of real stretches without a gap."""
    tracks: dict[str, dict[int, tuple[float, float]]] = {}
    with gzip.open(GEOLIFE, "rt") as file:
        for row in csv.DictReader(file):
            when = datetime.fromisoformat(row["datetime"]).replace(tzinfo=UTC)
            place = float(row["lat"]), float(row["lng"])
            tracks.setdefault(row["uid"], {}).setdefault(int(when.timestamp()), place)
    for track in tracks.values():
        second = np.array(sorted(track))
        lat, lon = np.array([track[s] for s in second.tolist()]).T
        for part in np.split(
            np.arange(len(second)), np.flatnonzero(np.diff(second) > longest_gap_s) + 1
        ):
            if second[part[-1]] - second[part[0]] >= shortest_s:
                every = np.arange(second[part[0]], second[part[-1]] + 1)
                yield (
                    int(every[0]),
                    np.interp(every, second[part], lat[part]),
                    np.interp(every, second[part], lon[part]),
                )
