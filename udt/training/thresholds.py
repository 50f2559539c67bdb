"""From which probability on a label is given to a row: chosen on rows that did not train."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from udt.labels import LabelSets
from udt.network import kernels
from udt.network.model import CSR, SparseNetwork, sigmoid
from udt.threads import Pool

Array = NDArray[Any]
_N_BINS = 1000


def tune_threshold(
    network: SparseNetwork, rows: CSR, targets: LabelSets, weights: Array, pool: Pool
) -> float:
    """Give the threshold, the same for all labels, at which micro-averaged F1 is best on ``rows``.

    Were the probabilities right, one threshold would be the best for each label [1]_; thresholds
    of their own fit a rare label to its few validation rows [2]_. Nothing of size rows x labels is
    kept: blocks of rows are counted into a thousand bins.

    Parameters
    ----------
    network : SparseNetwork
    rows : tuple (indptr, indices, values)
    targets : LabelSets
    weights : ndarray of shape (n,), float32
    pool : Pool

    Returns
    -------
    float
        A multiple of 0.001 between 0 and 1. Of several that do equally well, the one nearest to
        0.5; so 0.5 if no row has a label.

    References
    ----------
    .. [1] Z. C. Lipton, C. Elkan, B. Naryanaswamy, "Optimal thresholding of classifiers to
       maximize F1 measure", ECML PKDD 2014.
    .. [2] R.-E. Fan, C.-J. Lin, "A study on threshold selection for multi-label classification",
       National Taiwan University, 2007.
    """

    def count(logits: Array, first: int, last: int) -> Array:
        counts = np.zeros((2, _N_BINS))
        indptr = targets.indptr[first : last + 1]
        kernels.tally(sigmoid(logits), indptr, targets.indices, weights[first:last], counts)
        return counts

    return best_threshold(np.sum(network.map_blocks(rows, count, pool), axis=0))


def best_threshold(counts: Array) -> float:
    """Give the threshold of the best F1 from counts of all labels, and of true ones, by bin.

    Parameters
    ----------
    counts : ndarray of shape (2, n_bins)
        As `udt.network.kernels.tally` counts.
    """
    n_bins = counts.shape[1]
    given, hits = np.cumsum(counts[:, ::-1], axis=1)[:, ::-1]  # from each bin on
    f1 = 2 * hits / np.maximum(given + counts[1].sum(), 1e-300)
    thresholds = np.arange(n_bins) / n_bins
    f1[0] = -1  # a threshold of 0 would give every label to every row
    best = np.flatnonzero(f1 == f1.max())
    return float(thresholds[best[np.argmin(np.abs(thresholds[best] - 0.5))]])
