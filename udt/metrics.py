"""How good rankings of very many labels are: precision, recall, nDCG and PSP of the first k.

All take the true labels as an indicator matrix (SciPy sparse or dense), as a list of the labels of
each row, or as one label a row; and predictions as ranked labels, which `predict_topk` gives, or
as a matrix of scores. Nothing of size rows x labels is made unless it is given. Rows without a
label stay in the mean and count as 0, as in the scripts of the Extreme Classification Repository.

References
----------
.. [1] K. Bhatia et al., "The extreme classification repository: multi-label datasets and code",
   2016, http://manikvarma.org/downloads/XC/XMLRepository.html.
.. [2] H. Jain, Y. Prabhu, M. Varma, "Extreme multi-label loss functions for recommendation,
   tagging, ranking & other missing label applications", KDD 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from udt.labels import LabelSets, label_kind, read_label_sets

__all__ = [
    "label_propensities",
    "ndcg_at_k",
    "precision_at_k",
    "propensities",
    "psp_at_k",
    "recall_at_k",
]

Array = NDArray[Any]
_NO_LABEL = -1
_BLOCK_CELLS = 1 << 22  # dense scores that are ranked at a time


def precision_at_k(
    y_true: Any, y_pred: Any, k: int | Sequence[int] = 5, *, classes: Any = None
) -> Any:
    """Give the share of true labels among the first k: the mean of hits / k.

    Parameters
    ----------
    y_true : indicator matrix of shape (n, n_labels), list of n lists, or array-like of shape (n,)
        The true labels of each row. Lists hold label numbers, or labels if ``classes`` is given.
    y_pred : array-like of shape (n, n_ranked), list of n lists, or matrix of shape (n, n_labels)
        Ranked label numbers (or labels, if ``classes`` is given), best first; -1 stands for none.
        Or scores: an array of floats, or a sparse matrix, of which the stored entries count.
        Equal scores rank by label number.
    k : int or sequence of int, default=5
        From 1 to the number of labels. Rows of a sparse matrix or of lists may have fewer
        predictions: the missing ones are wrong.
    classes : array-like of shape (n_labels,), default=None
        The labels, as in ``classes_``, if ``y_true`` or ``y_pred`` are written in them; None for
        label numbers. True labels that are not among them count as never found.

    Returns
    -------
    float, or ndarray of float64 for a sequence ``k``

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit together, k is out of range, or predictions repeat or do not exist.

    Examples
    --------
    >>> precision_at_k([[0, 2], [1]], [[2, 1, 0], [0, 2, 1]], k=[1, 3])
    array([0.5, 0.5])
    >>> precision_at_k([["a"], ["b"]], [["a", "c"], ["c", "b"]], k=1, classes=["a", "b", "c"])
    0.5
    """
    return _each_k(k, *_hits(y_true, y_pred, k, classes), _precision)


def recall_at_k(
    y_true: Any, y_pred: Any, k: int | Sequence[int] = 5, *, classes: Any = None
) -> Any:
    """Give the share of the true labels that are among the first k: the mean of hits / labels.

    Parameters and errors are those of `precision_at_k`.

    Returns
    -------
    float, or ndarray of float64 for a sequence ``k``

    Examples
    --------
    >>> recall_at_k([[0, 2], [1]], [[2, 1, 0], [0, 2, 1]], k=[1, 3])
    array([0.25, 1.  ])
    """

    def recall(truth: _Truth, ranking: _Ranking, k: int) -> float:
        return float((ranking.hits[:, :k].sum(axis=1) / np.maximum(truth.sizes, 1)).mean())

    return _each_k(k, *_hits(y_true, y_pred, k, classes), recall)


def ndcg_at_k(y_true: Any, y_pred: Any, k: int | Sequence[int] = 5, *, classes: Any = None) -> Any:
    """Give the normalised discounted cumulative gain of the first k, of gain 1 a true label.

    The hit at place r counts 1 / log2(r + 1); the sum is divided by that of the best ranking.
    Parameters and errors are those of `precision_at_k`.

    Returns
    -------
    float, or ndarray of float64 for a sequence ``k``

    Examples
    --------
    >>> ndcg_at_k([[0, 2], [1]], [[2, 1, 0], [0, 2, 1]], k=[1, 3]).round(4).tolist()
    [0.5, 0.7099]
    """

    def ndcg(truth: _Truth, ranking: _Ranking, k: int) -> float:
        discounts = 1 / np.log2(np.arange(2, k + 2))
        best = np.cumsum(discounts)[np.clip(truth.sizes, 1, k) - 1]
        return float((ranking.hits[:, :k] @ discounts / best).mean())

    return _each_k(k, *_hits(y_true, y_pred, k, classes), ndcg)


def psp_at_k(
    y_true: Any,
    y_pred: Any,
    propensities: Any,
    k: int | Sequence[int] = 5,
    *,
    classes: Any = None,
) -> Any:
    """Give the propensity-scored precision of the first k: rare labels count for more [2]_.

    Each hit counts 1 / propensity. As in the Extreme Classification Repository, the sum over all
    rows is divided by that of the best possible rankings, so that 1 can be reached.

    Parameters
    ----------
    y_true, y_pred, k, classes
        As for `precision_at_k`.
    propensities : array-like of shape (n_labels,)
        Of the labels in training, in (0, 1]: see `propensities`. A true label that is not among
        ``classes`` has the lowest of them.

    Returns
    -------
    float, or ndarray of float64 for a sequence ``k``
        0 if no row has a label.

    Examples
    --------
    >>> import numpy as np
    >>> rarely_missing = np.array([0.9, 0.2, 0.5])
    >>> round(psp_at_k([[0, 1], [1]], [[0, 1], [1, 0]], rarely_missing, k=1), 4)
    0.6111
    """
    weights = _inverse(propensities)
    truth, ranking = _hits(y_true, y_pred, k, classes, len(weights) - 1)
    gains = np.where(ranking.hits, weights[ranking.numbers], 0)
    true_gains = weights[np.minimum(truth.indices, len(weights) - 1)]
    rows = np.repeat(np.arange(len(truth.sizes)), truth.sizes)
    order = np.lexsort((-true_gains, rows))  # rows stay where they are
    places = np.arange(len(order)) - truth.indptr[rows]

    def psp(truth: _Truth, ranking: _Ranking, k: int) -> float:
        best = float(true_gains[order][places < k].sum())
        return float(gains[:, :k].sum()) / best if best else 0.0

    return _each_k(k, truth, ranking, psp)


def propensities(y: Any, A: float = 0.55, B: float = 1.5) -> NDArray[np.float64]:
    """Give how probable it is that a label which applies has been written down [2]_.

    For a label of N_l among N training rows that is 1 / (1 + C (N_l + B)**-A), where
    C = (log N - 1) (B + 1)**A, but not below 0 (it would be, of fewer than three rows).

    Parameters
    ----------
    y : indicator matrix of shape (n, n_labels), list of n lists, or array-like of shape (n,)
        The labels of the *training* rows. Lists must hold label numbers.
    A, B : float, default=0.55 and 1.5
        The paper takes 0.5 and 0.4 for Wikipedia, 0.6 and 2.6 for Amazon.

    Returns
    -------
    ndarray of shape (n_labels,), float64
        Lists have labels up to the largest that occurs.

    See Also
    --------
    psp_at_k : What they are for.
    label_propensities : The same from the number of rows of each label.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.zeros((1000, 2), dtype=int)
    >>> y[:500, 0] = y[:5, 1] = 1
    >>> propensities(y).round(3).tolist()
    [0.758, 0.223]
    """
    truth = _read_truth(y, None)
    counts = np.bincount(truth.indices, minlength=truth.n_labels or 0)
    return label_propensities(counts, len(truth.sizes), A, B)


def label_propensities(
    counts: Any, n_rows: int, A: float = 0.55, B: float = 1.5
) -> NDArray[np.float64]:
    """Give what `propensities` does, from the number of rows that have each label.

    Parameters
    ----------
    counts : array-like of shape (n_labels,)
    n_rows : int
    A, B : float, default=0.55 and 1.5

    Returns
    -------
    ndarray of shape (n_labels,), float64

    Examples
    --------
    >>> label_propensities([500, 5], 1000).round(3).tolist()
    [0.758, 0.223]
    """
    if not (np.isfinite(A) and np.isfinite(B) and A >= 0 and B > 0):
        raise ValueError(f"A={A!r}, B={B!r}: give A from 0 on and B above 0.")
    if n_rows < 1:
        raise ValueError(f"n_rows={n_rows}: propensities need at least one row.")
    factor = max(np.log(n_rows) - 1, 0.0) * (B + 1) ** A
    return 1 / (1 + factor * (np.asarray(counts, dtype=np.float64) + B) ** -A)


# ------------------------------------------------------------------------------------ the labels


class _Truth(NamedTuple):
    """The true labels of each row, rising: a CSR pattern."""

    indptr: Array
    indices: Array  # label numbers; those of unknown labels are n_labels or above
    n_labels: Any  # None if lists do not tell

    @property
    def sizes(self) -> Array:
        return np.diff(self.indptr)


class _Ranking(NamedTuple):
    """What was predicted, (n, k), and whether it is true."""

    numbers: Array
    hits: Array


def _hits(
    y_true: Any, y_pred: Any, k: Any, classes: Any, n_weights: int | None = None
) -> tuple[_Truth, _Ranking]:
    """Read both sides, see that they fit, and find which predictions are true."""
    codes = None
    if classes is not None:
        codes = {label: number for number, label in enumerate(np.asarray(classes).tolist())}
    ks = _check_k(k)
    truth = _read_truth(y_true, codes)
    n_rows = len(truth.sizes)
    if not n_rows:
        raise ValueError("y_true has no rows: give at least one.")
    numbers, n_scored = _rank(y_pred, ks.max(), codes, n_rows)
    counts = [n for n in (truth.n_labels, n_scored, n_weights) if n is not None]
    n_labels = counts[0] if counts else None  # None: label numbers on both sides
    if n_scored not in (None, n_labels):
        raise ValueError(f"y_pred scores {n_scored} labels, but there are {n_labels} in y_true.")
    if n_weights not in (None, n_labels):
        raise ValueError(f"propensities has length {n_weights}, but there are {n_labels} labels.")
    if n_labels is not None and numbers.max(initial=-1) >= n_labels:
        row = int(np.argmax((numbers >= n_labels).any(axis=1)))
        raise ValueError(
            f"y_pred has the label number {numbers[row].max()} in row {row}, but there are "
            f"{n_labels} labels, which count from 0."
        )
    if n_labels is not None and ks.max() > n_labels:
        raise ValueError(f"k={ks.max()}: give 1 to {n_labels}, the number of labels.")
    # Each cell of the matrix has a number; those of the true labels rise.
    width = 1 + max(int(truth.indices.max(initial=0)), int(numbers.max(initial=0)))
    cells = np.repeat(np.arange(n_rows), truth.sizes) * width + truth.indices
    asked = np.arange(n_rows)[:, None] * width + numbers
    found = np.searchsorted(cells, asked)
    hits = numbers >= 0
    hits[hits] = np.append(cells, -1)[found[hits]] == asked[hits]
    return truth, _Ranking(numbers, hits)


def _check_k(k: Any) -> Array:
    values = np.atleast_1d(np.asarray(k))
    whole = isinstance(k, Integral) or (values.ndim == 1 and values.dtype.kind in "iu")
    if isinstance(k, (bool, np.bool_)) or not whole or not len(values):
        raise TypeError(f"k={k!r}: give a whole number, or a sequence of them.")
    if values.min() < 1:
        raise ValueError(f"k={values.min()}: give 1 or more.")
    return values


def _read_truth(y: Any, codes: dict[Any, int] | None) -> _Truth:
    if isinstance(y, LabelSets):
        return _Truth(y.indptr, y.indices, y.n_labels)
    kind = label_kind(y)
    if "indicator" in kind:
        n_rows = y.shape[0] if hasattr(y, "shape") else len(y)
        if not (y.nnz if sp.issparse(y) else np.any(np.asarray(y) != 0)):
            n_labels = y.shape[1] if hasattr(y, "shape") else len(y[0])
            return _Truth(np.zeros(n_rows + 1, np.int64), np.zeros(0, np.int64), n_labels)
        labels = read_label_sets(y, n_rows, kind, "y_true")[0]
        if codes is not None and len(codes) != labels.n_labels:
            raise ValueError(
                f"y_true has {labels.n_labels} columns, but there are {len(codes)} classes."
            )
        return _Truth(labels.indptr, labels.indices.astype(np.int64), labels.n_labels)
    rows = list(y) if kind == "lists" else [[label] for label in np.asarray(y).ravel().tolist()]
    flat, sizes = _flatten(rows)
    numbers = _number(flat, codes, "y_true", unknown=True)
    owners = np.repeat(np.arange(len(rows)), sizes)
    order = np.lexsort((numbers, owners))
    owners, numbers = owners[order], numbers[order]
    is_new = np.ones(len(numbers), dtype=bool)  # a label counts once a row
    is_new[1:] = (numbers[1:] != numbers[:-1]) | (owners[1:] != owners[:-1])
    sizes = np.bincount(owners[is_new], minlength=len(rows))
    n_labels = None if codes is None else len(codes)
    return _Truth(np.r_[0, np.cumsum(sizes)], numbers[is_new], n_labels)


def _flatten(rows: list[Any]) -> tuple[list[Any], Array]:
    flat = list(chain.from_iterable(rows))
    return flat, np.fromiter(map(len, rows), np.int64, len(rows))


def _number(flat: list[Any], codes: dict[Any, int] | None, name: str, *, unknown: bool) -> Array:
    """Give label numbers; labels that are not known go behind the others, or raise."""
    if codes is not None:
        known = dict(codes)
        if unknown:  # setdefault evaluates len(known) before it adds
            return np.array([known.setdefault(label, len(known)) for label in flat], np.int64)
        for label in flat:
            if label not in known:
                raise ValueError(f"{name} has the label {label!r}, which is not in classes.")
        return np.array([known[label] for label in flat], np.int64)
    for label in flat:
        if not isinstance(label, (int, np.integer)) or isinstance(label, bool):
            raise TypeError(f"{name} holds {label!r}, no label number: give classes=.")
        if label < (0 if unknown else _NO_LABEL):
            raise ValueError(f"{name} holds {label}, but label numbers count from 0.")
    return np.array(flat, dtype=np.int64)


# ------------------------------------------------------------------------------- the predictions


def _rank(y: Any, k: int, codes: dict[Any, int] | None, n_rows: int) -> tuple[Array, int | None]:
    """Give the first ``k`` label numbers of each row, and how many labels are scored if any are."""
    if sp.issparse(y):
        _check_rows(y.shape[0], n_rows)
        return _rank_sparse(y.tocsr(), k), y.shape[1]
    lists = isinstance(y, (list, tuple)) and all(isinstance(row, (list, tuple)) for row in y)
    if lists and (len(set(map(len, y))) > 1 or (len(y) and not len(y[0]))):
        _check_rows(len(y), n_rows)
        flat, sizes = _flatten(list(y))
        ranked = np.full((n_rows, max(k, sizes.max())), _NO_LABEL, dtype=np.int64)
        ranked[np.arange(ranked.shape[1]) < sizes[:, None]] = _number(
            flat, codes, "y_pred", unknown=False
        )
    else:
        y = np.asarray(y)
        if y.ndim != 2:
            raise ValueError(
                f"y_pred has shape {y.shape}: give the ranked labels of each row, (n, k), or "
                "scores of shape (n, n_labels)."
            )
        _check_rows(len(y), n_rows)
        if y.dtype.kind == "f":
            return _rank_dense(y, k), y.shape[1]
        if y.shape[1] < k:
            raise ValueError(f"y_pred has {y.shape[1]} labels a row, but k={k}: predict as many.")
        if codes is None and y.dtype.kind in "iu":
            if y.min(initial=0) < _NO_LABEL:
                raise ValueError(f"y_pred holds {y.min()}, but label numbers count from 0.")
            ranked = y.astype(np.int64)
        else:
            flat = y.ravel().tolist()
            ranked = _number(flat, codes, "y_pred", unknown=False).reshape(y.shape)
    ordered = np.sort(ranked[:, :k], axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    if twice.any():
        row = int(np.argmax(twice.any(axis=1)))
        raise ValueError(f"y_pred ranks a label twice in row {row}: give each once.")
    return ranked[:, :k], None


def _check_rows(found: int, n_rows: int) -> None:
    if found != n_rows:
        raise ValueError(f"y_pred has {found} rows, but y_true has {n_rows}.")


def _rank_sparse(scores: sp.csr_matrix, k: int) -> Array:
    if not scores.has_canonical_format:
        scores = scores.copy()
        scores.sum_duplicates()
    _check_finite(scores.data)
    sizes = np.diff(scores.indptr)
    rows = np.repeat(np.arange(scores.shape[0]), sizes)
    order = np.lexsort((scores.indices, -scores.data.astype(np.float64), rows))
    places = np.arange(len(rows)) - scores.indptr[rows]
    first = places < k
    ranked = np.full((scores.shape[0], k), _NO_LABEL, dtype=np.int64)
    ranked[rows[first], places[first]] = scores.indices[order][first]
    return ranked


def _rank_dense(scores: Array, k: int) -> Array:
    if k > scores.shape[1]:
        raise ValueError(f"k={k}: give 1 to {scores.shape[1]}, the number of labels.")
    _check_finite(scores)
    ranked = np.empty((len(scores), k), dtype=np.int64)
    step = max(1, _BLOCK_CELLS // scores.shape[1])
    for begin in range(0, len(scores), step):
        block = -scores[begin : begin + step]
        ranked[begin : begin + step] = np.argsort(block, axis=1, kind="stable")[:, :k]
    return ranked


def _check_finite(scores: Array) -> None:
    if np.isnan(scores).any():
        raise ValueError("y_pred holds NaN, which has no rank: give numbers.")


def _inverse(propensities: Any) -> Array:
    """Give 1 / propensity of each label, and behind them that of labels which are not known."""
    values = np.asarray(propensities, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"propensities has shape {values.shape}: give one number a label.")
    wrong = ~((values > 0) & (values <= 1))
    if wrong.any():
        number = int(np.argmax(wrong))
        raise ValueError(f"propensities[{number}] is {values[number]}: give numbers in (0, 1].")
    return np.append(1 / values, 1 / values.min())


def _precision(truth: _Truth, ranking: _Ranking, k: int) -> float:
    return float(ranking.hits[:, :k].mean())


def _each_k(
    k: Any, truth: _Truth, ranking: _Ranking, measure: Callable[[_Truth, _Ranking, int], float]
) -> Any:
    if np.ndim(k) == 0:
        return measure(truth, ranking, int(k))
    return np.array([measure(truth, ranking, int(one)) for one in k])
