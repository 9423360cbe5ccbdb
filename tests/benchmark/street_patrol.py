"""Simulated patrol cars on a street grid whose true place is known at every second.

Cars drive along streets with lights, patrol slowly round blocks, and park. Reports are then taken
from the true track as different boxes would send them, with noise that is correlated in time.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ORIGIN_LAT, ORIGIN_LON = 49.25, -123.1
START_S = 1_700_000_000 // 3600 * 3600
EARTH_M = 6_371_007.18
BLOCK_M = (110.0, 190.0)  # a block east to west and north to south
HALF_WIDTH_BLOCKS = (36, 21)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Track:
    """One car, second by second: metres east and north of the origin, and whether it stands."""

    east_m: Floats
    north_m: Floats
    speed_mps: Floats


def degrees(east_m: Floats, north_m: Floats) -> tuple[Floats, Floats]:
    """Latitude and longitude of places in metres from the origin."""
    lat = ORIGIN_LAT + np.degrees(north_m / EARTH_M)
    return lat, ORIGIN_LON + np.degrees(east_m / EARTH_M / np.cos(np.radians(ORIGIN_LAT)))


def drive(rng: np.random.Generator, seconds: int) -> Track:
    """A car's track over so many seconds: trips, slow patrols and stops in turn."""
    car = _Car(rng)
    while car.clock < seconds:
        kind = rng.choice(4, p=[0.45, 0.2, 0.25, 0.1])
        if kind == 0:
            car.trip()
        elif kind == 1:
            car.patrol(rng.uniform(240, 900))
        elif kind == 2:
            car.park(rng.uniform(300, 1200))
        else:
            car.park(rng.uniform(45, 300))
    return car.track(seconds)


class _Car:
    """Way points with their instants, laid down one leg after another."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.at = np.array([rng.integers(-w, w) for w in HALF_WIDTH_BLOCKS])
        self.heading = np.array([1, 0])
        self.clock = 0.0
        self.way: list[tuple[float, float, float]] = [(0.0, *self._place())]

    def _place(self) -> tuple[float, float]:
        return float(self.at[0] * BLOCK_M[0]), float(self.at[1] * BLOCK_M[1])

    def park(self, seconds: float) -> None:
        self.clock += seconds
        self.way.append((self.clock, *self.way[-1][1:]))

    def trip(self) -> None:
        rng = self.rng
        goal = np.array([rng.integers(-w, w) for w in HALF_WIDTH_BLOCKS])
        goal = self.at + np.clip(goal - self.at, -14, 14)
        fast = rng.random() < 0.15
        while not np.array_equal(goal, self.at):
            gap = goal - self.at
            axis = int(rng.random() < abs(gap[1]) / np.abs(gap).sum())
            if gap[int(self.heading[1] != 0)] * self.heading.sum() > 0 and rng.random() < 0.7:
                axis = int(self.heading[1] != 0)  # straight on where that leads nearer
            self.heading = np.zeros(2, dtype=int)
            self.heading[axis] = np.sign(gap[axis])
            speed = rng.uniform(16, 24) if fast else rng.uniform(8, 14)
            self._block(speed, 0.05 if fast else 0.3)

    def patrol(self, seconds: float) -> None:
        until = self.clock + seconds
        while self.clock < until:
            turn = self.rng.random()
            if turn < 0.45 or np.any(np.abs(self.at + self.heading) > HALF_WIDTH_BLOCKS):
                side = 1 if self.rng.random() < 0.5 else -1
                self.heading = np.array([-self.heading[1], self.heading[0]]) * side
            if np.any(np.abs(self.at + self.heading) > HALF_WIDTH_BLOCKS):
                self.heading = -self.heading
            self._block(self.rng.uniform(3, 8), 0.3)

    def _block(self, speed_mps: float, light: float) -> None:
        """One block ahead at a speed, slower at both ends, then perhaps a red light."""
        self.at = self.at + self.heading
        x0, y0 = self.way[-1][1:]
        x1, y1 = self._place()
        length = abs(x1 - x0) + abs(y1 - y0)
        for share in (0.15, 0.85, 1.0):
            part = 0.7 if share == 0.85 else 0.15
            pace = speed_mps if share == 0.85 else speed_mps * 0.6
            self.clock += part * length / pace
            self.way.append((self.clock, x0 + share * (x1 - x0), y0 + share * (y1 - y0)))
        if self.rng.random() < light:
            self.park(self.rng.uniform(5, 40))

    def track(self, seconds: int) -> Track:
        t, x, y = (np.array(column) for column in zip(*self.way, strict=True))
        clock = np.arange(seconds + 1.0)
        off = self.rng.uniform(-40, 40, 2)  # streets do not run through the cells' centres
        east, north = np.interp(clock, t, x) + off[0], np.interp(clock, t, y) + off[1]
        turned = 0.3  # nor along their edges [rad]
        east, north = (
            np.cos(turned) * east - np.sin(turned) * north,
            np.sin(turned) * east + np.cos(turned) * north,
        )
        return Track(
            east, north, np.hypot(np.diff(east, append=east[-1]), np.diff(north, append=north[-1]))
        )


def noisy(rng: np.random.Generator, track: Track, noise_m: float, memory_s: float) -> Track:
    """The track with an error of that standard deviation per axis, correlated over that time."""
    keep = np.exp(-1.0 / memory_s)
    shocks = rng.normal(0, noise_m * np.sqrt(1 - keep**2), (len(track.east_m), 2))
    shocks[0] = rng.normal(0, noise_m, 2)
    errors, east, north = [], 0.0, 0.0
    for shock_east, shock_north in shocks.tolist():
        east, north = keep * east + shock_east, keep * north + shock_north
        errors.append((east, north))
    off_east, off_north = np.array(errors).T
    return Track(track.east_m + off_east, track.north_m + off_north, track.speed_mps)


def every(track: Track, seconds: int, phase: int) -> NDArray[np.int64]:
    """The seconds at which a box that reports by the clock sends."""
    return np.arange(phase, len(track.east_m), seconds)


def parked_slow(track: Track, moving_s: int, parked_s: int, idle_s: int = 60) -> NDArray[np.int64]:
    """The seconds at which a box sends that slows down once it has stood for a while."""
    sent, last, stood = [0], 0, 0
    for second, speed in enumerate(track.speed_mps):
        stood = stood + 1 if speed < 0.1 else 0
        if second - last >= (parked_s if stood >= idle_s else moving_s):
            sent.append(second)
            last = second
    return np.array(sent)


def on_curves(
    track: Track, off_m: float = 20.0, longest_s: int = 120, parked_s: int = 600
) -> NDArray[np.int64]:
    """The seconds at which a box sends that reports where the track bends or changes speed."""
    sent, last = [0], 0
    vx = vy = 0.0
    for second in range(1, len(track.east_m)):
        age = second - last
        x = track.east_m[last] + vx * age
        y = track.north_m[last] + vy * age
        off = np.hypot(track.east_m[second] - x, track.north_m[second] - y)
        limit = parked_s if vx == vy == 0.0 else longest_s
        if off > off_m or age >= limit:
            sent.append(second)
            last = second
            vx = track.east_m[second] - track.east_m[second - 1]
            vy = track.north_m[second] - track.north_m[second - 1]
    return np.array(sent)
