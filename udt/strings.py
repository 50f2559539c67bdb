"""Strings of any container -> one Arrow array of UTF-8."""

from __future__ import annotations

import re
import reprlib
import sys
from collections.abc import Iterable, Mapping, Sequence, Set
from decimal import Decimal
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

if TYPE_CHECKING:  # pyarrow takes as long to import as scikit-learn: only on first use
    import pyarrow as pa

__all__ = [
    "as_text",
    "decode",
    "encode",
    "is_a",
    "is_missing",
    "raise_single",
]

_EXPECTED = "text (a sequence of str, or a string column) or a SciPy CSR matrix of ready features"
_BLOCK = 4096  # rows encoded at a time: bounds the memory of the temporary bytes objects
_SURROGATE = re.compile("[\ud800-\udfff]")
_SURROGATE_BYTES = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")


def as_text(X: Any) -> pa.LargeStringArray:
    """Read a column of text into one Arrow array.

    Arrow-backed input (pyarrow, polars, pandas ``str``) is read without a Python object per row,
    and without a copy where its layout allows. Neither pandas nor polars is ever imported.

    Parameters
    ----------
    X : sequence of str, of length n
        A list or tuple; a NumPy array of dtype ``str``, ``StringDType`` or ``object``, of shape
        (n,) or (n, 1); a pandas Series or Index, a polars Series, or anything else that speaks
        the Arrow PyCapsule protocol (plain, view or dictionary-encoded strings, in any number of
        chunks); or a frame of one such column. A missing value (None, NaN, NaT, ``pd.NA``, null,
        masked) is the empty text. A lone surrogate, which UTF-8 cannot hold, becomes U+FFFD, as
        do bytes in an Arrow column that are not UTF-8.

    Returns
    -------
    pyarrow.LargeStringArray of length n
        Valid UTF-8 without nulls. The offsets (int64) start above 0 if `X` was a slice.

    Raises
    ------
    ValueError
        If `X` is a single string or 0-d array, is empty, or has more than one column.
    TypeError
        If `X` or one of its rows is not text; the message names the row or the dtype.

    Examples
    --------
    >>> from udt.strings import as_text
    >>> as_text(["Where is my card?", None]).to_pylist()
    ['Where is my card?', '']
    """
    if isinstance(X, (list, tuple)):
        return _from_values(X)
    if isinstance(X, (str, bytes, bytearray)):
        raise_single(X)
    X = _only_column(X)
    if is_a(X, "pandas", "Series", "Index", "api.extensions.ExtensionArray"):
        return _from_pandas(X)
    if is_a(X, "polars", "Series"):
        is_object = str(X.dtype) == "Object"  # in Arrow, the addresses of the objects
        return _from_values(X.to_list()) if is_object else _from_arrow(X.to_arrow())
    if hasattr(X, "__arrow_c_stream__") or hasattr(X, "__arrow_c_array__"):
        return _from_arrow(X)
    if hasattr(X, "__array__"):
        return _from_numpy(X if isinstance(X, np.ndarray) else np.asarray(X))
    remedy = ""
    if isinstance(X, Iterable) and not isinstance(X, (Mapping, Set)):
        remedy = "; if it yields the texts in order, pass list(X)"
    raise TypeError(f"X is of type {type(X).__name__}, where {_EXPECTED} is expected{remedy}")


def is_a(X: Any, library: str, *names: str) -> bool:
    """Tell whether `X` is of one of the classes of a library, without importing the library."""
    module = sys.modules.get(library)
    return module is not None and any(isinstance(X, attrgetter(name)(module)) for name in names)


def _only_column(X: Any) -> Any:
    """Take the column out of a pandas or polars frame; other frames are Arrow structs."""
    if is_a(X, "pandas", "DataFrame"):
        _check_frame(X.shape, X.columns)
        return X.iloc[:, 0]
    if is_a(X, "polars", "DataFrame"):
        _check_frame(X.shape, X.columns)
        return X.to_series()
    return X


def _from_values(values: Sequence[Any]) -> pa.LargeStringArray:
    _check_rows((len(values),))
    return encode(values)


def encode(values: Sequence[Any]) -> pa.LargeStringArray:
    """Encode Python strings; ``pyarrow.array`` would take bytes for text, and import pandas."""
    import pyarrow as pa

    n = len(values)
    offsets = np.zeros(n + 1, dtype=np.int64)
    blocks = []
    for start in range(0, n, _BLOCK):
        rows = values[start : start + _BLOCK]
        try:
            encoded = list(map(str.encode, rows))
        except (TypeError, UnicodeEncodeError):
            encoded = [_clean(value, start + i).encode() for i, value in enumerate(rows)]
        offsets[start + 1 : start + 1 + len(encoded)] = list(map(len, encoded))
        blocks.append(b"".join(encoded))
    np.cumsum(offsets, out=offsets)
    return pa.LargeStringArray.from_buffers(
        n, pa.py_buffer(offsets), pa.py_buffer(b"".join(blocks))
    )


def _clean(value: Any, row: int) -> str:
    if isinstance(value, str):
        return value if value.isascii() else _SURROGATE.sub("\ufffd", value)
    if is_missing(value):
        return ""
    remedy = f"make it text with str(X[{row}])"
    if isinstance(value, (bytes, bytearray, memoryview)):
        remedy = f"decode it, for example str(X[{row}], 'utf-8')"
    shown = reprlib.repr(value)
    raise TypeError(f"row {row} of X is {shown} of type {type(value).__name__}, not str: {remedy}")


def is_missing(value: Any) -> bool:
    """Tell whether a value is None, or any library's NaN or NA."""
    if value is None:
        return True
    if isinstance(value, (float, np.floating)):
        return bool(np.isnan(value))
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return bool(np.isnat(value))
    if isinstance(value, Decimal):
        return value.is_nan()
    pandas = sys.modules.get("pandas")
    return pandas is not None and (value is pandas.NA or value is pandas.NaT)


def _from_pandas(column: Any) -> pa.LargeStringArray:
    import pyarrow as pa

    _check_rows(column.shape)
    dtype = column.dtype
    if hasattr(dtype, "pyarrow_dtype") or getattr(dtype, "storage", "") == "pyarrow":
        return _from_arrow(pa.array(column))
    if dtype.kind != "O":
        _raise_not_text(dtype)
    return encode(column.tolist())


def _from_numpy(array: np.ndarray[Any, Any]) -> pa.LargeStringArray:
    if array.ndim == 0:
        raise_single(array)
    _check_rows(array.shape)
    if array.dtype.kind == "S":
        raise TypeError(f"X holds bytes (dtype {array.dtype}): pass np.char.decode(X, 'utf-8')")
    if array.dtype.kind not in "UTO":
        _raise_not_text(array.dtype)
    if array.ndim > 1:
        if array.shape[1:] != (1,):
            raise ValueError(f"X has shape {array.shape}, not one column: select the text, X[:, 0]")
        array = array[:, 0]
    # Not by pyarrow.array, which ends a string of dtype U at its first NUL
    return encode(array.tolist())


def _from_arrow(X: Any) -> pa.LargeStringArray:
    import pyarrow as pa

    if hasattr(X, "__arrow_c_stream__"):
        column = pa.chunked_array(X)
    else:
        column = pa.chunked_array([pa.array(X)])
    if pa.types.is_struct(column.type):  # a frame
        names = [field.name for field in column.type]
        _check_frame((len(column), len(names)), names)
        (column,) = column.flatten()
    return decode(column)


def decode(column: pa.ChunkedArray) -> pa.LargeStringArray:
    """Make one array of valid UTF-8 of a column of strings; null is the empty text."""
    import pyarrow as pa

    _check_rows((len(column),))
    chunks = [_decode(chunk) for chunk in column.chunks if len(chunk)]
    array = chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks)
    if array.null_count:
        array = array.fill_null(encode([""])[0])
    array.validate()
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:  # Arrow's producers need not have checked that their strings are UTF-8
        rows = (_SURROGATE_BYTES.sub(b"\xef\xbf\xbd", row.as_buffer()) for row in array)
        return encode([row.decode(errors="replace") for row in rows])
    return array


def _decode(chunk: pa.Array) -> pa.LargeStringArray:
    import pyarrow as pa

    if pa.types.is_dictionary(chunk.type):
        # Widened before it is spread out: repeats of one value can pass 2 GiB
        return _decode(chunk.dictionary).take(chunk.indices)
    if "binary" in str(chunk.type):
        raise TypeError(f"X holds bytes (Arrow type {chunk.type}): cast the column to string")
    if str(chunk.type) not in ("string", "large_string", "string_view", "null"):
        _raise_not_text(chunk.type)
    try:
        return chunk.cast(pa.large_string())
    except pa.ArrowNotImplementedError:  # string_view, in older releases of pyarrow
        return encode(chunk.to_pylist())


def _check_rows(shape: tuple[int, ...]) -> None:
    if not shape[0]:
        raise ValueError(
            f"Found array with 0 sample(s) (shape={shape}) while a minimum of 1 is required."
        )


def _check_frame(shape: tuple[int, int], names: Iterable[Any]) -> None:
    if shape[1] == 1:
        return
    _check_rows(shape)
    raise ValueError(
        f"X has {shape[1]} columns, {reprlib.repr(list(names))}: "
        "select the one that holds the text, as in X['title']"
    )


def raise_single(X: Any) -> NoReturn:
    """Refuse one text where many are expected."""
    kind = "0-d array" if isinstance(X, np.ndarray) else type(X).__name__
    raise ValueError(f"X is a single {kind}, {reprlib.repr(X)}: pass a list of one text, [X]")


def _raise_not_text(dtype: Any) -> NoReturn:
    raise TypeError(f"X has dtype {dtype}, where {_EXPECTED} is expected")
