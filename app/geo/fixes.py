"""Pings as columns, and cleaning as an ordered list of named steps that delete nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

STATUS = ("unknown", "available", "enroute", "on_scene", "busy", "off_duty")  # code = index
NOT_SENT = -1  # the status code of a ping without a status


@dataclass(frozen=True)
class Pings:
    """Position messages as columns, each (n,).

    `unit` int64; `time_us` int64, microseconds since 1970 UTC; `lat`, `lon` float64 [deg];
    `speed_mps`, `heading_deg`, `accuracy_m` float64, NaN where not sent; `status` int8, an index
    into STATUS or -1 where not sent.
    """

    unit: NDArray[np.int64]
    time_us: NDArray[np.int64]
    lat: NDArray[np.float64]
    lon: NDArray[np.float64]
    speed_mps: NDArray[np.float64]
    heading_deg: NDArray[np.float64]
    accuracy_m: NDArray[np.float64]
    status: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.unit)

    def take(self, index: Any) -> "Pings":
        """The rows that an index array, a mask or a slice selects, in that order."""
        return Pings(*(getattr(self, column.name)[index] for column in fields(self)))

    def ordered(self) -> "Pings":
        """The pings sorted by unit, time and content: the same for any order of arrival.

        Itself where it is sorted already.
        """
        later = self.time_us[1:] > self.time_us[:-1]
        if np.all((self.unit[1:] > self.unit[:-1]) | ((self.unit[1:] == self.unit[:-1]) & later)):
            return self
        order = np.lexsort((self.time_us, self.unit))
        return self.take(order[_by_content(self.take(order))])


def pings_of(
    unit: NDArray[np.int64],
    time_us: NDArray[np.int64],
    lat: NDArray[np.float64],
    lon: NDArray[np.float64],
) -> Pings:
    """Pings that carry no more than a unit, an instant and a place [deg]."""
    absent = np.full(len(unit), np.nan)
    return Pings(
        unit=np.asarray(unit, dtype=np.int64),
        time_us=np.asarray(time_us, dtype=np.int64),
        lat=np.asarray(lat, dtype=np.float64),
        lon=np.asarray(lon, dtype=np.float64),
        speed_mps=absent,
        heading_deg=absent,
        accuracy_m=absent,
        status=np.full(len(unit), NOT_SENT, dtype=np.int8),
    )


def no_pings() -> Pings:
    """Pings of no rows."""
    nothing = np.empty(0)
    return pings_of(nothing.astype(np.int64), nothing.astype(np.int64), nothing, nothing)


def concat(parts: Sequence[Pings]) -> Pings:
    """The rows of all parts, one after another; no rows for no parts."""
    if not parts:
        return no_pings()
    if len(parts) == 1:
        return parts[0]
    columns = (np.concatenate([getattr(p, c.name) for p in parts]) for c in fields(Pings))
    return Pings(*columns)


def _by_content(pings: Pings) -> NDArray[np.int64]:
    """The order that sorts rows of one unit and instant by their content, NaN last.

    `pings` are sorted by unit and time; only rows that share both are moved.
    """
    same = (pings.unit[1:] == pings.unit[:-1]) & (pings.time_us[1:] == pings.time_us[:-1])
    order = np.arange(len(pings))
    tied = np.flatnonzero(np.concatenate([same, [False]]) | np.concatenate([[False], same]))
    group = np.cumsum(~np.concatenate([[False], same]))[tied]
    content = [getattr(pings, column.name)[tied] for column in fields(pings)[2:]]
    order[tied] = tied[np.lexsort((*reversed(content), group))]
    return order
