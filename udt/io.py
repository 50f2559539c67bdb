"""Files -> columns: CSV, TSV, Parquet and plain lines of text."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

__all__ = ["FORMATS", "TextTable", "guess_format", "read_lines", "read_table"]

FORMATS = ("csv", "tsv", "parquet", "lines")
_SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".txt": "lines",
}
_COMPRESSED = (".gz", ".bz2", ".zst", ".lz4")
# pyarrow parses blocks in parallel, but a row must fit in one: start small, grow when told to.
_BLOCKS = (1 << 20, 1 << 24, 1 << 28, (1 << 31) - 1)


@dataclass(frozen=True)
class TextTable:
    """The two columns of a table that udt reads.

    Attributes
    ----------
    text : pyarrow.ChunkedArray of large_string, length n
        Null where a Parquet file holds one.
    labels : ndarray of shape (n,), or None
        Integers, floats, bool or datetime64 as they were stored; text as an object array of str.
    """

    text: pa.ChunkedArray
    labels: np.ndarray | None

    def __len__(self) -> int:
        return len(self.text)


def guess_format(path: str) -> str:
    """Tell the format of a file from its name; "-" (standard input) is CSV.

    Raises
    ------
    ValueError
        If the name says nothing.

    Examples
    --------
    >>> guess_format("reviews.tsv.gz")
    'tsv'
    """
    if path == "-":
        return "csv"
    name = PurePath(path)
    suffix = name.suffix.lower()
    if suffix in _COMPRESSED:
        suffix = PurePath(name.stem).suffix.lower()
    if suffix not in _SUFFIXES:
        known = ", ".join(_SUFFIXES)
        raise ValueError(
            f"{path}: the name does not tell the format (known endings: {known}); "
            f"give it as one of {', '.join(FORMATS)}"
        )
    return _SUFFIXES[suffix]


def read_table(
    path: str,
    *,
    text: str = "text",
    label: str | None = None,
    format: str | None = None,
    delimiter: str | None = None,
    labels_like: np.ndarray | None = None,
) -> TextTable:
    r"""Read a text column, and perhaps a label column, from a CSV, TSV or Parquet file.

    CSV and TSV files are UTF-8 (with or without a byte order mark), name their columns in the
    first line, may quote fields that hold the delimiter, quotes or line breaks, and may be
    compressed (``.gz``, ``.bz2``, ``.zst``, ``.lz4``). Their labels are whole numbers if every
    one of them prints as it was written, so that ``007`` and ``1.0`` stay text.

    Parameters
    ----------
    path : str
        A file, or "-" for standard input (CSV and TSV only).
    text : str, default="text"
        Name of the text column.
    label : str or None, default=None
        Name of the label column; None reads no labels.
    format : {"csv", "tsv", "parquet"} or None, default=None
        None goes by the ending of the name; "-" is CSV.
    delimiter : str or None, default=None
        One ASCII character; None is a comma in CSV and a tab in TSV.
    labels_like : ndarray or None, default=None
        Labels of a model or of another file, whose type these labels take: text "7" becomes the
        integer 7 or the other way round.

    Returns
    -------
    TextTable

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is empty, damaged or not UTF-8, a row has too many or too few fields, a column is
        missing, there twice or of the wrong type, or a label is missing. The message names the
        file, the line where that can be told, and the columns that there are.

    Examples
    --------
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "reviews.csv")
    >>> with open(path, "w") as file:
    ...     _ = file.write('text,stars\n"good, very good",5\nbad,1\n')
    >>> table = read_table(path, label="stars")
    >>> table.text.to_pylist(), table.labels
    (['good, very good', 'bad'], array([5, 1]))
    """
    format = format or guess_format(path)
    if format not in ("csv", "tsv", "parquet"):
        raise ValueError(f"{path}: format={format!r} is not a table; use csv, tsv or parquet")
    wanted = [text] if label is None else [text, label]
    if format == "parquet":
        table = _read_parquet(path, wanted)
    else:
        delimiter = delimiter or ("," if format == "csv" else "\t")
        if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n':
            raise ValueError(f"delimiter={delimiter!r} must be one ASCII character, e.g. ';'")
        table = _CsvFile(path, delimiter).read(wanted)
    if table.num_rows == 0:
        raise _no_rows(path)
    texts = _as_text(path, text, table[text])
    if label is None:
        return TextTable(texts, None)
    column = table[label]
    if format != "parquet":
        _check_csv_labels(path, label, column)
        column = _whole_numbers(column) if labels_like is None else column
    return TextTable(texts, _as_labels(path, label, column, labels_like))


def _no_rows(path: str) -> ValueError:
    return ValueError(f"{path}: there are no rows below the column names")


def read_lines(path: str) -> Iterator[list[str]]:
    r"""Yield plain text, one text a line, in the pieces in which it arrives.

    Only ``\n`` and ``\r\n`` end a line, so that n of them are n texts; an empty line is an empty
    text. What a terminal or a slow pipe has delivered is yielded without waiting for more.

    Parameters
    ----------
    path : str
        A UTF-8 file, perhaps compressed, or "-" for standard input.

    Yields
    ------
    list of str
        Some lines, without their ends.

    Raises
    ------
    ValueError
        If a line is not UTF-8; the message names it.
    """
    if path == "-":
        yield from _decode_lines(path, sys.stdin.buffer)
    else:
        with _open(path) as stream:
            yield from _decode_lines(path, stream)


def _decode_lines(path: str, stream: Any) -> Iterator[list[str]]:
    line_number = 1
    rest: list[bytes] = []  # pieces of a line that has not ended
    while piece := stream.read1(1 << 20):
        head, end, tail = piece.rpartition(b"\n")
        if end:
            lines = b"".join([*rest, head]).split(b"\n")
            yield _decode(path, line_number, lines)
            line_number += len(lines)
            rest = []
        if tail:
            rest.append(tail)
    if rest:
        yield _decode(path, line_number, [b"".join(rest)])


def _decode(path: str, first: int, lines: list[bytes]) -> list[str]:
    texts = []
    for number, line in enumerate(lines, first):
        try:
            texts.append(line.removesuffix(b"\r").decode("utf-8-sig" if number == 1 else "utf-8"))
        except UnicodeDecodeError as error:
            raise _not_utf8(path, number, line[error.start]) from error
    return texts


def _not_utf8(path: str, line: int, byte: int) -> ValueError:
    return ValueError(
        f"{path}, line {line}: not UTF-8 (byte 0x{byte:02x}). Convert the file first, for "
        "instance with `iconv -f latin1 -t utf-8` or, if Windows wrote it, `iconv -f utf-16`"
    )


def _open(path: str) -> Any:
    """Open a file, decompressed; a plain OSError says why that is not possible."""
    with open(path, "rb"):  # Python's messages for missing files, folders and permissions
        pass
    return pa.input_stream(path, compression="detect")


# ------------------------------------------------------------------------------------------ CSV


class _CsvFile:
    """A CSV file that can be read more than once: again with larger blocks, or to find an error."""

    def __init__(self, path: str, delimiter: str) -> None:
        self.path = path
        self.delimiter = delimiter
        self.stdin = pa.py_buffer(sys.stdin.buffer.read()) if path == "-" else None

    def open(self) -> Any:
        return _open(self.path) if self.stdin is None else pa.BufferReader(self.stdin)

    def read(self, wanted: list[str]) -> pa.Table:
        try:
            names = next(self.rows(), None)
            if names is None:
                raise ValueError(f"{self.path}: the file is empty")
            _check_columns(self.path, wanted, names)
            return self.read_columns(wanted)
        except UnicodeDecodeError as error:
            self.raise_bad_byte(error)
        except pa.ArrowInvalid as error:
            if "UTF8" in str(error):
                self.raise_bad_byte(error)
            if "Empty CSV" in str(error):  # a first line without an end
                raise _no_rows(self.path) from error
            self.raise_ragged_row(error)
        except csv.Error as error:
            raise ValueError(f"{self.path}: not a CSV file ({error})") from error
        except OSError as error:
            if error.errno is not None:
                raise
            raise ValueError(f"{self.path}: cannot be decompressed ({error})") from error

    def read_columns(self, wanted: list[str]) -> pa.Table:
        convert = pyarrow.csv.ConvertOptions(
            include_columns=list(dict.fromkeys(wanted)),
            column_types=dict.fromkeys(wanted, pa.large_string()),
        )
        parse = pyarrow.csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True)
        for size in _BLOCKS:
            try:
                with self.open() as stream:
                    return pyarrow.csv.read_csv(
                        stream,
                        read_options=pyarrow.csv.ReadOptions(block_size=size),
                        parse_options=parse,
                        convert_options=convert,
                    )
            except pa.ArrowInvalid as error:
                if "straddl" not in str(error):
                    raise
        raise ValueError(f"{self.path}: a row is longer than 2 GiB; is a quote left open?")

    def rows(self, errors: str = "strict") -> Iterator[list[str]]:
        """Rows as Python's csv module sees them: slow, but it knows the line."""
        with (
            self.open() as stream,
            io.TextIOWrapper(stream, "utf-8-sig", errors=errors, newline="") as lines,
        ):
            reader = csv.reader(lines, delimiter=self.delimiter)
            for row in reader:
                self.line = reader.line_num
                if row:
                    yield row

    def raise_bad_byte(self, cause: Exception) -> NoReturn:
        with self.open() as stream:
            for number, line in enumerate(stream.read().split(b"\n"), 1):
                try:
                    line.decode()
                except UnicodeDecodeError as error:
                    raise _not_utf8(self.path, number, line[error.start]) from cause
        raise ValueError(f"{self.path}: not UTF-8 ({cause})") from cause

    def raise_ragged_row(self, cause: Exception) -> NoReturn:
        try:
            rows = self.rows("replace")
            expected = len(next(rows))
            for row in rows:
                if len(row) != expected:
                    raise ValueError(
                        f"{self.path}, line {self.line}: {len(row)} fields where the first line "
                        f"has {expected}. Put quotes around fields that hold the delimiter "
                        f"{self.delimiter!r}, a quote or a line break"
                    ) from cause
        except csv.Error:  # the two readers see different rows; say what pyarrow said
            pass
        raise ValueError(f"{self.path}: {cause}") from cause


def _check_csv_labels(path: str, name: str, column: pa.ChunkedArray) -> None:
    """Refuse empty labels and labels that have swallowed lines."""
    empty = pc.equal(column, "")
    if pc.any(empty).as_py():
        raise _missing_labels(path, name, empty)
    broken = pc.match_substring_regex(column, "[\r\n]")
    if pc.any(broken).as_py():
        row = pc.index(broken, True).as_py() + 1
        raise ValueError(
            f"{path}, row {row}: the label in column {name!r} holds a line break. A quote that "
            "opens before and never closes swallows the lines after it; write a quote as two"
        )


def _whole_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Give int64 if every label prints as it was written, otherwise the column as it is."""
    try:
        numbers = column.cast(pa.int64())
    except pa.ArrowInvalid:
        return column
    same = pc.all(pc.equal(numbers.cast(column.type), column)).as_py()
    return numbers if same else column


# ---------------------------------------------------------------------------- Parquet and columns


def _read_parquet(path: str, wanted: list[str]) -> pa.Table:
    if path == "-":
        raise ValueError("-: Parquet cannot be read from standard input; give a file or use CSV")
    with open(path, "rb") as stream:
        try:
            with pyarrow.parquet.ParquetFile(stream) as file:
                _check_columns(path, wanted, file.schema_arrow.names)
                return file.read(columns=wanted)
        except (pa.ArrowException, OSError) as error:
            raise ValueError(f"{path}: cannot be read as Parquet ({error})") from error


def _check_columns(path: str, wanted: list[str], names: list[str]) -> None:
    there = ", ".join(repr(name) for name in names[:50]) + (", ..." if len(names) > 50 else "")
    for name in wanted:
        if name not in names:
            raise ValueError(
                f"{path}: no column is named {name!r}; there are {there}. "
                "Name the column to use (--text, --label)"
            )
        if names.count(name) > 1:
            raise ValueError(
                f"{path}: {names.count(name)} columns are named {name!r}, among {there}. "
                "Rename all but one"
            )


def _as_text(path: str, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = _value_type(column)
    if not (_is_text(kind) or pa.types.is_null(kind)):
        raise ValueError(f"{path}: column {name!r} holds {kind}, not text")
    return column.cast(pa.large_string())


def _as_labels(
    path: str, name: str, column: pa.ChunkedArray, like: np.ndarray | None
) -> np.ndarray:
    if column.null_count:
        raise _missing_labels(path, name, column.is_null())
    kind = _value_type(column)
    if pa.types.is_dictionary(column.type):
        column = column.cast(kind)
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
        encoded = column.combine_chunks().dictionary_encode()
        values = np.array([*encoded.dictionary.to_pylist(), None], dtype=object)[:-1]
        return values[encoded.indices.to_numpy()]
    if not (_is_number(kind) or _is_date(kind)):
        raise ValueError(f"{path}: labels of type {kind} in column {name!r}; use text or integers")
    return column.to_numpy()


def _missing_labels(path: str, name: str, missing: pa.ChunkedArray) -> ValueError:
    count = pc.sum(missing).as_py()
    row = pc.index(missing, True).as_py() + 1
    return ValueError(
        f"{path}: column {name!r} has no label in {count} of {len(missing)} rows, first in row "
        f"{row} (not counting the column names). Label or drop them"
    )


def _value_type(column: pa.ChunkedArray) -> pa.DataType:
    kind = column.type
    return kind.value_type if pa.types.is_dictionary(kind) else kind


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
