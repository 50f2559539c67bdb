"""Lines of sparse rows, ``l1,l2 f1:v1 f2:v2``: bytes -> arrays, in compiled code."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from udt.compilation import kernel

Array = NDArray[Any]

#: What may be wrong with a line.
BAD_LABEL, BAD_PAIR, BAD_VALUE, TOO_LARGE, LABEL_RANGE, FEATURE_RANGE, TWICE = range(1, 8)
#: Places of what `parse_lines` counts. The last three tell of the first bad line.
ROWS, LABELS, ENTRIES, ODD, LINES, BAD, PROBLEM, BAD_LINE, BAD_AT = range(9)
#: Powers of ten for `read_number`.
POWERS = np.array([float(f"1e{i}") for i in range(70)])

_TAB, _NEWLINE, _RETURN, _SPACE, _HASH = 9, 10, 13, 32, 35
_PLUS, _COMMA, _MINUS, _POINT, _ZERO, _NINE, _COLON = 43, 44, 45, 46, 48, 57, 58
_OVERFLOW = 3.4028235677973366e38  # from here on float32 is infinite
_SLACK = 2.0**-50  # more than the rounding errors of one conversion


@kernel
def read_id(text: Array, begin: int) -> tuple[int, Any]:
    """Read up to 15 digits: where they stop (``begin`` if there are none, or more), and what."""
    at = begin
    number = np.int64(0)
    while _ZERO <= text[at] <= _NINE:
        number = number * 10 + np.int64(text[at]) - _ZERO
        at += 1
        if at - begin > 15:
            return begin, np.int64(0)
    return at, number


@kernel
def _read_digits(text: Array, begin: int) -> tuple[int, Any, Any, Any, Any]:
    """Read digits around a point, of which 18 count.

    That is: where they stop, the number that they make without the point, how many count, the
    power of ten to multiply with, and whether there are any.
    """
    at = begin
    mantissa, shift, n_digits = np.int64(0), np.int64(0), np.int64(0)
    n_points = np.int64(0)
    while True:
        code = np.int64(text[at])
        if _ZERO <= code <= _NINE:
            if n_digits < 18:
                mantissa = mantissa * 10 + (code - _ZERO)
                n_digits += np.int64(mantissa > 0)  # zeros in front do not count
                shift -= n_points
            else:
                shift += 1 - n_points
        elif code == _POINT and n_points == 0:
            n_points += 1
        else:
            break
        at += 1
    return at, mantissa, n_digits, shift, at - begin > n_points


@kernel
def _read_exponent(text: Array, begin: int) -> tuple[int, Any]:
    """Read what follows an "e": where it stops (``begin`` if it is no exponent), and it."""
    first = begin + 1 if text[begin] == _MINUS or text[begin] == _PLUS else begin
    at = first
    exponent = np.int64(0)
    while _ZERO <= text[at] <= _NINE:
        exponent = min(exponent * 10 + np.int64(text[at]) - _ZERO, np.int64(1 << 40))
        at += 1
    if at == first:
        return begin, np.int64(0)
    return at, -exponent if text[begin] == _MINUS else exponent


@kernel
def read_number(text: Array, begin: int, powers: Array) -> tuple[int, float, bool]:
    """Read a decimal number: where it stops, its value, and whether float32 is in doubt.

    It stops at ``begin`` if there is none. Its value is within a few roundings of float64, and
    infinite if it is beyond float32; where those roundings might change the nearest float32 (a
    tie, or once in a hundred million numbers), Python's ``float`` must read it.
    """
    is_signed = text[begin] == _MINUS or text[begin] == _PLUS
    first = begin + 1 if is_signed else begin
    at, mantissa, n_digits, shift, any_digit = _read_digits(text, first)
    if not any_digit:
        return begin, 0.0, False
    if text[at] == 101 or text[at] == 69:  # e, E
        after, exponent = _read_exponent(text, at + 1)
        if after == at + 1:
            return begin, 0.0, False
        at = after
        shift += exponent
    if mantissa == 0 or n_digits + shift < -46:
        return at, 0.0, False
    value = np.inf
    if n_digits + shift < 41:
        value = mantissa * powers[shift] if shift >= 0 else mantissa / powers[-shift]
    slack = value * _SLACK
    if value + slack >= _OVERFLOW:
        return at, np.inf, False
    doubt = np.float32(value - slack) != np.float32(value + slack)
    return at, -value if text[begin] == _MINUS else value, doubt


@kernel
def _ends(code: int) -> bool:
    """Tell whether a byte ends a label or a value."""
    return code in (_SPACE, _NEWLINE, _TAB, _RETURN, _HASH)


@kernel
def _skip_blanks(text: Array, at: int) -> int:
    while text[at] in (_SPACE, _TAB, _RETURN):
        at += 1
    return at


@kernel
def _read_labels(
    text: Array, at: int, n_labels: int, powers: Array, n: int, n_odd: int, labels: Array,
    odd: Array,
) -> tuple[int, int, int, int]:  # fmt: skip
    """Read ``l1,l2,...``: where it stops, how many labels and odd numbers there are, the problem.

    The labels are counted from ``n`` on. Nothing is read at the end of a line or if a pair comes.
    """
    if text[at] == _NEWLINE or text[at] == _HASH or text[read_id(text, at)[0]] == _COLON:
        return at, n, n_odd, 0
    while True:
        is_signed = n_labels < 0 and (text[at] == _MINUS or text[at] == _PLUS)
        first = at + 1 if is_signed else at
        after, number = read_id(text, first)
        value = np.float64(-number if text[at] == _MINUS else number)
        is_read = after > first and (text[after] == _COMMA or _ends(text[after]))
        if n_labels < 0 and not is_read:
            after, value, _ = read_number(text, at, powers)
            is_read = after > at and (text[after] == _COMMA or _ends(text[after]))
            odd[n_odd, 0], odd[n_odd, 1], odd[n_odd, 2] = -1 - n, at, after
            n_odd += 1
        if not is_read:
            return at, n, n_odd, BAD_LABEL
        if np.isinf(value):
            return at, n, n_odd, TOO_LARGE
        if 0 <= n_labels <= number:
            return at, n, n_odd, LABEL_RANGE
        labels[n] = value
        n += 1
        if text[after] != _COMMA:
            return after, n, n_odd, 0
        at = after + 1


@kernel
def _skip_query(text: Array, at: int) -> int:
    """Pass over ``qid:7``, if it is there."""
    if text[at] == 113 and text[at + 1] == 105 and text[at + 2] == 100 and text[at + 3] == _COLON:
        after, _ = read_id(text, at + 4)
        if after > at + 4 and _ends(text[after]):
            return after
    return at


@kernel
def _read_pairs(
    text: Array, at: int, n_features: int, powers: Array, n: int, n_odd: int, indices: Array,
    values: Array, odd: Array,
) -> tuple[int, int, int, int, bool]:  # fmt: skip
    """Read ``f1:v1 f2:v2`` from a line's rest: what `_read_labels` does, and whether ids rise."""
    last = np.int64(-1)
    rises = True
    while True:
        at = _skip_blanks(text, at)
        if text[at] == _NEWLINE or text[at] == _HASH:
            return at, n, n_odd, 0, rises
        after, number = read_id(text, at)
        if after == at or text[after] != _COLON:
            return at, n, n_odd, BAD_PAIR, rises
        begin = after + 1
        after, value, doubt = read_number(text, begin, powers)
        if after == begin or not _ends(text[after]):
            return at, n, n_odd, BAD_VALUE, rises
        if np.isinf(value):
            return at, n, n_odd, TOO_LARGE, rises
        if number >= n_features:
            return at, n, n_odd, FEATURE_RANGE, rises
        if doubt:
            odd[n_odd, 0], odd[n_odd, 1], odd[n_odd, 2] = n, begin, after
            n_odd += 1
        rises &= number > last
        last = number
        indices[n] = number
        values[n] = value
        n += 1
        at = after


@kernel
def _sort_pairs(indices: Array, values: Array, first: int, end: int, odd: Array) -> bool:
    """Sort the pairs of a row, with their numbers in ``odd``; tell if a feature is there twice."""
    for i in range(len(odd)):
        if odd[i, 0] >= 0:  # of an entry, not of a label
            odd[i, 0] = indices[odd[i, 0]]
    gap = 1
    while gap < end - first:
        gap = 3 * gap + 1
    while gap > 0:  # Shell's sort: in place, and rows are short or nearly sorted
        for i in range(first + gap, end):
            index, value, j = indices[i], values[i], i
            while j >= first + gap and indices[j - gap] > index:
                indices[j], values[j] = indices[j - gap], values[j - gap]
                j -= gap
            indices[j], values[j] = index, value
        gap //= 3
    n_same = np.int64(0)
    for i in range(first + 1, end):
        n_same += np.int64(indices[i] == indices[i - 1])
    for i in range(len(odd)):
        if odd[i, 0] >= 0:
            odd[i, 0] = first + np.searchsorted(indices[first:end], odd[i, 0])
    return bool(n_same > 0)


@kernel
def parse_lines(
    text: Array, n_labels: int, n_features: int, empty_rows: bool, skip: bool, powers: Array,
    counts: Array, label_ends: Array, labels: Array, entry_ends: Array, indices: Array,
    values: Array, odd: Array,
) -> None:  # fmt: skip
    """Read lines, up to the end of the text or, unless ``skip``, to the first bad one.

    Parameters
    ----------
    text : ndarray, uint8
        Whole lines, each with its end.
    n_labels : int
        Labels are whole numbers below it; if -1, any numbers.
    n_features : int
    empty_rows : bool
        Whether a line with nothing on it is a row; one with a comment only never is.
    skip : bool
        Whether to leave out bad lines.
    powers : ndarray
        `POWERS`.
    counts : ndarray of 9 int64, out
        `ROWS` and so on are places in it.
    label_ends, entry_ends : ndarray, int64, out
        Where each row ends in ``labels``, and in ``indices`` and ``values``.
    labels : ndarray, float64, out
    indices : ndarray, int32, out
        Rising within a row.
    values : ndarray, float32, out
    odd : ndarray of shape (m, 3), int64, out
        Numbers that Python's ``float`` must read: the number of the entry, or -1 minus that of the
        label, and where its text begins and ends.
    """
    counts[:] = 0
    n_read, n_entries, n_odd, rows = 0, 0, 0, 0
    at = np.int64(0)
    while at < text.shape[0]:
        begin = _skip_blanks(text, at)
        is_empty = text[begin] == _NEWLINE or text[begin] == _HASH
        entry, rises = n_entries, True
        at, label, o, problem = _read_labels(
            text, begin, n_labels, powers, n_read, n_odd, labels, odd
        )
        if not problem:
            at = _skip_query(text, _skip_blanks(text, at))
            at, entry, o, problem, rises = _read_pairs(
                text, at, n_features, powers, n_entries, o, indices, values, odd
            )
        is_unsorted = not problem and not rises
        if is_unsorted and _sort_pairs(indices, values, n_entries, entry, odd[n_odd:o]):
            problem, at = TWICE, begin
        if problem:
            if not counts[BAD]:
                counts[PROBLEM], counts[BAD_LINE], counts[BAD_AT] = problem, counts[LINES], at
            counts[BAD] += 1
            if not skip:
                break
        elif not is_empty or (empty_rows and text[begin] == _NEWLINE):
            n_read, n_entries, n_odd = label, entry, o
            label_ends[rows], entry_ends[rows] = n_read, n_entries
            rows += 1
        while text[at] != _NEWLINE:
            at += 1
        at += 1
        counts[LINES] += 1
    counts[ROWS], counts[LABELS], counts[ENTRIES], counts[ODD] = rows, n_read, n_entries, n_odd
