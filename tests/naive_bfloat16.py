"""The slow obvious twins of bfloat16: the values there are, and which of them is the nearest."""

import math

import numpy as np

#: All values of bfloat16 that are finite, rising; zero once.
GRID = np.unique(
    np.concatenate(
        [
            (np.arange(0x7F80, dtype=np.uint32) << 16).view(np.float32),
            ((np.arange(0x7F80, dtype=np.uint32) | 0x8000) << 16).view(np.float32),
        ]
    ).astype(np.float64)
)


def widen(codes):
    """Give the values of bfloat16.

    >>> widen(np.array([0x3F80, 0xC040], dtype=np.uint16)).tolist()
    [1.0, -3.0]
    """
    return (np.asarray(codes).astype(np.uint32) << 16).view(np.float32)


def neighbours(x):
    """Give the largest value up to ``x`` and the smallest from it on; infinities past the last.

    >>> neighbours(1.001)
    (1.0, 1.0078125)
    """
    last = GRID[-1]
    if abs(x) > last:
        return (last, math.inf) if x > 0 else (-math.inf, -last)
    return float(GRID[np.searchsorted(GRID, x, "right") - 1]), float(GRID[np.searchsorted(GRID, x)])


def nearest(x):
    """Round to the nearest value, of two the one whose last bit is zero.

    >>> [nearest(x) for x in (1.003, 1.00390625, 1.01171875, 3.4e38, math.inf)]
    [1.0, 1.0, 1.015625, inf, inf]
    """
    if not math.isfinite(x):
        return x
    low, high = neighbours(x)
    # What lies beyond the last value goes where the next one would be, and that is infinity.
    top = 2.0**128
    low_distance, high_distance = x - max(low, -top), min(high, top) - x
    if low_distance == high_distance and low != high:
        is_even = int(np.float32(low).view(np.uint32)) >> 16 & 1 == 0
        return low if is_even else high
    return low if low_distance < high_distance else high
