"""The sets of the benchmarks: where they lie, which columns are what, and how they are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy import sparse


class Split(NamedTuple):
    """Rows and answers of both parts. Rows are a list of str, a data frame or a CSR matrix."""

    X: Any
    y: Any
    X_test: Any
    y_test: Any


class Source(Protocol):
    """A set that can be read."""

    def read(self, data: Path) -> Split: ...


def _parts(data: Path, folder: str, columns: list[str] | None = None) -> list[pa.Table]:
    parts = ("train", "test")
    return [pq.read_table(data / folder / f"{part}.parquet", columns=columns) for part in parts]


def _joined(table: pa.Table, columns: Sequence[str]) -> list[str]:
    texts = [table[column].cast(pa.large_string()) for column in columns]
    space = pa.scalar(" ", pa.large_string())
    return (pc.binary_join_element_wise(*texts, space) if len(texts) > 1 else texts[0]).to_pylist()


@dataclass(frozen=True)
class TextSet:
    """One text a row: `text` are the columns that are joined to it by a space."""

    folder: str
    text: tuple[str, ...] = ("text",)
    label: str = "label"

    def read(self, data: Path) -> Split:
        """Return lists of str and arrays of str."""
        train, test = _parts(data, self.folder, [*self.text, self.label])
        return Split(*self._part(train), *self._part(test))

    def _part(self, table: pa.Table) -> tuple[list[str], np.ndarray]:
        return _joined(table, self.text), np.asarray(table[self.label].to_pylist())


@dataclass(frozen=True)
class TableSet:
    """A data frame with all columns but the label.

    udt is given the frame and no more. Peers are told what people would tell them: which columns
    are `text`, which strings are `numbers` ("19M", "10,000+", "$4.99") or `dates`.
    """

    folder: str
    label: str = "label"
    columns: tuple[str, ...] = ()  # all of them if empty
    leave_out: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()

    def read(self, data: Path) -> Split:
        """Return pandas data frames and arrays of str."""
        chosen = [*self.columns, self.label] if self.columns else None
        train, test = _parts(data, self.folder, chosen)
        return Split(*self._part(train), *self._part(test))

    def _part(self, table: pa.Table) -> tuple[pd.DataFrame, np.ndarray]:
        frame = table.drop_columns([self.label, *self.leave_out]).to_pandas()
        return frame, np.asarray(table[self.label].to_pylist())


@dataclass(frozen=True)
class LabelsSet:
    """One text and any number of labels a row; y is a CSR indicator matrix.

    Its columns are the labels of the train part. Labels that only the test part has come after
    them: nobody can find these, and whoever misses them pays for it in recall.
    """

    folder: str
    text: tuple[str, ...]
    label: str = "label"  # separated by spaces; "" is a row without any

    def read(self, data: Path) -> Split:
        """Return lists of str and CSR matrices, (n, L) in train and (n, L or more) in test."""
        train, test = _parts(data, self.folder, [*self.text, self.label])
        rows = [
            [list(dict.fromkeys(row.split())) for row in part[self.label].to_pylist()]  # once each
            for part in (train, test)
        ]
        known = sorted({label for row in rows[0] for label in row})
        strangers = sorted({label for row in rows[1] for label in row} - set(known))
        column = {label: i for i, label in enumerate([*known, *strangers])}
        return Split(
            _joined(train, self.text),
            _indicator(rows[0], column, len(known)),
            _joined(test, self.text),
            _indicator(rows[1], column, len(column)),
        )


def _indicator(rows: list[list[str]], column: dict[str, int], width: int) -> sparse.csr_matrix:
    indptr = np.cumsum([0, *(len(row) for row in rows)])
    indices = [column[label] for row in rows for label in row]
    return sparse.csr_matrix((np.ones(len(indices), np.int8), indices, indptr), (len(rows), width))


@dataclass(frozen=True)
class MatrixSet:
    """Ready features and labels as SciPy `.npz` files: X_train, Y_train, X_test and Y_test."""

    folder: str

    def read(self, data: Path) -> Split:
        """Return four CSR matrices."""
        return Split(
            *(
                sparse.csr_matrix(sparse.load_npz(data / self.folder / f"{kind}_{part}.npz"))
                for part in ("train", "test")
                for kind in ("X", "Y")
            )
        )


def shuffled(X: Any, y: Any, seed: int) -> tuple[Any, Any]:
    """Permute the rows: some sets come in label order, which online learners cannot bear."""
    order = np.random.default_rng(seed).permutation(len(X) if isinstance(X, list) else X.shape[0])
    return take(X, order), y[order]


def take(X: Any, rows: Any) -> Any:
    """Choose rows, by number or slice, of a list, a frame or a matrix."""
    if isinstance(X, pd.DataFrame):
        return X.iloc[rows].reset_index(drop=True)
    if isinstance(X, list) and not isinstance(rows, slice):
        return [X[i] for i in rows]
    return X[rows]


def singles(X: Any, n: int) -> list[Any]:
    """Return up to `n` rows, each alone: different texts, frames or matrices of one row."""
    if isinstance(X, list):
        return list(dict.fromkeys(X))[:n]
    return [take(X, slice(i, i + 1)) for i in range(min(n, X.shape[0]))]
