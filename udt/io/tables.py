"""A file of rows -> a table of features, and labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from udt.io.csv_files import CsvFile
from udt.io.files import Choice, choose_columns, guess_format, no_rows
from udt.io.json_lines import read_json_columns
from udt.io.labels import as_label_lists, as_labels, holds_lists
from udt.strings import encode

__all__ = ["NA_WORDS", "LabelledTable", "read_table", "without_na_words"]

#: Cells of a CSV file that say that there is no value.
NA_WORDS = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "null", "NULL", "None")


@dataclass(frozen=True)
class LabelledTable:
    """The columns of a file that are features, and the labels.

    Attributes
    ----------
    features : pyarrow.Table of n rows
    labels : ndarray of shape (n,), list of n lists, or None
        Integers, floats, bool or datetime64 as they were stored; text as an object array of str.
        Lists hold the labels of rows that may have any number of them.
    """

    features: pa.Table
    labels: Any

    def __len__(self) -> int:
        return self.features.num_rows


def read_table(
    path: str,
    *,
    columns: Choice = None,
    label: str | None = None,
    format: str | None = None,
    delimiter: str | None = None,
    na_words: bool | None = None,
    labels_like: np.ndarray | None = None,
    label_delimiter: str | None = None,
) -> LabelledTable:
    r"""Read the features, and perhaps the labels, from a CSV, TSV, Parquet or JSON lines file.

    All but Parquet may be compressed (``.gz``, ``.bz2``, ``.zst``, ``.lz4``), and must be UTF-8,
    with or without a byte order mark.

    - CSV and TSV files name their columns in the first line and may quote fields that hold the
      delimiter, quotes or line breaks. All columns are text. Their labels are whole numbers if
      every one of them prints as it was written, so that ``007`` and ``1.0`` stay text.
    - JSON lines hold one object a line, with values that are text, numbers, true, false, null or
      lists of those. A key that a line lacks is null. A column of several kinds is text, or lists.
    - Parquet columns stay as they are.

    Parameters
    ----------
    path : str
        A file, or "-" for standard input (all but Parquet).
    columns : sequence of str, callable or None, default=None
        Names of the features; None takes all columns but the label. A function is given the names
        that there are and gives those to read.
    label : str or None, default=None
        Name of the label column; None reads no labels.
    format : {"csv", "tsv", "parquet", "jsonl"} or None, default=None
        None goes by the ending of the name; "-" is CSV.
    delimiter : str or None, default=None
        One ASCII character; None is a comma in CSV and a tab in TSV.
    na_words : bool or None, default=None
        Whether a CSV cell that is empty, NA, N/A, n/a, #N/A, NaN, nan, null, NULL or None is null.
        None does so unless there is just one feature: a text may be "None". Labels are never null.
    labels_like : ndarray or None, default=None
        Labels of a model or of another file, whose type these labels take: text "7" becomes the
        integer 7 or the other way round.
    label_delimiter : str or None, default=None
        What separates the labels of a row that may have any number of them; None gives each row
        one label, unless the column holds lists.

    Returns
    -------
    LabelledTable

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
    ...     _ = file.write('text,age,stars\n"good, very good",NA,5\nbad,33,1\n')
    >>> table = read_table(path, label="stars")
    >>> table.features.to_pydict(), table.labels
    ({'text': ['good, very good', 'bad'], 'age': [None, '33']}, array([5, 1]))
    """
    format = format or guess_format(path)
    if format not in ("csv", "tsv", "parquet", "jsonl"):
        raise ValueError(
            f"{path}: format={format!r} is not a table; use csv, tsv, parquet or jsonl"
        )
    written = format in ("csv", "tsv")
    if format == "parquet":
        names, table = _read_parquet(path, columns, label)
    elif format == "jsonl":
        names, table = read_json_columns(path, columns, label)
    else:
        delimiter = delimiter or ("," if format == "csv" else "\t")
        names, table = CsvFile(path, delimiter).read(columns, label)
    if table.num_rows == 0:
        raise no_rows(path)
    features = table.select(names)
    if written and (len(names) > 1 if na_words is None else na_words):
        features = without_na_words(features)
    if label is None:
        return LabelledTable(features, None)
    column = table[label]
    if label_delimiter is not None or holds_lists(column):
        labels: Any = as_label_lists(
            path, label, column, labels_like, written=written, delimiter=label_delimiter
        )
    else:
        labels = as_labels(path, label, column, labels_like, written=written)
    return LabelledTable(features, labels)


def without_na_words(table: pa.Table) -> pa.Table:
    """Make cells that say that there is no value null, in columns of large_string."""
    words = encode(NA_WORDS)
    nothing = pa.nulls(1, pa.large_string())[0]
    columns = []
    for column in table.columns:
        says_so = pc.is_in(column, value_set=words)
        if pc.any(says_so).as_py():
            column = pc.if_else(says_so, nothing, column)
        columns.append(column)
    return pa.Table.from_arrays(columns, names=table.schema.names)


def _read_parquet(path: str, columns: Choice, label: str | None) -> tuple[list[str], pa.Table]:
    if path == "-":
        raise ValueError(
            "-: Parquet cannot be read from standard input; give a file, or use CSV or JSON lines"
        )
    with open(path, "rb") as stream:
        try:
            with pyarrow.parquet.ParquetFile(stream) as file:
                features, wanted = choose_columns(path, columns, label, file.schema_arrow.names)
                return features, file.read(columns=wanted)
        except (pa.ArrowException, OSError) as error:
            raise ValueError(f"{path}: cannot be read as Parquet ({error})") from error
