"""Files of sparse rows -> arrays, chunk by chunk, and what is wrong with their lines."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterator
from itertools import chain, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from udt.io.files import open_file

__all__ = ["MAX_ID", "Reader", "Rows"]

Array = NDArray[Any]
MAX_ID = 2**31 - 1
_CHUNK = 1 << 22  # bytes parsed at a time
_BOM = b"\xef\xbb\xbf"


class Rows(NamedTuple):
    """Some rows of a file, in the form of two CSR matrices."""

    label_indptr: Array
    labels: Array  # float64
    indptr: Array
    indices: Array  # int32
    values: Array  # float32

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.indptr) - 1

    @classmethod
    def join(cls, parts: list[Rows]) -> Rows:
        """Put rows below rows."""

        def ends(pointers: list[Array]) -> Array:
            return np.r_[0, np.cumsum(np.concatenate([np.diff(one) for one in pointers]))]

        return cls(
            ends([part.label_indptr for part in parts]),
            np.concatenate([part.labels for part in parts]),
            ends([part.indptr for part in parts]),
            np.concatenate([part.indices for part in parts]),
            np.concatenate([part.values for part in parts]),
        )

    def first(self, n: int) -> Rows:
        """Give the first ``n`` rows."""
        labels, entries = self.label_indptr[n], self.indptr[n]
        return Rows(
            self.label_indptr[: n + 1],
            self.labels[:labels],
            self.indptr[: n + 1],
            self.indices[:entries],
            self.values[:entries],
        )

    def last(self, begin: int) -> Rows:
        """Give the rows from ``begin`` on."""
        label, entry = self.label_indptr[begin], self.indptr[begin]
        return Rows(
            self.label_indptr[begin:] - label,
            self.labels[label:],
            self.indptr[begin:] - entry,
            self.indices[entry:],
            self.values[entry:],
        )


class Reader:
    """Parses a file chunk by chunk, and says what is wrong with it."""

    def __init__(self, path: str, on_bad_lines: str, *, has_header: bool) -> None:
        if on_bad_lines not in ("error", "skip"):
            raise ValueError(f'on_bad_lines={on_bad_lines!r}: give "error" or "skip".')
        self.path = path
        self.skip = on_bad_lines == "skip"
        self.has_header = has_header
        self.n_rows, self.n_features, self.n_labels = -1, MAX_ID, -1
        self.n_skipped = 0
        self.first_problem = ""

    def chunks(self) -> Iterator[Rows]:
        """Yield the rows; first an empty piece, as soon as the header is read."""
        chunks = _whole_lines(self.path)
        first = next(chunks, b"")
        if not first:
            raise ValueError(f"{self.path}: the file is empty")
        line = 1
        if self.has_header:
            header, _, first = first.partition(b"\n")
            self._read_header(header)
            line = 2
        yield Rows(*map(np.zeros, (1, 0, 1, 0, 0), ("i8", "f8", "i8", "i4", "f4")))
        n_read = 0
        for text in chain([first], chunks):
            if text:
                rows, n_lines = self._parse(text, line)
                line += n_lines
                rows = self._without_surplus(rows, n_read)
                n_read += rows.n
                yield rows
        self._finish(n_read)

    def _finish(self, n_read: int) -> None:
        """Say what is known only at the end."""
        n_lines = n_read + self.n_skipped
        if n_lines < self.n_rows:
            raise ValueError(
                f"{self.path}: the header says {self.n_rows} rows, but there are {n_lines}. Is the "
                "file cut off? If not, correct the header"
            )
        if self.n_skipped:
            warnings.warn(
                f"{self.path}: bad lines skipped: {self.n_skipped}. The first is "
                f"{self.first_problem}",
                UserWarning,
                stacklevel=5,
            )
        if not n_read:
            raise ValueError(f"{self.path}: there are no rows")

    def _read_header(self, line: bytes) -> None:
        numbers = line.split()
        if len(numbers) != 3 or not all(number.isdigit() for number in numbers):
            raise ValueError(
                f"{self.path}, line 1: {_shown(line)} is no header `N F L` (numbers of rows, "
                "features and labels). Write one, or read the file with read_svmlight"
            )
        self.n_rows, self.n_features, self.n_labels = map(int, numbers)
        lowest = min(self.n_rows, self.n_features, self.n_labels)
        if lowest < 1 or max(self.n_features, self.n_labels) > MAX_ID:
            raise ValueError(
                f"{self.path}, line 1: the header {_shown(line)} must give at least one row, "
                f"feature and label, and at most {MAX_ID} features and labels"
            )

    def _parse(self, text: bytes, line: int) -> tuple[Rows, int]:
        """Give the rows of whole lines, the first of which is number ``line``, and their number."""
        from udt.io import svmlight_kernels as kernels

        n, n_lines = len(text), text.count(b"\n")
        counts = np.zeros(9, dtype=np.int64)
        # As many as can be; pages that are not written to cost nothing.
        label_ends, ends = (np.zeros(n_lines + 1, dtype=np.int64) for _ in range(2))
        labels = np.empty(n // 2 + 1)
        indices = np.empty(n // 4 + 1, dtype=np.int32)
        values = np.empty(n // 4 + 1, dtype=np.float32)
        odd = np.empty((n // 2 + 1, 3), dtype=np.int64)
        kernels.parse_lines(
            np.frombuffer(text, np.uint8), self.n_labels, self.n_features, self.has_header,
            self.skip, kernels.POWERS, counts, label_ends[1:], labels, ends[1:], indices, values,
            odd,
        )  # fmt: skip
        for number, begin, end in odd[: counts[kernels.ODD]].tolist():
            value = float(text[begin:end])
            if number >= 0:
                values[number] = value
            else:
                labels[-1 - number] = value
        if counts[kernels.BAD]:
            problem = self._describe(text, line, *counts[kernels.PROBLEM :].tolist())
            if not self.skip:
                raise ValueError(f"{self.path}, {problem}")
            self.first_problem = self.first_problem or problem
            self.n_skipped += int(counts[kernels.BAD])
        n_rows, n_labels, n_entries = counts[: kernels.ENTRIES + 1]
        rows = Rows(
            label_ends[: n_rows + 1],
            labels[:n_labels].copy(),
            ends[: n_rows + 1],
            indices[:n_entries].copy(),
            values[:n_entries].copy(),
        )
        return rows, n_lines

    def _describe(self, text: bytes, line: int, problem: int, number: int, at: int) -> str:
        """Say what is wrong with line ``number`` of a text that begins at ``line``, and where."""
        from udt.io import svmlight_kernels as kernels

        end = text.index(b"\n", at)
        token = re.split(rb"[ \t\r#]", text[at:end], maxsplit=1)[0]
        if problem in (kernels.BAD_LABEL, kernels.LABEL_RANGE):
            token = token if b":" in token else token.split(b",")[0]
        shown = _shown(token)
        if problem == kernels.BAD_LABEL and b":" not in token:
            kind = "numbers" if self.n_labels < 0 else f"whole numbers below {self.n_labels}"
            what = f"{shown} is no label. Give {kind}, separated by commas"
        elif problem in (kernels.BAD_LABEL, kernels.BAD_PAIR):
            what = f"{shown} is no feature with its value. Write a whole number, a colon and a "
            what += "number, as in 7:0.5"
        elif problem == kernels.BAD_VALUE:
            value = token.partition(b":")[2]
            what = f"{shown} has no number behind the colon. Write it as in 7:0.5"
            if value.lstrip(b"+-").lower() in (b"nan", b"inf", b"infinity"):
                what = f"the value in {shown} is not finite. Leave the feature out"
        elif problem == kernels.TOO_LARGE:
            what = f"{shown} is beyond what float32 holds. Scale the values"
        elif problem == kernels.TWICE:
            pairs = text[at:end].partition(b"#")[0].split()
            ids = [pair.partition(b":")[0] for pair in pairs if b":" in pair]
            numbers = sorted(int(one) for one in ids if one.isdigit())  # a qid is none
            twice = next(one for one, other in pairwise(numbers) if one == other)
            what = f"feature {twice} is there twice. Add its values up"
        else:
            of_labels = problem == kernels.LABEL_RANGE
            n, things = (self.n_labels, "labels") if of_labels else (self.n_features, "features")
            if self.has_header:
                what = f"{shown} is out of range: the header says {n} {things}, which count from 0"
            else:
                what = f"the id in {shown} is too large: {things} go up to {n}"
        return f"line {line + number}: {what}"

    def _without_surplus(self, rows: Rows, n_read: int) -> Rows:
        """Leave out empty lines behind the last row; raise if there are more rows."""
        left = self.n_rows - n_read
        if not self.has_header or rows.n <= left:
            return rows
        kept = rows.first(left)
        if len(kept.labels) < len(rows.labels) or len(kept.indices) < len(rows.indices):
            raise ValueError(
                f"{self.path}: the header says {self.n_rows} rows, but there are more. Correct it, "
                "or look for lines that are broken in two"
            )
        return kept


def _whole_lines(path: str) -> Iterator[bytes]:
    """Yield pieces of a file that end with a line's end."""
    if path == "-":
        yield from _cut(sys.stdin.buffer)
        return
    with open_file(path) as stream:
        try:
            yield from _cut(stream)
        except OSError as error:
            if error.errno is not None:
                raise
            raise ValueError(f"{path}: cannot be decompressed ({error})") from error


def _cut(stream: Any) -> Iterator[bytes]:
    rest: list[bytes] = []  # pieces of a line that has not ended
    is_first = True
    while piece := stream.read1(_CHUNK):
        head, end, tail = piece.rpartition(b"\n")
        if end:
            text = b"".join([*rest, head, end])
            yield text.removeprefix(_BOM) if is_first else text
            is_first = False
            rest = []
        rest.append(tail)
    if text := b"".join(rest):
        yield text.removeprefix(_BOM) + b"\n" if is_first else text + b"\n"


def _shown(text: bytes) -> str:
    shown = text.decode("utf-8", "backslashreplace")
    return repr(shown if len(shown) <= 40 else shown[:37] + "...")
