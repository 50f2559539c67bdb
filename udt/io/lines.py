"""Plain lines of text, as they arrive."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from udt.io.files import not_utf8, open_file

__all__ = ["numbered_lines", "read_lines"]


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
    for _, lines in numbered_lines(path):
        yield lines


def numbered_lines(path: str) -> Iterator[tuple[int, list[str]]]:
    """Yield what `read_lines` does, with the number of the first line of each piece."""
    if path == "-":
        yield from _decode_lines(path, sys.stdin.buffer)
        return
    with open_file(path) as stream:
        try:
            yield from _decode_lines(path, stream)
        except OSError as error:
            if error.errno is not None:
                raise
            raise ValueError(f"{path}: cannot be decompressed ({error})") from error


def _decode_lines(path: str, stream: Any) -> Iterator[tuple[int, list[str]]]:
    line_number = 1
    rest: list[bytes] = []  # pieces of a line that has not ended
    while piece := stream.read1(1 << 20):
        head, end, tail = piece.rpartition(b"\n")
        if end:
            lines = b"".join([*rest, head]).split(b"\n")
            yield line_number, _decode(path, line_number, lines)
            line_number += len(lines)
            rest = []
        if tail:
            rest.append(tail)
    if rest:
        yield line_number, _decode(path, line_number, [b"".join(rest)])


def _decode(path: str, first: int, lines: list[bytes]) -> list[str]:
    texts = []
    for number, line in enumerate(lines, first):
        try:
            texts.append(line.removesuffix(b"\r").decode("utf-8-sig" if number == 1 else "utf-8"))
        except UnicodeDecodeError as error:
            raise not_utf8(path, number, line[error.start]) from error
    return texts
