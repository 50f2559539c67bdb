"""Columns of a table -> one array each, in the form that its role asks for."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time
from itertools import chain
from math import inf, isinf, isnan, nan
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from udt.frames import Table, Values, as_table, kind_of, raise_unfit, to_text
from udt.parsing import (
    BLANKS,
    NA_WORDS,
    parse_date,
    parse_dates,
    parse_number,
    parse_numbers,
    to_seconds,
    units_to_seconds,
)
from udt.roles import FLAGS, ROLES, Column, check_kind, infer_columns, raise_kind
from udt.strings import as_text, decode, encode, is_missing

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

Floats = NDArray[np.float64]
_ABSENT: Any = object()
_EPOCH = date(1970, 1, 1).toordinal()
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
    row = _only_row(table, columns)
    if row is not None:
        values = read_row(row, columns)
        roles = [column.role for column in columns if column.role != "ignored"]
        return [_WRAP[role]([value]) for role, value in zip(roles, values, strict=True)]
    places = _find(table, columns)
    arrays = []
    for column in columns:
        if column.role == "ignored":
            continue
        place = places.get(column.name)
        if place is not None:
            arrays.append(_read(table.column(place), column))
        elif column.optional:
            arrays.append(_READ[column.role](_missing(table.n_rows), column))
        else:
            _raise_absent(column.name, table.names)
    return arrays


def read_row(row: Mapping[str, Any], columns: Sequence[Column]) -> list[Any]:
    """Read one row of Python values, exactly as `read_columns` reads many.

    Parameters
    ----------
    row : mapping of str to values
    columns : sequence of Column

    Returns
    -------
    list
        For each column that is not ignored a str ("text"), str or None ("category", "flag"), list
        of str ("categories") or float ("number", "date").
    """
    values: list[Any] = []
    for column in columns:
        role = column.role
        if role == "ignored":
            continue
        value = row.get(column.name, _ABSENT)
        if value is _ABSENT:
            if not column.optional:
                _raise_absent(column.name, list(row))
            value = None
        if type(value) is str and value.isascii() and (role == "category" or role == "text"):
            values.append(value or (None if role == "category" else ""))
        else:
            values.append(_READ_ONE[role](value, column, None))
    return values


def _only_row(table: Table, columns: Sequence[Column]) -> Mapping[str, Any] | None:
    row = table.row
    if row is not None and len(columns) == 1 and columns[0].role == "text" and len(row) == 1:
        (value,) = row.values()
        if columns[0].name not in row and kind_of(value) in ("string", "missing"):
            return {columns[0].name: value}
    return row


def _find(table: Table, columns: Sequence[Column]) -> dict[str, int]:
    """Give the place in the table of each column that is there."""
    names = [column.name for column in columns]
    if not table.named and table.names != names:
        if len(names) == len(table.names):  # an array has no names to go by
            return {name: place for place, name in enumerate(names)}
        if not any(column.optional for column in columns):
            missing = [name for name in names if name not in table.names]
            raise ValueError(
                f"X has {len(table.names)} features, but UDTClassifier is expecting {len(names)} "
                f"features as input{': there is no column ' if missing else ''}"
                f"{', '.join(map(repr, missing[:5]))}."
            )
    places = {name: place for place, name in enumerate(table.names)}
    is_lone_text = len(names) == 1 and columns[0].role == "text" and len(table.names) == 1
    is_stranger = is_lone_text and names[0] not in places
    if is_stranger and table.column(0).kind in ("string", "missing"):
        return {names[0]: 0}
    return places


def _raise_absent(name: str, names: list[str]) -> NoReturn:
    there = ", ".join(map(repr, names[:20])) + (", ..." if len(names) > 20 else "")
    raise ValueError(
        f"column {name!r} is missing from X, which has {there}: add it, or declare it optional in "
        f"fit with a '?' at the end of its role, as in columns={{{name!r}: 'text?'}}."
    )


def _missing(n_rows: int) -> Values:
    return Values("missing", [None] * n_rows)


def _read(values: Values, column: Column) -> Any:
    role, kind = column.role, values.kind
    try:
        check_kind(column.name, role, kind)
    except TypeError:
        if not _all_missing(values.data):
            raise
        values = _missing(len(values.data))
    if values.kind == "missing":
        values = _missing(len(values.data))
    return _READ[role](values, column)


def _all_missing(data: Any) -> bool:
    if isinstance(data, list):
        return all(map(is_missing, data))
    if isinstance(data, np.ndarray):
        return data.dtype.kind in "fMm" and bool((data != data).all())
    import pyarrow as pa

    if data.null_count == len(data):
        return True
    if not pa.types.is_floating(data.type):
        return False
    return bool(np.isnan(_floats(data)).all())


# ------------------------------------------------------------------------------------ one value
def _raise_value(value: Any, column: Column, row: int | None, wrong: str) -> NoReturn:
    where = "" if row is None else f" (row {row})"
    raise ValueError(f"column {column.name!r}{where} holds {reprlib.repr(value)}, {wrong}")


def _raise_infinity(value: Any, column: Column, row: int | None = None) -> NoReturn:
    wrong = "which is infinity, or beyond float64: give None or NaN where a number is missing."
    _raise_value(value, column, row, wrong)


def _refuse(value: Any, column: Column, row: int | None) -> NoReturn:
    kind = kind_of(value)
    if not kind:
        raise_unfit(column.name, value, row)
    where = "" if row is None else f"row {row}: "
    try:
        raise_kind(column.name, column.role, kind)
    except TypeError as error:
        raise TypeError(f"{error} ({where}{reprlib.repr(value)})") from None


def _one_number(value: Any, column: Column, row: int | None) -> float:
    if isinstance(value, str):
        number = parse_number(value)
        if isnan(number) and column.spelling != "free" and not _says_missing(value):
            _raise_value(value, column, row, _NO_NUMBER)
    elif is_missing(value):
        return nan
    else:
        kind = kind_of(value)
        if kind == "duration":
            number = _one_duration(value)
        elif kind == "number" or kind == "flag":
            try:
                number = float(value)
            except OverflowError:
                number = inf
        else:
            _refuse(value, column, row)
    if isinf(number):
        _raise_infinity(value, column, row)
    return number


_NO_NUMBER = (
    "which is no number, while the column held numbers in fit: give None where it is missing."
)


def _says_missing(text: str) -> bool:
    text = text.strip(BLANKS).lower()
    return not text or text in NA_WORDS


def _one_duration(value: Any) -> float:
    if isinstance(value, np.timedelta64):
        return float(_clock(np.array([value]))[0])
    if isinstance(value, time):
        whole = value.hour * 3600 + value.minute * 60 + value.second
        return whole + value.microsecond / 10**6
    return _add_parts(value.days, value.seconds, value)


def _add_parts(days: int, seconds: int, value: Any) -> float:
    nanoseconds = getattr(value, "nanosecond", getattr(value, "nanoseconds", 0))  # pandas
    whole = days * 86400 + seconds
    if nanoseconds:
        return whole + (value.microsecond * 1000 + nanoseconds) / 10**9
    return whole + getattr(value, "microsecond", getattr(value, "microseconds", 0)) / 10**6


def _one_date(value: Any, column: Column, row: int | None) -> float:
    if isinstance(value, str):
        return parse_date(value, column.spelling == "day first")
    if is_missing(value):
        return nan
    if kind_of(value) != "date":
        _refuse(value, column, row)
    if isinstance(value, np.datetime64):
        return float(_clock(np.array([value]))[0])
    days = value.toordinal() - _EPOCH
    if not isinstance(value, datetime):
        return float(days * 86400)
    shift = value.utcoffset()
    seconds = value.hour * 3600 + value.minute * 60 + value.second
    if shift:
        seconds -= shift.days * 86400 + shift.seconds
    return _add_parts(days, seconds, value)


def _one_text(value: Any, column: Column, row: int | None) -> str:
    if isinstance(value, str):
        return _clean(value)
    if not is_missing(value):
        _refuse(value, column, row)
    return ""


def _clean(text: str) -> str:
    return text if text.isascii() else encode([text])[0].as_py()


def _one_category(value: Any, column: Column, row: int | None) -> str | None:
    if isinstance(value, str):
        return _clean(value) or None
    if is_missing(value):
        return None
    if kind_of(value) not in ("number", "flag"):
        _refuse(value, column, row)
    text = to_text(value)
    if text in ("inf", "-inf"):
        _raise_infinity(value, column, row)
    return text or None


def _one_flag(value: Any, column: Column, row: int | None) -> str | None:
    text = _one_category(value, column, row)
    return None if text is None else _to_flag(text)


def _to_flag(text: str) -> str:
    word = text.strip(BLANKS).lower()
    return {"1": "true", "0": "false"}.get(word) or FLAGS.get(word, text)


def _one_list(value: Any, column: Column, row: int | None) -> list[str]:
    if isinstance(value, str):
        delimiter = column.delimiter
        items: Any = value.split(delimiter) if delimiter else [value]
    elif kind_of(value) == "list":
        # The order of a set of strings differs from run to run
        items = sorted(value, key=to_text) if isinstance(value, (set, frozenset)) else value
    else:
        items = [value]
    texts = []
    for item in items:
        if kind_of(item) not in ("string", "number", "flag", "missing"):
            _refuse(item, column, row)
        text = _clean(to_text(item)).strip(BLANKS)
        if text:
            texts.append(text)
    return texts


_READ_ONE: dict[str, Callable[[Any, Column, int | None], Any]] = {
    "text": _one_text,
    "category": _one_category,
    "categories": _one_list,
    "number": _one_number,
    "date": _one_date,
    "flag": _one_flag,
}


# ----------------------------------------------------------------------------------- many values
def _one_by_one(data: list[Any], column: Column) -> list[Any]:
    read = _READ_ONE[column.role]
    return [read(value, column, row) for row, value in enumerate(data)]


def _read_number(values: Values, column: Column) -> Floats:
    data = values.data
    if values.kind == "string" and not isinstance(data, list):
        numbers = parse_numbers(data)
        _check_numbers(numbers, data, column)
    elif isinstance(data, list):
        try:
            numbers = np.array(data, dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            numbers = np.array(_one_by_one(data, column))
    else:
        numbers = _clock(data) if values.kind == "duration" else _floats(data)
    wrong = np.isinf(numbers)
    if wrong.any():
        row = int(np.argmax(wrong))
        value = data[row] if isinstance(data, (list, np.ndarray)) else data[row].as_py()
        _raise_infinity(value, column, row)
    return numbers


def _check_numbers(numbers: Floats, texts: pa.LargeStringArray, column: Column) -> None:
    """Refuse strings that are no numbers in a column that had numbers in fit, or has none now."""
    unread = np.flatnonzero(np.isnan(numbers) & (_lengths(texts) > 0))
    if column.spelling == "free" and (len(unread) < _MANY or not np.isnan(numbers).all()):
        return
    for row in unread.tolist():
        text = texts[row].as_py()
        if not _says_missing(text):
            _raise_value(text, column, row, _NO_NUMBER)


def _floats(data: Any) -> Floats:
    """Turn numbers or flags into float64; null is NaN."""
    if isinstance(data, np.ndarray):
        return data.astype(np.float64, copy=False)
    import pyarrow as pa

    if pa.types.is_decimal(data.type):  # by way of strings, which rounds as Python does
        return parse_numbers(data.cast(pa.large_string()))
    if pa.types.is_boolean(data.type):
        data = data.cast(pa.uint8())
    if not data.null_count:
        return data.to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
    numbers = data.fill_null(0).to_numpy(zero_copy_only=False).astype(np.float64)
    numbers[data.is_null().to_numpy(zero_copy_only=False)] = nan
    return numbers


def _clock(data: Any) -> Floats:
    """Turn dates, times or durations into seconds; null is NaN."""
    if not isinstance(data, np.ndarray):
        return to_seconds(data)
    unit, step = np.datetime_data(data.dtype)
    if unit == "generic":  # NaT alone has no unit
        return np.full(len(data), nan)
    if unit not in ("s", "ms", "us", "ns") or step != 1:
        unit = "ns" if unit in ("ps", "fs", "as") else unit if unit in ("ms", "us", "ns") else "s"
        data = data.astype(f"{data.dtype.kind}8[{unit}]")
    seconds = units_to_seconds(data.astype(np.int64), unit)
    seconds[np.isnat(data)] = nan
    return seconds


def _read_date(values: Values, column: Column) -> Floats:
    if isinstance(values.data, list):
        return np.array(_one_by_one(values.data, column), dtype=np.float64)
    if values.kind == "string":
        return parse_dates(values.data, column.spelling == "day first")
    return _clock(values.data)


def _read_text(values: Values, column: Column) -> pa.LargeStringArray:
    if isinstance(values.data, list):
        return encode(_one_by_one(values.data, column))
    return values.data


def _read_category(values: Values, column: Column) -> pa.LargeStringArray:
    data = values.data
    if isinstance(data, list):
        return _with_nulls(encode(_one_by_one(data, column)))
    if values.kind == "string":
        return _with_nulls(data)
    return _write_numbers(data, values.kind, column)


def _write_numbers(data: Any, kind: str, column: Column) -> pa.LargeStringArray:
    import pyarrow as pa

    is_arrow = not isinstance(data, np.ndarray)
    if is_arrow and (pa.types.is_integer(data.type) or kind == "flag"):
        return data.cast(pa.large_string())
    if not is_arrow and data.dtype.kind in "biu":
        distinct, indices = np.unique(data, return_inverse=True)
        words = encode([to_text(value) for value in distinct])
        return words.take(_int64(indices))
    numbers = _floats(data)
    if np.isinf(numbers).any():
        row = int(np.argmax(np.isinf(numbers)))
        _raise_infinity(numbers[row], column, row)
    distinct, indices = np.unique(numbers, return_inverse=True)
    return _with_nulls(encode([to_text(value) for value in distinct]).take(_int64(indices)))


def _int64(numbers: NDArray[Any]) -> pa.Int64Array:
    import pyarrow as pa

    buffer = pa.py_buffer(np.ascontiguousarray(numbers, dtype=np.int64))
    return pa.Int64Array.from_buffers(pa.int64(), len(numbers), [None, buffer])


def _lengths(texts: pa.LargeStringArray) -> NDArray[np.int64]:
    return np.diff(_offsets(texts))


def _offsets(texts: pa.LargeStringArray) -> NDArray[np.int64]:
    offsets = np.frombuffer(texts.buffers()[1], dtype=np.int64)
    return offsets[texts.offset : texts.offset + len(texts) + 1]


def _with_nulls(texts: pa.LargeStringArray) -> pa.LargeStringArray:
    """Make empty texts null, without a copy of the others."""
    import pyarrow as pa

    is_there = _lengths(texts) > 0
    if is_there.all():
        return texts
    return pa.LargeStringArray.from_buffers(
        len(texts),
        pa.py_buffer(_offsets(texts)),
        texts.buffers()[2],
        pa.py_buffer(np.packbits(is_there, bitorder="little")),
    )


def _read_flag(values: Values, column: Column) -> pa.LargeStringArray:
    texts = _read_category(values, column)
    encoded = texts.dictionary_encode()
    words = [_to_flag(text) for text in encoded.dictionary.to_pylist()]
    if not words:
        return texts
    return encode(words).take(encoded.indices)


def _read_categories(values: Values, column: Column) -> pa.LargeListArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    data = values.data
    if isinstance(data, list):
        return _wrap_lists(_one_by_one(data, column))
    if values.kind == "string":
        if not column.delimiter:
            items, parents = data, np.arange(len(data))
        else:
            lists = pc.split_pattern(data, column.delimiter)
            items = lists.flatten()
            parents = pc.list_parent_indices(lists).to_numpy()
    elif values.kind == "list":
        if "view" in str(data.type):
            data = data.cast(pa.large_list(data.type.value_type))
        parents = pc.list_parent_indices(data).to_numpy()
        flat = pc.list_flatten(data)
        items = _items(flat, column) if len(flat) else encode([""])[:0]
    else:
        items, parents = _read_category(values, column).fill_null(""), np.arange(len(data))
    items = pc.utf8_trim(items, BLANKS)
    keep = _lengths(items) > 0
    if not keep.all():
        items, parents = items.filter(_mask(keep)), parents[keep]
    return _lists(np.bincount(parents, minlength=len(data)), items)


def _mask(keep: NDArray[np.bool_]) -> pa.BooleanArray:
    import pyarrow as pa

    bits = pa.py_buffer(np.packbits(keep, bitorder="little"))
    return pa.BooleanArray.from_buffers(pa.bool_(), len(keep), [None, bits])


def _items(flat: pa.Array, column: Column) -> pa.LargeStringArray:
    import pyarrow as pa

    if pa.types.is_dictionary(flat.type):
        flat = flat.cast(flat.type.value_type)
    if "string" in str(flat.type):
        return decode(pa.chunked_array([flat]))
    if pa.types.is_null(flat.type):
        return encode([""] * len(flat))
    kind = "flag" if pa.types.is_boolean(flat.type) else "number"
    return _write_numbers(flat, kind, column).fill_null("")


def _lists(counts: NDArray[np.integer[Any]], items: pa.LargeStringArray) -> pa.LargeListArray:
    import pyarrow as pa

    offsets = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=offsets[1:])
    return pa.LargeListArray.from_arrays(_int64(offsets), items)


def _wrap_lists(lists: list[list[str]]) -> pa.LargeListArray:
    items = list(chain.from_iterable(lists))
    return _lists(np.array(list(map(len, lists))), encode(items) if items else encode([""])[:0])


def _wrap_floats(values: list[float]) -> Floats:
    return np.array(values, dtype=np.float64)


def _wrap_categories(values: list[str | None]) -> pa.LargeStringArray:
    return _with_nulls(encode(values))


_READ: dict[str, Callable[[Values, Column], Any]] = {
    "text": _read_text,
    "category": _read_category,
    "categories": _read_categories,
    "number": _read_number,
    "date": _read_date,
    "flag": _read_flag,
}
_WRAP: dict[str, Callable[[list[Any]], Any]] = {
    "text": encode,
    "category": _wrap_categories,
    "flag": _wrap_categories,
    "categories": _wrap_lists,
    "number": _wrap_floats,
    "date": _wrap_floats,
}
