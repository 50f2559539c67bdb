"""A column of a file -> labels: one a row, or a list of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["as_label_lists", "as_labels", "holds_lists"]


def as_labels(
    path: str, name: str, column: pa.ChunkedArray, like: np.ndarray | None, *, written: bool
) -> np.ndarray:
    """Give one label a row, none of which may be missing.

    Parameters
    ----------
    path, name : str
        Of the file and the column, for the messages.
    column : pyarrow.ChunkedArray
    like : ndarray or None
        Labels whose type these take.
    written : bool
        Whether the column is as someone wrote it, in CSV: an empty cell is missing, and labels are
        whole numbers if every one of them prints as it was written.
    """
    if written:
        _check_written(path, name, column)
        empty = pc.equal(column, "")
        if pc.any(empty).as_py():
            raise _missing_labels(path, name, empty)
    if column.null_count:
        raise _missing_labels(path, name, column.is_null())
    values = _values(path, name, _plain(column), like, written=written)
    if not isinstance(values, pa.DictionaryArray):
        return values.to_numpy(zero_copy_only=False)
    return _objects(values.dictionary)[values.indices.to_numpy()]


def as_label_lists(
    path: str,
    name: str,
    column: pa.ChunkedArray,
    like: np.ndarray | None,
    *,
    written: bool,
    delimiter: str | None,
) -> list[list[Any]]:
    """Give a list of labels a row, empty where there is none; strings are split at `delimiter`."""
    column = _plain(column)
    if _is_text(column.type):
        assert delimiter is not None
        if written:
            _check_written(path, name, column)
        column = pc.split_pattern(column.cast(pa.large_string()), delimiter)
    array = pa.concat_arrays(column.chunks)
    if holds_lists(array):
        rows, items = pc.list_parent_indices(array), pc.list_flatten(array)
    else:  # single numbers
        rows, items = pc.indices_nonzero(array.is_valid()), array.drop_null()
    items = items.cast(items.type.value_type) if pa.types.is_dictionary(items.type) else items
    keep = items.is_valid()
    if _is_text(items.type):
        items = pc.utf8_trim_whitespace(items)
        keep = pc.and_(keep, pc.not_equal(items, ""))
    rows, items = rows.filter(keep), items.filter(keep)
    ends = np.searchsorted(rows.to_numpy(), np.arange(len(array)), side="right").tolist()
    if not len(items):
        return [[] for _ in ends]
    values = _values(path, name, pa.chunked_array([items]), like, written=written)
    if isinstance(values, pa.DictionaryArray):
        labels = _objects(values.dictionary)[values.indices.to_numpy()].tolist()
    else:
        labels = values.to_pylist()
    return [labels[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


def holds_lists(column: pa.Array | pa.ChunkedArray) -> bool:
    """Tell whether each row of a column is a list."""
    kind = str(column.type)
    return kind.startswith(("list<", "large_list<", "fixed_size_list<"))


def _values(
    path: str, name: str, column: pa.ChunkedArray, like: np.ndarray | None, *, written: bool
) -> pa.Array:
    """Give labels without nulls in the type that they shall have; text dictionary-encoded."""
    if written and like is None:
        column = _whole_numbers(column)
    kind = column.type
    target = None if like is None else _arrow_type(like)
    if target is not None and target != kind:
        try:
            column = column.cast(target)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise ValueError(
                f"{path}: column {name!r} does not hold labels of the kind that the model was "
                f"trained on ({target}): {error}"
            ) from error
        kind = target
    if _is_text(kind):
        # One Python string a class instead of one a row.
        return column.combine_chunks().dictionary_encode()
    if not (_is_number(kind) or _is_date(kind)):
        raise ValueError(f"{path}: labels of type {kind} in column {name!r}; use text or integers")
    return column


def _objects(dictionary: pa.Array) -> np.ndarray:
    return np.array([*dictionary.to_pylist(), None], dtype=object)[:-1]


def _check_written(path: str, name: str, column: pa.ChunkedArray) -> None:
    """Refuse labels that have swallowed lines."""
    broken = pc.match_substring_regex(column, "[\r\n]")
    if pc.any(broken).as_py():
        row = pc.index(broken, True).as_py() + 1
        raise ValueError(
            f"{path}, row {row}: the label in column {name!r} holds a line break. A quote that "
            "opens before and never closes swallows the lines after it; write a quote as two"
        )


def _missing_labels(path: str, name: str, missing: pa.ChunkedArray) -> ValueError:
    count = pc.sum(missing).as_py()
    row = pc.index(missing, True).as_py() + 1
    return ValueError(
        f"{path}: column {name!r} has no label in {count} of {len(missing)} rows, first in row "
        f"{row} (not counting the column names). Label or drop them"
    )


def _whole_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Give int64 if every label prints as it was written, otherwise the column as it is."""
    try:
        numbers = column.cast(pa.int64())
    except pa.ArrowInvalid:
        return column
    same = pc.all(pc.equal(numbers.cast(column.type), column)).as_py()
    return numbers if same else column


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    return column.cast(kind.value_type) if pa.types.is_dictionary(kind) else column


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or kind == pa.string_view()


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)


def _is_date(kind: pa.DataType) -> bool:
    return pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_duration(kind)


def _arrow_type(labels: np.ndarray) -> pa.DataType | None:
    kinds = {"i": pa.int64(), "u": pa.uint64(), "f": pa.float64(), "b": pa.bool_()}
    if labels.dtype.kind == "U" or all(type(label) is str for label in labels.tolist()):
        return pa.large_string()
    return kinds.get(labels.dtype.kind)
