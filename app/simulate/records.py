"""What the town's records say of its incidents, and what truly happened beside it."""

from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.shifts import HOUR_US, SECOND_US
from app.simulate.harrow_bay import MUNICIPALITY, Town
from app.simulate.streets import degrees

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Texts = NDArray[np.str_]

MINUTE_US = 60 * SECOND_US


class Kind(NamedTuple):
    """How incidents of a category come to be known."""

    category: str
    span_h: float  # between the last time all was well and the time it was found; 0: seen
    delay_min: float  # mean time until it is on record
    officer: float  # share found by officers
    alarm: float  # share reported by alarms
    becomes: str  # what some turn out to be
    answered: bool  # whether a car goes there


KINDS = (
    Kind("theft", 1.0, 40, 0.02, 0.0, "theft", False),
    Kind("theft from vehicle", 9.0, 60, 0.01, 0.0, "mischief", False),
    Kind("break and enter", 9.0, 20, 0.01, 0.12, "mischief", True),
    Kind("mischief", 8.0, 60, 0.04, 0.0, "mischief", False),
    Kind("assault", 0.0, 6, 0.04, 0.0, "disturbance", True),
    Kind("robbery", 0.0, 8, 0.01, 0.0, "theft", True),
    Kind("disturbance", 0.0, 4, 0.10, 0.0, "assault", True),
    Kind("collision", 0.0, 5, 0.03, 0.0, "collision", True),
    Kind("impaired driving", 0.0, 2, 0.90, 0.0, "impaired driving", False),
    Kind("drugs", 0.0, 2, 0.85, 0.0, "drugs", False),
    Kind("alarm", 0.0, 2, 0.0, 1.0, "alarm", True),
)
CATEGORIES = tuple(kind.category for kind in KINDS)
BURGLARY = CATEGORIES.index("break and enter")
TURNS_OUT_SHARE = 0.08


@dataclass(frozen=True)
class Records:
    """Incidents as columns (n,), in the order in which they became known.

    First what the record says, named as in the contract: times int64 [µs UTC], `occurred_to_us`
    equal to `occurred_from_us` where the moment is known; `lat`, `lon` [deg]; texts. Then what
    only a simulation knows: `happened_us`; `origin` int8, an index into the hot spots, or
    BACKGROUND or WAVE; `x_m`, `y_m` along the street axes; `answered`: a car is sent.
    """

    incident_id: Texts
    occurred_from_us: Ints
    occurred_to_us: Ints
    reported_at_us: Ints
    lat: Floats
    lon: Floats
    category: Texts
    final_category: Texts
    source: Texts
    municipality: Texts
    happened_us: Ints
    origin: NDArray[np.int8]
    x_m: Floats
    y_m: Floats
    answered: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.incident_id)

    def take(self, index: Any) -> "Records":
        """The rows that an index array, a mask or a slice selects, in that order."""
        return Records(*(getattr(self, column.name)[index] for column in fields(self)))


class Happened(NamedTuple):
    """What truly happened: parallel arrays (n,); `kind` indexes KINDS."""

    time_us: Ints
    x_m: Floats
    y_m: Floats
    kind: Ints
    origin: Ints


def recorded(town: Town, day: int, what: Happened, rng: np.random.Generator) -> Records:
    """What the record makes of it: spans where nobody saw it, delays, sources, first guesses."""
    n = len(what.time_us)
    kind = np.array([(k.span_h, k.delay_min, k.officer, k.alarm) for k in KINDS])[what.kind]
    by = rng.random(n)
    officer = by < kind[:, 2]
    alarm = ~officer & (by < kind[:, 2] + kind[:, 3])
    span_us = np.where(officer | alarm, 0.0, kind[:, 0] * rng.uniform(0.5, 1.3, n)) * HOUR_US
    before_us = (span_us * rng.random(n)).astype(np.int64)
    after_us = span_us.astype(np.int64) - before_us
    from_us = (what.time_us - before_us) // MINUTE_US * MINUTE_US
    to_us = np.where(span_us > 0, (what.time_us + after_us) // MINUTE_US * MINUTE_US, from_us)
    delay_min = np.minimum(rng.exponential(kind[:, 1]), 2_000.0) + 1.0
    known_us = np.maximum(to_us, what.time_us) + (delay_min * 60).astype(np.int64) * SECOND_US
    names = np.array(CATEGORIES)
    turned = np.array([CATEGORIES.index(k.becomes) for k in KINDS])[what.kind]
    final = np.where(rng.random(n) < TURNS_OUT_SHARE, turned, what.kind)
    lat, lon = degrees(town.streets, what.x_m, what.y_m)
    date = datetime.fromtimestamp(0, UTC) + timedelta(days=day)
    return Records(
        incident_id=np.array([f"HB-{date:%Y%m%d}-{k:04d}" for k in range(n)], dtype=np.str_),
        occurred_from_us=from_us,
        occurred_to_us=to_us,
        reported_at_us=known_us,
        lat=np.round(lat, 6),
        lon=np.round(lon, 6),
        category=names[what.kind],
        final_category=names[final],
        source=np.where(officer, "officer", np.where(alarm, "alarm", "public")),
        municipality=np.full(n, MUNICIPALITY),
        happened_us=what.time_us,
        origin=what.origin.astype(np.int8),
        x_m=what.x_m,
        y_m=what.y_m,
        answered=~officer & np.array([k.answered for k in KINDS])[what.kind],
    )
