"""How well a ranking of cells met what then happened, and how well its numbers did.

Ties are always broken against the ranking that is judged: of cells with one score, those with
the fewest incidents count as chosen first. A ratio that is not defined is None.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BUDGETS = (0.005, 0.01, 0.02, 0.05, 0.10)  # shares of the area, as in Chainey et al. (2008)


def ranking(score: Floats, happened: Floats) -> NDArray[np.int64]:
    """Cells from the highest score to the lowest, ties against us: (m,) int64 positions.

    `score` (m,): any number per cell, NaN ranks last. `happened` (m,): incidents per cell.
    """
    order: NDArray[np.int64] = np.lexsort((happened, -np.nan_to_num(score, nan=-np.inf)))
    return order


def cells_within(budget: float, cells: int) -> int:
    """How many of `cells` cells a share `budget` of the area pays for: at least one if any.

    Rounded to the nearest number, halves up. Raises ValueError outside (0, 1].
    """
    if not 0 < budget <= 1:
        raise ValueError(f"a budget is a share of the area, above 0 and up to 1, not {budget}")
    return min(cells, max(1, int(np.floor(budget * cells + 0.5))))


def hits(score: Floats, happened: Floats, sizes: Sequence[int]) -> Floats:
    """Incidents in the first `sizes[i]` cells of the ranking: (len(sizes),) float64."""
    caught = np.concatenate([[0.0], np.cumsum(happened[ranking(score, happened)])])
    result: Floats = caught[np.minimum(np.asarray(sizes, dtype=np.int64), len(happened))]
    return result


def most(happened: Floats, sizes: Sequence[int]) -> Floats:
    """The most incidents that any choice of `sizes[i]` cells could have caught."""
    return hits(happened, happened, sizes)


def hit_rate(caught: float, total: float) -> float | None:
    """The share of incidents that happened in the chosen area; None where none happened.

    Source: Bowers, Johnson & Pease (2004), doi:10.1093/bjc/azh036.
    """
    return caught / total if total > 0 else None


def pai(caught: float, total: float, area: float, whole_area: float) -> float | None:
    """Predictive accuracy index: the hit rate over the share of the area, 1 for blind choice.

    None where nothing happened or no area was chosen.

    Source: Chainey, Tompson & Uhlig (2008), doi:10.1057/palgrave.sj.8350066.
    """
    rate = hit_rate(caught, total)
    return None if rate is None or area <= 0 or whole_area <= 0 else rate / (area / whole_area)


def pei(caught: float, possible: float) -> float | None:
    """Prediction efficiency index: incidents caught over the most that this area could catch.

    None where nothing could be caught.

    Source: Hunt (2016), "Do crime hot spots move?", PhD thesis, American University (PEI*).
    """
    return caught / possible if possible > 0 else None


def search_efficiency(caught: float, area_km2: float) -> float | None:
    """Incidents caught per square kilometre searched; None where no area was chosen.

    Source: Bowers, Johnson & Pease (2004), doi:10.1093/bjc/azh036.
    """
    return caught / area_km2 if area_km2 > 0 else None


def poisson_deviance(expected: Floats, happened: Floats, floor: float = 1e-5) -> Floats:
    """Twice the log-likelihood that a perfect forecast would gain, per entry.

    2 · (y · ln(y/λ) − (y − λ)), 0 at best; an expectation below `floor` is taken as the floor,
    so that a surprise costs much but not everything.

    Source: McCullagh & Nelder (1989), Generalized Linear Models, 2nd ed., 2.3.
    """
    rate = np.maximum(expected, floor)
    surprise = happened * np.log(np.where(happened > 0, happened, 1.0) / rate)
    result: Floats = 2 * (surprise - (happened - rate))
    return result


def observed_over_expected(happened: float, expected: float) -> float | None:
    """What happened over what was expected; None where nothing was expected."""
    return happened / expected if expected > 0 else None


def capture_area(score: Floats, happened: Floats) -> float | None:
    """Area under the curve of incidents caught over area searched: 0.5 for blind choice.

    Trapezoids over the ranking; None where nothing happened.
    """
    total = float(happened.sum())
    if total <= 0:
        return None
    caught = np.concatenate([[0.0], np.cumsum(happened[ranking(score, happened)])]) / total
    return float((caught[1:] + caught[:-1]).sum() / (2 * len(happened)))
