"""The values of one column, of any dtype -> what they are."""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from udt.arrow import null_mask, to_numpy
from udt.parsing import Floats, parse_numbers
from udt.strings import decode, encode, is_missing

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Values", "classify", "kind_of", "raise_unfit", "to_floats", "to_text"]


@dataclass
class Values:
    """The values of one column, and what they are.

    Attributes
    ----------
    kind : str
        "missing" (every value is), "flag", "number", "date", "duration", "string" or "list".
    data : pyarrow.Array, ndarray or list
        Strings are a LargeStringArray, "" where missing. A list holds Python values where they
        have no one dtype, or are missing; any list does if `kind` is "missing".
    categorical : bool
        Whether the column's dtype says that its values are categories.
    """

    kind: str
    data: Any
    categorical: bool = False

    def all_missing(self) -> bool:
        """Tell whether no row has a value."""
        data = self.data
        if self.kind == "missing":
            return True
        if isinstance(data, list):
            return all(map(is_missing, data))
        if isinstance(data, np.ndarray):
            return data.dtype.kind in "fMm" and bool((data != data).all())
        import pyarrow as pa

        if data.null_count == len(data):
            return True
        return pa.types.is_floating(data.type) and bool(np.isnan(to_floats(data)).all())


# ---------------------------------------------------------------------------------- Python values
_KINDS: dict[type, str] = {
    str: "string", bool: "flag", int: "number", float: "number", type(None): "missing",
    Decimal: "number", Fraction: "number", timedelta: "duration", time: "duration",
    list: "list", tuple: "list", set: "list", frozenset: "list",
}  # fmt: skip
_DTYPE_KINDS = {
    "b": "flag", "i": "number", "u": "number", "f": "number", "M": "date", "m": "duration",
    "U": "string",
}  # fmt: skip


def kind_of(value: Any) -> str:
    """Give the kind of one Python value, "" if no role can hold it."""
    kind = _KINDS.get(type(value))
    if kind is not None:
        return kind
    if isinstance(value, np.generic):
        return _DTYPE_KINDS.get(value.dtype.kind, "")
    if is_missing(value):
        return "missing"
    if isinstance(value, np.ndarray):
        return "list" if value.ndim == 1 else ""
    if isinstance(value, date):  # and datetime
        return "date"
    return next((kind for parent, kind in _KINDS.items() if isinstance(value, parent)), "")


def raise_unfit(name: str, value: Any, row: int | None = None) -> NoReturn:
    """Refuse a value that no role can hold."""
    where = "" if row is None else f" (row {row})"
    if isinstance(value, (complex, np.complexfloating)):
        raise ValueError(f"Complex data not supported: column {name!r}{where} holds {value!r}.")
    remedy = "give its parts as columns of their own"
    if isinstance(value, (bytes, bytearray, memoryview)):
        remedy = "decode it, for example str(value, 'utf-8')"
    raise TypeError(
        f"column {name!r}{where} holds {reprlib.repr(value)}: argument must be a string, a number, "
        f"a date or a list of strings, not {type(value).__name__}: {remedy}, or pass "
        f"columns={{{name!r}: 'ignored'}}."
    )


def to_text(value: Any) -> str:
    """Write a value as a category: 3.0 and 3 alike as "3", True as "true", missing as ""."""
    if isinstance(value, str):
        return str(value)
    if is_missing(value):
        return ""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (Decimal, Fraction)):
        value = float(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e16 else repr(value)
    return str(value)


# ----------------------------------------------------------------------------------------- columns
def classify(data: Any, name: str) -> Values:
    """Find out what the values of a column are.

    Parameters
    ----------
    data : pyarrow.ChunkedArray, ndarray or list
    name : str
        For the errors.

    Raises
    ------
    TypeError, ValueError
        If no role can hold them.
    """
    if isinstance(data, list):
        return _classify_objects(data, name)
    if isinstance(data, np.ndarray):
        if data.dtype.kind == "c":
            raise ValueError(f"Complex data not supported: column {name!r} is {data.dtype}.")
        kind = _DTYPE_KINDS.get(data.dtype.kind)
        if kind is None or data.ndim > 1:
            _raise_dtype(name, data.dtype if data.ndim == 1 else f"{data.dtype}{data.shape[1:]}")
        return Values(kind, data)
    return _classify_arrow(data, name)


def _raise_dtype(name: str, dtype: Any) -> NoReturn:
    raise TypeError(
        f"column {name!r} has dtype {dtype}, which no role can hold: cast it to strings, numbers, "
        f"dates or lists of strings, or pass columns={{{name!r}: 'ignored'}}."
    )


def _classify_objects(values: list[Any], name: str) -> Values:
    if is_missing(values[0]) and all(map(is_missing, values)):
        return Values("missing", values)
    kinds: dict[type, str] = {}
    for value_type in set(map(type, values)):
        row = next(i for i, value in enumerate(values) if type(value) is value_type)
        kinds[value_type] = kind_of(values[row])
        if not kinds[value_type]:
            raise_unfit(name, values[row], row)
    found = set(kinds.values()) - {"missing"}
    if len(found) > 1 or found == {"date"}:
        # NaN and NaT among other things are missing values
        found = {kind_of(value) for value in values if not is_missing(value)}
    if found == {"string"}:
        return Values("string", encode(values))
    if found == {"date", "string"}:
        return Values("date", values)
    for main in ("list", "string", "number"):
        if main in found and found <= {"string", "number", "flag", main}:
            return Values(main, values)
    if len(found) > 1:
        raise TypeError(
            f"column {name!r} holds {' and '.join(f'{kind}s' for kind in sorted(found))}: make "
            f"them one, or pass columns={{{name!r}: 'ignored'}}."
        )
    return Values(found.pop(), values)


def _classify_arrow(column: pa.ChunkedArray, name: str) -> Values:
    import pyarrow as pa

    if isinstance(column, pa.LargeStringArray):  # a lone text, read before
        return Values("string", column)
    if isinstance(column.type, pa.BaseExtensionType):
        storage = column.type.storage_type
        column = pa.chunked_array([chunk.storage for chunk in column.chunks], storage)
    if pa.types.is_run_end_encoded(column.type):
        import pyarrow.compute as pc

        column = pa.chunked_array([pc.run_end_decode(chunk) for chunk in column.chunks])
    categorical = pa.types.is_dictionary(column.type)
    inner = column.type.value_type if categorical else column.type
    if _is_string(inner):
        return Values("string", decode(column), categorical)
    kind = _arrow_kind(inner, name)
    if kind == "missing":
        return Values(kind, [None] * len(column), categorical)
    if categorical:
        column = column.cast(inner)
    array = column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)
    return Values(kind, array, categorical)


def _is_string(kind: Any) -> bool:
    return str(kind) in ("string", "large_string", "string_view")


def _arrow_kind(kind: Any, name: str) -> str:
    import pyarrow as pa

    types = pa.types
    if types.is_null(kind):
        return "missing"
    if types.is_boolean(kind):
        return "flag"
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return "number"
    if types.is_timestamp(kind) or types.is_date(kind):
        return "date"
    if types.is_duration(kind) or types.is_time(kind):
        return "duration"
    if "list" in str(kind).split("<")[0]:
        inner = kind.value_type
        if types.is_dictionary(inner):
            inner = inner.value_type
        if _is_string(inner) or _arrow_kind(inner, name) in ("flag", "number", "missing"):
            return "list"
    _raise_dtype(name, kind)


def to_floats(data: Any) -> Floats:
    """Turn an array of numbers or flags into float64; null is NaN."""
    if isinstance(data, np.ndarray):
        return data.astype(np.float64, copy=False)
    import pyarrow as pa

    if pa.types.is_decimal(data.type):  # by way of strings, which rounds as Python does
        return parse_numbers(data.cast(pa.large_string()))
    if pa.types.is_boolean(data.type):
        data = data.cast(pa.uint8())
    numbers = to_numpy(data).astype(np.float64, copy=bool(data.null_count))
    if data.null_count:
        numbers[null_mask(data)] = np.nan
    return numbers
