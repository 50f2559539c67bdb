"""Weights of bfloat16: the upper halves of float32, kept as uint16; and products with them.

Sums are in float32. Steps on weights are rounded at random, so that those much smaller than the
distance of two neighbours count in the mean [1]_; whole arrays are rounded to the nearest, ties to
even.

References
----------
.. [1] S. Gupta, A. Agrawal, K. Gopalakrishnan, P. Narayanan, "Deep learning with limited numerical
   precision", ICML 2015.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from udt.compilation import kernel
from udt.intrinsics import bits_of, widen
from udt.randomness import mix

Array = NDArray[Any]
#: How weights may be stored, and the dtype of their arrays.
DTYPES: dict[str, Any] = {"float32": np.float32, "bfloat16": np.uint16}
# Weights that are widened at a time: what a core's own cache holds beside the rest of a product.
_AT_A_TIME = 1 << 16


@kernel
def row_key(key: Any, row: Any, sample: Any) -> Any:
    """Give the key (uint32) of the random bits that round a row's step with a sample's gradient.

    Where there is one step with a whole batch's, that is sample 0.
    """
    return np.uint32(mix(key, row, sample) >> np.uint64(32))


@kernel
def nearest(x: Any) -> Any:
    """Round a float32 to the nearest bfloat16, ties to even; NaN stays NaN."""
    bits = np.int64(bits_of(x))
    if x != x:
        return np.uint16((bits >> 16) | 0x40)  # one bit that is not lost: all zeros are infinity
    return np.uint16((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16)


@kernel
def narrow_all(values: Array, out: Array) -> None:
    """Round float32 to the nearest bfloat16."""
    for i in range(values.shape[0]):
        out[i] = nearest(values[i])


@kernel
def widen_all(weights: Array, out: Array) -> None:
    """Write bfloat16 as float32."""
    for i in range(weights.shape[0]):
        out[i] = widen(weights[i])


@kernel
def largest_bits(weights: Array) -> Any:
    """Give the largest of the bits of bfloat16 without their signs."""
    most = np.uint16(0)
    for i in range(weights.shape[0]):
        most = max(most, weights[i] & np.uint16(0x7FFF))
    return most


def dtype_name(weights: Array) -> str:
    """Tell how weights are stored: a key of `DTYPES`."""
    return "float32" if weights.dtype == np.float32 else "bfloat16"


def convert(weights: Array, dtype: str) -> Array:
    """Give weights as ``dtype``, a key of `DTYPES`, stores them; themselves if they are.

    Examples
    --------
    >>> convert(np.array([1, 1.004, -3], dtype=np.float32), "bfloat16")
    array([16256, 16257, 49216], dtype=uint16)
    >>> convert(_, "float32")
    array([ 1.       ,  1.0078125, -3.       ], dtype=float32)
    """
    if weights.dtype == DTYPES[dtype]:
        return weights
    weights = np.ascontiguousarray(weights)
    out = np.empty(weights.shape, dtype=DTYPES[dtype])
    (widen_all if dtype == "float32" else narrow_all)(weights.reshape(-1), out.reshape(-1))
    return out


def all_finite(weights: Array) -> bool:
    """Tell whether no weight, nor the sum of those of float32, is infinite or NaN."""
    if weights.dtype == np.uint16:
        return bool(largest_bits(weights.reshape(-1)) < 0x7F80)
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(weights.sum()))


def products(x: Array, weights: Array, out: Array | None = None) -> Array:
    """Give ``x @ weights.T``.

    Parameters
    ----------
    x : ndarray of shape (n, width), float32
    weights : ndarray of shape (n_rows, width), float32 or bfloat16
    out : ndarray of shape (n, n_rows), float32, or None
        Receives them, if it is given.
    """
    if weights.dtype == np.float32:
        return np.matmul(x, weights.T, out=out)
    if out is None:
        out = np.empty((len(x), len(weights)), dtype=np.float32)
    for part, wide in _parts(weights):
        np.matmul(x, wide.T, out=out[:, part])
    return out


def back_products(slopes: Array, weights: Array, out: Array) -> None:
    """Write ``slopes @ weights``.

    Parameters
    ----------
    slopes : ndarray of shape (n, n_rows), float32
    weights : ndarray of shape (n_rows, width), float32 or bfloat16
    out : ndarray of shape (n, width), float32
    """
    if weights.dtype == np.float32:
        np.matmul(slopes, weights, out=out)
        return
    out[:] = 0
    for part, wide in _parts(weights):
        out += slopes[:, part] @ wide


def _parts(weights: Array) -> Any:
    """Give parts of the rows, and these as float32, for as long as the next one is not asked for.

    Their sizes follow the width alone, so that the bits of products with them do too.
    """
    n, width = weights.shape
    size = max(1, _AT_A_TIME // max(1, width))
    room = np.empty((min(n, size), width), dtype=np.float32)
    for first in range(0, n, size):
        part = slice(first, min(first + size, n))
        wide = room[: part.stop - first]
        widen_all(weights[part].reshape(-1), wide.reshape(-1))
        yield part, wide


class _Rows:
    """The rows of weights of bfloat16 as float32, made when they are asked for."""

    def __init__(self, weights: Array) -> None:
        self._weights = weights
        self.shape, self.ndim = weights.shape, weights.ndim

    def __len__(self) -> int:
        return len(self._weights)

    def __getitem__(self, rows: slice) -> Array:
        return convert(self._weights[rows], "float32")


def as_float32(weights: Array) -> Any:
    """Give weights, or what gives rows of them as float32 when these are asked for by slices."""
    return weights if weights.dtype == np.float32 else _Rows(weights)
