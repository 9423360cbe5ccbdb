"""Fixes to seconds per unit, cell and UTC hour, with what was not observed kept apart."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Dwell:
    """Seconds of a unit in a cell in a UTC hour, as columns sorted by (hour, unit, cell).

    `unit` int64, `cell` uint64, `hour` int64 (hours since 1970 UTC); the rest float64 [s].
    `stationary_s`, `slow_s` and `transit_s` sum to `dwell_s`; the observed truth lies within
    `[dwell_low_s, dwell_high_s]` with 95 %. A cell that may have been visited has dwell 0 and a
    high above 0.
    """

    unit: NDArray[np.int64]
    cell: NDArray[np.uint64]
    hour: NDArray[np.int64]
    dwell_s: NDArray[np.float64]
    stationary_s: NDArray[np.float64]
    slow_s: NDArray[np.float64]
    transit_s: NDArray[np.float64]
    dwell_low_s: NDArray[np.float64]
    dwell_high_s: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.unit)


@dataclass(frozen=True)
class Coverage:
    """How much of a unit's UTC hour is known, as columns sorted by (hour, unit).

    `observed_s` + `unobserved_s` [s], summed over a unit's rows, is the time between its first and
    last kept ping. `pings` and `kept` int64 count the hour's pings.
    """

    unit: NDArray[np.int64]
    hour: NDArray[np.int64]
    observed_s: NDArray[np.float64]
    unobserved_s: NDArray[np.float64]
    pings: NDArray[np.int64]
    kept: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.unit)
