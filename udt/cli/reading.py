"""Which columns of a file a command reads."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from udt.cli.arguments import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from udt.classifier import UDTClassifier
    from udt.io import LabelledTable

__all__ = ["ModelColumns", "read_batches", "read_labelled", "read_training", "training_columns"]

BATCH = 65_536  # rows predicted at a time


def read_training(args: argparse.Namespace, path: str) -> LabelledTable:
    """Read the columns to learn from, by --text, --ignore and --label, and the labels."""
    from udt.io import read_table

    return read_table(
        path,
        columns=training_columns(args, path),
        label=args.label,
        format=args.format,
        delimiter=args.delimiter,
        label_delimiter=args.label_delimiter,
    )


def training_columns(args: argparse.Namespace, path: str) -> Callable[[list[str]], list[str]]:
    """Give a function that picks the features by --text or --ignore; never the label."""
    label = args.label or "label"

    def choose(names: list[str]) -> list[str]:
        if args.text is not None:
            return [args.text]
        unknown = [name for name in args.ignore if name not in names]
        if unknown:
            from udt.io.files import quoted

            raise ValueError(
                f"{path}: no column is named {unknown[0]!r} (--ignore); there are {quoted(names)}"
            )
        return [name for name in names if name != label and name not in args.ignore]

    return choose


def read_labelled(
    args: argparse.Namespace, path: str, columns: ModelColumns, like: Any
) -> LabelledTable:
    """Read rows to measure a model on.

    Parameters
    ----------
    args : Namespace
    path : str
        DATA, or the file of --valid or --test.
    columns : ModelColumns
    like : ndarray, or list of lists
        Labels whose type these take.
    """
    import numpy as np

    from udt.io import read_table

    if isinstance(like, list):
        like = np.array(list(dict.fromkeys(chain.from_iterable(like))), dtype=object)
        like = np.array(like.tolist()) if len(like) else None
    return read_table(
        path,
        columns=columns.chooser(path, args.label),
        label=args.label,
        # What --format says is about DATA; the other files of a training go by their own names.
        format=args.format if path == args.data else None,
        delimiter=args.delimiter,
        na_words=columns.na_words,
        labels_like=like,
        label_delimiter=args.label_delimiter,
    )


class ModelColumns:
    """The columns that a model reads.

    Attributes
    ----------
    names : list of str
        In the order of the model's.
    texts : set of str
        Those that hold text.
    text : str or None
        The only column, if it holds text: it may go by another name in other files.
    na_words : bool
        Whether cells may say that a value is missing: not where there was just one feature.
    """

    def __init__(self, columns: Any, text: str | None = None) -> None:
        read = [column for column in columns if column.role != "ignored"]
        self.names = [column.name for column in read]
        self.texts = {column.name for column in read if column.role == "text"}
        is_lone = len(columns) == 1 and len(self.texts) == 1
        self.text = (text or self.names[0]) if is_lone else None
        self.na_words = len(columns) > 1
        self._is_told = text is not None
        if text is not None and not is_lone:
            from udt.io.files import quoted

            raise UsageError(
                f"--text {text}: the model reads the columns {quoted(self.names)}, "
                "which must go by those names"
            )

    @classmethod
    def of(cls, model: UDTClassifier, text: str | None) -> ModelColumns:
        """Give those of a fitted model, where --text names its text column anew."""
        return cls(model.columns_, text)

    def chooser(self, path: str, label: str | None = None) -> Callable[[list[str]], list[str]]:
        """Give a function that picks these columns among those of a file."""

        def choose(names: list[str]) -> list[str]:
            if self.text is not None:
                return [self._find_text(names, label)]
            found = [name for name in self.names if name in names]
            if not found:
                from udt.io.files import quoted

                raise ValueError(
                    f"{path}: there is none of the columns that the model reads, "
                    f"{quoted(self.names)}; there are {quoted(names)}"
                )
            return found

        return choose

    def _find_text(self, names: list[str], label: str | None) -> str:
        assert self.text is not None
        if self._is_told or self.text in names:
            return self.text
        others = [name for name in names if name != label]
        if "text" in names or len(others) != 1:
            return "text" if "text" in names else self.text
        return others[0]


def read_batches(
    args: argparse.Namespace, model: UDTClassifier
) -> Iterator[list[str] | list[dict[str, Any]] | pa.Table]:
    """Yield the rows to predict: as they arrive where they come in lines, else BATCH at a time."""
    from udt.io import guess_format, read_lines, read_table
    from udt.io.files import quoted

    columns = ModelColumns.of(model, args.text)
    names = quoted(columns.names)
    if args.sentence is not None:
        if columns.text is None:
            raise UsageError(f"--sentence: the model reads the columns {names}; give DATA")
        yield args.sentence
        return
    is_table = args.text is not None or args.delimiter is not None
    default = "lines" if args.data == "-" and not is_table else None
    format = args.format or default or guess_format(args.data)
    if format == "lines":
        if is_table:
            raise UsageError(f"{args.data} is plain text; --format says what table it is")
        if columns.text is None:
            raise UsageError(
                f"{args.data} is plain text, but the model reads the columns {names}; give a "
                "table, with --format csv, tsv or jsonl if it is standard input"
            )
        yield from read_lines(args.data)
    elif format == "jsonl":
        yield from _record_batches(args.data, columns)
    else:
        features = read_table(
            args.data,
            columns=columns.chooser(args.data),
            format=format,
            delimiter=args.delimiter,
            na_words=columns.na_words,
        ).features
        for begin in range(0, features.num_rows, BATCH):
            yield features.slice(begin, BATCH)


def _record_batches(path: str, columns: ModelColumns) -> Iterator[list[str] | list[dict[str, Any]]]:
    from udt.io import read_records
    from udt.values import to_text

    if columns.text is not None:
        for records in read_records(path, columns.chooser(path)):
            yield [to_text(value) for record in records for value in record.values()]
        return
    for records in read_records(path, columns.names):
        for record in records:
            for name in columns.texts:  # a piece may hold nothing but numbers where others do not
                if isinstance(record[name], (bool, int, float)):
                    record[name] = to_text(record[name])
        yield records
