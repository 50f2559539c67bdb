"""The slow obvious twins of `udt.network.active`, in double precision."""

import numpy as np

from udt.network.active import DEPTH, LEVELS

_WORD = (1 << 64) - 1


def level(logits):
    """Give each logit's level below the largest, -1 where it is too low or there is none.

    >>> level([0.0, -0.01, -12.0, -24.5]).tolist()
    [1024, 1023, 512, -1]
    >>> level([1.0, np.inf]).tolist(), level([np.nan, 3.0]).tolist(), level([]).tolist()
    ([-1, -1], [-1, -1], [])
    """
    logits = np.asarray(logits, dtype=np.float32)
    if not len(logits) or not np.isfinite(logits.max()):  # the maximum of a NaN is NaN
        return np.full(len(logits), -1)
    with np.errstate(over="ignore"):
        steps = np.float32(LEVELS) - (logits.max() - logits) * np.float32(LEVELS / DEPTH)
    return np.where(steps >= 0, steps, -1).astype(int)


def pick_largest(logits, wanted):
    """List the places of the largest logits, of equal levels the first, in order of place.

    >>> pick_largest([1.0, 5.0, 5.0, -90.0, 3.0], 3)
    [1, 2, 4]
    >>> pick_largest([1.0, 5.0, 5.0, -90.0, 3.0], 9)
    [0, 1, 2, 4]
    >>> pick_largest([5.0, 5.0, 5.0], 2)
    [0, 1]
    """
    levels = level(logits)
    order = np.argsort(-levels, kind="stable")
    return sorted(int(place) for place in order[:wanted] if levels[place] >= 0)


def mix(x):
    """Hash a number."""
    x = x * 0x9E3779B97F4A7C15 & _WORD
    x = (x ^ x >> 32) * 0xD6E8FEB86659FD93 & _WORD
    return x ^ x >> 32


def cross(starts, c, feature):
    """Give the place of the weight of a feature and a class."""
    size = int(starts[c + 1] - starts[c])
    return int(starts[c]) + (feature * 0x9E3779B1 % 2**32 >> 7) % size


def cross_logit(row, starts, c, crosses):
    """Sum a row's values times its features' crosses with a class; ``row`` is (indices, values)."""
    return sum(
        float(value) * float(crosses[cross(starts, c, int(feature))])
        for feature, value in zip(*row, strict=True)
    )


def row_of(csr, i):
    """Give the indices and values of a CSR row."""
    indptr, indices, values = csr
    return indices[indptr[i] : indptr[i + 1]], values[indptr[i] : indptr[i + 1]]


def add_crosses(logits, csr, starts, crosses, n_ranked):
    """Add crosses to each row's largest logits, and hold the others down to the lowest of these."""
    out = logits.astype(float)
    for i, row in enumerate(logits):
        places = pick_largest(row, n_ranked)
        for c in places:
            out[i, c] += cross_logit(row_of(csr, i), starts, c, crosses)
        others = [c for c in range(len(row)) if c not in places]
        if places:
            out[i, others] = np.minimum(out[i, others], out[i, places].min())
    return out


def rank_classes(hidden, candidates, output, bias, csr, starts, crosses, n_ranked, k):
    """Give the classes with the largest logits of each row among its candidates, and these."""
    found = []
    for i, ids in enumerate(candidates):
        row = add_crosses(
            (output[ids].astype(float) @ hidden[i] + bias[ids]).astype(np.float32)[np.newaxis],
            tuple(part for part in csr_row(csr, i)),
            np.append(0, np.cumsum(np.diff(starts)[ids])),
            np.concatenate([crosses[starts[c] : starts[c + 1]] for c in ids]),
            n_ranked,
        )[0]
        order = np.argsort(-row, kind="stable")[:k]
        found.append((np.asarray(ids)[order], row[order]))
    return found


def csr_row(csr, i):
    """Give a row as CSR of its own."""
    indices, values = row_of(csr, i)
    return np.array([0, len(indices)]), indices, values


def activate_classes(candidates, logits, truth, n_hard, n_random, key, n_classes):
    """List a row's active classes, and how many were not drawn at random."""
    active = list(truth)
    active += [candidates[place] for place in pick_largest(logits, n_hard)]
    active = list(dict.fromkeys(active))
    n_chosen = len(active)
    active += [mix((key + j) & _WORD) % n_classes for j in range(n_random)]
    active = list(dict.fromkeys(active))
    return active, n_chosen


def sampled_softmax(logits, n_chosen, n_classes, weight, smoothing):
    """Give the loss and the gradient of active logits, the true one first.

    Those drawn at random, from ``n_chosen`` on, stand for all that are not active.
    """
    x = np.asarray(logits, dtype=float).copy()
    if len(x) > n_chosen:
        x[n_chosen:] += np.log((n_classes - n_chosen) / (len(x) - n_chosen))
    p = np.exp(x - x.max())
    total = p.sum()
    truth = np.full(len(x), smoothing / len(x))
    truth[0] += 1 - smoothing
    return weight * (np.log(total) + x.max() - x[0]), weight * (p / total - truth)
