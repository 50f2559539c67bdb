"""What all files share: how their format is told, how they open, and how they are refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Any

import pyarrow as pa

__all__ = [
    "FORMATS",
    "Choice",
    "choose_columns",
    "guess_format",
    "no_rows",
    "not_utf8",
    "open_file",
    "quoted",
]

FORMATS = ("csv", "tsv", "parquet", "jsonl", "lines")
_SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".txt": "lines",
}
_COMPRESSED = (".gz", ".bz2", ".zst", ".lz4")

#: Names of columns, what gives them for the names that there are, or None for all.
Choice = Sequence[str] | Callable[[list[str]], Sequence[str]] | None


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


def open_file(path: str) -> Any:
    """Open a file, decompressed; a plain OSError says why that is not possible."""
    with open(path, "rb"):  # Python's messages for missing files, folders and permissions
        pass
    return pa.input_stream(path, compression="detect")


def choose_columns(
    path: str, columns: Choice, label: str | None, names: list[str]
) -> tuple[list[str], list[str]]:
    """Give the names of the features, and of all columns to read; raise if one is not there.

    Parameters
    ----------
    path : str
        For the messages.
    columns : sequence of str, callable or None
        The features; None takes all columns but the label.
    label : str or None
    names : list of str
        The columns that there are.
    """
    if callable(columns):
        features = list(dict.fromkeys(columns(names)))
    elif columns is None:
        features = [name for name in names if name != label]
    else:
        features = list(dict.fromkeys(columns))
    wanted = list(dict.fromkeys(features if label is None else [*features, label]))
    known = set(names)
    for name in wanted:
        if name not in known:
            raise ValueError(
                f"{path}: no column is named {name!r}; there are {quoted(names)}. "
                "Name the column to use (--text, --columns, --label)"
            )
    if len(known) < len(names):
        for name in wanted:
            if names.count(name) > 1:
                raise ValueError(
                    f"{path}: {names.count(name)} columns are named {name!r}, among "
                    f"{quoted(names)}. Rename all but one, or leave them out (--ignore)"
                )
    if not features:
        raise ValueError(f"{path}: there is no column to learn from besides {quoted(names)}")
    return features, wanted


def quoted(names: Sequence[str]) -> str:
    """List the first names for a message."""
    return ", ".join(map(repr, names[:50])) + (", ..." if len(names) > 50 else "")


def no_rows(path: str) -> ValueError:
    """Make the error for a table without rows."""
    return ValueError(f"{path}: there are no rows below the column names")


def not_utf8(path: str, line: int, byte: int) -> ValueError:
    """Make the error for a line that is not UTF-8."""
    return ValueError(
        f"{path}, line {line}: not UTF-8 (byte 0x{byte:02x}). Convert the file first, for "
        "instance with `iconv -f latin1 -t utf-8` or, if Windows wrote it, `iconv -f utf-16`"
    )
