"""What the commands write: messages, JSON and aligned lines."""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from collections.abc import Sequence
from typing import Any, TextIO

from udt.cli.arguments import UsageError

__all__ = ["check_place", "one_line", "say", "size", "would_overwrite", "write_json", "write_rows"]


def say(message: str) -> None:
    """Write a line to standard error."""
    sys.stderr.write(f"{message}\n")


def one_line(label: object) -> str:
    """Text of a label that keeps to its line and its column."""
    text = label.decode("utf-8", "backslashreplace") if isinstance(label, bytes) else str(label)
    if text.isprintable():
        return text
    return text.replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def size(n_bytes: int) -> str:
    """Text of a number of bytes."""
    return f"{n_bytes / 1e6:.1f} MB" if n_bytes >= 1e6 else f"{n_bytes / 1e3:.1f} kB"


def check_place(option: str, path: str) -> None:
    """See that there can be a file, which is better found out before the long part.

    Raises
    ------
    UsageError
        If it would be a folder, or lie in none.
    """
    folder = os.path.dirname(os.path.realpath(path))
    if not os.path.isdir(folder) or os.path.isdir(path):
        raise UsageError(f"{option} {path}: that is a folder, or lies in none that exists")


def would_overwrite(path: str, *sources: str | None) -> bool:
    """Tell whether a path is that of a file that is read, by whatever name."""
    if not os.path.exists(path):
        return False
    return any(
        os.path.samefile(source, path) for source in sources if source and os.path.exists(source)
    )


def write_json(out: TextIO, value: dict[str, Any]) -> None:
    """Write one line of JSON; dates and the like become text."""
    out.write(json.dumps(value, default=one_line) + "\n")


def write_rows(out: TextIO, rows: Sequence[Sequence[object]], *, right: Sequence[int] = ()) -> None:
    """Write rows of cells, aligned; those whose numbers are in `right` at their right edge."""
    cells = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = []
        for number, (cell, width) in enumerate(zip(row, widths, strict=True)):
            blanks = " " * (width - _width(cell))
            padded.append(blanks + cell if number in right else cell + blanks)
        out.write("  ".join(padded).rstrip() + "\n")


def _width(text: str) -> int:
    """Columns that a terminal gives a text: two for a Chinese character, none for an accent."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(map(bool, map(unicodedata.combining, text)))
