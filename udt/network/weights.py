"""How weights are stored, behind the few operations that kernels know them by.

Weights are an array, of float32 or of bfloat16 (as uint16), or `Quantized`: integers of 8 or 4 bits
with a scale for each block. Which it is, is settled when a kernel is compiled.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import config
from numba.extending import overload
from numpy.typing import NDArray

from udt.compilation import OPTIONS, kernel
from udt.intrinsics import line_size, prefetch, widen

Array = NDArray[Any]


#: Places in `Quantized.layout`.
N_ROWS, WIDTH, BITS, STRIDE, N_PARTS, PART, SHIFT = range(7)


class Quantized(NamedTuple):
    """A matrix of integers with a scale for each block of consecutive weights, rows one by one.

    Weight ``d`` of row ``r`` is ``code * scale``: an integer from -127 to 127, or -7 to 7 with 4
    bits, times the largest absolute value of its block divided by 127, or 7 [1]_. A block is one of
    ``n_parts`` parts of a row, all of length ``part`` but the last, or ``2**shift`` whole rows.

    Parameters
    ----------
    codes : ndarray of shape (n_bytes,), int8
        One row after another, each of ``stride`` codes: bytes, or halves of bytes, the lower first.
    scales : ndarray of shape (n_blocks,), uint16
        As bfloat16.
    layout : ndarray of shape (7,), int64
        Number of rows, their width, 8 or 4 bits, and stride, n_parts, part and shift as above. An
        array, because numba takes one in less time than seven numbers.

    References
    ----------
    .. [1] J. Dai et al., "BigDL: a distributed deep learning framework for big data", SoCC 2019.
    """

    codes: Array
    scales: Array
    layout: Array

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return int(self.layout[N_ROWS])

    @property
    def width(self) -> int:
        """Length of a row."""
        return int(self.layout[WIDTH])

    @property
    def bits(self) -> int:
        """Bits of an integer."""
        return int(self.layout[BITS])

    @property
    def stride(self) -> int:
        """Integers that a row takes."""
        return int(self.layout[STRIDE])

    @property
    def n_parts(self) -> int:
        """Parts of a row with a scale each."""
        return int(self.layout[N_PARTS])

    @property
    def part(self) -> int:
        """Length of a part."""
        return int(self.layout[PART])

    @property
    def shift(self) -> int:
        """Binary logarithm of the rows that share a scale."""
        return int(self.layout[SHIFT])


#: Weights as they are stored.
Weights = Array | Quantized


# ------------------------------------------------------------------------------------------- arrays


@kernel
def array_n_rows(weights: Array) -> int:
    """Give the number of rows."""
    return weights.shape[0]


@kernel
def array_width(weights: Array) -> int:
    """Give the length of a row."""
    return weights.shape[1]


@kernel
def array_dot_hashed(
    weights: Array, first: int, mask: Any, hashes: Array, values: Array, begin: int, n: int
) -> Any:
    """Sum ``values[begin + j] * weights[first + (hashes[j] & mask)]`` over ``n`` hashes."""
    start = np.uint64(first)  # for numba would look whether a signed index is negative
    a, b = np.float32(0), np.float32(0)
    c, d = np.float32(0), np.float32(0)
    for j in range(0, n - 3, 4):  # by hand: LLVM would gather, which takes longer
        at = begin + j
        a += values[at] * widen(weights[start + np.uint64(hashes[j] & mask)])
        b += values[at + 1] * widen(weights[start + np.uint64(hashes[j + 1] & mask)])
        c += values[at + 2] * widen(weights[start + np.uint64(hashes[j + 2] & mask)])
        d += values[at + 3] * widen(weights[start + np.uint64(hashes[j + 3] & mask)])
    for j in range(n - n % 4, n):
        a += values[begin + j] * widen(weights[start + np.uint64(hashes[j] & mask)])
    return (a + b) + (c + d)


@kernel
def array_prefetch(weights: Array, row: int) -> None:
    """Ask for a row, a cache line at a time."""
    for d in range(0, weights.shape[1], line_size(weights)):
        prefetch(weights, row * weights.shape[1] + d)


@kernel
def array_add(total: Array, weights: Array, row: int, factor: Any) -> None:
    """Add ``factor`` times a row to ``total``."""
    for d in range(total.shape[0]):
        total[d] += factor * widen(weights[row, d])


@kernel
def array_dot(weights: Array, row: int, x: Array) -> Any:
    """Give the inner product of a row and ``x``."""
    total = np.float32(0)
    for d in range(x.shape[0]):
        total += x[d] * widen(weights[row, d])
    return total


# ----------------------------------------------------------------------------------------- integers


@kernel
def quantized_n_rows(weights: Quantized) -> int:
    """Give the number of rows."""
    return weights.layout[N_ROWS]


@kernel
def quantized_width(weights: Quantized) -> int:
    """Give the length of a row."""
    return weights.layout[WIDTH]


@kernel
def dimensions(weights: Quantized) -> tuple[int, int, int, int, int, int]:
    """Give what the layout holds but the number of rows."""
    layout = weights.layout
    return (
        layout[WIDTH], layout[BITS], layout[STRIDE], layout[N_PARTS], layout[PART], layout[SHIFT]
    )  # fmt: skip


@kernel
def half(byte: Any, upper: bool) -> Any:
    """Give the signed number in the lower or the upper four bits of a byte."""
    return np.int8(byte) >> np.int8(4) if upper else np.int8(byte << np.int8(4)) >> np.int8(4)


@kernel
def code_at(codes: Array, bits: int, i: Any) -> Any:
    """Give code number ``i``, unsigned, as a float32."""
    is_byte = bits == 8
    byte = codes[i if is_byte else i >> np.uint64(1)]  # without branches, which cost more here
    return np.float32(byte if is_byte else half(byte, i & np.uint64(1) == 1))


@kernel
def quantized_dot_hashed(
    weights: Quantized, first: int, mask: Any, hashes: Array, values: Array, begin: int, n: int
) -> Any:
    """Sum ``values[begin + j] * weights[first + (hashes[j] & mask)]`` over ``n`` hashes."""
    codes, scales, bits = weights.codes, weights.scales, weights.layout[BITS]
    shift, start = np.uint64(weights.layout[SHIFT]), np.uint64(first)
    a, b = np.float32(0), np.float32(0)
    for j in range(0, n - 1, 2):
        i = start + np.uint64(hashes[j] & mask)
        k = start + np.uint64(hashes[j + 1] & mask)
        a += values[begin + j] * code_at(codes, bits, i) * widen(scales[i >> shift])
        b += values[begin + j + 1] * code_at(codes, bits, k) * widen(scales[k >> shift])
    if n & 1:
        i = start + np.uint64(hashes[n - 1] & mask)
        a += values[begin + n - 1] * code_at(codes, bits, i) * widen(scales[i >> shift])
    return a + b


@kernel
def quantized_prefetch(weights: Quantized, row: int) -> None:
    """Ask for a row; scales are few enough to be near."""
    size = weights.layout[STRIDE] * weights.layout[BITS]
    begin, end = (row * size) >> 3, ((row + 1) * size) >> 3
    prefetch(weights.codes, begin)
    for at in range(begin + 64, end, 64):
        prefetch(weights.codes, at)


@kernel
def add_codes(total: Array, codes: Array, begin: int, factor: Any) -> None:
    """Add ``factor`` times bytes from ``begin`` on to ``total``."""
    first = np.uint64(begin)  # for numba would look whether a signed index is negative
    for d in range(total.shape[0]):
        total[d] += factor * np.float32(codes[first + np.uint64(d)])


@kernel
def add_halves(total: Array, codes: Array, begin: int, factor: Any) -> None:
    """Add ``factor`` times halves of bytes, from half number ``begin`` on, to ``total``."""
    n = total.shape[0]
    n_pairs = 0 if begin & 1 else n >> 1
    first = np.uint64(begin >> 1)
    for i in range(n_pairs):
        both = codes[first + np.uint64(i)]
        total[2 * i] += factor * np.float32(half(both, False))
        total[2 * i + 1] += factor * np.float32(half(both, True))
    for d in range(2 * n_pairs, n):
        total[d] += factor * code_at(codes, 4, np.uint64(begin + d))


@kernel
def add_part(total: Array, codes: Array, begin: int, bits: int, factor: Any) -> None:
    """Add ``factor`` times codes from number ``begin`` on to ``total``."""
    if bits == 8:
        add_codes(total, codes, begin, factor)
    else:
        add_halves(total, codes, begin, factor)


@kernel
def quantized_add(total: Array, weights: Quantized, row: int, factor: Any) -> None:
    """Add ``factor`` times a row to ``total``."""
    codes, scales = weights.codes, weights.scales
    width, bits, stride, n_parts, part, shift = dimensions(weights)
    for j in range(n_parts):
        first, last = j * part, min((j + 1) * part, width)
        scale = factor * widen(scales[(row * n_parts + j) >> shift])
        add_part(total[first:last], codes, row * stride + first, bits, scale)


@kernel
def quantized_dot(weights: Quantized, row: int, x: Array) -> Any:
    """Give the inner product of a row and ``x``."""
    codes, scales = weights.codes, weights.scales
    width, bits, stride, n_parts, part, shift = dimensions(weights)
    result = np.float32(0)
    for j in range(n_parts):
        first, last = j * part, min((j + 1) * part, width)
        begin = np.uint64(row * stride + first)
        total = np.float32(0)
        values = x[first:last]
        if bits == 8:
            for d in range(values.shape[0]):
                total += values[d] * np.float32(codes[begin + np.uint64(d)])
        else:
            for d in range(values.shape[0]):
                total += values[d] * code_at(codes, 4, begin + np.uint64(d))
        result += total * widen(scales[(row * n_parts + j) >> shift])
    return result


# ------------------------------------------------------------------------------------------- either


def n_rows(weights: Weights) -> int:
    """Give the number of rows."""
    return (quantized_n_rows if isinstance(weights, Quantized) else array_n_rows)(weights)


def width(weights: Weights) -> int:
    """Give the length of a row."""
    return (quantized_width if isinstance(weights, Quantized) else array_width)(weights)


def dot_hashed(
    weights: Weights, first: int, mask: Any, hashes: Array, values: Array, begin: int, n: int
) -> Any:
    """Sum ``values[begin + j] * weights[first + (hashes[j] & mask)]`` over ``n`` hashes.

    The weights are of one dimension.
    """
    by_storage = quantized_dot_hashed if isinstance(weights, Quantized) else array_dot_hashed
    return by_storage(weights, first, mask, hashes, values, begin, n)


def prefetch_row(weights: Weights, row: Any) -> None:
    """Ask for a row of weights."""
    (quantized_prefetch if isinstance(weights, Quantized) else array_prefetch)(weights, row)


def add_row(total: Array, weights: Weights, row: Any, factor: Any) -> None:
    """Add ``factor`` times a row of weights to ``total``."""
    add = quantized_add if isinstance(weights, Quantized) else array_add
    add(total, weights, row, factor)


def dot_row(weights: Weights, row: Any, x: Array) -> Any:
    """Give the inner product of a row of weights and ``x``."""
    return (quantized_dot if isinstance(weights, Quantized) else array_dot)(weights, row, x)


def offer(operation: Any, usual: Any, special: type, for_special: Any) -> None:
    """Let compiled code call ``operation``, which stands for a kernel that the types choose.

    It is ``for_special`` where an argument is of the class ``special``, else ``usual``; either is
    taken in whole, at no cost.
    """
    if config.DISABLE_JIT:  # type: ignore[attr-defined]
        return

    @overload(
        operation,
        strict=False,
        jit_options={
            "fastmath": OPTIONS["fastmath"],
            "error_model": OPTIONS["error_model"],
            "forceinline": True,
        },
    )
    def choose(*args: Any) -> Any:
        is_special = any(getattr(arg, "instance_class", None) is special for arg in args)
        return (for_special if is_special else usual).py_func


offer(n_rows, array_n_rows, Quantized, quantized_n_rows)
offer(width, array_width, Quantized, quantized_width)
offer(dot_hashed, array_dot_hashed, Quantized, quantized_dot_hashed)
offer(prefetch_row, array_prefetch, Quantized, quantized_prefetch)
offer(add_row, array_add, Quantized, quantized_add)
offer(dot_row, array_dot, Quantized, quantized_dot)
