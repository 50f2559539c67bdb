"""Whole numbers that mostly rise by little, packed into few bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from udt.compilation import kernel

Array = NDArray[Any]


def pack(numbers: Array, end: int) -> NDArray[np.uint8]:
    """Write each number's distance from the one before it, modulo ``end``, in as few bytes as do.

    Seven bits to a byte, the lowest first; the eighth tells that more follow (LEB128).

    Parameters
    ----------
    numbers : ndarray of shape (n,), int64
        From 0 to below ``end``.
    end : int
        At most 2**31.

    Returns
    -------
    ndarray of shape (n_bytes,), uint8

    Examples
    --------
    >>> import numpy as np
    >>> packed = pack(np.array([7, 8, 300, 2]), 512)
    >>> len(packed), unpack(packed, 4, 512).tolist()
    (6, [7, 8, 300, 2])
    """
    steps = np.diff(numbers, prepend=0) % max(end, 1)
    packed = np.empty(5 * len(steps), dtype=np.uint8)
    return packed[: write_steps(steps, packed)].copy()


def unpack(packed: NDArray[np.uint8], n: int, end: int) -> NDArray[np.int64]:
    """Give the ``n`` numbers that `pack` packed.

    Raises
    ------
    ValueError
        If there are more or fewer.
    """
    are_bytes = packed.ndim == 1 and packed.dtype == np.uint8
    steps = np.zeros(n if are_bytes and 0 <= n <= len(packed) else 0, dtype=np.int64)
    if not (are_bytes and len(steps) == n and read_steps(packed, steps)):
        raise ValueError(f"these are not {n} packed numbers")
    return np.cumsum(steps) % max(end, 1)


@kernel
def write_steps(steps: Array, packed: Array) -> int:
    """Write numbers as LEB128; return how many bytes they take."""
    n = 0
    for i in range(steps.shape[0]):
        rest = steps[i]
        while rest > 127:
            packed[n] = np.uint8(rest & 127 | 128)
            rest >>= 7
            n += 1
        packed[n] = np.uint8(rest)
        n += 1
    return n


@kernel
def read_steps(packed: Array, steps: Array) -> bool:
    """Read numbers of LEB128; tell whether there are as many as there is room for."""
    i, shift = 0, 0
    for k in range(packed.shape[0]):
        if i == steps.shape[0] or shift > 28:
            return False
        steps[i] |= np.int64(packed[k] & np.uint8(127)) << shift
        shift += 7
        if packed[k] < 128:
            i, shift = i + 1, 0
    return i == steps.shape[0] and shift == 0
