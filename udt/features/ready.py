"""ReadyFeatures: sparse rows that need no featurizer, but the right length."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.utils.validation import check_array

from udt.labels import check_sparse

Array = NDArray[Any]
_MAX_VALUE = 1e15  # of a feature beside a row's length: keeps float32 from overflowing


class ReadyRows:
    """Rows of a sparse matrix, or of an array in its place, checked.

    Parameters
    ----------
    X : sparse matrix or ndarray of shape (n_rows, n_features)

    Raises
    ------
    ValueError
        If ``X`` is empty or broken, or holds NaN or infinity.
    """

    def __init__(self, X: Any) -> None:
        matrix = X
        if not _is_ready(X):  # which takes a tenth of the time that the check does
            matrix = check_array(X, accept_sparse="csr", dtype=np.float32, input_name="X")
        if isinstance(matrix, np.ndarray):
            matrix = sp.csr_matrix(matrix)
        check_sparse(matrix, "X")
        if not matrix.has_canonical_format:
            matrix = matrix.copy()
            matrix.sum_duplicates()
        self.matrix = matrix

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return int(self.matrix.shape[0])

    def take(self, mask: NDArray[np.bool_]) -> ReadyRows:
        """Give the rows where ``mask`` is true."""
        rows = ReadyRows.__new__(ReadyRows)
        rows.matrix = self.matrix[mask]
        return rows


def _is_ready(X: Any) -> bool:
    """Tell whether nothing is to be converted, and nothing that `check_array` refuses is there."""
    return (
        sp.issparse(X)
        and X.format == "csr"
        and X.dtype == np.float32
        and min(X.shape) > 0
        and bool(np.isfinite(X.data).all())
    )


class ReadyFeatures:
    """Weights ready features, or scales them so that rows have a median length of 1.

    Parameters
    ----------
    weighting : {"tfidf", "l2"} or None, default=None
        "l2" gives each row the length 1, as scikit-learn's Normalizer does. "tfidf" takes values
        as counts of terms, multiplies them with ``log((1 + n) / (1 + df)) + 1``, of the n rows of
        the first fit and the df of them that hold the feature, and then gives each row the length
        1, as scikit-learn's TfidfTransformer does. None keeps the proportions between rows.

    Attributes
    ----------
    scale_ : float
        What features are multiplied by: 1 if they are weighted.
    idf_ : ndarray of shape (n_features,), float32
        Weights of features, if weighting is "tfidf". They stay when training goes on: features
        keep their meaning, and those not met in the first rows keep the highest weight.
    label_rows_ : ndarray of shape (n_labels,), int64
        Number of rows of each label so far, as long as labels occur: what propensities follow from.
    n_rows_ : int
        Number of rows so far.
    n_features_in_ : int

    Raises
    ------
    ValueError
        If ``weighting`` is another.
    """

    columns_ = ()

    def __init__(self, weighting: str | None = None) -> None:
        if weighting not in (None, "tfidf", "l2"):
            raise ValueError(f'sparse_weighting={weighting!r}: give "tfidf", "l2" or None.')
        self.weighting = weighting
        self.label_rows_: Array = np.zeros(0, dtype=np.int64)
        self.n_rows_ = 0

    @property
    def n_embedded_(self) -> int:
        """All features may have embeddings."""
        return self.n_features_in_

    def _fit_transform(
        self, rows: ReadyRows, targets: Any = None, weights: Array | None = None
    ) -> sp.csr_matrix:
        matrix = rows.matrix
        self.scale_ = 1.0
        if self.weighting is None and (lengths := _lengths(matrix)).any():
            # The median: one row of extreme values must not shrink the others to nothing.
            self.scale_ = 1 / float(np.median(lengths[lengths > 0]))
        elif self.weighting == "tfidf":
            n_holding = np.bincount(matrix.indices[matrix.data != 0], minlength=matrix.shape[1])
            self.idf_ = (np.log((1 + rows.n_rows) / (1 + n_holding)) + 1).astype(np.float32)
        self.n_features_in_ = int(matrix.shape[1])
        weighted = self._transform(rows)
        self.label_rows_, self.n_rows_ = np.zeros(0, dtype=np.int64), 0
        self._count(rows, targets)
        return weighted

    def _forget_rare(self) -> None:
        """Do nothing: no feature is too rare."""

    def _partial_fit(
        self, rows: ReadyRows, targets: Any = None, weights: Array | None = None
    ) -> sp.csr_matrix:
        if not hasattr(self, "scale_"):
            return self._fit_transform(rows, targets)
        weighted = self._transform(rows)
        self._count(rows, targets)
        return weighted

    def _count(self, rows: ReadyRows, targets: Any) -> None:
        """Count rows, and those of each label."""
        if targets is None:
            return
        labels = targets[1] if isinstance(targets, tuple) else targets
        counts = np.bincount(labels, minlength=len(self.label_rows_))
        counts[: len(self.label_rows_)] += self.label_rows_
        self.label_rows_ = counts
        self.n_rows_ += rows.n_rows

    def _transform(self, rows: ReadyRows) -> sp.csr_matrix:
        matrix = rows.matrix
        if matrix.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {matrix.shape[1]} features, but UDTClassifier is expecting "
                f"{self.n_features_in_} features as input."
            )
        return self._scale(matrix) if self.weighting is None else self._weight(matrix)

    def _scale(self, matrix: sp.csr_matrix) -> sp.csr_matrix:
        largest = float(np.abs(matrix.data).max(initial=0))
        if largest * self.scale_ > _MAX_VALUE:
            raise ValueError(
                f"X holds a value of size {largest:g}, but rows have a typical length of "
                f"{1 / self.scale_:g} in fit: scale all rows alike, or look for wrong values."
            )
        scaled = matrix.copy()
        scaled.data *= np.float32(self.scale_)
        return scaled

    def _weight(self, matrix: sp.csr_matrix) -> sp.csr_matrix:
        values = matrix.data.astype(np.float64)  # squares of float32 may overflow
        if self.weighting == "tfidf":
            if values.min(initial=0) < 0:
                row = np.searchsorted(matrix.indptr, np.argmin(values), side="right") - 1
                raise ValueError(
                    f"X holds {values.min():g} in row {row}, but sparse_weighting='tfidf' takes "
                    "counts of terms: give numbers from 0 on, or sparse_weighting='l2'."
                )
            values *= self.idf_[matrix.indices]
        weighted = sp.csr_matrix((values, matrix.indices, matrix.indptr), shape=matrix.shape)
        lengths = _lengths(weighted)
        lengths[lengths == 0] = 1
        values /= np.repeat(lengths, np.diff(matrix.indptr))
        weighted.data = values.astype(np.float32)
        return weighted


def _lengths(matrix: sp.csr_matrix) -> Array:
    """Give the length of each row, float64."""
    return np.sqrt(np.asarray(matrix.astype(np.float64).power(2).sum(axis=1))).ravel()
