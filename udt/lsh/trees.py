"""A hash function that is learnt: which leaf of a tree of k-means has the nearest centre."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from udt.compilation import kernel
from udt.threads import Pool, blocks, single_threaded_blas

Array = NDArray[Any]
ROWS_PER_BLOCK = 1024
ROWS_PER_TASK = 8 * ROWS_PER_BLOCK
#: Neurons that are enough to place one branch.
BRANCH_SAMPLE = 32
#: Steps of k-means; more do not find more.
STEPS = 2
#: Leaves are ordered by as many levels of their score.
LEVELS = 1024


@kernel
def add_rows(X: Array, labels: Array, sums: Array, counts: Array) -> None:
    """Add each row to the sum of its label."""
    for i in range(X.shape[0]):
        total = sums[labels[i]]
        counts[labels[i]] += 1
        for d in range(X.shape[1]):
            total[d] += X[i, d]


def nearest(X: Array, centres: Array) -> Array:
    """Find the row of ``centres`` that is nearest to each row of ``X``: numbers (n,), int32."""
    out = np.empty(len(X), dtype=np.int32)
    halves = (centres * centres).sum(axis=1) / np.float32(2)
    for first, last in blocks(len(X), ROWS_PER_BLOCK):
        scores = X[first:last] @ centres.T
        scores -= halves
        out[first:last] = scores.argmax(axis=1)
    return out


def k_means(X: Array, k: int, sample: int, random: np.random.Generator) -> Array:
    """Place ``k`` centres (k, d) by a few steps on ``sample`` rows each, from rows drawn."""
    if len(X) > sample * k:
        X = X[np.sort(random.choice(len(X), sample * k, replace=False))]
    centres = X[np.sort(random.choice(len(X), min(k, len(X)), replace=False))]
    for _ in range(STEPS):
        sums = np.zeros_like(centres)
        counts = np.zeros(len(centres), dtype=np.int64)
        add_rows(X, nearest(X, centres), sums, counts)
        filled = counts > 0
        centres = centres.copy()
        centres[filled] = sums[filled] / counts[filled, np.newaxis].astype(np.float32)
    return centres


@kernel
def multiply(x: Array, columns: Array, first: int, last: int, scores: Array) -> None:
    """Write ``x`` times a (d, n) matrix that lies row by row in ``columns`` from ``first * d`` on.

    ``n = last - first``; ``scores`` takes the first n.
    """
    n = last - first
    at = first * x.shape[0]
    scores = scores[:n]
    scores[:] = 0
    for d in range(x.shape[0]):
        row = columns[at + d * n : at + d * n + n]
        value = x[d]
        for j in range(n):
            scores[j] += value * row[j]


@kernel
def depth(score: Any, high: Any, scale: Any) -> int:
    """Tell how many levels a score is below the highest; the last level is for NaN too."""
    steps = (high - score) * scale
    return int(steps) if steps >= 0 and steps < np.float32(LEVELS - 1) else LEVELS - 1


@kernel
def best_first(scores: Array, n: int, histogram: Array, out: Array) -> int:
    """Write the numbers of the largest scores, ordered by their level; return how many."""
    low, high = scores[0], scores[0]
    for j in range(n):
        low, high = min(low, scores[j]), max(high, scores[j])
    scale = np.float32(LEVELS - 1) / (high - low) if high > low else np.float32(0)
    histogram[:] = 0
    for j in range(n):
        histogram[depth(scores[j], high, scale)] += 1
    total = 0
    for level in range(histogram.shape[0]):
        here = histogram[level]
        histogram[level] = total
        total += here
    for j in range(n):
        level = depth(scores[j], high, scale)
        if histogram[level] < out.shape[0]:
            out[histogram[level]] = j
            histogram[level] += 1
    return min(n, out.shape[0])


@kernel
def probe(
    X: Array, branches: Array, leaves: Array, first_leaf: Array, empty: int, beam: int, out: Array
) -> None:
    """Write the leaves with the largest inner products, best first, below the best branches."""
    n_branches = first_leaf.shape[0] - 1
    histogram = np.empty(LEVELS, dtype=np.int32)
    chosen = np.empty(min(beam, n_branches), dtype=np.int32)
    places = np.empty(out.shape[1], dtype=np.int32)
    n_scores = max(n_branches, first_leaf[n_branches])
    scores = np.empty(n_scores, dtype=np.float32)
    numbers = np.empty(n_scores, dtype=np.int32)
    for i in range(X.shape[0]):
        multiply(X[i], branches, 0, n_branches, scores)
        n_chosen = best_first(scores, n_branches, histogram, chosen)
        n = 0
        for j in range(n_chosen):
            first, last = first_leaf[chosen[j]], first_leaf[chosen[j] + 1]
            multiply(X[i], leaves, first, last, scores[n:])
            for leaf in range(first, last):
                numbers[n] = leaf
                n += 1
        found = best_first(scores, n, histogram, places)
        for j in range(found):
            out[i, j] = numbers[places[j]]
        for j in range(found, out.shape[1]):
            out[i, j] = empty


@dataclass(eq=False)
class CentreTree:
    """One table whose buckets are the leaves of a two-level tree of k-means over the neurons.

    A neuron's bucket is the leaf whose centre is nearest, below the branch whose centre is
    nearest; a vector looks in the leaves with the largest inner products, best first, below the
    best branches. Neurons of large norm have leaves of their own, whose centres are as large, so
    that they are found where random hash functions, which see angles, miss them. In measurements
    [1]_, and ours, it finds with one table and a few hundred neurons what random functions
    do not find with fifty tables and thousands.

    Parameters
    ----------
    n_features : int
        Length of the vectors.
    n_neurons : int
        How many neurons there are.
    n_probes : int
        Leaves that a vector looks in.
    leaf_size : int, default=16
        Neurons a leaf, in the mean.
    beam : int, default=16
        Branches that a vector looks below.
    key : int, default=0
        Draws the neurons that k-means starts from.

    References
    ----------
    .. [1] L. Paulevé, H. Jégou, L. Amsaleg, "Locality sensitive hashing: a comparison of hash
       function types and querying mechanisms", Pattern Recognition Letters 31, 2010.

    Examples
    --------
    >>> import numpy as np
    >>> from udt.threads import Pool
    >>> neurons = np.random.default_rng(0).normal(size=(500, 8)).astype(np.float32)
    >>> tree = CentreTree(n_features=8, n_neurons=500, n_probes=3)
    >>> codes = np.empty((1, 500), dtype=np.uint32)
    >>> with Pool(1) as pool:
    ...     tree.encode(neurons, codes, pool)
    >>> tree.hash(neurons[:2]).shape
    (2, 3)
    """

    n_features: int
    n_neurons: int
    n_probes: int
    leaf_size: int = 16
    beam: int = 16
    key: int = 0
    L: int = field(default=1, init=False, repr=False)
    branches: Array | None = field(default=None, init=False, repr=False)
    leaves: Array | None = field(default=None, init=False, repr=False)
    first_leaf: Array | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("n_features", "n_neurons", "n_probes", "leaf_size", "beam"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: give at least 1.")
        if self.key < 0:
            raise ValueError(f"key={self.key}: give a number from 0 on.")

    @property
    def n_branches(self) -> int:
        """As many branches as leaves below each, which takes the least work."""
        return max(1, round(math.sqrt(self.n_neurons / self.leaf_size)))

    @property
    def n_buckets(self) -> int:
        """What all numbers are below: a branch rounds its leaves up, and the last is empty."""
        return self.n_neurons // self.leaf_size + self.n_branches + 1

    def encode(self, neurons: Array, out: Array, pool: Pool) -> None:
        """Learn the tree from all neurons (n_neurons, n_features); write their leaves (1, n)."""
        if neurons.shape != (self.n_neurons, self.n_features):
            raise ValueError(
                f"Neurons of shape {neurons.shape}: give n_neurons={self.n_neurons} of "
                f"n_features={self.n_features} values."
            )
        random = np.random.default_rng([self.key, 3])
        with single_threaded_blas():
            centres = k_means(neurons, self.n_branches, BRANCH_SAMPLE, random)
            nearest_branch = np.concatenate(
                pool.map(
                    lambda block: nearest(neurons[slice(*block)], centres),
                    blocks(len(neurons), ROWS_PER_TASK),
                )
            )
            members = np.argsort(nearest_branch, kind="stable")
            sizes = np.bincount(nearest_branch, minlength=len(centres))
            ends = np.cumsum(sizes)
            first_leaf = np.zeros(len(centres) + 1, dtype=np.int32)
            np.cumsum(-(-sizes // self.leaf_size), out=first_leaf[1:])
            leaves = np.empty(first_leaf[-1] * self.n_features, dtype=np.float32)

            def divide(branch: int) -> None:
                first, last = int(first_leaf[branch]), int(first_leaf[branch + 1])
                ids = members[ends[branch] - sizes[branch] : ends[branch]]
                inside = neurons[ids]
                random = np.random.default_rng([self.key, 4, branch])
                below = k_means(inside, last - first, self.leaf_size, random)
                out[0, ids] = first + nearest(inside, below)
                # Coordinate by coordinate: `multiply` runs along leaves.
                leaves[first * self.n_features : last * self.n_features] = below.T.ravel()

            pool.map(divide, np.flatnonzero(sizes).tolist())
        self.branches = centres.T.ravel()
        self.leaves = leaves
        self.first_leaf = first_leaf

    def hash(self, X: Array) -> Array:
        """Hash vectors (n, n_features) to the leaves to look in, best first, (n, n_probes)."""
        if self.first_leaf is None:
            raise ValueError("The tree has seen no neurons yet: rebuild the tables first.")
        if X.ndim != 2 or X.shape[1] != self.n_features:
            raise ValueError(
                f"X of shape {X.shape}: give vectors of n_features={self.n_features} values."
            )
        out = np.empty((len(X), self.n_probes), dtype=np.uint32)
        X = np.ascontiguousarray(X, dtype=np.float32)
        empty = self.n_buckets - 1
        probe(X, self.branches, self.leaves, self.first_leaf, empty, self.beam, out)
        return out

    def redraw(self, key: int) -> Self:
        """Give a tree of the same sizes that is to be learnt anew."""
        return replace(self, key=key)
