"""Integer products of hidden activations with the quantised weights of many classes.

Activations become integers of 8 bits with one scale a row, products are added up as int32, and the
sums are scaled to logits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from udt.compilation import kernel
from udt.network.byte_products import ACTIVATION, OFFSET, ROWS, STEP, TILE, add_one, add_rows
from udt.network.weights import N_ROWS, Quantized, Weights, dimensions, dot_row, half, offer

Array = NDArray[Any]
#: Rows that pass over all tiles together: they, and where their logits go, stay in fast caches.
ROWS_PER_PASS = 16


class Tiles(NamedTuple):
    """The quantised weights of classes, in the order in which they are multiplied.

    Parameters
    ----------
    codes : ndarray of shape (n_bytes,), uint8
        Tiles of 16 classes; in each, for every 4 weights, those of each class. A code is an integer
        plus 128; with 4 bits plus 8, and a byte holds one weight in its lower half and the one that
        stands 4 weights later in its upper half.
    scales : ndarray of shape (n_tiles, n_parts, 16), float32
    bias : ndarray of shape (n_tiles * 16,), float32
    n_classes, width, bits : int
    n_parts, part : int
        Parts of a row of weights with a scale each, and their length.
    """

    codes: Array
    scales: Array
    bias: Array
    n_classes: int
    width: int
    bits: int
    n_parts: int
    part: int


@kernel
def quantize_activations(
    hidden: Array, n_parts: int, part: int, codes: Array, factors: Array, zeros: Array
) -> None:
    """Turn rows into integers from -127 to 127, times a factor each.

    Rows of ``codes`` are padded with zeros. ``zeros[i, j]`` receives what the offset of the
    weights' codes adds to their products with part ``j``.
    """
    width = hidden.shape[1]
    for i in range(hidden.shape[0]):
        peak = np.float32(0)
        for d in range(width):
            peak = max(peak, abs(hidden[i, d]))
        factors[i] = peak / np.float32(127)
        inverse = np.float32(127) / peak if peak > 0 else np.float32(0)
        for d in range(width):
            codes[i, d] = np.int32(np.rint(hidden[i, d] * inverse))
        for d in range(width, codes.shape[1]):
            codes[i, d] = 0
        for j in range(n_parts):
            total = np.int32(0)
            for d in range(j * part, min((j + 1) * part, width)):
                total += np.int32(codes[i, d])
            zeros[i, j] = total * np.int32(OFFSET)


@kernel
def unpack(halves: Array, begin: int, codes: Array) -> None:
    """Write a tile of codes of 8 bits from one of 4 bits, which begins at ``halves[begin]``."""
    run = TILE * STEP
    more = np.uint8(OFFSET - 8)
    for at in range(0, codes.shape[0], 2 * run):
        both = halves[begin + at // 2 : begin + at // 2 + run]
        lower, upper = codes[at : at + run], codes[at + run : at + 2 * run]
        for i in range(run):
            lower[i] = np.uint8(both[i] & np.uint8(15)) + more
        for i in range(run):
            upper[i] = np.uint8(both[i] >> np.uint8(4)) + more


@kernel
def add_tile(
    tiles: Tiles, tile: int, weights: Array, begin: int, codes: Array, factors: Array,
    zeros: Array, n: int, keeps: bool, out: Array, column: int,
) -> None:  # fmt: skip
    """Add the products of ``n`` rows of activations with a tile to logits.

    The tile's weights begin at ``weights[begin]``, 8 bits each.
    """
    for j in range(tiles.n_parts):
        first = j * tiles.part
        last = first + tiles.part if j + 1 < tiles.n_parts else codes.shape[1]
        n_steps, at = (last - first) // STEP, begin + first * TILE
        many = n - n % ROWS
        for i in range(0, many, ROWS):
            add_rows(
                weights, at, codes, i, first, n_steps, zeros, j, factors, tiles.scales, tile,
                tiles.bias, keeps or j > 0, out, column,
            )  # fmt: skip
        for i in range(many, n):
            add_one(
                weights, at, codes, i, first, n_steps, zeros, j, factors, tiles.scales, tile,
                tiles.bias, keeps or j > 0, out, column,
            )  # fmt: skip


@kernel
def add_products(hidden: Array, tiles: Tiles, keeps: bool, codes: Array, out: Array) -> None:
    """Add the products of rows with all classes, and the bias, to their logits.

    ``codes``, for the activations of some rows, is padded to whole steps. Without ``keeps``, what
    ``out`` holds does not count.
    """
    at_once = codes.shape[0]
    factors = np.empty(at_once, dtype=np.float32)
    zeros = np.empty((at_once, tiles.n_parts), dtype=np.int32)
    edge = np.empty((at_once, TILE), dtype=np.float32)
    size = codes.shape[1] * TILE
    unpacked = np.empty(size, dtype=np.uint8)
    n_tiles = (tiles.n_classes + TILE - 1) // TILE
    for first in range(0, hidden.shape[0], at_once):
        rows = hidden[first : first + at_once]
        n = rows.shape[0]
        quantize_activations(rows, tiles.n_parts, tiles.part, codes, factors, zeros)
        logits = out[first : first + at_once]
        for tile in range(n_tiles):
            weights, begin = tiles.codes, tile * size
            if tiles.bits == 4:
                unpack(tiles.codes, tile * size // 2, unpacked)
                weights, begin = unpacked, 0
            column = tile * TILE
            rest = tiles.n_classes - column
            if rest >= TILE:
                add_tile(
                    tiles, tile, weights, begin, codes, factors, zeros, n, keeps, logits, column
                )
                continue
            for i in range(n):  # logits have no room for a whole tile
                for c in range(rest):
                    edge[i, c] = logits[i, column + c]
            add_tile(tiles, tile, weights, begin, codes, factors, zeros, n, keeps, edge, 0)
            for i in range(n):
                for c in range(rest):
                    logits[i, column + c] = edge[i, c]


@kernel
def fill_tiles(weights: Quantized, n_steps: int, codes: Array) -> None:
    """Write the codes of weights in the order of tiles, into bytes of zero."""
    n_rows = weights.layout[N_ROWS]
    width, bits, stride, _, _, _ = dimensions(weights)
    n_tile = (n_steps * TILE * STEP * bits) >> 3
    for c in range((n_rows + TILE - 1) // TILE * TILE):
        begin = c // TILE * n_tile + c % TILE * STEP
        row = c * stride
        for d in range(n_steps * STEP):
            is_weight = c < n_rows and d < width
            if bits == 8:
                code = np.int32(weights.codes[row + d]) if is_weight else np.int32(0)
                codes[begin + d // STEP * TILE * STEP + d % STEP] = code + np.int32(OFFSET)
            else:
                code = np.int32(0)
                if is_weight:
                    code = np.int32(half(weights.codes[(row + d) >> 1], (row + d) & 1 == 1))
                shift = np.int32(4 if d // STEP & 1 else 0)
                at = begin + d // (2 * STEP) * TILE * STEP + d % STEP
                codes[at] |= np.uint8((code + np.int32(8)) << shift)


def steps(width: int, bits: int) -> int:
    """Give how many times four weights a class has in a tile."""
    at_once = STEP * 8 // bits
    return -(-width // at_once) * 8 // bits


def make_tiles(weights: Quantized, bias: Array) -> Tiles:
    """Lay out the quantised weights of classes for their products."""
    n_rows, width, bits, _, n_parts, part, shift = weights.layout.tolist()
    n_tiles, n_steps = -(-n_rows // TILE), steps(width, bits)
    codes = np.zeros(n_tiles * n_steps * TILE * STEP * bits // 8, dtype=np.uint8)
    fill_tiles(weights, n_steps, codes)
    rows = np.arange(n_tiles * TILE).reshape(n_tiles, 1, TILE)
    parts = np.arange(n_parts)[:, np.newaxis]
    blocks = (np.minimum(rows, n_rows - 1) * n_parts + parts) >> shift
    scales = (weights.scales[blocks].astype(np.uint32) << 16).view(np.float32)
    padded = np.zeros(n_tiles * TILE, dtype=np.float32)
    padded[: len(bias)] = bias
    return Tiles(codes, scales, padded, n_rows, width, bits, n_parts, part)


@kernel
def score_row_plainly(hidden: Array, output: Weights, bias: Array, out: Array) -> None:
    """Add the products of one row with all classes, and the bias, to its logits."""
    for c in range(bias.shape[0]):
        out[0, c] += bias[c] + dot_row(output, c, hidden[0])


_ACTIVATION = ACTIVATION.type


@kernel
def score_row_by_tiles(hidden: Array, output: Tiles, bias: Array, out: Array) -> None:
    """Do what `score_row_plainly` does, by tiles, which hold the bias."""
    n_steps = output.codes.shape[0] * 8 // output.bits // (output.bias.shape[0] * STEP)
    codes = np.empty((1, n_steps * STEP), dtype=_ACTIVATION)
    add_products(hidden, output, True, codes, out)


def score_row(hidden: Array, output: Weights | Tiles, bias: Array, out: Array) -> None:
    """Add the products of one row with all classes, and the bias, to its logits."""
    by_tiles = isinstance(output, Tiles)
    (score_row_by_tiles if by_tiles else score_row_plainly)(hidden, output, bias, out)


offer(score_row, score_row_plainly, Tiles, score_row_by_tiles)


def score(hidden: Array, tiles: Tiles, keeps: bool, out: Array) -> None:
    """Give logits, or add to them: the products of hidden activations with classes, and the bias.

    Parameters
    ----------
    hidden : ndarray of shape (n, width), float32
    tiles : Tiles
    keeps : bool
        Whether to add to what ``out`` holds.
    out : ndarray of shape (n, n_classes), float32, C-contiguous
    """
    at_once = max(1, min(ROWS_PER_PASS, len(hidden)))
    codes = np.empty((at_once, STEP * steps(tiles.width, tiles.bits)), dtype=ACTIVATION)
    add_products(hidden, tiles, keeps, codes, out)
