"""Compiled inner loops of sifting."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from udt.compilation import kernel
from udt.intrinsics import prefetch
from udt.randomness import mix

Array = NDArray[Any]
#: How many rows ahead exponents are asked for: they are scattered over a large table.
AHEAD = 16


@kernel
def uniform(key: Any, row: Any, epoch: Any) -> Any:
    """Draw from [0, 1) by a key, a row and a pass."""
    return np.float32(mix(key, row, epoch) >> np.uint64(40)) * np.float32(2.0**-24)


@kernel
def rank(history: Array, loss: float) -> Any:
    """Give the share of sorted losses below ``loss``; of those that are equal, half of them.

    Many are: losses of rows that are certain are zero, or the least number above it.
    """
    below, up_to = 0, 0
    size = history.shape[0]
    while size > 0:  # without branches that cannot be foreseen
        half = (size + 1) // 2
        below += half * np.int64(history[below + half - 1] < loss)
        up_to += half * np.int64(history[up_to + half - 1] <= loss)
        size -= half
    return np.float32(below + up_to) / np.float32(2 * history.shape[0])


@kernel
def select(
    order: Array, n_safe: int, probabilities: Array, key: int, epoch: int, chances: Array,
    looked_at: Array,
) -> None:  # fmt: skip
    """Draw which rows to look at, by the probabilities with which they were last kept.

    The first ``n_safe`` are, and so is what was not in the last pass. ``chances`` has the
    probability of being looked at of each row in its last pass, or minus it if it was not; it
    receives those of this pass.
    """
    for i in range(order.shape[0]):
        row = order[i]
        looked_at[i] = True
        if i < n_safe or chances[row] < 0:
            chances[row] = 1
            continue
        chances[row] = probabilities[row]
        if uniform(key, row, epoch) >= probabilities[row]:
            chances[row] = -probabilities[row]
            looked_at[i] = False


@kernel
def sift(
    rows: Array, losses: Array, history: Array, exponents: Array, least: float, keeps_all: bool,
    key: int, epoch: int, probabilities: Array, chances: Array, places: Array, factors: Array,
) -> int:  # fmt: skip
    """Draw which rows to keep, by the ranks of their losses in a sorted history; give how many.

    A row that was looked at by chance has been drawn already, for that part. ``probabilities`` and
    ``chances`` are empty unless there are such rows; ``factors`` unless gradients are to be divided
    by probabilities.
    """
    n = 0
    one = np.float32(1)
    for i in range(rows.shape[0]):
        row = rows[i]
        if i + AHEAD < rows.shape[0]:
            prefetch(exponents, rows[i + AHEAD])
        p = one
        if history.shape[0] and losses[i] == losses[i]:  # what is not a number must be seen
            p = max(np.float32(least), rank(history, losses[i]) ** exponents[row])
        chance = one
        if probabilities.shape[0]:
            probabilities[row] = p
            chance = abs(chances[row])
        p = one if keeps_all else min(one, p / chance)
        if uniform(key, row, epoch) < p:
            places[n] = i
            if factors.shape[0]:
                factors[n] = one / (p * chance)
            n += 1
    return n
