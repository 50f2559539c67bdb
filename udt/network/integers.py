"""From weights to integers with a scale for each block, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from udt.compilation import kernel
from udt.intrinsics import bits_of, widen
from udt.network.weights import N_ROWS, Quantized, Weights, add_row, dimensions
from udt.threads import Pool, blocks

Array = NDArray[Any]
#: Weights that share a scale, about, by the bits of an integer.
BLOCK = {8: 128, 4: 64}
_TASK = 1 << 12  # blocks
_NARROW = 16
_MAX_BLOCK = 1 << 30
_MIN_SCALE = np.float32(2.0**-126)  # whose inverse is a number


def quantize(weights: Array, bits: int, block: int | None, pool: Pool) -> Quantized:
    """Round weights to integers of some bits, with a scale for each block of consecutive ones.

    A scale is the largest absolute value of its block divided by 127, or by 7 with 4 bits, and
    rounded up to a bfloat16 (at least 2**-126, or zero): no weight moves by more than half of it.

    Parameters
    ----------
    weights : ndarray of shape (n_rows, width) or (n_rows,), float32 or uint16 (bfloat16)
    bits : {8, 4}
    block : int or None
        About how many weights share a scale; None takes 128, or 64 with 4 bits. Blocks are whole
        rows, a power of two of them, or equal parts of a row.
    pool : Pool

    Returns
    -------
    Quantized
    """
    rows = weights if weights.ndim == 2 else weights[:, np.newaxis]
    empty = lay_out(len(rows), rows.shape[1], bits, block)

    def fill(task: tuple[int, int]) -> None:
        quantize_blocks(rows, *task, empty)

    pool.map(fill, blocks(len(empty.scales), _TASK))
    return empty


def lay_out(
    n_rows: int,
    width: int,
    bits: int,
    block: int | None,
    codes: Array | None = None,
    scales: Array | None = None,
) -> Quantized:
    """Give codes and scales the layout of `quantize`; zeros, if there are none.

    Raises
    ------
    ValueError
        If they are too many or too few.
    """
    block = min(block or BLOCK[bits], _MAX_BLOCK)
    n_parts, part, shift = min(width, 1), width, 0
    if width > block:
        # Parts end where steps of products with activations do.
        part = -(-width // (width // block) // 8) * 8
        part = min(part, width)
        n_parts = -(-width // part)
    elif width:
        shift = (block // width).bit_length() - 1
    # The halves of a byte never belong to two blocks.
    stride = width if bits == 8 or (shift and width < _NARROW) else width + width % 2
    n_bytes = -(-n_rows * stride * bits // 8)
    n_blocks = n_rows * n_parts if shift == 0 else -(-n_rows // (1 << shift))
    codes = np.zeros(n_bytes, dtype=np.int8) if codes is None else codes
    scales = np.zeros(n_blocks, dtype=np.uint16) if scales is None else scales
    for array, size, dtype in ((codes, n_bytes, np.int8), (scales, n_blocks, np.uint16)):
        if array.shape != (size,) or array.dtype != dtype:
            raise ValueError(f"{size} numbers of {dtype.__name__} are needed, not {array.shape}")
    layout = np.array([n_rows, width, bits, stride, n_parts, part, shift], dtype=np.int64)
    return Quantized(codes, scales, layout)


@kernel
def round_up(x: Any) -> Any:
    """Give the bits of the least bfloat16 that is not below ``x >= 0``."""
    return np.uint16((np.int64(bits_of(x)) + np.int64(0xFFFF)) >> np.int64(16))


@kernel
def quantize_blocks(weights: Array, first: int, last: int, empty: Quantized) -> None:
    """Round blocks ``first:last`` of weights into zeros laid out for them."""
    codes, scales, n_rows = empty.codes, empty.scales, empty.layout[N_ROWS]
    width, bits, stride, n_parts, part, shift = dimensions(empty)
    largest = np.float32(127 if bits == 8 else 7)
    for b in range(first, last):
        begin = (b // n_parts) << shift
        end = min(begin + (1 << shift), n_rows)
        left = b % n_parts * part
        right = min(left + part, width)
        peak = np.float32(0)
        for r in range(begin, end):
            for d in range(left, right):
                peak = max(peak, abs(widen(weights[r, d])))
        scales[b] = round_up(max(peak / largest, _MIN_SCALE) if peak > 0 else peak)
        scale = widen(scales[b])
        inverse = np.float32(1) / scale if scale > 0 else np.float32(0)
        for r in range(begin, end):
            row = r * stride
            for d in range(left, right):
                code = np.int32(np.rint(widen(weights[r, d]) * inverse))
                if bits == 8:
                    codes[row + d] = code
                else:
                    upper = np.int32(4 if (row + d) & 1 else 0)
                    codes[(row + d) >> 1] |= np.int8((code & np.int32(15)) << upper)


@kernel
def add_rows(weights: Weights, first: int, last: int, out: Array) -> None:
    """Add rows ``first:last`` of weights to ``out``."""
    for r in range(first, last):
        add_row(out[r - first], weights, r, np.float32(1))


def floats(weights: Weights) -> Array:
    """Give stored weights as float32: (n_rows, width)."""
    if isinstance(weights, Quantized):
        shape = (weights.n_rows, weights.width)
    else:
        shape = (len(weights), weights.shape[1])
    out = np.zeros(shape, dtype=np.float32)
    add_rows(weights, 0, len(out), out)
    return out
