"""Compiled inner loops over few of very many classes: which are active, and their gradients.

Crosses are weights of pairs of a feature and a class, a linear path where features x classes is out
of reach. Class ``c`` has ``starts[c + 1] - starts[c]`` of them, a power of two, into which features
are hashed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from udt.compilation import kernel
from udt.network.kernels import exp, insert, largest, logistic
from udt.network.weights import Weights, add_row, dot_hashed, dot_row, n_rows, prefetch_row

Array = NDArray[Any]
#: How many rows ahead weights of classes are asked for: they are scattered over a large table.
AHEAD = 8
#: Logits so far below the largest one are not told apart, and there are so many steps above that.
DEPTH, LEVELS = 24.0, 1024
_LEVELS = np.float32(LEVELS)
_SCALE = np.float32(LEVELS / DEPTH)


@kernel
def score(x: Array, classes: Array, n: int, output: Weights, bias: Array, logits: Array) -> None:
    """Write the logits of the first ``n`` of ``classes``."""
    for j in range(n):
        if j + AHEAD < n:
            prefetch_row(output, np.int64(classes[j + AHEAD]))
        logits[j] = dot_row(output, np.int64(classes[j]), x) + bias[classes[j]]


@kernel
def level(x: Any, peak: Any) -> int:
    """Tell how high ``x`` is below ``peak``: LEVELS at the peak, below 0 where that is all one."""
    steps = _LEVELS - (peak - x) * _SCALE
    return int(steps) if steps >= 0 and steps <= _LEVELS else -1  # -1 for NaN too


@kernel
def lowest_level(
    logits: Array, n: int, peak: Any, wanted: int, histogram: Array
) -> tuple[int, int]:
    """Find above which level there are at most ``wanted`` of ``n`` logits, and how many."""
    histogram[:] = 0
    for j in range(n):
        at = level(logits[j], peak)
        if at >= 0:
            histogram[at] += 1
    above, at = 0, LEVELS
    while at >= 0 and above + histogram[at] <= wanted:
        above += histogram[at]
        at -= 1
    return at, above


@kernel
def pick_largest(logits: Array, n: int, wanted: int, histogram: Array, places: Array) -> int:
    """List the places of (about) the ``wanted`` largest of ``n`` logits, in order of place.

    Logits within ``DEPTH / LEVELS`` of each other may be taken for equal, and of equals the first
    are taken; those that lie more than ``DEPTH`` below the largest are left out.
    """
    peak = largest(logits[:n])
    least, above = lowest_level(logits, n, peak, wanted, histogram)
    spare = wanted - above
    size = 0
    for j in range(n):
        at = level(logits[j], peak)
        if at > least:
            places[size] = j
            size += 1
        elif at == least and at >= 0 and spare > 0:
            places[size] = j
            size += 1
            spare -= 1
    return size


@kernel
def mix(x: Any) -> Any:
    """Hash a number, so that neighbours have nothing in common."""
    x = np.uint64(x) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return x ^ (x >> np.uint64(32))


@kernel
def hash_feature(feature: Any) -> Any:
    """Hash a feature's number, for the crosses of any class."""
    return (np.uint32(feature) * np.uint32(0x9E3779B1)) >> np.uint32(7)


@kernel
def cross(starts: Array, c: int, feature: int) -> int:
    """Give the place of the weight of a feature and a class."""
    size = starts[c + 1] - starts[c]
    return starts[c] + (np.int64(hash_feature(feature)) & (size - 1))


@kernel
def longest(indptr: Array, first: int, last: int) -> int:
    """Give the length of the longest of some rows."""
    length = 0
    for i in range(first, last):
        length = max(length, int(indptr[i + 1] - indptr[i]))
    return length


@kernel
def add_cross_logits(
    indices: Array, values: Array, begin: int, end: int, starts: Array, crosses: Weights,
    classes: Array, n: int, hashes: Array, logits: Array,
) -> None:  # fmt: skip
    """Add a row's values times the weights of its features' crosses to logits of ``n`` classes.

    ``hashes`` is room for those of the features.
    """
    for j in range(begin, end):
        hashes[j - begin] = hash_feature(indices[j])
    for k in range(n):
        c = np.int64(classes[k])
        mask = np.uint32(starts[c + 1] - starts[c] - 1)
        logits[k] += dot_hashed(crosses, starts[c], mask, hashes, values, begin, end - begin)


@kernel
def hold_down(logits: Array, n: int, places: Array, n_places: int) -> None:
    """Hold those of ``n`` logits that are not at ``places`` down to the lowest of those that are.

    The places rise.
    """
    lowest = np.float32(np.inf)
    for j in range(n_places):
        lowest = min(lowest, logits[places[j]])
    begin = 0
    for j in range(n_places + 1):
        end = places[j] if j < n_places else n
        for c in range(begin, end):
            logits[c] = min(logits[c], lowest)
        begin = end + 1


@kernel
def add_crosses(
    logits: Array, indptr: Array, indices: Array, values: Array, starts: Array, crosses: Weights,
    n_ranked: int,
) -> None:  # fmt: skip
    """Add the crosses to the ``n_ranked`` largest logits of each row.

    The other logits are held down to the lowest of these.
    """
    histogram = np.empty(LEVELS + 1, dtype=np.int32)
    places = np.empty(min(n_ranked, logits.shape[1]), dtype=np.int32)
    chosen = np.empty(places.shape[0], dtype=np.float32)
    hashes = np.empty(longest(indptr, 0, logits.shape[0]), dtype=np.uint32)
    for i in range(logits.shape[0]):
        row = logits[i]
        n = pick_largest(row, row.shape[0], places.shape[0], histogram, places)
        for j in range(n):
            chosen[j] = row[places[j]]
        add_cross_logits(
            indices, values, indptr[i], indptr[i + 1], starts, crosses, places, n, hashes, chosen
        )
        for j in range(n):
            row[places[j]] = chosen[j]
        hold_down(row, row.shape[0], places, n)


@kernel
def rank_classes(
    hidden: Array, first: int, last: int, candidates: Array, sizes: Array, output: Weights,
    bias: Array, indptr: Array, indices: Array, values: Array, starts: Array, crosses: Weights,
    n_ranked: int, classes: Array, best: Array,
) -> None:  # fmt: skip
    """Write the largest logits of rows ``first:last`` among candidates, in falling order.

    ``candidates[i, :sizes[i]]`` are different classes. ``classes`` and ``best``, of shape
    (n_rows, k), receive -1 and minus infinity behind the last candidate.
    """
    k = classes.shape[1]
    histogram = np.empty(LEVELS + 1, dtype=np.int32)
    logits = np.empty(candidates.shape[1], dtype=np.float32)
    places = np.empty(max(n_ranked, k), dtype=np.int32)
    n_hashes = longest(indptr, first, last) if n_rows(crosses) else 0
    hashes = np.empty(n_hashes, dtype=np.uint32)
    chosen = np.empty(n_ranked, dtype=np.float32)
    picked = np.empty(n_ranked, dtype=np.int32)
    for i in range(first, last):
        score(hidden[i], candidates[i], sizes[i], output, bias, logits)
        n = pick_largest(logits, sizes[i], n_ranked, histogram, places)
        if n_rows(crosses):
            for j in range(n):
                picked[j] = candidates[i, places[j]]
                chosen[j] = logits[places[j]]
            add_cross_logits(
                indices, values, indptr[i], indptr[i + 1], starts, crosses, picked, n, hashes,
                chosen,
            )  # fmt: skip
            for j in range(n):
                logits[places[j]] = chosen[j]
        if k > n_ranked:
            if n_rows(crosses):
                hold_down(logits, sizes[i], places, n)
            n = pick_largest(logits, sizes[i], k, histogram, places)
        found = 0
        for j in range(n):
            place = places[j]
            found = insert(logits[place], candidates[i, place], found, classes[i], best[i])
        for j in range(found, k):
            best[i, j] = -np.inf
            classes[i, j] = -1


@kernel
def activate_classes(
    candidates: Array, n_candidates: int, logits: Array, truth: Array, n_hard: int, n_random: int,
    key: Any, x: Array, output: Weights, bias: Array, is_active: Array, histogram: Array,
    places: Array, classes: Array, chosen: Array,
) -> tuple[int, int]:  # fmt: skip
    """Choose a row's active classes: the true ones, the hardest others, and some at random.

    ``logits`` are those of the candidates; ``classes`` and ``chosen`` receive the active classes
    and their logits. ``is_active`` has zeros, on entry and on exit. Return how many are active, and
    how many of these were not drawn at random.
    """
    n_classes = bias.shape[0]
    n = truth.shape[0]
    for j in range(n):
        classes[j] = truth[j]
        is_active[truth[j]] = 1
    score(x, classes, n, output, bias, chosen)
    picked = pick_largest(logits, n_candidates, n_hard, histogram, places)
    for j in range(picked):
        c = candidates[places[j]]
        if is_active[c] == 0:
            is_active[c] = 1
            classes[n] = c
            chosen[n] = logits[places[j]]
            n += 1
    n_hard = n
    for j in range(n_random):
        c = np.int64(mix(key + np.uint64(j)) % np.uint64(n_classes))
        if is_active[c] == 0:
            is_active[c] = 1
            classes[n] = c
            chosen[n] = dot_row(output, c, x) + bias[c]
            n += 1
    for j in range(n):
        is_active[classes[j]] = 0
    return n, n_hard


@kernel
def sampled_softmax(
    logits: Array, n: int, n_hard: int, n_classes: int, weight: float, smoothing: float
) -> Any:
    """Turn ``n`` active logits, the true one first, into the gradient of the cross-entropy.

    Those from ``n_hard`` on were drawn at random and stand for all that are not active: each one's
    probability counts as often as there are classes for one drawn. Return the loss.
    """
    row = logits[:n]
    if n > n_hard:
        more = np.float32(math.log((n_classes - n_hard) / (n - n_hard)))
        for j in range(n_hard, n):
            row[j] += more
    target = row[0]
    peak = largest(row)
    total = np.float32(0)
    for j in range(n):
        e = exp(row[j] - peak)
        row[j] = e
        total += e
    scale = weight / total
    shift = weight * smoothing / np.float32(n)
    for j in range(n):
        row[j] = row[j] * scale - shift
    row[0] -= weight * (np.float32(1) - smoothing)
    return weight * (np.log(total) + peak - target)


@kernel
def sampled_one_vs_all(
    logits: Array, n: int, classes: Array, n_true: int, weight: float, positive_weights: Array,
    smoothing: float,
) -> Any:  # fmt: skip
    """Turn ``n`` active logits, the true ones first, into gradients of their binary losses.

    Return the sum of the losses.
    """
    floor = smoothing / np.float32(2)
    loss = np.float32(0)
    for j in range(n):
        x = logits[j]
        p, whole = logistic(x)
        if j < n_true:
            emphasis = weight * positive_weights[classes[j]]
            loss += emphasis * (max(-x, np.float32(0)) + np.log(whole))
            gain = emphasis * (np.float32(1) - floor) * (np.float32(1) - p)
            logits[j] = weight * floor * p - gain
        else:
            loss += weight * (max(x, np.float32(0)) + np.log(whole))
            logits[j] = weight * (p - floor)
    return loss


@kernel
def active_gradient(
    hidden: Array, first: int, last: int, candidates: Array, n_candidates: Array,
    candidate_logits: Array, scores_given: bool, truth_indptr: Array, truth: Array, weights: Array,
    positive_weights: Array, is_exclusive: bool, smoothing: float, n_hard: int, n_random: int,
    key: Any, output: Weights, bias: Array, indptr: Array, indices: Array, values: Array,
    starts: Array, crosses: Weights, is_active: Array, losses: Array, classes: Array, slopes: Array,
    sizes: Array, hidden_gradient: Array,
) -> None:  # fmt: skip
    """Choose the active classes of samples ``first:last``, and give losses and gradients.

    Row ``i - first`` of ``candidates`` and ``candidate_logits`` is for sample ``i``; with
    ``scores_given``, the one row of ``candidates`` is for all samples. ``classes[i, :sizes[i]]``
    and ``slopes`` receive the active classes and the slopes of their logits.
    """
    histogram = np.empty(LEVELS + 1, dtype=np.int32)
    places = np.empty(n_hard + 1, dtype=np.int32)
    n_hashes = longest(indptr, first, last) if n_rows(crosses) else 0
    hashes = np.empty(n_hashes, dtype=np.uint32)
    for i in range(first, last):
        x = hidden[i]
        logits = candidate_logits[i - first]
        row = candidates[0] if scores_given else candidates[i - first]
        if not scores_given:
            score(x, row, n_candidates[i - first], output, bias, logits)
        n_true = truth_indptr[i + 1] - truth_indptr[i]
        active, slope = classes[i], slopes[i]
        n, n_chosen = activate_classes(
            row, n_candidates[i - first], logits, truth[truth_indptr[i] : truth_indptr[i + 1]],
            n_hard, n_random, mix(key) + np.uint64(i) * np.uint64(0xD1B54A32D192ED03), x, output,
            bias, is_active, histogram, places, active, slope,
        )  # fmt: skip
        if n_rows(crosses):
            add_cross_logits(
                indices, values, indptr[i], indptr[i + 1], starts, crosses, active, n, hashes, slope
            )
        if is_exclusive:
            losses[i] = sampled_softmax(slope, n, n_chosen, bias.shape[0], weights[i], smoothing)
        else:
            losses[i] = sampled_one_vs_all(
                slope, n, active, n_true, weights[i], positive_weights, smoothing
            )
        sizes[i] = n
        total = hidden_gradient[i]
        for d in range(total.shape[0]):
            total[d] = 0
        for j in range(n):
            add_row(total, output, np.int64(active[j]), slope[j])


@kernel
def step_crosses(
    classes: Array, group_indptr: Array, samples: Array, slopes: Array, indptr: Array,
    indices: Array, values: Array, rate: float, starts: Array, crosses: Array,
) -> None:  # fmt: skip
    """Move the crosses of each class against the slopes of the samples it was active in."""
    for g in range(classes.shape[0]):
        c = np.int64(classes[g])
        for s in range(group_indptr[g], group_indptr[g + 1]):
            step = rate * slopes[s]
            i = samples[s]
            for j in range(indptr[i], indptr[i + 1]):
                crosses[cross(starts, c, indices[j])] -= step * values[j]


@kernel
def add_averages(
    hidden: Array, rows: Array, truth_indptr: Array, truth: Array, sums: Array
) -> None:
    """Add the hidden activations of rows to the sums of their classes."""
    for i in range(hidden.shape[0]):
        for j in range(truth_indptr[rows[i]], truth_indptr[rows[i] + 1]):
            total = sums[truth[j]]
            for d in range(total.shape[0]):
                total[d] += hidden[i, d]
