"""JSON lines -> records as they arrive, or columns."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from udt.io.files import Choice, choose_columns
from udt.io.lines import numbered_lines
from udt.strings import encode
from udt.values import to_text

__all__ = ["read_json_columns", "read_records"]

_TYPES = {
    "missing": pa.null(),
    "flag": pa.bool_(),
    "int": pa.int64(),
    "float": pa.float64(),
    "text": pa.large_string(),
    "ints": pa.large_list(pa.int64()),
    "texts": pa.large_list(pa.large_string()),
}
_REMEDY = 'Give one JSON object a line, as in {"title": "Red dress", "price": 40}'


def read_records(path: str, columns: Choice = None) -> Iterator[list[dict[str, Any]]]:
    """Yield the objects of a file of JSON lines, in the pieces in which they arrive.

    Empty lines are passed over. What a slow pipe has delivered is yielded without waiting.

    Parameters
    ----------
    path : str
        A UTF-8 file, perhaps compressed, or "-" for standard input.
    columns : sequence of str, callable or None, default=None
        What to keep of each object, None where it lacks it; None keeps them as they are. A function
        is given the names in the first piece.

    Yields
    ------
    list of dict
        Values are None, bool, int, float, str, or a list of those.

    Raises
    ------
    ValueError
        If a line is no JSON object, has none of the columns, or nests deeper than lists; the
        message names the line.

    Examples
    --------
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "shop.jsonl")
    >>> with open(path, "w") as file:
    ...     _ = file.write('{"title": "Red dress", "tags": ["new", "red"]}')
    >>> list(read_records(path, ["tags", "price"]))
    [[{'tags': ['new', 'red'], 'price': None}]]
    """
    for numbers, records in _parsed(path):
        if callable(columns):
            columns = columns(list(dict.fromkeys(chain.from_iterable(records))))
        for i, (number, record) in enumerate(zip(numbers, records, strict=True)):
            if columns is not None:
                if not any(name in record for name in columns):
                    raise ValueError(
                        f"{path}, line {number}: the object has none of the columns "
                        f"{reprlib.repr(list(columns))}, but {reprlib.repr(list(record))}"
                    )
                records[i] = record = {name: record.get(name) for name in columns}
            for name, value in record.items():
                if _is_nested(value):
                    raise _nested(path, number, name, value)
        yield records


def _parsed(path: str) -> Iterator[tuple[list[int], list[dict[str, Any]]]]:
    """Yield pieces of the file: the numbers of lines, and the objects that they hold."""
    for first, lines in numbered_lines(path):
        filled = [i for i, line in enumerate(lines) if line and not line.isspace()]
        if filled:
            numbers = [first + i for i in filled]
            yield numbers, [_parse(path, first + i, lines[i]) for i in filled]


def _parse(path: str, number: int, line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        problem = f"not JSON ({error.msg}, at character {error.colno})"
        raise ValueError(f"{path}, line {number}: {problem}. {_REMEDY}") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, [[[[...
        raise ValueError(f"{path}, line {number}: cannot be read ({error})") from error
    if type(record) is not dict:
        what = "a list" if isinstance(record, list) else reprlib.repr(record)
        raise ValueError(f"{path}, line {number}: {what}, not an object. {_REMEDY}")
    return record


def _is_nested(value: Any) -> bool:
    if isinstance(value, list):
        return any(isinstance(item, (dict, list)) for item in value)
    return isinstance(value, dict)


def _nested(path: str, number: int, name: str, value: Any) -> ValueError:
    return ValueError(
        f"{path}, line {number}: column {name!r} holds {reprlib.repr(value)}; values must be text, "
        "numbers, true, false, null or lists of those. Give its parts as columns of their own, or "
        "leave it out (--ignore)"
    )


def read_json_columns(path: str, columns: Choice, label: str | None) -> tuple[list[str], pa.Table]:
    """Give the names of the features, and them and the label as columns.

    Whole numbers are int64, others float64. A column of several kinds, or of numbers beyond those
    types, is text, numbers written as short as can be. A list among single values makes lists of
    them all. A key that a line lacks is null.
    """
    parts: dict[str, list[_Part]] = {}
    n_rows = 0
    for numbers, records in _parsed(path):
        for name in dict.fromkeys(chain.from_iterable(records)):
            values = [record.get(name) for record in records]
            parts.setdefault(name, []).append(_as_part(path, numbers, name, n_rows, values))
        n_rows += len(records)
    if not n_rows:
        raise ValueError(f"{path}: there are no rows. {_REMEDY}")
    features, wanted = choose_columns(path, columns, label, list(parts))
    return features, pa.table({name: _join(parts[name], n_rows) for name in wanted})


class _Part(NamedTuple):
    """A column of a piece of the file."""

    begin: int
    """First row."""
    kind: str
    array: pa.Array
    error: ValueError | None = None


def _as_part(path: str, numbers: list[int], name: str, begin: int, values: list[Any]) -> _Part:
    if not {dict, list}.isdisjoint(map(type, values)):
        for number, value in zip(numbers, values, strict=True):
            if _is_nested(value):  # an error only if somebody asks for the column
                error = _nested(path, number, name, value)
                return _Part(begin, "missing", pa.nulls(len(values)), error)
    kind = _kind(values)
    try:
        return _Part(begin, kind, _build(kind, values))
    except OverflowError:
        kind = "texts" if kind == "ints" else "text"
        return _Part(begin, kind, _build(kind, values))


def _kind(values: list[Any]) -> str:
    types = set(map(type, values)) - {type(None)}
    if list in types:
        items = chain.from_iterable(value for value in values if type(value) is list)
        return "ints" if types == {list} and set(map(type, items)) == {int} else "texts"
    if len(types) == 1:
        return {bool: "flag", int: "int", float: "float", str: "text"}[types.pop()]
    return "float" if types == {int, float} else "text" if types else "missing"


def _build(kind: str, values: list[Any]) -> pa.Array:
    """Make an array; ``pyarrow.array`` refuses surrogates, and integers that float64 rounds."""
    n = len(values)
    if kind == "missing" or not n:
        return pa.nulls(n, _TYPES[kind])
    valid = None
    if None in values:
        valid = _bits([value is not None for value in values])
    if kind == "text":
        texts = values if set(map(type, values)) == {str} else list(map(to_text, values))
        _, offsets, data = encode(texts).buffers()
        return pa.LargeStringArray.from_buffers(n, offsets, data, valid)
    if kind in ("ints", "texts"):
        rows = [value if type(value) is list else [value] for value in values]
        rows = [[item for item in row if item is not None] for row in rows]
        ends = np.cumsum([0, *map(len, rows)], dtype=np.int64)
        items = _build("int" if kind == "ints" else "text", list(chain.from_iterable(rows)))
        buffers = [valid, pa.py_buffer(ends)]
        return pa.Array.from_buffers(_TYPES[kind], n, buffers, children=[items])
    if kind == "flag":
        return pa.Array.from_buffers(pa.bool_(), n, [valid, _bits(values)])
    dtype = np.int64 if kind == "int" else np.float64
    numbers = np.array([0 if value is None else value for value in values], dtype=dtype)
    return pa.Array.from_buffers(_TYPES[kind], n, [valid, pa.py_buffer(numbers)])


def _bits(values: list[Any]) -> pa.Buffer:
    return pa.py_buffer(np.packbits(np.array(values, dtype=bool), bitorder="little"))


def _join(parts: list[_Part], n_rows: int) -> pa.ChunkedArray:
    """Put the pieces of a column below one another, with nulls where lines lacked it."""
    for part in parts:
        if part.error is not None:
            raise part.error
    kinds = {part.kind for part in parts} - {"missing"}
    if kinds & {"ints", "texts"}:
        kind = "ints" if kinds == {"ints"} else "texts"
    elif kinds == {"int", "float"}:
        kind = "float"
    else:
        kind = (kinds.pop() if len(kinds) == 1 else "text") if kinds else "missing"
    chunks, end = [], 0
    for part in parts:
        if part.begin > end:
            chunks.append(pa.nulls(part.begin - end, _TYPES[kind]))
        if part.kind == kind:
            chunks.append(part.array)
        elif part.kind == "missing":
            chunks.append(pa.nulls(len(part.array), _TYPES[kind]))
        else:
            chunks.append(_build(kind, part.array.to_pylist()))
        end = part.begin + len(part.array)
    if end < n_rows:
        chunks.append(pa.nulls(n_rows - end, _TYPES[kind]))
    return pa.chunked_array(chunks, _TYPES[kind])
