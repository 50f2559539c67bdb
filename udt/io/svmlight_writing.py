"""Sparse rows with labels -> files of SVMlight and of the Extreme Classification Repository."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp
from numpy.typing import NDArray

from udt.labels import read_label_sets

__all__ = ["write_svmlight", "write_xmc"]

Array = NDArray[Any]
_ROWS = 1 << 14  # written at a time


def write_xmc(path: str, X: Any, Y: Any) -> None:
    """Write a file of the Extreme Classification Repository, with ids that count from 0.

    Values are written as short as float32 can be told apart: `read_xmc` gives the same matrices.

    Parameters
    ----------
    path : str
        Compressed if it ends in ``.gz``, ``.bz2``, ``.zst`` or ``.lz4``.
    X : sparse matrix or array of shape (n, n_features)
    Y : sparse matrix or array of shape (n, n_labels)
        An indicator of zeros and ones.

    Raises
    ------
    ValueError
        If the numbers of rows differ, a value is not finite, or ``Y`` is no indicator.

    Examples
    --------
    >>> import os, pathlib, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "train.txt")
    >>> write_xmc(path, [[0, 0.5], [2, 0]], [[1, 1, 0], [0, 0, 0]])
    >>> print(pathlib.Path(path).read_text())
    2 2 3
    0,1 1:0.5
     0:2
    """
    matrix = _features(X)
    kind: Any = "sparse indicator" if sp.issparse(Y) else "indicator"
    if np.ndim(Y) != 2 and not sp.issparse(Y):
        raise ValueError(f"Y has shape {np.shape(Y)}: give an indicator matrix of two dimensions.")
    n, n_features = matrix.shape
    n_labels = int(np.shape(Y)[1])
    if not (Y.nnz if sp.issparse(Y) else np.any(Y)):  # which fit could not learn from
        indptr, labels = np.zeros(np.shape(Y)[0] + 1, dtype=np.int64), np.zeros(0, dtype=np.int64)
        _check_length(len(indptr) - 1, n)
    else:
        sets = read_label_sets(Y, n, kind, "Y")[0]
        indptr, labels = sets.indptr, sets.indices
    with pa.output_stream(path, compression="detect") as stream:
        stream.write(f"{n} {n_features} {n_labels}\n".encode())
        _write_rows(stream, matrix, indptr, labels, 0)


def write_svmlight(path: str, X: Any, y: Any, *, zero_based: bool = False) -> None:
    """Write a file of SVMlight or LIBSVM, without a header.

    Parameters
    ----------
    path : str
        Compressed if it ends in ``.gz``, ``.bz2``, ``.zst`` or ``.lz4``.
    X : sparse matrix or array of shape (n, n_features)
    y : array-like of shape (n,), or list of n lists
        Labels: numbers.
    zero_based : bool, default=False
        Whether ids count from 0, and not from 1 as SVMlight has it.

    Raises
    ------
    ValueError
        If the numbers of rows differ, a value or label is not finite, or a row has neither label
        nor feature, which the format cannot tell from an empty line.
    """
    matrix = _features(X)
    rows = [row if isinstance(row, (list, tuple, set)) else [row] for row in y]
    _check_length(len(rows), matrix.shape[0])
    indptr = np.r_[0, np.cumsum(list(map(len, rows)), dtype=np.int64)]
    labels = np.array([label for row in rows for label in row] or np.zeros(0, dtype=np.int64))
    if labels.dtype.kind not in "iuf" or not np.isfinite(labels).all():
        raise ValueError("y must hold finite numbers: give label numbers instead of names.")
    nothing = (np.diff(indptr) == 0) & (np.diff(matrix.indptr) == 0)
    if nothing.any():
        raise ValueError(
            f"row {int(np.argmax(nothing))} has neither label nor feature, which is an empty line "
            "in this format: drop it, or use write_xmc."
        )
    with pa.output_stream(path, compression="detect") as stream:
        _write_rows(stream, matrix, indptr, labels, 0 if zero_based else 1)


def _features(X: Any) -> sp.csr_matrix:
    matrix = sp.csr_matrix(X, dtype=np.float32)
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    if not np.isfinite(matrix.data).all():
        raise ValueError("X holds NaN, infinity or a number beyond float32: give finite numbers.")
    return matrix


def _check_length(found: int, n_rows: int) -> None:
    if found != n_rows:
        raise ValueError(f"there are {found} rows of labels, but X has {n_rows} rows.")


def _write_rows(
    stream: Any, matrix: sp.csr_matrix, label_indptr: Array, labels: Array, base: int
) -> None:
    for begin in range(0, matrix.shape[0], _ROWS):
        rows = slice(begin, begin + _ROWS + 1)
        ends = matrix.indptr[rows].astype(np.int64)
        indices = matrix.indices[ends[0] : ends[-1]].astype(np.int64) + base
        ids = pa.array(indices).cast(pa.large_string())
        values = pa.array(matrix.data[ends[0] : ends[-1]]).cast(pa.large_string())
        pairs = _join(pc.binary_join_element_wise(ids, values, _text(":")), ends, " ")
        ends = label_indptr[rows]
        names = pa.array(labels[ends[0] : ends[-1]]).cast(pa.large_string())
        lines = pc.binary_join_element_wise(_join(names, ends, ","), pairs, _text(" "))
        stream.write(_join(lines, np.array([0, len(lines)]), "\n")[0].as_buffer())
        stream.write(b"\n")


def _join(texts: pa.Array, ends: Array, separator: str) -> pa.Array:
    """Join the texts of each row."""
    lists = pa.LargeListArray.from_arrays(pa.array(ends - ends[0]), texts)
    return pc.binary_join(lists, _text(separator))


def _text(text: str) -> pa.Scalar:
    return pa.scalar(text, pa.large_string())
