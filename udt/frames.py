"""Tables of any container -> named columns of Arrow arrays, NumPy arrays or Python values."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, time, timedelta
from itertools import chain, compress
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from udt.arrow import from_numpy
from udt.strings import as_text, decode, is_a, is_missing, raise_single
from udt.values import Values, classify, kind_of

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Table", "as_table"]

_EXPECTED = (
    "a table (pandas, polars, pyarrow, a list of dicts, a 2-D array), text (a sequence of str) or "
    "a SciPy CSR matrix of ready features"
)


class Table:
    """Rows of named columns, read when they are asked for.

    Attributes
    ----------
    n_rows : int
    names : list of str
        Distinct.
    row : dict or None
        The values of the only row by name, where they come as Python objects.
    named : bool
        Whether the container named its columns; else they are "x0", "x1", ...
    """

    __slots__ = ("_read", "_values", "n_rows", "named", "names", "row")

    def __init__(
        self,
        n_rows: int,
        names: list[str],
        read: Callable[[int], Any],
        *,
        named: bool = True,
        row: Mapping[str, Any] | None = None,
    ) -> None:
        self.n_rows = n_rows
        self.names = names
        self.named = named
        self.row = row
        self._read = read
        self._values: dict[int, Values] = {}

    def column(self, number: int) -> Values:
        """Give the values of a column.

        Raises
        ------
        TypeError, ValueError
            If no role can hold them; the message names the column.
        """
        if number not in self._values:
            self._values[number] = classify(self._read(number), self.names[number])
        return self._values[number]

    def take(self, mask: NDArray[np.bool_]) -> Table:
        """Give the table of the rows where `mask`, of shape (n_rows,), is true."""

        def read(number: int) -> Any:
            data = self._read(number)
            if isinstance(data, list):
                return list(compress(data, mask))
            if isinstance(data, np.ndarray):
                return data[mask]
            if str(data.type) == "string_view":  # which Arrow cannot filter
                data = decode(data)
            return data.filter(from_numpy(mask))

        return Table(int(np.count_nonzero(mask)), self.names, read, named=self.named)


def as_table(X: Any) -> Table:
    """Read any table, without looking into its columns.

    Parameters
    ----------
    X : table of n rows
        A pandas or polars frame, a pyarrow table or record batch, anything that speaks the Arrow
        PyCapsule protocol or that narwhals reads; a list of dicts (a key that a row lacks is a
        missing value); a NumPy array of shape (n, n_columns), or a list of rows, whose columns are
        named "x0", "x1", ...; a structured array. Text alone (a list, array or column of str) is a
        table of one column.

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        If `X` has no row, no column, two columns of one name, or one dimension and no text.
    TypeError
        If `X` is no table.

    Examples
    --------
    >>> from udt.columns import as_table
    >>> table = as_table([{"title": "Red dress", "price": 40}, {"title": "Shoes"}])
    >>> table.n_rows, table.names
    (2, ['title', 'price'])
    """
    if isinstance(X, Table):
        return X
    if isinstance(X, (list, tuple)):
        return _from_list(X)
    if isinstance(X, (str, bytes, bytearray)):
        raise_single(X)
    if isinstance(X, np.ndarray):
        return _from_numpy(X)
    if is_a(X, "pandas", "DataFrame", "Series", "Index", "api.extensions.ExtensionArray"):
        return _from_pandas(X)
    if is_a(X, "polars", "DataFrame", "LazyFrame", "Series"):
        return _from_polars(X)
    if is_a(X, "scipy.sparse", "spmatrix", "sparray"):
        _raise_no_table(X)
    if hasattr(X, "__arrow_c_stream__") or hasattr(X, "__arrow_c_array__"):
        return _from_arrow(X)
    is_array = hasattr(X, "__array__") and not hasattr(X, "columns")
    return _from_numpy(np.asarray(X)) if is_array else _from_arrow(_through_narwhals(X))


def _raise_no_table(X: Any) -> NoReturn:
    remedy = ""
    if isinstance(X, Mapping):
        remedy = ": pass a list of one dict, [X], for one row, or a data frame for many"
    elif isinstance(X, Iterable) and not isinstance(X, (set, frozenset)):
        remedy = "; if it yields the rows in order, pass list(X)"
    raise TypeError(f"X is of type {type(X).__name__}, where {_EXPECTED} is expected{remedy}")


def _table(
    shape: tuple[int, ...],
    names: Sequence[Any],
    read: Callable[[int], Any],
    first: Callable[[], list[Any] | None] = lambda: None,
    *,
    named: bool = True,
) -> Table:
    """Check the shape and the names."""
    if not shape[0]:
        raise ValueError(
            f"Found array with 0 sample(s) (shape={shape}) while a minimum of 1 is required."
        )
    if not shape[1]:
        raise ValueError(
            f"Found array with 0 feature(s) (shape={shape}) while a minimum of 1 is required."
        )
    texts = [name if type(name) is str else str(name) for name in names]
    if len(set(texts)) < len(texts):
        seen: set[str] = set()
        twice = next(name for name in texts if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        clash = [name for name in names if str(name) == twice]
        raise ValueError(
            f"X has {len(clash)} columns of the name {twice!r} ({reprlib.repr(clash)}): rename all "
            "but one, since columns are known by their names."
        )
    values = first() if shape[0] == 1 else None
    row = None if values is None else dict(zip(texts, values, strict=True))
    return Table(shape[0], texts, read, named=named, row=row)


def _from_text(X: Any, name: Any = None) -> Table:
    """Make a table of one column of text."""
    text = as_text(X)
    is_named = name is not None and name != ""
    return Table(len(text), [str(name) if is_named else "text"], lambda _: text, named=is_named)


def _raise_1d(dtype: Any) -> NoReturn:
    if "complex" in str(dtype):
        raise ValueError(f"Complex data not supported: X has dtype {dtype}.")
    raise ValueError(
        f"Expected 2D array, got 1D array instead: X has dtype {dtype} and is no text. Reshape "
        "your data either using array.reshape(-1, 1) if your data has a single feature or "
        "array.reshape(1, -1) if it contains a single sample."
    )


# -------------------------------------------------------------------------------- Python and NumPy
def _from_list(X: Sequence[Any]) -> Table:
    first = next((value for value in X if not is_missing(value)), None)
    if isinstance(first, Mapping):
        return _from_dicts(X)
    if isinstance(first, (list, tuple)) or (isinstance(first, np.ndarray) and first.ndim):
        return _from_rows(X)
    is_number = kind_of(first) in ("number", "flag", "date", "duration")
    is_number |= isinstance(first, (complex, np.complexfloating))
    if is_number and not any(isinstance(value, str) for value in X):
        _raise_1d(type(first).__name__)
    return _from_text(X)


def _from_dicts(X: Sequence[Any]) -> Table:
    if len(X) == 1:
        (row,) = X
        names = list(row)
        table = _table((1, len(row)), names, lambda i: [row[names[i]]])
        table.row = (
            row
            if all(type(name) is str for name in names)
            else dict(zip(table.names, row.values(), strict=True))
        )
        return table
    for number, row in enumerate(X):
        if not isinstance(row, Mapping):
            raise TypeError(
                f"row {number} of X is {reprlib.repr(row)} of type {type(row).__name__}, where a "
                "dict is expected as in the other rows."
            )
    names = list(dict.fromkeys(chain.from_iterable(X)))
    return _table((len(X), len(names)), names, lambda i: [row.get(names[i]) for row in X])


def _from_rows(X: Sequence[Any]) -> Table:
    width = next(len(row) for row in X if not is_missing(row))
    for number, row in enumerate(X):
        if not isinstance(row, (list, tuple, np.ndarray)) or len(row) != width:
            size = f" of {len(row)} values" if hasattr(row, "__len__") else ""
            raise ValueError(
                f"row {number} of X is {reprlib.repr(row)}{size}, where a row of {width} values is "
                "expected as in the other rows."
            )
    return _table((len(X), width), _numbered(width), lambda i: [row[i] for row in X], named=False)


def _from_numpy(X: NDArray[Any]) -> Table:
    if X.ndim == 0:
        raise_single(X)
    if X.dtype.names:
        names = list(X.dtype.names)
        return _table((X.size, len(names)), names, lambda i: _numpy_column(X[names[i]].ravel()))
    if X.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: X has dtype {X.dtype}.")
    if X.ndim == 1:
        if X.dtype.kind in "biufmM":
            _raise_1d(X.dtype)
        return _from_list(X.tolist()) if X.dtype == object else _from_text(X)
    if X.ndim > 2:
        raise ValueError(
            f"Found array with dim {X.ndim} (shape={X.shape}), while dim <= 2 is required: give "
            "one row for each sample."
        )
    if isinstance(X, np.matrix):
        X = np.asarray(X)
    return _table(X.shape, _numbered(X.shape[1]), lambda i: _numpy_column(X[:, i]), named=False)


def _numbered(n_columns: int) -> list[str]:
    return [f"x{i}" for i in range(n_columns)]


def _numpy_column(column: Any) -> Any:  # a masked array has a type of its own
    if isinstance(column, np.ma.MaskedArray):
        if column.dtype.kind in "fMm":
            return column.filled(np.nan if column.dtype.kind == "f" else column.dtype.type("NaT"))
        if np.ma.is_masked(column):
            return column.tolist()  # None where masked
        return _numpy_column(np.asarray(column))
    if column.dtype.kind in "OUT":
        return column.tolist()
    return column


# --------------------------------------------------------------------------------- data frames
def _from_pandas(X: Any) -> Table:
    if not is_a(X, "pandas", "DataFrame"):
        if getattr(X.dtype, "kind", "O") in "biufcmM":
            _raise_1d(X.dtype)
        return _from_text(X, getattr(X, "name", None))
    return _table(
        X.shape,
        X.columns.tolist(),
        lambda i: _pandas_column(X.iloc[:, i]),
        lambda: _pandas_row(X),
    )


def _pandas_row(X: Any) -> list[Any] | None:
    """Give the values of a frame of one row, which is quicker than to take it column by column."""
    row = X.iloc[0]
    if row.dtype == object:
        return row.tolist()
    if isinstance(row.dtype, np.dtype) and row.dtype.kind == "f":
        values = row.tolist()
        # Integers that pandas has made floats must have been exact
        if not any(value >= 2.0**53 or value <= -(2.0**53) for value in values):
            return values
    return None


def _pandas_column(series: Any) -> Any:
    import pyarrow as pa

    dtype = series.dtype
    if isinstance(dtype, np.dtype):
        return _numpy_column(series.to_numpy())
    if type(dtype).__name__ == "SparseDtype":
        return _numpy_column(np.asarray(series))
    try:
        array = pa.array(series)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        return series.tolist()
    return array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])


def _from_polars(X: Any) -> Table:
    if is_a(X, "polars", "Series"):
        if X.dtype.is_numeric() or X.dtype.is_temporal() or str(X.dtype) == "Boolean":
            _raise_1d(X.dtype)
        return _from_text(X, X.name)
    if is_a(X, "polars", "LazyFrame"):
        X = X.collect()
    return _table(
        X.shape, X.columns, lambda i: _polars_column(X.to_series(i)), lambda: _polars_row(X)
    )


def _polars_row(X: Any) -> list[Any] | None:
    row = list(X.row(0))
    # Python's times have no nanoseconds
    return None if any(isinstance(value, (date, time, timedelta)) for value in row) else row


def _polars_column(series: Any) -> Any:
    import pyarrow as pa

    if str(series.dtype) == "Object":  # in Arrow, the addresses of the objects
        return series.to_list()
    return pa.chunked_array([series.to_arrow()])


def _from_arrow(X: Any) -> Table:
    import pyarrow as pa

    if not isinstance(X, (pa.Table, pa.RecordBatch)):
        if hasattr(X, "__arrow_c_stream__"):
            column = pa.chunked_array(X)
        else:
            column = pa.chunked_array([pa.array(X)])
        if not pa.types.is_struct(column.type):
            if pa.types.is_primitive(column.type) or pa.types.is_decimal(column.type):
                _raise_1d(column.type)
            return _from_text(column)
        X = pa.Table.from_struct_array(column) if len(column) else column.type
        if isinstance(X, pa.DataType):
            return _table((0, X.num_fields), [field.name for field in X], lambda _: None)
    columns = X.columns

    def read(number: int) -> pa.ChunkedArray:
        column = columns[number]
        return column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])

    return _table((X.num_rows, X.num_columns), X.schema.names, read)


def _through_narwhals(X: Any) -> Any:
    try:
        import narwhals

        frame = narwhals.from_native(X)
    except (ImportError, TypeError):
        _raise_no_table(X)
    if isinstance(frame, narwhals.LazyFrame):
        frame = frame.collect(backend="pyarrow")
    return frame.to_arrow()
