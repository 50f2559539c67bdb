"""Murmur3 (Austin Appleby's public-domain hash) on bytes, in compiled code."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numpy.typing import NDArray

from udt.compilation import intrinsic, kernel


@intrinsic(lambda data, i: data[i : i + 4].view("<u4")[0])
def load_u32(typingctx: Any, data: Any, i: Any) -> Any:
    """Read the four bytes from ``data[i]`` on as one little-endian number, aligned or not."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, args[0])
        pointer = builder.gep(array.data, [args[1]])
        word = builder.load(builder.bitcast(pointer, ir.IntType(32).as_pointer()), align=1)
        return builder.bswap(word) if sys.byteorder == "big" else word

    return types.uint32(data, types.int64), codegen


@kernel
def murmur3_32(data: NDArray[np.uint8], start: int, end: int, seed: np.uint32) -> np.uint32:
    """Hash ``data[start:end]``; equal to ``sklearn.utils.murmurhash3_32(..., positive=True)``.

    Up to three bytes past ``end`` are read (and ignored), so ``data`` must hold them.
    """
    c1 = np.uint32(0xCC9E2D51)
    c2 = np.uint32(0x1B873593)
    h = np.uint32(seed)
    i = start
    while i + 4 <= end:
        k = np.uint32(load_u32(data, i) * c1)
        k = np.uint32(k << np.uint32(15)) | (k >> np.uint32(17))
        h ^= np.uint32(k * c2)
        h = np.uint32(h << np.uint32(13)) | (h >> np.uint32(19))
        h = np.uint32(np.uint32(h * np.uint32(5)) + np.uint32(0xE6546B64))
        i += 4
    if i < end:
        tail = np.uint32((np.uint32(1) << np.uint32(8 * (end - i))) - np.uint32(1))
        k = np.uint32((load_u32(data, i) & tail) * c1)
        k = np.uint32(k << np.uint32(15)) | (k >> np.uint32(17))
        h ^= np.uint32(k * c2)
    h ^= np.uint32(end - start)
    h ^= h >> np.uint32(16)
    h = np.uint32(h * np.uint32(0x85EBCA6B))
    h ^= h >> np.uint32(13)
    h = np.uint32(h * np.uint32(0xC2B2AE35))
    h ^= h >> np.uint32(16)
    return h


@kernel
def murmur3_word(word: np.uint32, seed: np.uint32) -> np.uint32:
    """Hash the four bytes of a number, little-endian, as `murmur3_32` does."""
    k = np.uint32(np.uint32(word) * np.uint32(0xCC9E2D51))
    k = np.uint32(k << np.uint32(15)) | (k >> np.uint32(17))
    h = np.uint32(seed) ^ np.uint32(k * np.uint32(0x1B873593))
    h = np.uint32(h << np.uint32(13)) | (h >> np.uint32(19))
    h = np.uint32(np.uint32(h * np.uint32(5)) + np.uint32(0xE6546B64)) ^ np.uint32(4)
    h ^= h >> np.uint32(16)
    h = np.uint32(h * np.uint32(0x85EBCA6B))
    h ^= h >> np.uint32(13)
    h = np.uint32(h * np.uint32(0xC2B2AE35))
    h ^= h >> np.uint32(16)
    return h
