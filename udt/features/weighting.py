"""How much the presence of each feature tells of the classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from udt.compilation import kernel

Array = NDArray[Any]
#: Class numbers, one a row; or labels, any number a row, as the (indptr, indices) of a CSR matrix.
Targets = Array | tuple[Array, Array]


def class_lists(targets: Targets) -> tuple[Array, Array]:
    """Give the classes of each row as ``(indptr, classes)``, both int64, at least one class a row.

    Labels are shifted by one: rows without any are class 0.

    Examples
    --------
    >>> class_lists(np.array([2, 0]))
    (array([0, 1, 2]), array([2, 0]))
    >>> class_lists((np.array([0, 2, 2, 3]), np.array([0, 1, 1])))
    (array([0, 2, 3, 4]), array([1, 2, 0, 2]))
    """
    if not isinstance(targets, tuple):
        return np.arange(len(targets) + 1), np.asarray(targets, dtype=np.int64)
    indptr, labels = targets
    counts = np.diff(indptr).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(np.maximum(counts, 1))])
    classes = np.zeros(starts[-1], dtype=np.int64)
    at = np.arange(indptr[0], indptr[-1])
    classes[at + np.repeat(starts[:-1] - indptr[:-1], counts)] = labels[at] + np.int64(1)
    return starts, classes


def count_classes(indptr: Array, classes: Array, weights: Array | None) -> Array:
    """Give the (weighted) number of rows of each class, float64."""
    if weights is not None:
        weights = np.repeat(weights, np.diff(indptr))
    return np.bincount(classes, weights).astype(np.float64)


@kernel
def rows_of_features(indptr: Array, indices: Array, n_features: int) -> tuple[Array, Array]:
    """Give the rows that hold feature ``i`` as ``rows[ends[i] : ends[i + 1]]``."""
    ends = np.zeros(n_features + 1, dtype=np.int64)
    for j in range(indices.shape[0]):
        ends[indices[j] + 1] += 1
    for i in range(n_features):
        ends[i + 1] += ends[i]
    at = ends[:-1].copy()
    rows = np.empty(indices.shape[0], dtype=np.int32)
    for row in range(indptr.shape[0] - 1):
        for j in range(indptr[row], indptr[row + 1]):
            rows[at[indices[j]]] = row
            at[indices[j]] += 1
    return ends, rows


@kernel
def information(
    indptr: Array, indices: Array, n_features: int, class_indptr: Array, classes: Array,
    weights: Array, prior: Array, smoothing: float,
) -> Array:  # fmt: skip
    """Give the square root of how much each feature's presence tells of the class, in nats.

    That is the Kullback-Leibler divergence between the classes of the rows that hold the feature,
    smoothed by ``smoothing`` rows of the ``prior`` distribution, and ``prior``. Row ``r`` counts
    ``weights[r]`` times in each class of ``classes[class_indptr[r] : class_indptr[r + 1]]``.
    """
    ends, rows = rows_of_features(indptr, indices, n_features)
    roots = np.zeros(n_features, dtype=np.float32)
    tally = np.zeros(prior.shape[0], dtype=np.float64)
    for i in range(n_features):
        n = 0.0
        for j in range(ends[i], ends[i + 1]):
            row = rows[j]
            for k in range(class_indptr[row], class_indptr[row + 1]):
                tally[classes[k]] += weights[row]
                n += weights[row]
        n += smoothing
        divergence = 0.0
        rest = 1.0  # prior of the classes that never meet the feature
        for j in range(ends[i], ends[i + 1]):
            for k in range(class_indptr[rows[j]], class_indptr[rows[j] + 1]):
                c = classes[k]
                if tally[c] > 0:
                    p = (tally[c] + smoothing * prior[c]) / n
                    divergence += p * np.log(p / prior[c])
                    rest -= prior[c]
                    tally[c] = 0
        divergence += rest * smoothing / n * np.log(smoothing / n)
        roots[i] = np.sqrt(max(divergence, 0.0))
    return roots
