"""Sorting rows by several columns, and finding where they change."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def order_of(*columns: NDArray[np.int64]) -> Indices:
    """The order that sorts rows by the first column, then the second, …: (n,) int64.

    Columns are packed into one number where they fit, which sorts several times as fast.
    """
    if not len(columns[0]):
        return np.empty(0, dtype=np.int64)
    lows = [int(column.min()) for column in columns]
    bits = [(int(c.max()) - low).bit_length() for c, low in zip(columns, lows, strict=True)]
    if sum(bits) > 63:
        return np.lexsort(columns[::-1])
    key = columns[0] - lows[0]
    for column, low, width in zip(columns[1:], lows[1:], bits[1:], strict=True):
        key = (key << width) | (column - low)
    return np.argsort(key)


def changes(*columns: NDArray[Any]) -> NDArray[np.bool_]:
    """Where any column differs from the row before, the first row included: (n,) bool."""
    new = np.ones(len(columns[0]), dtype=np.bool_)
    new[1:] = columns[0][1:] != columns[0][:-1]
    for column in columns[1:]:
        new[1:] |= column[1:] != column[:-1]
    return new
