"""The same risk, shift after shift: streamed through time, so that memory is cells x components.

Each step only fades the counts and adds what became known since the step before, and gives what
`risk.expected` would give for that shift.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from app.geo.grid import Grid, neighbours
from app.geo.risk import (
    DEFAULTS,
    Component,
    Floats,
    Incidents,
    Ints,
    RiskParameters,
    decayed,
    latest_us,
    moment_us,
    per_count,
    placed,
    severities,
    share_within,
    spread,
    usable,
)
from app.shifts import DAY_US, Shifts


class Counted(NamedTuple):
    """Usable incidents of a grid in the order in which they became known, length n."""

    latest_us: Ints
    moment_us: Ints
    where: Ints
    harm: Floats
    share: Floats  # (names, n): how much of each lies in the shifts of each name


def rolling(
    incidents: Incidents,
    grid: Grid,
    shifts: Shifts,
    tested: Sequence[int],
    severity: Mapping[str, float],
    parameters: RiskParameters = DEFAULTS,
) -> Iterator[tuple[int, Floats]]:
    """For each tested shift, in order: its position and the parts of its risk, (2, k, m) float64.

    The first axis is incidents, then harm; the second the components, the third the cells.
    `tested`: rising positions in `shifts`. Nothing at or after a shift's start is used for it.
    """
    counted = _counted(incidents, grid, shifts, severity, parameters)
    parts = parameters.components
    rings = neighbours(grid)
    counts = [np.zeros((len(shifts.names), 2, len(grid.cells))) for _ in parts]
    before_us, done = 0, 0
    for i in tested:
        now_us = int(shifts.start_us[i])
        until = int(np.searchsorted(counted.latest_us, now_us))
        result = np.zeros((2, len(parts), len(grid.cells)))
        for k, part in enumerate(parts):
            if np.isinf(part.window_days):
                counts[k] *= np.exp2((before_us - now_us) / DAY_US / part.half_life_days)
                counts[k] += _new(counted, slice(done, until), part, now_us, len(grid.cells))
            else:
                counts[k] = _new(counted, slice(0, until), part, now_us, len(grid.cells))
            cells = counts[k][shifts.name[i] if part.same_shift else 0]
            result[:, k] = [spread(c, rings) for c in cells] if part.ring else cells
            result[:, k] *= per_count(part, shifts, shifts.at(i), now_us, parameters)
        before_us, done = now_us, until
        yield i, result


def _counted(
    incidents: Incidents,
    grid: Grid,
    shifts: Shifts,
    severity: Mapping[str, float],
    parameters: RiskParameters,
) -> Counted:
    began_us = int(shifts.start_us[0]) if len(shifts) else 0
    fit = usable(incidents, parameters) & (incidents.time_us >= began_us)
    used, where = placed(incidents.take(fit), grid)
    order = np.argsort(latest_us(used), kind="stable")
    used, where = used.take(order), where[order]
    share = [share_within(used, shifts, name) for name in shifts.names]
    return Counted(
        latest_us(used), moment_us(used), where, severities(used, severity), np.array(share)
    )


def _new(counted: Counted, which: slice, part: Component, now_us: int, cells: int) -> Floats:
    """What these incidents weigh now: (names, 2, m); only the first name where all shifts count."""
    added = np.zeros((len(counted.share), 2, cells))
    where, harm = counted.where[which], counted.harm[which]
    weight = decayed(counted.moment_us[which], now_us, part)
    for j, share in enumerate(counted.share if part.same_shift else counted.share[:1]):
        weighted = weight * share[which] if part.same_shift else weight
        added[j, 0] = np.bincount(where, weighted, cells)
        added[j, 1] = np.bincount(where, weighted * harm, cells)
    return added
