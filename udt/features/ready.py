"""ReadyFeatures: sparse rows that need no featurizer, but the right length."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.utils.validation import check_array

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
        If ``X`` is empty or holds NaN or infinity.
    """

    def __init__(self, X: Any) -> None:
        matrix = check_array(X, accept_sparse="csr", dtype=np.float32, input_name="X")
        if isinstance(matrix, np.ndarray):
            matrix = sp.csr_matrix(matrix)
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


class ReadyFeatures:
    """Scales ready features, so that rows have a median length of 1.

    Attributes
    ----------
    scale_ : float
        What features are multiplied by.
    n_features_in_ : int
    """

    columns_ = ()

    @property
    def n_embedded_(self) -> int:
        """All features may have embeddings."""
        return self.n_features_in_

    def _fit_transform(
        self, rows: ReadyRows, targets: Any = None, weights: Array | None = None
    ) -> sp.csr_matrix:
        matrix = rows.matrix
        lengths = np.sqrt(np.asarray(matrix.astype(np.float64).power(2).sum(axis=1)))
        # The median: one row of extreme values must not shrink the others to nothing.
        self.scale_ = 1 / float(np.median(lengths[lengths > 0])) if lengths.any() else 1.0
        self.n_features_in_ = int(matrix.shape[1])
        return self._transform(rows)

    def _forget_rare(self) -> None:
        """Do nothing: no feature is too rare."""

    def _partial_fit(
        self, rows: ReadyRows, targets: Any = None, weights: Array | None = None
    ) -> sp.csr_matrix:
        if hasattr(self, "scale_"):
            return self._transform(rows)
        return self._fit_transform(rows)

    def _transform(self, rows: ReadyRows) -> sp.csr_matrix:
        matrix = rows.matrix
        if matrix.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {matrix.shape[1]} features, but UDTClassifier is expecting "
                f"{self.n_features_in_} features as input."
            )
        largest = float(np.abs(matrix.data).max(initial=0))
        if largest * self.scale_ > _MAX_VALUE:
            raise ValueError(
                f"X holds a value of size {largest:g}, but rows have a typical length of "
                f"{1 / self.scale_:g} in fit: scale all rows alike, or look for wrong values."
            )
        scaled = matrix.copy()
        scaled.data *= np.float32(self.scale_)
        return scaled
