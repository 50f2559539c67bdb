"""Numbers, dates and categories -> sparse rows: the kernels over blocks of rows.

A number is placed on ladders of quantiles, from coarse to fine: it takes part in the two knots
around it, by how near they are, and so keeps its order and its distances. A category is the hash
of its text, looked up among those that fit has seen. A cross of two columns is a category too:
the hash of both, of which numbers give the knot below them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from udt.compilation import kernel
from udt.features.hashing import murmur3_32, murmur3_word

Array = NDArray[Any]
#: Knots of the coarse, middle and fine ladder of a number.
LADDERS = (4, 16, 64)
EXACT, MISSING, LINEAR = 3, 4, 5  # what else a number has, after its ladders
#: What kinds of entries weigh beside an entry of a ladder; a linear one is of standard deviation 1.
LINEAR_WEIGHT, CATEGORY_WEIGHT = 3.0, 1.5
#: Length of all crosses of a row.
CROSS_LENGTH = 2.25
#: The first so many ladders, whose knots numbers are crossed by.
CROSS_LEVELS = 2
#: Numbers that a date stands for: seconds since 1970, month, day, weekday, second of the day.
DATE_PARTS = 5


@kernel
def date_parts(seconds: Array, first: int, last: int, column: int, numbers: Array) -> None:
    """Write what dates stand for to ``numbers[first:last, column : column + DATE_PARTS]``.

    Days are turned into months as in [1]_.

    References
    ----------
    .. [1] H. Hinnant, "chrono-compatible low-level date algorithms", 2014.
    """
    for row in range(first, last):
        time = seconds[row]
        for part in range(DATE_PARTS):
            numbers[row, column + part] = time
        if np.isnan(time):
            continue
        day = int(np.floor(time / 86400))
        shifted = day + 719468  # days since the first of March of the year 0
        year_day = shifted - shifted // 146097 * 146097
        year = (year_day - year_day // 1460 + year_day // 36524 - year_day // 146096) // 365
        year_day -= 365 * year + year // 4 - year // 100
        month = (5 * year_day + 2) // 153  # 0 is March
        numbers[row, column + 1] = month + 3 if month < 10 else month - 9
        numbers[row, column + 2] = year_day - (153 * month + 2) // 5 + 1
        numbers[row, column + 3] = (day + 3) - (day + 3) // 7 * 7
        numbers[row, column + 4] = np.floor(time - 86400.0 * day)


@kernel
def hash_strings(
    data: Array, offsets: Array, first: int, last: int, seed: int, codes: Array, column: int
) -> None:
    """Hash strings ``first:last`` into a column of codes; a missing one is the empty string."""
    for row in range(first, last):
        codes[row, column] = murmur3_32(data, offsets[row], offsets[row + 1], seed)


@kernel
def make_table(keys: Array, ids: Array, table: Array) -> None:
    """Fill an open-addressing table, of a power of two rows (key, id + 1), all zero before."""
    mask = table.shape[0] - 1
    for i in range(keys.shape[0]):
        slot = np.int64(keys[i]) & mask
        while table[slot, 1] > 0:
            slot = (slot + 1) & mask
        table[slot, 0] = keys[i]
        table[slot, 1] = ids[i] + 1


@kernel
def find(table: Array, key: int) -> np.int64:
    """Give the id of a key, or -1."""
    mask = table.shape[0] - 1
    slot = np.int64(key) & mask
    while table[slot, 1] > 0 and table[slot, 0] != key:
        slot = (slot + 1) & mask
    return np.int64(table[slot, 1]) - 1


@kernel
def knot_below(knots: Array, start: int, end: int, x: float) -> int:
    """Give the place of the last of the sorted ``knots[start:end]`` that is <= x, or start."""
    low, high = start, end
    while high - low > 1:
        middle = (low + high) >> 1
        if knots[middle] <= x:
            low = middle
        else:
            high = middle
    return low


@kernel
def encode_number(  # noqa: C901
    x: float, knots: Array, bounds: Array, firsts: Array, scale: float, n: int,
    indices: Array, values: Array,
) -> int:  # fmt: skip
    """Append the entries of one number to a CSR row; return the new end."""
    if np.isnan(x):
        if firsts[MISSING] >= 0:
            indices[n] = firsts[MISSING]
            values[n] = scale
            n += 1
        return n
    position = 0.5
    for level in range(EXACT):
        start, end = bounds[level, 0], bounds[level, 1]
        if start == end:
            continue
        i = knot_below(knots, start, end, x)
        share = 0.0
        if i + 1 < end and x > knots[i]:
            width = knots[i + 1] - knots[i]
            share = (x - knots[i]) / width
            if np.isinf(width):  # beyond float64, as half of it is not
                share = (x / 2 - knots[i] / 2) / (knots[i + 1] / 2 - knots[i] / 2)
        indices[n] = firsts[level] + i - start
        values[n] = scale * (1 - share)
        n += 1
        if share > 0:
            indices[n] = firsts[level] + i - start + 1
            values[n] = scale * share
            n += 1
        if end - start > 1:
            position = (i - start + share) / (end - start - 1)
    if firsts[LINEAR] >= 0:
        indices[n] = firsts[LINEAR]
        # Uniform between -sqrt(3) and sqrt(3) over the rows of fit: of standard deviation 1.
        values[n] = scale * LINEAR_WEIGHT * np.sqrt(3.0) * (2 * position - 1)
        n += 1
    start, end = bounds[EXACT, 0], bounds[EXACT, 1]
    if start < end:
        i = knot_below(knots, start, end, x)
        if knots[i] == x:
            indices[n] = firsts[EXACT] + i - start
            values[n] = scale
            n += 1
    return n


@kernel
def crossable(
    numbers: Array, codes: Array, row: int, knots: Array, bounds: Array, seeds: Array, cells: Array
) -> None:
    """Write hashes of a row's numbers, by the ladder, and its codes: (CROSS_LEVELS, n), uint32.

    Where there is no second ladder, the first has all that it would have.
    """
    n_numbers = numbers.shape[1]
    for j in range(n_numbers):
        x = numbers[row, j]
        for level in range(CROSS_LEVELS):
            start, end = bounds[j, level, 0], bounds[j, level, 1]
            if level > 0 and start == end:
                cells[level, j] = cells[level - 1, j]
                continue
            place = -1  # missing
            if not np.isnan(x):
                place = knot_below(knots, start, end, x) - start
            cells[level, j] = murmur3_word(CROSS_LEVELS * (place + 1) + level, seeds[j])
    for j in range(codes.shape[1]):
        for level in range(CROSS_LEVELS):
            cells[level, n_numbers + j] = codes[row, j]


@kernel
def crossable_rows(
    numbers: Array, codes: Array, knots: Array, bounds: Array, seeds: Array, cells: Array
) -> None:
    """Write what `crossable` gives of all rows: (n, CROSS_LEVELS, n_columns), uint32."""
    for row in range(numbers.shape[0]):
        crossable(numbers, codes, row, knots, bounds, seeds, cells[row])


@kernel
def cross_codes(
    numbers: Array, codes: Array, first: int, last: int, knots: Array, bounds: Array, seeds: Array,
    crosses: Array, hashes: Array,
) -> None:  # fmt: skip
    """Write the codes of all crosses of rows ``first:last``: (n_crosses, n), uint32."""
    cells = np.empty((CROSS_LEVELS, numbers.shape[1] + codes.shape[1]), dtype=np.uint32)
    for row in range(first, last):
        crossable(numbers, codes, row, knots, bounds, seeds, cells)
        for j in range(crosses.shape[0]):
            level = crosses[j, 2]
            hashes[j, row] = murmur3_word(cells[level, crosses[j, 0]], cells[level, crosses[j, 1]])


@kernel
def encode_rows(
    numbers: Array, codes: Array, list_bounds: Array, list_codes: Array, no_items: Array,
    first: int, last: int, knots: Array, bounds: Array, firsts: Array, table: Array,
    seeds: Array, crosses: Array, scale: float,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """Give rows ``first:last`` as CSR: indptr, indices, values.

    Parameters
    ----------
    numbers : ndarray of shape (n, n_numbers), float64
    codes : ndarray of shape (n, n_categories), uint32
    list_bounds : ndarray of shape (n_lists, n + 1), int64
        Where the codes of each row's list begin and end in ``list_codes``.
    list_codes : ndarray, uint32
    no_items : ndarray of shape (n_lists,), uint32
        Codes of empty lists.
    first, last : int
    knots : ndarray, float64
        Ladders, each sorted, one after the other.
    bounds : ndarray of shape (n_numbers, 4, 2), int64
        Where the ladders of each number, and its exact values, begin and end in ``knots``.
    firsts : ndarray of shape (n_numbers, 6), int64
        Ids of the first knot of each of these, of the missing number and of the linear one, or -1.
    table : ndarray of shape (size, 2), uint32
        Ids of codes, see `make_table`.
    seeds : ndarray of shape (n_numbers,), uint32
        Of the hashes of numbers that are crossed.
    crosses : ndarray of shape (n_crosses, 3), int64
        Which two of the numbers, and of the categories that follow them, to cross, and by which
        ladder.
    scale : float
    """
    n_rows = last - first
    room = n_rows * (numbers.shape[1] * (2 * EXACT + 2) + codes.shape[1] + crosses.shape[0])
    for i in range(list_bounds.shape[0]):
        room += list_bounds[i, last] - list_bounds[i, first] + n_rows
    indices = np.empty(room, dtype=np.int32)
    values = np.empty(room, dtype=np.float32)
    indptr = np.zeros(n_rows + 1, dtype=np.int64)
    cells = np.empty((CROSS_LEVELS, numbers.shape[1] + codes.shape[1]), dtype=np.uint32)
    cross_value = scale * CROSS_LENGTH / np.sqrt(float(max(1, crosses.shape[0])))
    n = 0
    for row in range(first, last):
        for j in range(numbers.shape[1]):
            n = encode_number(
                numbers[row, j], knots, bounds[j], firsts[j], scale, n, indices, values
            )
        for j in range(codes.shape[1]):
            i = find(table, codes[row, j])
            indices[n] = i
            values[n] = scale * CATEGORY_WEIGHT
            n += i >= 0
        for j in range(list_bounds.shape[0]):
            begin, end = list_bounds[j, row], list_bounds[j, row + 1]
            n_items = max(1, end - begin)
            share = scale * CATEGORY_WEIGHT / np.sqrt(float(n_items))
            for k in range(n_items):
                i = find(table, list_codes[begin + k] if begin < end else no_items[j])
                indices[n] = i
                values[n] = share
                n += i >= 0
        if crosses.shape[0] > 0:
            crossable(numbers, codes, row, knots, bounds, seeds, cells)
        for j in range(crosses.shape[0]):
            level = crosses[j, 2]
            code = murmur3_word(cells[level, crosses[j, 0]], cells[level, crosses[j, 1]])
            i = find(table, code)
            indices[n] = i
            values[n] = cross_value
            n += i >= 0
        indptr[row - first + 1] = n
    return indptr, indices[:n].copy(), values[:n].copy()


@kernel
def join_rows(
    indptr: Array, indices: Array, values: Array, first: int, last: int, ids: Array, scale: float,
    starts: Array, to_indices: Array, to_values: Array,
) -> None:  # fmt: skip
    """Copy rows ``first:last`` to where ``starts`` says, numbered by ``ids``; move the starts."""
    for row in range(first, last):
        n = starts[row]
        for j in range(indptr[row], indptr[row + 1]):
            to_indices[n] = ids[indices[j]]
            to_values[n] = values[j] * scale
            n += 1
        starts[row] = n
