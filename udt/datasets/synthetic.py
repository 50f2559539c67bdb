"""Learnable data with very many labels, of any size and as skewed as the real sets are."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

__all__ = ["XMC_SHAPES", "XMCShape", "make_xmc_classification", "make_xmc_like"]

Array = NDArray[Any]

_N_OWN = 8  # features of a label that it shares with no other on purpose
_N_SHARED = 4  # and those that it picks of its group's
_N_TOPIC = 12  # features of a group
_N_TRIES = 16
_BLOCK_ROWS = 1 << 13


class XMCShape(NamedTuple):
    """The published size of a data set: rows, features, labels, and their means a row."""

    n_samples: int
    n_test_samples: int
    n_features: int
    n_labels: int
    features_per_sample: float
    labels_per_sample: float


#: From the Extreme Classification Repository (Bhatia et al., 2016) and SLIDE (Daghaghi et al.,
#: MLSys 2021, table 1).
XMC_SHAPES = {
    "amazon-670k": XMCShape(490_449, 153_025, 135_909, 670_091, 76.0, 5.45),
    "wikilshtc-325k": XMCShape(1_778_351, 587_084, 1_617_899, 325_056, 42.0, 3.19),
}


def make_xmc_like(shape: str, scale: float = 1.0, *, random_state: Any = None) -> Any:
    """Make synthetic data of the shape of a well-known set for extreme classification.

    Parameters
    ----------
    shape : {"amazon-670k", "wikilshtc-325k"}
        Amazon-670K: 490,449 rows to train on and 153,025 to test, 135,909 features, about 76 of
        them a row, 670,091 labels, about 5.45 a row. WikiLSHTC-325K: 1,778,351 and 587,084 rows,
        1,617,899 features, about 42 a row, 325,056 labels, about 3.19 a row.
    scale : float, default=1.0
        Rows and labels are multiplied by it, features by its square root, as vocabularies grow
        more slowly than texts do. The means of a row stay.
    random_state : int, RandomState or None, default=None

    Returns
    -------
    X, Y, X_test, Y_test : csr_matrix
        See `make_xmc_classification`.

    Examples
    --------
    >>> from udt.datasets import make_xmc_like
    >>> X, Y, X_test, Y_test = make_xmc_like("amazon-670k", 0.002, random_state=0)
    >>> X.shape, Y.shape, X_test.shape[0]
    ((981, 6078), (981, 1340), 306)
    """
    if shape not in XMC_SHAPES:
        raise ValueError(f"shape={shape!r}: give one of {', '.join(map(repr, XMC_SHAPES))}.")
    _check_real("scale", scale, 0, math.inf)
    if scale == 0 or math.isinf(scale):
        raise ValueError(f"scale={scale!r}: give a positive number.")
    full = XMC_SHAPES[shape]
    n_features = max(1, round(full.n_features * math.sqrt(scale)))
    n_labels = max(1, round(full.n_labels * scale))
    return make_xmc_classification(
        max(1, round(full.n_samples * scale)),
        n_features,
        n_labels,
        features_per_sample=min(full.features_per_sample, n_features),
        labels_per_sample=min(full.labels_per_sample, n_labels),
        n_test_samples=max(1, round(full.n_test_samples * scale)),
        random_state=random_state,
    )


def make_xmc_classification(
    n_samples: int = 10_000,
    n_features: int = 10_000,
    n_labels: int = 5_000,
    *,
    features_per_sample: float = 50.0,
    labels_per_sample: float = 5.0,
    n_test_samples: int = 0,
    group_size: int = 16,
    signal: float = 0.5,
    label_exponent: float = 0.5,
    random_state: Any = None,
) -> Any:
    """Make sparse rows with any number of labels each, from thousands to millions of labels.

    Each label has a prototype: some features of its own, and some that it picks of those of its
    group. The labels of a row come from one group mostly, as products that are bought together
    do, and labels that are too frequent for their group occur elsewhere. A row mixes features of
    its labels' prototypes with noise, whose features follow Zipf's law.

    Parameters
    ----------
    n_samples, n_features, n_labels : int, default=10_000, 10_000 and 5_000
        ``n_features`` and ``n_labels`` up to 2**31 - 1.
    features_per_sample, labels_per_sample : float, default=50.0 and 5.0
        Means, at least 1. Rows come out a little shorter where features or labels are so few that
        drawing them does not find enough different ones.
    n_test_samples : int, default=0
        Further rows from the same prototypes.
    group_size : int, default=16
        How many labels belong together.
    signal : float, default=0.5
        Share of the draws of features that come from prototypes, from 0 (no row tells anything of
        its labels) to 1.
    label_exponent : float, default=0.5
        The label of rank r is in about ``c / r ** label_exponent`` rows more than the rarest.
        With 0.5, the most frequent label of Amazon-670K's shape has about 1,200 rows.
    random_state : int, RandomState or None, default=None
        The same int gives the same bits, on one release of NumPy.

    Returns
    -------
    X : csr_matrix of float32 of shape (n_samples, n_features)
        TF-IDF values: (1 + log of the count) x (1 + log((n + 1) / (rows with it + 1))), positive,
        each row of length 1. Indices rise within a row.
    Y : csr_matrix of float32 of shape (n_samples, n_labels)
        Indicator matrix of ones; each row has a label. If there are at least as many places in
        rows as labels, almost every label occurs.
    X_test, Y_test : csr_matrix
        Only if ``n_test_samples`` is not 0. IDF is that of X.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Notes
    -----
    Nothing of size rows x labels is ever dense. Amazon-670K's shape takes well under a minute.

    Examples
    --------
    >>> from udt.datasets import make_xmc_classification
    >>> X, Y = make_xmc_classification(1000, 2000, 500, random_state=0)
    >>> X.shape, X.dtype.name, Y.shape
    ((1000, 2000), 'float32', (1000, 500))
    >>> round(X.nnz / 1000), round(Y.nnz / 1000)
    (50, 5)
    """
    _check_int("n_samples", n_samples, 1)
    _check_int("n_features", n_features, 1, 2**31 - 1)
    _check_int("n_labels", n_labels, 1, 2**31 - 1)
    _check_int("n_test_samples", n_test_samples, 0)
    _check_int("group_size", group_size, 1)
    _check_real("features_per_sample", features_per_sample, 1, n_features)
    _check_real("labels_per_sample", labels_per_sample, 1, n_labels)
    _check_real("signal", signal, 0, 1)
    _check_real("label_exponent", label_exponent, 0, math.inf)
    from sklearn.utils import check_random_state

    seed = check_random_state(random_state).randint(2**31 - 1)
    random = np.random.default_rng(seed)
    groups = random.permutation(n_labels).astype(np.int32) // np.int32(group_size)
    ids = random.permutation(n_features).astype(np.int32)  # ids tell nothing of frequencies
    keys = random.integers(2**63, size=3, dtype=np.uint64)

    sizes = _label_numbers(n_samples, labels_per_sample, n_labels, random)
    frequencies = _frequencies(n_labels, int(sizes.sum()), n_samples, label_exponent, random)
    Y = _assign(frequencies, sizes, groups, random)
    X = _draw_features(Y, groups, n_features, features_per_sample, signal, keys[:2], random)
    rows_with = np.bincount(X.indices, minlength=n_features)
    idf = (1 + np.log((n_samples + 1) / (rows_with + 1))).astype(np.float32)
    X = _weigh(X, idf, ids)
    if n_test_samples == 0:
        return X, Y

    sizes = _label_numbers(n_test_samples, labels_per_sample, n_labels, random)
    shares = frequencies / frequencies.sum()
    frequencies = random.multinomial(sizes.sum(), shares)
    Y_test = _assign(frequencies, sizes, groups, random)
    X_test = _draw_features(
        Y_test, groups, n_features, features_per_sample, signal, keys[::2], random
    )
    return X, Y, _weigh(X_test, idf, ids), Y_test


def _label_numbers(n: int, mean: float, most: int, random: np.random.Generator) -> Array:
    """Draw how many labels each of ``n`` rows has."""
    return np.minimum(1 + random.poisson(mean - 1, n), most)


def _frequencies(
    n_labels: int, total: int, most: int, exponent: float, random: np.random.Generator
) -> Array:
    """Give label numbers how many rows have each: a power law of the given total.

    If there is room, each label has one row, and the others follow the law. The label numbers are
    in no order.
    """
    floor = total // n_labels > 0
    law = np.arange(1, n_labels + 1, dtype=np.float64) ** -exponent
    expected = floor + law * ((total - floor * n_labels) / law.sum())
    # Differences of rounded sums have the exact total.
    frequencies = np.diff(np.rint(np.cumsum(expected)).astype(np.int64), prepend=0)
    return random.permutation(np.minimum(frequencies, most))


def _assign(
    frequencies: Array, sizes: Array, groups: Array, random: np.random.Generator
) -> sp.csr_matrix:
    """Share out labels to rows so that a row's labels come from one group as far as possible.

    Each label fills as many places as its frequency, spread evenly over the places of its group;
    rows are cut from the sequence of all groups. Labels that come twice in a row, which only those
    do that are too frequent for their group, change places with each other.
    """
    n, n_labels = len(sizes), len(frequencies)
    total = int(sizes.sum())
    labels = np.repeat(np.arange(n_labels, dtype=np.int32), frequencies)
    if len(labels) < total:  # frequencies were cut
        more = random.integers(n_labels, size=total - len(labels), dtype=np.int32)
        labels = np.concatenate([labels, more])
    starts = np.repeat(np.cumsum(frequencies) - frequencies, frequencies)
    turn = np.arange(len(labels), dtype=np.float64)
    turn[: len(starts)] -= starts
    times = np.bincount(labels, minlength=n_labels)[labels]
    place = groups[labels] + np.minimum((turn + random.random(len(labels))) / times, 1 - 1e-9)
    labels = labels[np.argsort(place)][:total]
    rows = np.repeat(random.permutation(n), sizes)  # neighbours in the sequence are alike
    pairs = rows * np.int64(n_labels) + labels
    for _ in range(4):
        order = np.argsort(pairs, kind="stable")
        repeated = order[1:][pairs[order[1:]] == pairs[order[:-1]]]
        if not len(repeated):
            break
        # They change places with as many others, for they may all be the same label.
        others = random.integers(total, size=len(repeated))
        places = np.unique(np.concatenate([repeated, others]))
        labels[places] = random.permutation(labels[places])
        pairs = rows * np.int64(n_labels) + labels
    pairs = np.unique(pairs)
    indptr = np.zeros(n + 1, dtype=np.int64)
    np.cumsum(np.bincount(pairs // n_labels, minlength=n), out=indptr[1:])
    indices = (pairs % n_labels).astype(np.int32)
    return sp.csr_matrix((np.ones(len(pairs), np.float32), indices, indptr), (n, n_labels))


def _draw_features(
    Y: sp.csr_matrix,
    groups: Array,
    n_features: int,
    mean: float,
    signal: float,
    keys: Array,
    random: np.random.Generator,
) -> sp.csr_matrix:
    """Draw each row's features: a matrix of counts, whose columns are in order of frequency."""
    from udt.datasets.synthetic_kernels import fill_rows
    from udt.threads import Pool, blocks

    n = Y.shape[0]
    # Lengths of texts are spread widely: a Poisson number around a mean that varies itself.
    wanted = 1 + random.poisson((mean - 1) * random.gamma(4.0, 0.25, n))
    indptr = np.zeros(n + 1, dtype=np.int64)
    np.cumsum(np.minimum(wanted, n_features), out=indptr[1:])
    indices = np.empty(indptr[-1], dtype=np.int32)
    counts = np.empty(indptr[-1], dtype=np.float32)
    sizes = np.empty(n, dtype=np.int64)
    labels = (Y.indptr.astype(np.int64), Y.indices.astype(np.int32))

    def fill(block: tuple[int, int]) -> None:
        fill_rows(
            *block, keys[0], keys[1], *labels, groups, _N_OWN, _N_SHARED, _N_TOPIC,
            signal, n_features, _N_TRIES, indptr, indices, counts, sizes,
        )  # fmt: skip

    with Pool(None) as pool:
        pool.map(fill, blocks(n, _BLOCK_ROWS))
    if indptr[-1] != sizes.sum():
        filled = np.arange(indptr[-1]) - np.repeat(indptr[:-1], np.diff(indptr))
        kept = filled < np.repeat(sizes, np.diff(indptr))
        indices, counts = indices[kept], counts[kept]
        np.cumsum(sizes, out=indptr[1:])
    return sp.csr_matrix((counts, indices, indptr), (n, n_features))


def _weigh(X: sp.csr_matrix, idf: Array, ids: Array) -> sp.csr_matrix:
    """Turn counts into TF-IDF values in rows of length 1, and name the features by ``ids``."""
    X.data = (1 + np.log(X.data)) * idf[X.indices]
    squares = np.add.reduceat(X.data**2, X.indptr[:-1], dtype=np.float64)
    X.data /= np.repeat(np.sqrt(squares), np.diff(X.indptr)).astype(np.float32)
    X.indices = ids[X.indices]
    X.sort_indices()
    return X


def _check_int(name: str, value: Any, least: int, most: int | None = None) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ValueError(f"{name}={value!r}: give an int.")
    if int(value) < least:
        raise ValueError(f"{name}={value!r}: give at least {least}.")
    if most is not None and int(value) > most:
        raise ValueError(f"{name}={value!r}: give at most {most}.")


def _check_real(name: str, value: Any, least: float, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, Real) or math.isnan(value):
        raise ValueError(f"{name}={value!r}: give a number.")
    if not least <= float(value) <= most:
        upper = "" if math.isinf(most) else f" and at most {most}"
        raise ValueError(f"{name}={value!r}: give at least {least}{upper}.")
