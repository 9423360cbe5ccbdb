"""How far each unit's clock is off: the rolling median of receipt minus the time of its fix.

The way of a message counts too, so that some seconds are usual; minutes are not.
"""

import threading
from collections import deque
from statistics import median

import numpy as np

from app.db import Database
from app.facts import PingColumns
from app.shifts import SECOND_US
from app.store.units import set_clock_offsets

REMEMBERED = 32  # receipts of a unit; half of them must be wrong to move the median


class Clocks:
    """The last receipts of each unit that this process heard; safe for threads."""

    def __init__(self) -> None:
        """Has heard nobody yet."""
        self._lock = threading.Lock()
        self._heard: dict[str, deque[float]] = {}
        self._new: set[str] = set()

    def hear(self, pings: PingColumns, now_us: int) -> None:
        """Takes down a receipt at an instant: of each unit its newest ping, others were kept back.

        `pings`: none of them without a unit or a time.
        """
        newest = np.full(len(pings.unit_id.names), np.iinfo(np.int64).min)
        np.maximum.at(newest, pings.unit_id.code, pings.time_us)
        with self._lock:
            for code in np.unique(pings.unit_id.code).tolist():
                unit_id = pings.unit_id.names[code]
                heard = self._heard.setdefault(unit_id, deque(maxlen=REMEMBERED))
                heard.append((now_us - int(newest[code])) / SECOND_US)
                self._new.add(unit_id)

    def offsets_s(self) -> dict[str, float]:
        """The median of each unit heard since this was last asked [s]; positive: late."""
        with self._lock:
            new, self._new = self._new, set()
            return {unit_id: median(self._heard[unit_id]) for unit_id in sorted(new)}

    def store(self, database: Database) -> None:
        """Writes what is new to the units; again later where the database is away."""
        found = self.offsets_s()
        if not found:
            return
        try:
            with database.write() as connection:
                set_clock_offsets(connection, found)
        except BaseException:
            with self._lock:
                self._new |= found.keys()
            raise
