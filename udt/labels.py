"""Any number of labels a row: read from what people write, numbered, and given back alike."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal, cast

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from udt.columns import is_missing

Array = NDArray[Any]
#: How y wrote its labels. All but the first may give a row any number of them.
Kind = Literal["multiclass", "indicator", "sparse indicator", "lists"]
_ROW_TYPES = (list, tuple, set, frozenset, np.ndarray)


@dataclass(frozen=True, eq=False)
class LabelSets:
    """The label numbers of each row: the pattern of an indicator matrix in CSR form.

    It has a length and takes a mask or row numbers as an array does, so that code which only
    chooses rows need not know how many labels they have.

    Parameters
    ----------
    indptr : ndarray of shape (n + 1,), int64
    indices : ndarray of shape (indptr[-1],), int32
        Label numbers, rising within a row.
    n_labels : int
    """

    indptr: Array
    indices: Array
    n_labels: int

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def __getitem__(self, rows: Array) -> LabelSets:
        """Give the chosen rows: a mask, or row numbers in any order."""
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        sizes = np.diff(self.indptr)[rows]
        indptr = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum(sizes, out=indptr[1:])
        entries = np.arange(indptr[-1]) + np.repeat(self.indptr[rows] - indptr[:-1], sizes)
        return LabelSets(indptr, self.indices[entries], self.n_labels)

    @property
    def rows(self) -> Array:
        """Number of the row of each entry of ``indices``."""
        return np.repeat(np.arange(len(self)), np.diff(self.indptr))

    def frequencies(self, weights: Array | None = None) -> Array:
        """Give the weighted number of rows that have each label: (n_labels,), float64."""
        entries = None if weights is None else weights[self.rows]
        return np.bincount(self.indices, entries, self.n_labels).astype(np.float64)

    @classmethod
    def from_mask(cls, mask: Array) -> LabelSets:
        """Read a boolean array of shape (n, n_labels)."""
        rows, indices = np.nonzero(mask)
        indptr = np.zeros(len(mask) + 1, dtype=np.int64)
        np.cumsum(np.bincount(rows, minlength=len(mask)), out=indptr[1:])
        return cls(indptr, indices.astype(np.int32), mask.shape[1])

    @classmethod
    def concatenate(cls, parts: list[LabelSets]) -> LabelSets:
        """Put rows below rows."""
        sizes = np.concatenate([np.diff(part.indptr) for part in parts])
        indices = np.concatenate([part.indices for part in parts])
        return cls(np.r_[0, np.cumsum(sizes)], indices, parts[0].n_labels)


@dataclass(frozen=True)
class LabelFormat:
    """How y wrote its labels, so that predictions are written alike.

    Parameters
    ----------
    kind : {"multiclass", "indicator", "sparse indicator", "lists"}
    dtype : str
        Of an indicator's zeros and ones.
    """

    kind: Kind = "multiclass"
    dtype: str = "int64"

    def write(self, labels: LabelSets, classes: Array) -> Any:
        """Give label sets as an indicator array, a CSR matrix of zeros and ones, or lists."""
        if self.kind == "lists":
            flat, ends = classes[labels.indices].tolist(), labels.indptr.tolist()
            return [flat[ends[i] : ends[i + 1]] for i in range(len(labels))]
        shape = (len(labels), labels.n_labels)
        if self.kind == "sparse indicator":
            ones = np.ones(len(labels.indices), dtype=self.dtype)
            return sp.csr_matrix((ones, labels.indices, labels.indptr), shape=shape)
        indicator = np.zeros(shape, dtype=self.dtype)
        indicator[labels.rows, labels.indices] = 1
        return indicator


def label_kind(y: Any) -> Kind:
    """Tell how ``y`` writes labels.

    A SciPy sparse matrix is an indicator, and so is an array or frame of more than one column. A
    sequence of lists, tuples or sets holds the labels of each row; but, as in scikit-learn, lists,
    tuples or arrays of one length (two or more) with nothing but 0 and 1 in them are an indicator.
    Anything else has one label a row.
    """
    if sp.issparse(y):
        return "sparse indicator"
    shape: tuple[int, ...] = getattr(y, "shape", ())
    if len(shape) == 2:
        return "indicator" if shape[1] > 1 else "multiclass"
    rows = _as_rows(y)
    if rows is None:
        return "multiclass"
    sizes = {len(row) if isinstance(row, (list, tuple, np.ndarray)) else -1 for row in rows}
    is_rectangle = len(sizes) == 1 and sizes.pop() > 1
    is_indicator = is_rectangle and all(map(_is_zero_or_one, chain.from_iterable(rows)))
    return "indicator" if is_indicator else "lists"


def _is_zero_or_one(value: Any) -> bool:
    return isinstance(value, (int, float, np.number, np.bool_)) and value in (0, 1)


def _as_rows(y: Any) -> list[Any] | None:
    """Give y's rows if they are lists of labels, or None."""
    if not isinstance(y, (list, tuple)):
        if not hasattr(y, "__len__") or isinstance(y, (str, bytes, dict)):
            return None
        if hasattr(y, "to_pylist"):  # pyarrow
            import pyarrow.types as types

            if not (types.is_list(y.type) or types.is_large_list(y.type)):
                return None
            return cast("list[Any]", y.to_pylist())
        if not _may_hold_lists(str(getattr(y, "dtype", ""))):
            return None
        y = y.to_list() if hasattr(y, "to_list") else y.tolist()
    return list(y) if any(issubclass(kind, _ROW_TYPES) for kind in set(map(type, y))) else None


def _may_hold_lists(dtype: str) -> bool:
    """Tell so of a dtype of NumPy, polars, or pandas with Arrow."""
    return dtype.lower().startswith(("object", "list", "large_list", "array"))


def read_label_sets(
    y: Any, n_rows: int, kind: Kind, name: str = "y", classes: Array | None = None
) -> tuple[LabelSets, Array, LabelFormat]:
    """Read labels of the given `label_kind`.

    Parameters
    ----------
    y : indicator matrix of shape (n_rows, n_labels), or sequence of n_rows lists of labels
    n_rows : int
    kind : {"indicator", "sparse indicator", "lists"}
    name : str
        What to call ``y`` in errors.
    classes : ndarray of shape (n_labels,) or None
        Known labels: others raise. None takes those of ``y``, sorted, or the column numbers.

    Returns
    -------
    labels : LabelSets
    classes : ndarray of shape (n_labels,)
    format : LabelFormat

    Raises
    ------
    ValueError, TypeError
        If ``y`` has another number of rows, no label at all, a value that is missing or no 0 or 1,
        or labels that are not all str or all int; the message names the place.
    """
    if kind == "lists":
        labels, classes = _read_lists(y, n_rows, name, classes)
        dtype = "int64"
    else:
        labels, dtype = (
            _read_sparse(y, name) if kind == "sparse indicator" else _read_dense(y, name)
        )
        _check_length(len(labels), n_rows, name)
        if classes is None:
            classes = np.arange(labels.n_labels)
        elif len(classes) != labels.n_labels:
            raise ValueError(
                f"{name} has {labels.n_labels} columns, but there are {len(classes)} labels in y."
            )
    if not len(labels.indices):
        raise ValueError(f"{name} gives no row a label: at least one row must have one.")
    return labels, classes, LabelFormat(kind, dtype)


def check_sparse(matrix: Any, name: str) -> None:
    """Raise a ValueError if a CSR matrix points beyond its shape: kernels would trust it."""
    indptr, indices, n_columns = matrix.indptr, matrix.indices, matrix.shape[1]
    if indptr[0] != 0 or indptr[-1] > len(indices) or (indptr[1:] < indptr[:-1]).any():
        raise ValueError(f"{name} is a broken sparse matrix: indptr must rise from 0 to its size.")
    low, high = indices.min(initial=0), indices.max(initial=0)
    if low < 0 or (len(indices) and high >= n_columns):
        wrong = low if low < 0 else high
        raise ValueError(
            f"{name} has an entry in column {wrong}: give numbers from 0 to {n_columns - 1}, as in "
            f"its shape {matrix.shape}."
        )


def _read_sparse(y: Any, name: str) -> tuple[LabelSets, str]:
    matrix = y.tocsr()
    check_sparse(matrix, name)
    if matrix is y or not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    wrong = (matrix.data != 0) & (matrix.data != 1)
    if np.any(wrong):
        at = int(np.argmax(wrong))
        row = int(np.searchsorted(matrix.indptr, at, side="right")) - 1
        _refuse_value(name, row, int(matrix.indices[at]), matrix.data[at])
    matrix.eliminate_zeros()
    indptr, indices = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32)
    return LabelSets(indptr, indices, matrix.shape[1]), matrix.dtype.name


def _read_dense(y: Any, name: str) -> tuple[LabelSets, str]:
    values = np.asarray(y)
    if isinstance(y, np.ma.MaskedArray) and np.ma.is_masked(y):
        row, column = np.argwhere(np.ma.getmaskarray(y))[0]
        _refuse_value(name, int(row), int(column), "masked")
    dtype = values.dtype.name if values.dtype.kind in "biuf" else "int64"
    if values.dtype == object:  # pandas' NA would not compare
        values = np.frompyfunc(lambda value: np.nan if is_missing(value) else value, 1, 1)(values)
    is_one = values == 1
    wrong = ~(is_one | (values == 0))
    if np.any(wrong):
        row, column = np.argwhere(wrong)[0]
        _refuse_value(name, int(row), int(column), values[row, column])
    return LabelSets.from_mask(is_one.astype(bool)), dtype


def _refuse_value(name: str, row: int, column: int, value: Any) -> None:
    value = value.item() if isinstance(value, np.generic) else value
    raise ValueError(
        f"Unknown label type: {name} has more than one column, so it is an indicator of zeros and "
        f"ones, but {name}[{row}, {column}] is {value!r}. Give an indicator, or a list of the "
        "labels of each row."
    )


def _read_lists(y: Any, n_rows: int, name: str, classes: Array | None) -> tuple[LabelSets, Array]:
    rows = _as_rows(y)
    if rows is None:
        rows = list(y)
    _check_length(len(rows), n_rows, name)
    for i, row in enumerate(rows):
        if not isinstance(row, _ROW_TYPES):
            raise TypeError(
                f"{name}[{i}] is {row!r}, but other rows are lists of labels: give a list for each "
                "row, empty if it has no label."
            )
    flat = list(chain.from_iterable(rows))
    sizes = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
    owners = np.repeat(np.arange(len(rows)), sizes)
    _check_items(flat, owners, name)
    if classes is None:
        classes = np.unique(np.array(list(dict.fromkeys(flat)) or [0]))
    numbers = {label: number for number, label in enumerate(classes.tolist())}
    found = np.fromiter((numbers.get(label, -1) for label in flat), np.int64, len(flat))
    if np.any(found < 0):
        at = int(np.argmax(found < 0))
        raise ValueError(
            f"{name} has the label {flat[at]!r} in row {owners[at]}, which is not in y."
        )
    # Sorted and once each, by numbering the cells of the matrix.
    cells = np.unique(owners * len(classes) + found)
    indptr = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum(np.bincount(cells // len(classes), minlength=len(rows)), out=indptr[1:])
    return LabelSets(indptr, (cells % len(classes)).astype(np.int32), len(classes)), classes


def _check_items(flat: list[Any], owners: Array, name: str) -> None:
    """Raise unless all labels are str, or all are int."""
    kinds = set(map(type, flat))
    if all(issubclass(kind, str) for kind in kinds) or all(
        issubclass(kind, (int, np.integer)) and kind is not bool for kind in kinds
    ):
        return
    for label, owner in zip(flat, owners, strict=True):
        if is_missing(label):
            raise ValueError(
                f"{name} has a missing label ({label!r}) in row {owner}: leave it out of the list."
            )
    names = ", ".join(sorted(kind.__name__ for kind in kinds))
    raise TypeError(
        f"Unknown label type: the lists of {name} hold {names}. Give labels that are all str, or "
        "all int."
    )


def _check_length(found: int, n_rows: int, name: str) -> None:
    if found != n_rows:
        raise ValueError(f"{name} has {found} rows of labels, but there are {n_rows} rows.")
