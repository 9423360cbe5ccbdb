"""Disjoint zones of greatest total value, and a proof of how much better any others could be.

Cells that several zones want are given a price; a zone is then worth its value less the prices of
its cells. For any prices, the sum of all prices and of the best net values, one zone per anchor,
is more than any disjoint zones can be worth (Lagrangian relaxation). So lowering that sum proves a
bound, and the zones that are best at those prices, put right where they overlap, are a good choice.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.geo.candidates import Candidates

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Zones = list[Ints]

_CLOSE = 1e-9  # a relative gap that rounding alone can make: proven best
_PATIENCE = 4  # rounds without a lower bound, after which steps are halved
_TURN = 1.5  # Camerini, Fratta and Maffioli (1975)


@dataclass(frozen=True)
class Packing:
    """Disjoint zones as sorted index arrays, the best first; `bound`: no others are worth more.

    `spare`: disjoint zones beside them, each the best that was left.
    """

    zones: tuple[Ints, ...]
    spare: tuple[Ints, ...]
    bound: float


class _Search:
    """Which zone is best where, for one value per cell, found out no sooner than needed.

    `ceiling` (m,) float64 is at least the value of the best zone at each anchor, and exactly that
    where `known`.
    """

    def __init__(self, candidates: Candidates, value: Floats, ceiling: Floats) -> None:
        self.candidates = candidates
        self.value = value
        self.ceiling = ceiling.copy()
        self.known = np.zeros(len(value), dtype=bool)

    def without(self, cells: Ints) -> "_Search":
        """The same search where no zone may hold any of these cells."""
        value = self.value.copy()
        value[cells] = -np.inf
        left = _Search(self.candidates, value, self.ceiling)
        left.known = self.known.copy()
        left.known[self.candidates.touching(cells)] = False
        return left

    def top(self, count: int) -> Ints:
        """The anchors of the `count` best zones worth more than nothing, the best first."""
        while True:
            order = np.argsort(-self.ceiling, kind="stable")
            order = order[: int((self.ceiling > 0.0).sum())]
            known = self.known[order]
            if known[:count].all():
                return order[:count]
            sure = np.flatnonzero(known)
            reach = sure[count - 1] if len(sure) >= count else len(order)
            unsure = order[:reach][~known[:reach]][: self.candidates.at_once]
            self.ceiling[unsure] = self.candidates.best_values(self.value, unsure)
            self.known[unsure] = True

    def zones(self, anchors: Ints) -> Zones:
        """The best zone at each of these anchors, its cells sorted."""
        cells = self.candidates.best_zones(self.value, anchors)
        return [np.sort(zone[zone >= 0]) for zone in cells]


def pack(
    candidates: Candidates, value: Floats, count: int, rounds: int = 40, spare: int = 0
) -> Packing:
    """At most `count` disjoint zones of great total value, each worth more than nothing.

    `value` (m,) float64, not negative. `rounds`: how often prices are put right, at most; fewer
    where the choice is proven best sooner. `spare`: how many zones beside them are wanted.
    Without value no zones; for a count of 0 spare ones only, bound 0.

    Source: Held, Wolfe and Crowder (1974), doi:10.1007/BF01580223, for the steps; Fisher (1981),
    doi:10.1287/mnsc.27.1.1, for making good choices out of the prices on the way.
    """
    scale = float(value.max(initial=0.0))
    if scale <= 0.0:
        return Packing((), (), 0.0)
    search = _Search(candidates, value / scale, candidates.ceilings(value / scale))
    zones: Zones = []
    bound = 0.0
    if count > 0:
        zones, bound = _priced(search, count, rounds)
    beside = _filled(search, zones, count + spare)[len(zones) :] if spare else []
    zones.sort(key=lambda zone: (-float(value[zone].sum()), int(zone[0])))
    total = float(sum(value[zone].sum() for zone in zones))
    return Packing(tuple(zones), tuple(beside), max(total, bound * scale))


def _priced(plain: _Search, count: int, rounds: int) -> tuple[Zones, float]:
    """Good zones and a bound, from prices that are put right again and again."""
    best = _swapped(plain, _filled(plain, [], count))
    if not best:  # what has value lies on islands too small for a zone
        return [], 0.0
    worth, bound = _worth(plain, best), np.inf
    prices, pace, waited = _first_prices(plain, best), 1.0, 0
    step = np.zeros(len(prices))
    for _ in range(rounds):
        priced = _Search(plain.candidates, plain.value - prices, plain.ceiling)
        anchors = priced.top(count)
        wanted = priced.zones(anchors)
        total = float(prices.sum() + priced.ceiling[anchors].sum())
        bound, waited = (total, 0) if total < bound else (bound, waited + 1)
        found = _filled(plain, _disjoint(wanted), count)
        if _worth(plain, found) > worth:
            best = _swapped(plain, found)
            worth = _worth(plain, best)
        if bound - worth <= _CLOSE * bound:
            break
        pace, waited = (pace / 2, 0) if waited >= _PATIENCE else (pace, waited)
        step = _step(prices, wanted, step)
        norm = float(step @ step)
        if norm > 0.0:
            prices = np.maximum(0.0, prices + step * (pace * (total - worth) / norm))
    return best, bound


def _filled(search: _Search, zones: Sequence[Ints], count: int) -> Zones:
    """These zones and, as long as there are fewer than `count`, the best that is left."""
    zones = list(zones)
    if zones:
        search = search.without(np.concatenate(zones))
    while len(zones) < count:
        anchors = search.top(1)
        if not len(anchors):
            break
        zones += search.zones(anchors)
        search = search.without(zones[-1])
    return zones


def _swapped(search: _Search, zones: Zones) -> Zones:
    """The zones after each, the least first, gave way to a better one where there was one."""
    zones = sorted(zones, key=lambda zone: float(search.value[zone].sum()))
    for k in range(len(zones)):
        others = zones[:k] + zones[k + 1 :]
        zones[k] = _filled(search, others, len(zones))[-1]
    return zones


def _disjoint(zones: Zones) -> Zones:
    """The zones that share no cell with one before."""
    kept: Zones = []
    used: set[int] = set()
    for zone in zones:
        if used.isdisjoint(zone.tolist()):
            kept.append(zone)
            used.update(zone.tolist())
    return kept


def _first_prices(search: _Search, zones: Zones) -> Floats:
    """Prices at which each of these zones is worth no more than the least of them."""
    prices = np.zeros(len(search.value))
    least = min(float(search.value[zone].sum()) for zone in zones)
    for zone in zones:
        prices[zone] = search.value[zone] * (1.0 - least / float(search.value[zone].sum()))
    return prices


def _step(prices: Floats, wanted: Zones, before: Floats) -> Floats:
    """Up where more than one zone wants a cell, down where none does; turned from zigzagging.

    Source: Camerini, Fratta and Maffioli (1975), doi:10.1007/BFb0120697, for the turning.
    """
    demand = np.full(len(prices), -1.0)
    if wanted:
        demand += np.bincount(np.concatenate(wanted), minlength=len(prices))
    demand[(demand < 0.0) & (prices <= 0.0)] = 0.0
    length = float(before @ before)
    if length == 0.0:
        return demand
    return demand + max(0.0, -_TURN * float(before @ demand) / length) * before


def _worth(search: _Search, zones: Zones) -> float:
    return float(sum(search.value[zone].sum() for zone in zones))
