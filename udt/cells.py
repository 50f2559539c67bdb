"""One value of a row -> the form that the role of its column asks for."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time
from math import inf, isinf, isnan, nan
from typing import Any, NoReturn

import numpy as np

from udt.evidence import FLAGS
from udt.parsing import BLANKS, NA_WORDS, Floats, parse_date, parse_number, units_to_seconds
from udt.roles import Column, raise_kind
from udt.strings import encode, is_missing
from udt.values import kind_of, raise_unfit, to_text

__all__ = ["CELLS", "read_row"]

_ABSENT: Any = object()
_EPOCH = date(1970, 1, 1).toordinal()
_NO_NUMBER = (
    "which is no number, while the column held numbers in fit: give None where it is missing."
)
_NO_FINITE = "which is infinity, or beyond float64: give None or NaN where a number is missing."


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

    Raises
    ------
    ValueError, TypeError
        As `read_columns`.

    Examples
    --------
    >>> from udt.columns import Column, read_row
    >>> read_row({"size": "19M", "tag": ""}, [Column("tag", "category"), Column("size", "number")])
    [None, 19000000.0]
    """
    values: list[Any] = []
    for column in columns:
        role = column.role
        if role == "ignored":
            continue
        value = row.get(column.name, _ABSENT)
        if value is _ABSENT:
            if not column.optional:
                raise_absent(column.name, list(row))
            value = None
        # The commonest values first: one row should take microseconds
        if type(value) is str and (role == "category" or role == "text") and value.isascii():
            values.append(value or (None if role == "category" else ""))
        elif type(value) is float and role == "number" and not isinf(value):
            values.append(value)
        else:
            values.append(CELLS[role](value, column, None))
    return values


def raise_absent(name: str, names: list[str]) -> NoReturn:
    """Refuse a table without a column that it must have."""
    there = ", ".join(map(repr, names[:20])) + (", ..." if len(names) > 20 else "")
    raise ValueError(
        f"column {name!r} is missing from X, which has {there}: add it, or declare it optional in "
        f"fit with a '?' at the end of its role, as in columns={{{name!r}: '?'}}."
    )


def _raise_value(value: Any, column: Column, row: int | None, wrong: str) -> NoReturn:
    where = "" if row is None else f" (row {row})"
    value = value.item() if isinstance(value, np.generic) else value
    raise ValueError(f"column {column.name!r}{where} holds {reprlib.repr(value)}, {wrong}")


def raise_infinity(value: Any, column: Column, row: int | None = None) -> NoReturn:
    """Refuse an infinite number."""
    _raise_value(value, column, row, _NO_FINITE)


def raise_word(text: str, column: Column, row: int | None = None) -> None:
    """Refuse a string in a column of numbers, unless it says that the number is missing."""
    word = text.strip(BLANKS).lower()
    if word and word not in NA_WORDS:
        _raise_value(text, column, row, _NO_NUMBER)


def _refuse(value: Any, column: Column, row: int | None) -> NoReturn:
    kind = kind_of(value)
    if not kind:
        raise_unfit(column.name, value, row)
    raise_kind(column.name, column.role, kind, value, row)


def _number(value: Any, column: Column, row: int | None) -> float:
    kind = kind_of(value)
    if kind == "number" or kind == "flag":
        try:
            number = float(value)
        except OverflowError:
            number = inf
        except ValueError:  # a signalling NaN
            return nan
    elif kind == "string":
        number = parse_number(value)
        if isnan(number) and column.spelling != "free":
            raise_word(value, column, row)
    elif kind == "missing":
        return nan
    elif kind == "duration":
        number = _duration(value)
    else:
        return nan if is_missing(value) else _refuse(value, column, row)  # NaT of any kind
    if isinf(number):
        raise_infinity(value, column, row)
    return number


def _duration(value: Any) -> float:
    if isinstance(value, np.timedelta64):
        return float(clock(np.array([value]))[0])
    if isinstance(value, time):
        whole = value.hour * 3600 + value.minute * 60 + value.second
        return whole + value.microsecond / 10**6
    nanoseconds = getattr(value, "nanoseconds", 0)  # pandas
    return _seconds(value.days * 86400 + value.seconds, value.microseconds, nanoseconds)


def _seconds(whole: int, microseconds: int, nanoseconds: int) -> float:
    if nanoseconds:
        return whole + (microseconds * 1000 + nanoseconds) / 10**9
    return whole + microseconds / 10**6


def clock(data: np.ndarray[Any, Any]) -> Floats:
    """Turn datetime64 or timedelta64 into seconds; NaT is NaN."""
    unit, step = np.datetime_data(data.dtype)
    if unit == "generic":  # a timedelta64 without a unit counts nothing
        return np.full(len(data), nan)
    if unit not in ("s", "ms", "us", "ns") or step != 1:
        unit = "ns" if unit in ("ps", "fs", "as") else unit if unit in ("ms", "us", "ns") else "s"
        data = data.astype(f"{data.dtype.kind}8[{unit}]")
    seconds = units_to_seconds(data.astype(np.int64), unit)
    seconds[np.isnat(data)] = nan
    return seconds


def _date(value: Any, column: Column, row: int | None) -> float:
    if isinstance(value, str):
        return parse_date(value, column.spelling == "day first")
    if is_missing(value):
        return nan
    if kind_of(value) != "date":
        _refuse(value, column, row)
    if isinstance(value, np.datetime64):
        return float(clock(np.array([value]))[0])
    days = value.toordinal() - _EPOCH
    if not isinstance(value, datetime):
        return float(days * 86400)
    whole = days * 86400 + value.hour * 3600 + value.minute * 60 + value.second
    shift = value.utcoffset()
    if shift:
        whole -= shift.days * 86400 + shift.seconds
    return _seconds(whole, value.microsecond, getattr(value, "nanosecond", 0))


def _text(value: Any, column: Column, row: int | None) -> str:
    if isinstance(value, str):
        return _clean(value)
    if not is_missing(value):
        _refuse(value, column, row)
    return ""


def _clean(text: str) -> str:
    return text if text.isascii() else str(encode([text])[0])


def _category(value: Any, column: Column, row: int | None) -> str | None:
    if isinstance(value, str):
        return _clean(value) or None
    if is_missing(value):
        return None
    if kind_of(value) not in ("number", "flag"):
        _refuse(value, column, row)
    text = to_text(value)
    if text == "inf" or text == "-inf":
        raise_infinity(value, column, row)
    return text


def _flag(value: Any, column: Column, row: int | None) -> str | None:
    text = _category(value, column, row)
    return None if text is None else to_flag(text)


def to_flag(text: str) -> str:
    """Give "true" or "false" for words that mean it, and other words as they are."""
    word = text.strip(BLANKS).lower()
    return {"1": "true", "0": "false"}.get(word) or FLAGS.get(word, text)


def _categories(value: Any, column: Column, row: int | None) -> list[str]:
    if isinstance(value, str):
        items: Any = value.split(column.delimiter) if column.delimiter else [value]
    elif kind_of(value) == "list":
        # The order of a set of strings differs from run to run
        items = sorted(value, key=to_text) if isinstance(value, (set, frozenset)) else value
    else:
        items = [value]
    texts = [(_category(item, column, row) or "").strip(BLANKS) for item in items]
    return [text for text in texts if text]


#: By role, what reads one value: (value, column, row for the error) -> its form.
CELLS: dict[str, Callable[[Any, Column, int | None], Any]] = {
    "text": _text,
    "category": _category,
    "categories": _categories,
    "number": _number,
    "date": _date,
    "flag": _flag,
}
