"""Points to cells: ours in bulk beside the same library's function called point by point."""

import h3
import numpy as np

from app.geo.grid import cells_at
from tests.benchmark.table import Table, median_s

POINTS = 1_000_000
ONE_BY_ONE = 50_000


def run() -> Table:
    rng = np.random.default_rng(1)
    lat, lon = 37.77 + rng.normal(0, 0.03, POINTS), -122.42 + rng.normal(0, 0.03, POINTS)
    few = list(zip(lat[:ONE_BY_ONE].tolist(), lon[:ONE_BY_ONE].tolist(), strict=True))
    rows = []
    for resolution in (9, 10):
        ours_s = median_s(lambda r=resolution: cells_at(lat, lon, r)) / POINTS
        theirs_s = median_s(
            lambda r=resolution: [h3.latlng_to_cell(y, x, r) for y, x in few]
        ) / len(few)
        rows.append((resolution, 1 / ours_s, 1 / theirs_s, theirs_s / ours_s))
    return Table(("resolution", "cells/s in bulk", "cells/s one by one", "ratio"), rows)
