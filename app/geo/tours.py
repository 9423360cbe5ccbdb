"""Driving: times between places, and short closed tours through them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_EARTH_RADIUS_M = 6_371_008.8  # mean radius, IUGG
_SHORTER_S = 1e-9  # less is rounding, and no reason to turn a tour around again


def drive_s(lat: Floats, lon: Floats, detour_factor: float, speed_mps: float) -> Floats:
    """Seconds to drive between any two places: (k, k) float64 [s], symmetric, 0 on the diagonal.

    Great circle times `detour_factor` over `speed_mps`; `lat`, `lon` (k,) [deg].
    """
    phi, lam = np.radians(lat), np.radians(lon)
    half = np.sin((phi[:, None] - phi) / 2) ** 2
    half += np.cos(phi)[:, None] * np.cos(phi) * np.sin((lam[:, None] - lam) / 2) ** 2
    metres = 2 * _EARTH_RADIUS_M * np.arcsin(np.sqrt(np.clip(half, 0.0, 1.0)))
    times: Floats = metres * (detour_factor / speed_mps)
    return times


def tour(times: Floats, places: Sequence[int]) -> list[int]:
    """The places in the order of a short closed tour, from the first of them.

    `times` (k, k) [s] symmetric; `places` index it. Each place goes where it lengthens the tour
    least, then pieces are reversed while that shortens it. The same input gives the same tour.

    Source: Croes (1958), doi:10.1287/opre.6.6.791, for the reversals (2-opt).
    """
    order: list[int] = []
    for place in places:
        order.insert(_cheapest(times, order, place), place)
    while len(order) > 3:
        start, end, gain = _best_reversal(times, np.array(order))
        if gain <= _SHORTER_S:
            break
        order[start:end] = order[start:end][::-1]
    return order


def length_s(times: Floats, order: Sequence[int]) -> float:
    """Seconds to drive a closed tour; 0 for none or one place."""
    return float(times[list(order), [*order[1:], *order[:1]]].sum()) if order else 0.0


def _cheapest(times: Floats, order: list[int], place: int) -> int:
    """Where in the order the place lengthens the tour least; never before the first place."""
    if not order:
        return 0
    after = order[1:] + order[:1]
    longer = times[order, place] + times[place, after] - times[order, after]
    return int(np.argmin(longer)) + 1


def _best_reversal(times: Floats, order: NDArray[np.int64]) -> tuple[int, int, float]:
    """The piece `order[start:end]` whose reversal shortens the tour most, and by how much [s]."""
    after = np.roll(order, -1)
    link = times[order, after]
    # Links (i, i+1) and (j, j+1) become (i, j) and (i+1, j+1).
    gain = link[:, None] + link - times[np.ix_(order, order)] - times[np.ix_(after, after)]
    gain[np.tril_indices(len(order))] = 0.0
    i, j = divmod(int(np.argmax(gain)), len(order))
    return i + 1, j + 1, float(gain[i, j])
