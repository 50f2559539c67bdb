"""The compiled inner loops of the network, over CSR rows and arrays of float32.

Training alternates two phases over a batch. Forward and gradient run per block of samples and write
only to that block's rows of per-sample buffers; updates run per owner of weight rows, each row's
updates in sample order. So the result does not depend on which thread does what.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from udt.compilation import kernel
from udt.intrinsics import bits_of, float_of, prefetch, widen
from udt.network.weights import Quantized, Weights, add_part, add_row, n_rows, offer, prefetch_row

Array = NDArray[Any]
#: How many entries ahead rows of weights are asked for: they are scattered over a large table.
AHEAD = 12


@kernel
def exp(x: Any) -> Any:
    """Compute e**x for x <= 0 within 3e-6 relative, in a form that LLVM vectorises."""
    t = max(x, np.float32(-87)) * np.float32(1.4426950408889634)
    n = np.floor(t)
    f = t - n
    p = np.float32(0.0018775767)
    p = p * f + np.float32(0.0089893397)
    p = p * f + np.float32(0.055826318)
    p = p * f + np.float32(0.24015361)
    p = p * f + np.float32(0.69315308)
    p = p * f + np.float32(0.99999994)
    return p * float_of((np.int32(n) + np.int32(127)) << np.int32(23))


@kernel
def largest(row: Array) -> float:
    """Find the maximum by comparing bits as integers, which vectorises where floats do not."""
    key = np.int32(-0x7FFFFFFF)
    for c in range(row.shape[0]):
        bits = bits_of(row[c])
        key = max(key, bits ^ ((bits >> np.int32(31)) & np.int32(0x7FFFFFFF)))
    return float_of(key ^ ((key >> np.int32(31)) & np.int32(0x7FFFFFFF)))


@kernel
def is_dropped(key: int, row: int, position: int, limit: int) -> Any:
    """Draw from (key, row, position), so that forward and update agree without storing a mask."""
    h = np.uint64(key) + np.uint64(row) * np.uint64(0x9E3779B97F4A7C15)
    h += np.uint64(position) * np.uint64(0xD1B54A32D192ED03)
    h = (h ^ (h >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    h = (h ^ (h >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return (h >> np.uint64(32)) < np.uint64(limit)


@kernel
def copy_rows(
    indptr: Array, indices: Array, values: Array, rows: Array, first: int, last: int,
    dropout: float, key: int, batch_indptr: Array, batch_indices: Array, batch_values: Array,
) -> None:  # fmt: skip
    """Copy samples ``rows[first:last]`` into a batch's own CSR, with dropout on their entries.

    A dropped entry gets the value 0, the others grow to make up for it.
    """
    limit = np.uint64(dropout * 2.0**32)
    scale = np.float32(1 / (1 - dropout))
    for i in range(first, last):
        row = rows[i]
        to = batch_indptr[i]
        for j in range(indptr[row + 1] - indptr[row]):
            batch_indices[to + j] = indices[indptr[row] + j]
            value = values[indptr[row] + j] * scale
            if limit > 0 and is_dropped(key, row, j, limit):
                value = np.float32(0)
            batch_values[to + j] = value


@kernel
def gather_arrays(
    indptr: Array, indices: Array, values: Array, first: int, last: int, weights: Array, out: Array
) -> None:
    """Do what `gather` does, of weights in an array."""
    n = n_rows(weights)
    end = indptr[last]
    for i in range(first, last):
        total = out[i]
        for d in range(total.shape[0]):
            total[d] = 0
        for j in range(indptr[i], indptr[i + 1]):
            if j + AHEAD < end and indices[j + AHEAD] < n:
                prefetch_row(weights, indices[j + AHEAD])
            index = indices[j]
            value = values[j]
            if index < n and value != 0:
                add_row(total, weights, index, value)


@kernel
def gather_quantized(
    indptr: Array, indices: Array, values: Array, first: int, last: int, weights: Quantized,
    out: Array,
) -> None:  # fmt: skip
    """Do what `gather` does, of integers with scales."""
    # Taken out of the tuple here: numba would count references to them at each row of weights.
    codes, scales, bits, shift = weights.codes, weights.scales, weights.bits, weights.shift
    n, stride, n_parts, part = weights.n_rows, weights.stride, weights.n_parts, weights.part
    n_bytes = (stride * bits + 7) >> 3
    end = indptr[last]
    for i in range(first, last):
        total = out[i]
        for d in range(total.shape[0]):
            total[d] = 0
        for j in range(indptr[i], indptr[i + 1]):
            if j + AHEAD < end and indices[j + AHEAD] < n:
                begin = (indices[j + AHEAD] * stride * bits) >> 3
                for byte in range(0, n_bytes, 64):
                    prefetch(codes, begin + byte)
            row = np.int64(indices[j])
            value = values[j]
            if row < n and value != 0:
                if n_parts == 1:
                    add_part(total, codes, row * stride, bits, value * widen(scales[row >> shift]))
                else:
                    for k in range(n_parts):
                        begin = k * part
                        scale = value * widen(scales[row * n_parts + k])
                        there = total[begin : begin + part]
                        add_part(there, codes, row * stride + begin, bits, scale)


def gather(
    indptr: Array, indices: Array, values: Array, first: int, last: int, weights: Weights,
    out: Array,
) -> None:  # fmt: skip
    """Sum ``value * weights[index]`` over each of rows ``first:last`` into ``out[first:last]``.

    Indices past the last row of ``weights`` count as zero.
    """
    by_storage = gather_quantized if isinstance(weights, Quantized) else gather_arrays
    by_storage(indptr, indices, values, first, last, weights, out)


offer(gather, gather_arrays, Quantized, gather_quantized)


@kernel
def activate(hidden: Array, first: int, last: int, dropout: float, key: int) -> None:
    """Apply tanh to samples ``first:last``, and dropout to its results."""
    limit = np.uint64(dropout * 2.0**32)
    scale = np.float32(1 / (1 - dropout))
    for i in range(first, last):
        for d in range(hidden.shape[1]):
            x = hidden[i, d]
            e = exp(np.float32(-2) * abs(x))
            t = (np.float32(1) - e) / (np.float32(1) + e)
            hidden[i, d] = np.copysign(t, x) * scale
        if limit > 0:
            for d in range(hidden.shape[1]):
                if is_dropped(key, i, d, limit):
                    hidden[i, d] = 0


@kernel
def activate_backward(
    hidden: Array, first: int, last: int, dropout: float, gradient: Array
) -> None:
    """Multiply ``gradient`` by the slope of `activate` at its output ``hidden``."""
    keep = np.float32(1 - dropout)
    scale = np.float32(1 / (1 - dropout))
    for i in range(first, last):
        for d in range(hidden.shape[1]):
            t = hidden[i, d] * keep
            slope = (np.float32(1) - t * t) * scale
            # A unit that dropout set to zero passes nothing; tanh itself is zero only at zero.
            gradient[i, d] *= slope if t != 0 else np.float32(0)


@kernel
def exponentiate(row: Array) -> tuple[Any, Any]:
    """Turn logits into exponentials of their distance to the largest; give their sum, and it."""
    peak = largest(row)
    total = np.float32(0)
    for c in range(row.shape[0]):
        e = exp(row[c] - peak)
        row[c] = e
        total += e
    return total, peak


@kernel
def softmax_gradient(
    logits: Array, first: int, last: int, bias: Array, targets: Array, weights: Array,
    smoothing: float, losses: Array,
) -> None:  # fmt: skip
    """Give each loss, and turn logits less their bias into the gradient of the cross-entropy.

    ``smoothing`` is the share of each label that is spread over all classes.
    """
    n_classes = logits.shape[1]
    floor = np.float32(smoothing / n_classes)
    for i in range(first, last):
        row = logits[i]
        for c in range(n_classes):
            row[c] += bias[c]
        target = row[targets[i]]
        total, peak = exponentiate(row)
        losses[i] = weights[i] * (np.log(total) + peak - target)
        scale = weights[i] / total
        shift = weights[i] * floor
        for c in range(n_classes):
            row[c] = row[c] * scale - shift
        row[targets[i]] -= weights[i] * np.float32(1 - smoothing)


@kernel
def logistic(x: Any) -> tuple[Any, Any]:
    """Give 1 / (1 + e**-x), and 1 + e**-|x|, whose logarithm is log(1 + e**x) - max(x, 0)."""
    e = exp(-abs(x))
    whole = np.float32(1) + e
    return (np.float32(1) if x >= 0 else e) / whole, whole


@kernel
def one_vs_all_gradient(
    logits: Array, first: int, last: int, bias: Array, indptr: Array, indices: Array,
    weights: Array, positive_weights: Array, smoothing: float, losses: Array,
) -> None:  # fmt: skip
    """Give each loss, and turn logits less their bias into the gradient of all labels' losses.

    A row's loss is the sum of the binary cross-entropies of its labels. ``indices`` holds the true
    labels of row ``i`` from ``indptr[i]`` on, whose losses count ``positive_weights`` times.
    ``smoothing`` moves that share of each label to one half.
    """
    n_labels = logits.shape[1]
    floor = np.float32(smoothing / 2)
    run = 64  # factors of at most 2, whose product does not overflow: one logarithm for all
    for i in range(first, last):
        row = logits[i]
        for c in range(n_labels):
            row[c] += bias[c]
        loss = np.float32(0)
        for j in range(indptr[i], indptr[i + 1]):
            x = row[indices[j]]
            _, whole = logistic(x)
            more = positive_weights[indices[j]] - np.float32(1)
            loss += more * (max(-x, np.float32(0)) + np.log(whole)) - x
        for begin in range(0, n_labels, run):
            part = row[begin : min(begin + run, n_labels)]
            product = np.float32(1)
            for c in range(part.shape[0]):
                loss += max(part[c], np.float32(0))
                p, whole = logistic(part[c])
                product *= whole
                part[c] = p - floor
            loss += np.log(product)
        losses[i] = weights[i] * loss
        for j in range(indptr[i], indptr[i + 1]):
            p = row[indices[j]] + floor
            gain = positive_weights[indices[j]] * (np.float32(1) - floor) * (np.float32(1) - p)
            row[indices[j]] = floor * p - gain
        for c in range(n_labels):
            row[c] *= weights[i]


@kernel
def systematic_sample(
    masses: Array, total: float, start: float, n_points: int, classes: Array, counts: Array
) -> int:
    """Draw ``n_points`` at equal distances along the masses; return how many classes they hit.

    ``start``, uniform in [0, 1), places the first point. ``classes`` and ``counts`` receive the
    classes that were hit, in order, and how often. Runs of classes between points are skipped by
    their sums, which vectorise.
    """
    run = 32
    spacing = total / np.float32(n_points)
    point = start * spacing
    passed = np.float32(0)
    n = 0
    for begin in range(0, masses.shape[0], run):
        part = masses[begin : min(begin + run, masses.shape[0])]
        mass = np.float32(0)
        for c in range(part.shape[0]):
            mass += part[c]
        if passed + mass > point:
            reached = passed
            for c in range(part.shape[0]):
                reached += part[c]
                drawn = np.float32(0)
                while reached > point and drawn < n_points:
                    drawn += np.float32(1)
                    point += spacing
                if drawn > 0 and n < n_points:
                    classes[n] = begin + c
                    counts[n] = drawn
                    n += 1
        passed += mass
    return n


@kernel
def resampled_gradient(
    logits: Array, first: int, last: int, bias: Array, targets: Array, weights: Array,
    starts: Array, output: Array, losses: Array, classes: Array, slopes: Array, sizes: Array,
    hidden_gradient: Array,
) -> None:  # fmt: skip
    """Give each loss, and the cross-entropy's gradient over a systematic sample of the classes.

    ``starts`` holds a uniform random number a sample; ``classes[i, :sizes[i]]`` receives the active
    classes, the target first, and ``slopes`` their gradients. ``logits`` is used up.
    """
    n_points = classes.shape[1] - 1
    for i in range(first, last):
        row = logits[i]
        for c in range(row.shape[0]):
            row[c] += bias[c]
        target = row[targets[i]]
        total, peak = exponentiate(row)
        losses[i] = weights[i] * (np.log(total) + peak - target)
        n = systematic_sample(row, total, starts[i], n_points, classes[i, 1:], slopes[i, 1:])
        share = weights[i] / np.float32(n_points)
        classes[i, 0] = targets[i]
        slopes[i, 0] = -weights[i]
        size = 1
        for j in range(1, n + 1):
            if classes[i, j] == targets[i]:
                slopes[i, 0] += slopes[i, j] * share
            else:
                classes[i, size] = classes[i, j]
                slopes[i, size] = slopes[i, j] * share
                size += 1
        sizes[i] = size
        slope = hidden_gradient[i]
        for d in range(slope.shape[0]):
            slope[d] = 0
        for j in range(size):
            weight = output[classes[i, j]]
            for d in range(slope.shape[0]):
                slope[d] += slopes[i, j] * weight[d]


@kernel
def softmax(logits: Array) -> None:
    """Turn rows of logits into probabilities in place."""
    for i in range(logits.shape[0]):
        row = logits[i]
        total, _ = exponentiate(row)
        scale = np.float32(1) / total
        for c in range(row.shape[0]):
            row[c] *= scale


@kernel
def sigmoid(logits: Array) -> None:
    """Turn logits into a probability each, in place."""
    for i in range(logits.shape[0]):
        row = logits[i]
        for c in range(row.shape[0]):
            row[c], _ = logistic(row[c])


@kernel
def tally(
    probabilities: Array, indptr: Array, indices: Array, weights: Array, counts: Array
) -> None:
    """Add each row's weight to the bins of its probabilities, and of those of its true labels.

    ``counts[0, b]`` counts all labels with probabilities from ``b / n_bins`` on, up to the next
    bin's; ``counts[1, b]`` those of them that are true.
    """
    n_bins = counts.shape[1]
    for i in range(probabilities.shape[0]):
        row = probabilities[i]
        for c in range(row.shape[0]):
            counts[0, max(min(int(row[c] * n_bins), n_bins - 1), 0)] += weights[i]
        for j in range(indptr[i], indptr[i + 1]):
            counts[1, max(min(int(row[indices[j]] * n_bins), n_bins - 1), 0)] += weights[i]


@kernel
def insert(score: Any, label: Any, n: int, labels: Array, best: Array) -> int:
    """Put a score among the best ``n`` so far, in falling order; return how many there are now.

    Of equals the first comes first.
    """
    k = best.shape[0]
    if n == k and not score > best[k - 1]:
        return n
    at = n if n < k else k - 1
    while at > 0 and best[at - 1] < score:
        best[at] = best[at - 1]
        labels[at] = labels[at - 1]
        at -= 1
    best[at] = score
    labels[at] = label
    return min(n + 1, k)


@kernel
def top_k(scores: Array, first: int, last: int, labels: Array, best: Array) -> None:
    """Write each row's largest scores in falling order, ties by column, and their columns."""
    for i in range(first, last):
        n = 0
        for c in range(scores.shape[1]):
            n = insert(scores[i, c], c, n, labels[i], best[i])
