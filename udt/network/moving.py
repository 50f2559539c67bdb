"""Moves samples that are kept for later to the front of their buffers."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from udt.compilation import kernel

Array = NDArray[Any]


@kernel
def move_rows(array: Array, sources: Array, first: int) -> None:
    """Move rows ``sources``, which rise, to ``first`` and on: none of them lies below."""
    for k in range(sources.shape[0]):
        if sources[k] != first + k:
            array[first + k] = array[sources[k]]


@kernel
def move_entries(
    begins: Array, ends: Array, to: int, indices: Array, values: Array, wide_values: Array
) -> None:
    """Move entries ``begins[k]:ends[k]`` of CSR rows, which rise, to ``to`` and on."""
    for k in range(begins.shape[0]):
        if begins[k] == to:
            to = ends[k]
            continue
        for j in range(begins[k], ends[k]):
            indices[to] = indices[j]
            values[to] = values[j]
            wide_values[to] = wide_values[j]
            to += 1


@kernel
def scale_rows(array: Array, first: int, factors: Array) -> None:
    """Multiply rows ``first`` and on by a factor each."""
    for k in range(factors.shape[0]):
        for d in range(array.shape[1]):
            array[first + k, d] *= factors[k]
