"""Moves samples that are kept for later to the front of their buffers."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from udt.compilation import kernel

Array = NDArray[Any]


@kernel
def move(source: Array, to: Array) -> None:
    """Copy an array to another that does not begin behind it."""
    for j in range(source.shape[0]):
        to[j] = source[j]


@kernel
def move_rows(array: Array, sources: Array, first: int) -> None:
    """Move rows ``sources``, which rise, to ``first`` and on: none of them lies below."""
    for k in range(sources.shape[0]):
        if sources[k] != first + k:
            move(array[sources[k]], array[first + k])


@kernel
def move_samples(
    sources: Array, first: int, hidden: Array, indptr: Array, indices: Array, values: Array,
    wide_values: Array,
) -> None:  # fmt: skip
    """Move hidden activations and CSR rows of samples ``sources`` to ``first`` and on.

    They rise, and none lies below. ``indptr`` is that of the samples there are after that.
    """
    for k in range(sources.shape[0]):
        source, to = sources[k], first + k
        if source == to:
            continue
        move(hidden[source], hidden[to])
        begin, end = indptr[source], indptr[source + 1]
        there = indptr[to]
        indptr[to + 1] = there + end - begin
        move(indices[begin:end], indices[there:])
        move(values[begin:end], values[there:])
        move(wide_values[begin:end], wide_values[there:])


@kernel
def scale_rows(array: Array, first: int, factors: Array) -> None:
    """Multiply rows ``first`` and on by a factor each."""
    for k in range(factors.shape[0]):
        for d in range(array.shape[1]):
            array[first + k, d] *= factors[k]
