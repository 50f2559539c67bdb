"""CSV and TSV -> columns of text."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.csv

from udt.io.files import Choice, choose_columns, no_rows, not_utf8, open_file

__all__ = ["CsvFile"]

# pyarrow parses blocks in parallel, but a row must fit in one: start small, grow when told to.
_BLOCKS = (1 << 20, 1 << 24, 1 << 28, (1 << 31) - 1)


class CsvFile:
    """A CSV file that can be read more than once: again with larger blocks, or to find an error."""

    def __init__(self, path: str, delimiter: str) -> None:
        if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n':
            raise ValueError(f"delimiter={delimiter!r} must be one ASCII character, e.g. ';'")
        self.path = path
        self.delimiter = delimiter
        self.stdin = pa.py_buffer(sys.stdin.buffer.read()) if path == "-" else None

    def open(self) -> Any:
        """Open the file, decompressed."""
        return open_file(self.path) if self.stdin is None else pa.BufferReader(self.stdin)

    def read(self, columns: Choice, label: str | None) -> tuple[list[str], pa.Table]:
        """Give the names of the features, and them and the label as columns of large_string."""
        try:
            names = next(self.rows(), None)
            if names is None:
                raise ValueError(f"{self.path}: the file is empty")
            features, wanted = choose_columns(self.path, columns, label, names)
            return features, self.read_columns(wanted)
        except UnicodeDecodeError as error:
            self.raise_bad_byte(error)
        except pa.ArrowInvalid as error:
            if "UTF8" in str(error):
                self.raise_bad_byte(error)
            if "Empty CSV" in str(error):  # a first line without an end
                raise no_rows(self.path) from error
            self.raise_ragged_row(error)
        except csv.Error as error:
            raise ValueError(f"{self.path}: not a CSV file ({error})") from error
        except OSError as error:
            if error.errno is not None:
                raise
            raise ValueError(f"{self.path}: cannot be decompressed ({error})") from error

    def read_columns(self, wanted: list[str]) -> pa.Table:
        """Read columns, each of which is there once."""
        convert = pyarrow.csv.ConvertOptions(
            include_columns=wanted, column_types=dict.fromkeys(wanted, pa.large_string())
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
        """Name the line that is not UTF-8."""
        with self.open() as stream:
            for number, line in enumerate(stream.read().split(b"\n"), 1):
                try:
                    line.decode()
                except UnicodeDecodeError as error:
                    raise not_utf8(self.path, number, line[error.start]) from cause
        raise ValueError(f"{self.path}: not UTF-8 ({cause})") from cause

    def raise_ragged_row(self, cause: Exception) -> NoReturn:
        """Name the line with too many or too few fields."""
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
