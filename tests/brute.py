"""The best choice of zones by trying every one: slow, short, and nothing shared with app."""

from collections.abc import Iterable, Sequence

import numpy as np


def connected_sets(neighbours: np.ndarray, least: int, most: int) -> set[frozenset[int]]:
    """Every connected set of `least` to `most` cells."""
    found: set[frozenset[int]] = set()
    grown = {frozenset({cell}) for cell in range(len(neighbours))}
    for size in range(1, most + 1):
        if size >= least:
            found |= grown
        grown = {
            zone | {int(near)}
            for zone in grown
            for cell in zone
            for near in neighbours[cell]
            if near >= 0 and near not in zone
        }
    return found


def best_value(zones: Iterable[frozenset[int]], value: Sequence[float], count: int) -> float:
    """The greatest sum of value that at most `count` disjoint zones can have."""
    worth = sorted(
        ((sum(value[cell] for cell in zone), zone) for zone in zones), key=lambda z: -z[0]
    )

    def best(start: int, used: frozenset[int], left: int, so_far: float, record: float) -> float:
        record = max(record, so_far)
        for k in range(start, len(worth) if left else 0):
            if so_far + left * worth[k][0] <= record:
                break
            if not used & worth[k][1]:
                record = best(k + 1, used | worth[k][1], left - 1, so_far + worth[k][0], record)
        return record

    return best(0, frozenset(), count, 0.0, 0.0)
