"""Sparse rows with their labels: files of SVMlight and of the Extreme Classification Repository."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp

from udt.io.svmlight_parsing import MAX_ID, Reader, Rows

__all__ = ["XMCFile", "read_svmlight", "read_xmc", "stream_xmc"]

_MAX_LABEL = 2**53  # from here on float64 has no odd numbers


class XMCFile:
    """A file of the Extreme Classification Repository [1]_, to be read once, piece by piece.

    Its first line is a header ``N F L``: rows, features and labels. Each line after it is a row,
    ``l1,l2,... f1:v1 f2:v2 ...``, with ids that count from 0. A row may have no label (then the
    line starts with a blank or a pair), no feature, or neither (an empty line). Features may come
    in any order, but each once; a label that is repeated counts once.

    Parameters
    ----------
    path : str
        A file, perhaps compressed (``.gz``, ``.bz2``, ``.zst``, ``.lz4``), or "-" for standard
        input.
    on_bad_lines : {"error", "skip"}, default="error"
        What to do with a malformed line: raise, or leave it out and count it in ``n_skipped``. A
        warning at the end tells how many there were, and what was wrong with the first one. A
        header that lies is an error in any case.

    Attributes
    ----------
    n_rows, n_features, n_labels : int
        What the header says.
    n_skipped : int
        Bad lines so far.

    References
    ----------
    .. [1] K. Bhatia et al., "The extreme classification repository: multi-label datasets and
       code", 2016, http://manikvarma.org/downloads/XC/XMLRepository.html.
    """

    def __init__(self, path: str, on_bad_lines: str = "error") -> None:
        self._reader = Reader(path, on_bad_lines, has_header=True)
        self._chunks = self._reader.chunks()
        self._nothing = next(self._chunks)  # the header is read

    @property
    def n_rows(self) -> int:
        """Number of rows, by the header."""
        return self._reader.n_rows

    @property
    def n_features(self) -> int:
        """Number of features, by the header."""
        return self._reader.n_features

    @property
    def n_labels(self) -> int:
        """Number of labels, by the header."""
        return self._reader.n_labels

    @property
    def n_skipped(self) -> int:
        """Number of bad lines so far."""
        return self._reader.n_skipped

    def batches(self, batch_size: int) -> Iterator[tuple[sp.csr_matrix, sp.csr_matrix]]:
        """Yield what `stream_xmc` does."""
        pending, n = [self._nothing], 0
        for rows in self._chunks:
            pending.append(rows)
            n += rows.n
            if n >= batch_size:
                joined = Rows.join(pending)
                whole = n - n % batch_size
                X, Y = self._matrices(joined.first(whole))
                for begin in range(0, whole, batch_size):
                    yield X[begin : begin + batch_size], Y[begin : begin + batch_size]
                pending, n = [joined.last(whole)], n - whole
        if n:
            yield self._matrices(Rows.join(pending))

    def read(self) -> tuple[sp.csr_matrix, sp.csr_matrix]:
        """Give what `read_xmc` does."""
        return self._matrices(Rows.join([self._nothing, *self._chunks]))

    def _matrices(self, rows: Rows) -> tuple[sp.csr_matrix, sp.csr_matrix]:
        entries = rows.values, rows.indices, rows.indptr
        X = sp.csr_matrix(entries, shape=(rows.n, self.n_features))
        ones = np.ones(len(rows.labels), dtype=np.float32)
        pattern = ones, rows.labels.astype(np.int32), rows.label_indptr
        Y = sp.csr_matrix(pattern, shape=(rows.n, self.n_labels))
        Y.sum_duplicates()
        Y.data.fill(1)
        return X, Y


def read_xmc(path: str, *, on_bad_lines: str = "error") -> tuple[sp.csr_matrix, sp.csr_matrix]:
    r"""Read a file of the Extreme Classification Repository: a header and sparse rows.

    See `XMCFile` for the format.

    Parameters
    ----------
    path : str
        A file, perhaps compressed, or "-" for standard input.
    on_bad_lines : {"error", "skip"}, default="error"

    Returns
    -------
    X : csr_matrix of shape (n, n_features), float32
    Y : csr_matrix of shape (n, n_labels), float32
        An indicator of ones.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is empty or damaged, has no header or one that lies, or a line is malformed; the
        message names the line.

    See Also
    --------
    stream_xmc : The same in batches.

    Examples
    --------
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "train.txt")
    >>> with open(path, "w") as file:
    ...     _ = file.write("2 4 3\n0,2 1:0.5 3:1\n 0:2\n")
    >>> X, Y = read_xmc(path)
    >>> X.toarray().tolist(), Y.toarray().tolist()
    ([[0.0, 0.5, 0.0, 1.0], [2.0, 0.0, 0.0, 0.0]], [[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    """
    return XMCFile(path, on_bad_lines).read()


def stream_xmc(
    path: str, batch_size: int = 65_536, *, on_bad_lines: str = "error"
) -> Iterator[tuple[sp.csr_matrix, sp.csr_matrix]]:
    """Yield the rows of a file of the Extreme Classification Repository in batches.

    Only a batch and a few megabytes of text are in memory. Parameters and errors are those of
    `read_xmc`; a header that lies is found out at the end.

    Parameters
    ----------
    path : str
    batch_size : int, default=65536
        Rows of a batch; the last one may have fewer.
    on_bad_lines : {"error", "skip"}, default="error"

    Yields
    ------
    X : csr_matrix of shape (batch_size, n_features), float32
    Y : csr_matrix of shape (batch_size, n_labels), float32
    """
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size!r}: give 1 or more.")
    return XMCFile(path, on_bad_lines).batches(batch_size)


def read_svmlight(
    path: str,
    *,
    n_features: int | None = None,
    zero_based: bool | str = "auto",
    on_bad_lines: str = "error",
) -> tuple[sp.csr_matrix, Any]:
    """Read a file of SVMlight or LIBSVM: lines ``label f1:v1 f2:v2 ... # comment``, no header.

    Empty lines and comments are passed over, and so is ``qid:``. A label may be any number, or
    several, separated by commas, or be left out.

    Parameters
    ----------
    path : str
        A file, perhaps compressed, or "-" for standard input.
    n_features : int or None, default=None
        None takes the largest id that occurs.
    zero_based : bool or "auto", default="auto"
        Whether ids count from 0. As in scikit-learn, "auto" takes them to count from 1 unless there
        is a 0; say it where a file is read beside others.
    on_bad_lines : {"error", "skip"}, default="error"
        See `XMCFile`.

    Returns
    -------
    X : csr_matrix of shape (n, n_features), float32
    y : ndarray of shape (n,), or list of n lists
        int64 if all labels are whole numbers, else float64. Lists, unless each row has one label.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is empty or damaged, or a line is malformed; the message names the line.
    """
    if zero_based not in (True, False, "auto"):
        raise ValueError(f'zero_based={zero_based!r}: give True, False or "auto".')
    rows = Rows.join(list(Reader(path, on_bad_lines, has_header=False).chunks()))
    indices = rows.indices
    lowest = int(indices.min(initial=MAX_ID))
    if zero_based is False and lowest == 0:
        raise ValueError(f"{path}: there is a feature 0, but zero_based=False: ids count from 1.")
    if zero_based is False or (zero_based == "auto" and lowest > 0):
        indices = indices - np.int32(1)
    found = int(indices.max(initial=-1)) + 1
    if n_features is not None and found > n_features:
        raise ValueError(
            f"{path}: there are {found} features, but n_features={n_features}. Give {found} or "
            "more, and say by zero_based whether ids count from 0"
        )
    shape = (rows.n, found if n_features is None else n_features)
    X = sp.csr_matrix((rows.values, indices, rows.indptr), shape=shape)
    labels = rows.labels
    if np.abs(labels).max(initial=0) >= _MAX_LABEL:
        raise ValueError(
            f"{path}: the label {labels[np.argmax(np.abs(labels))]:.0f} has too many digits to be "
            "told from its neighbours. Number the labels anew"
        )
    if np.all(labels == np.floor(labels)):
        labels = labels.astype(np.int64)
    if np.all(np.diff(rows.label_indptr) == 1):
        return X, labels
    flat, ends = labels.tolist(), rows.label_indptr.tolist()
    return X, [flat[ends[i] : ends[i + 1]] for i in range(len(ends) - 1)]
