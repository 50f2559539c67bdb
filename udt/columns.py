"""Columns of a table -> one array each, in the form that its role asks for."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from udt.arrow import from_numpy, lengths, to_numpy, with_nulls
from udt.cells import CELLS, clock, raise_absent, raise_infinity, raise_word, read_row, to_flag
from udt.frames import Table, as_table
from udt.parsing import BLANKS, Floats, parse_dates, parse_numbers, to_seconds
from udt.roles import ROLES, Column, check_kind, infer_columns
from udt.strings import as_text, decode, encode, is_missing
from udt.values import Values, kind_of, to_floats, to_text

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "ROLES",
    "Column",
    "Table",
    "as_table",
    "as_text",
    "infer_columns",
    "is_missing",
    "read_columns",
    "read_row",
]

_PLAIN = {float, int, bool, type(None)}
_MANY = 20  # strings of which at least one should be a number


def read_columns(table: Table, columns: Sequence[Column]) -> list[Any]:
    """Read the columns that a model knows, whatever else there is and in whatever order.

    Parameters
    ----------
    table : Table of n rows
    columns : sequence of Column

    Returns
    -------
    list
        For each column that is not ignored, in order:

        - "text": pyarrow.LargeStringArray without nulls, "" where missing;
        - "category", "flag": pyarrow.LargeStringArray, null where missing;
        - "categories": pyarrow.LargeListArray of large_string, empty where missing;
        - "number": ndarray of shape (n,), float64, NaN where missing;
        - "date": the same, in seconds since 1970 UTC.

    Raises
    ------
    ValueError
        If a column is missing and not optional, or a number is infinite or cannot be read.
    TypeError
        If a column holds values that its role cannot hold.

    Examples
    --------
    >>> from udt.columns import as_table, infer_columns, read_columns
    >>> table = as_table([{"size": "19M", "tag": "art"}, {"size": "n/a", "tag": "art"}])
    >>> columns = infer_columns(table, {"tag": "category"})
    >>> size, tag = read_columns(table, columns)
    >>> size, tag.to_pylist()
    (array([19000000.,       nan]), ['art', 'art'])
    """
    known = [column for column in columns if column.role != "ignored"]
    if table.row is not None:
        cells = read_row(_own_row(table.row, known), known)
        return [_WRAP[column.role](cell) for column, cell in zip(known, cells, strict=True)]
    places = _find(table, columns, known)
    arrays = []
    for column in known:
        place = places.get(column.name)
        if place is not None:
            values = check_kind(column.name, column.role, table.column(place))
        elif column.optional:
            values = Values("missing", [None] * table.n_rows)
        else:
            raise_absent(column.name, table.names)
        arrays.append(_READ[column.role](values, column))
    return arrays


def _own_row(row: Mapping[str, Any], known: list[Column]) -> Mapping[str, Any]:
    """Give a lone text the name that it had in fit."""
    if len(known) == len(row) == 1 and known[0].role == "text" and known[0].name not in row:
        (value,) = row.values()
        if kind_of(value) in ("string", "missing"):
            return {known[0].name: value}
    return row


def _find(table: Table, columns: Sequence[Column], known: list[Column]) -> dict[str, int]:
    """Give the place in the table of each column that is there."""
    places = {name: place for place, name in enumerate(table.names)}
    is_lone = len(known) == len(places) == 1 and known[0].role == "text"
    if is_lone and table.column(0).kind in ("string", "missing"):
        return {known[0].name: 0}
    if table.named:
        return places
    if len(columns) == len(places):  # an array has no names to go by
        return {column.name: place for place, column in enumerate(columns)}
    raise ValueError(
        f"X has {len(places)} features, but UDTClassifier is expecting {len(columns)} features as "
        f"input: {', '.join(repr(column.name) for column in columns[:20])}."
    )


def _one_by_one(data: list[Any], column: Column) -> list[Any]:
    read = CELLS[column.role]
    return [read(value, column, row) for row, value in enumerate(data)]


# -------------------------------------------------------------------------------- numbers and dates
def _read_number(values: Values, column: Column) -> Floats:
    data = values.data
    if isinstance(data, list):
        numbers = _read_number_objects(data, column)
    elif values.kind == "string":
        numbers = parse_numbers(data)
        _check_words(numbers, data, column)
    else:
        numbers = _read_clock(data) if values.kind == "duration" else to_floats(data)
    wrong = np.isinf(numbers)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise_infinity(_item(data, row), column, row)
    return numbers


def _read_number_objects(data: list[Any], column: Column) -> Floats:
    if set(map(type, data)) <= _PLAIN:
        with suppress(OverflowError):  # of integers beyond float64
            return np.array(data, dtype=np.float64)
    return np.array(_one_by_one(data, column), dtype=np.float64)


def _item(data: Any, row: int) -> Any:
    value = data[row]
    for convert in ("as_py", "item"):
        if hasattr(value, convert):
            return getattr(value, convert)()
    return value


def _check_words(numbers: Floats, texts: pa.LargeStringArray, column: Column) -> None:
    """Refuse words in a column that had numbers in fit, and nothing but words in any."""
    unread = np.flatnonzero(np.isnan(numbers) & (lengths(texts) > 0))
    if column.spelling == "free" and (len(unread) < _MANY or not np.isnan(numbers).all()):
        return
    for row in unread.tolist():
        raise_word(texts[row].as_py(), column, row)


def _read_clock(data: Any) -> Floats:
    return clock(data) if isinstance(data, np.ndarray) else to_seconds(data)


def _read_date(values: Values, column: Column) -> Floats:
    if isinstance(values.data, list):
        return np.array(_one_by_one(values.data, column), dtype=np.float64)
    if values.kind == "string":
        return parse_dates(values.data, column.spelling == "day first")
    return _read_clock(values.data)


# --------------------------------------------------------------------------------------- strings
def _read_text(values: Values, column: Column) -> pa.LargeStringArray:
    if isinstance(values.data, list):
        return encode(_one_by_one(values.data, column))
    return values.data if values.kind == "string" else encode([""] * len(values.data))


def _read_category(values: Values, column: Column) -> pa.LargeStringArray:
    data = values.data
    if isinstance(data, list):
        return with_nulls(encode(_one_by_one(data, column)))
    if values.kind == "string":
        return with_nulls(data)
    return _write_numbers(data, column)


def _write_numbers(data: Any, column: Column) -> pa.LargeStringArray:
    """Write numbers or flags as `to_text` does, each distinct one once if it has a fraction."""
    import pyarrow as pa

    if isinstance(data, np.ndarray):
        data = from_numpy(data)
    if pa.types.is_null(data.type):
        return with_nulls(encode([""] * len(data)))
    if pa.types.is_integer(data.type) or pa.types.is_boolean(data.type):
        return data.cast(pa.large_string())
    numbers = to_floats(data)
    wrong = np.isinf(numbers)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise_infinity(_item(data, row), column, row)
    distinct, places = np.unique(numbers, return_inverse=True)
    words = encode([to_text(value) for value in distinct.tolist()])
    return with_nulls(words.take(from_numpy(places)))


def _read_flag(values: Values, column: Column) -> pa.LargeStringArray:
    texts = _read_category(values, column)
    encoded = texts.dictionary_encode()
    words = encode([to_flag(text) for text in encoded.dictionary.to_pylist()])
    return words.take(encoded.indices)


# ----------------------------------------------------------------------------------------- lists
def _read_categories(values: Values, column: Column) -> pa.LargeListArray:
    import pyarrow.compute as pc

    data = values.data
    if isinstance(data, list):
        return _wrap_lists(_one_by_one(data, column))
    if values.kind == "list" or (values.kind == "string" and column.delimiter):
        if values.kind == "string":
            data = pc.split_pattern(data, column.delimiter)
        parents = to_numpy(pc.list_parent_indices(data))
        items = _items(pc.list_flatten(data), column)
    else:
        items, parents = _read_category(values, column), np.arange(len(data))
    items = pc.utf8_trim(items, BLANKS)
    keep = lengths(items) > 0  # nor has a null any bytes
    if not keep.all():
        items, parents = items.filter(from_numpy(keep)), parents[keep]
    return _lists(np.bincount(parents, minlength=len(data)), items)


def _items(flat: pa.Array, column: Column) -> pa.LargeStringArray:
    import pyarrow as pa

    if not len(flat):
        return encode([])
    if pa.types.is_dictionary(flat.type):
        flat = flat.cast(flat.type.value_type)
    if "string" in str(flat.type):
        return decode(pa.chunked_array([flat]))
    return _write_numbers(flat, column)


def _lists(counts: NDArray[np.integer[Any]], items: pa.LargeStringArray) -> pa.LargeListArray:
    import pyarrow as pa

    offsets = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=offsets[1:])
    return pa.LargeListArray.from_arrays(from_numpy(offsets), items)


def _wrap_lists(lists: list[list[str]]) -> pa.LargeListArray:
    items = list(chain.from_iterable(lists))
    return _lists(np.array(list(map(len, lists)), dtype=np.int64), encode(items))


# ---------------------------------------------------------------------------------------- one row
def _wrap_text(text: str | None) -> pa.LargeStringArray:
    import pyarrow as pa

    utf8 = (text or "").encode()
    offsets = pa.py_buffer(struct.pack("=qq", 0, len(utf8)))
    return pa.LargeStringArray.from_buffers(1, offsets, pa.py_buffer(utf8))


def _wrap_category(text: str | None) -> pa.LargeStringArray:
    import pyarrow as pa

    if text is not None:
        return _wrap_text(text)
    none = pa.py_buffer(b"\0")
    return pa.LargeStringArray.from_buffers(1, pa.py_buffer(bytes(16)), none, none)


_READ: dict[str, Callable[[Values, Column], Any]] = {
    "text": _read_text,
    "category": _read_category,
    "categories": _read_categories,
    "number": _read_number,
    "date": _read_date,
    "flag": _read_flag,
}
_WRAP: dict[str, Callable[[Any], Any]] = {
    "text": _wrap_text,
    "category": _wrap_category,
    "flag": _wrap_category,
    "categories": lambda items: _wrap_lists([items]),
    "number": lambda number: np.array([number]),
    "date": lambda seconds: np.array([seconds]),
}
