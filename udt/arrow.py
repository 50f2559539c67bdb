"""Arrow arrays <-> NumPy arrays by their buffers: pyarrow's own converters import pandas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["from_numpy", "lengths", "null_mask", "offsets", "to_numpy", "with_nulls"]


def to_numpy(array: pa.Array) -> NDArray[Any]:
    """View an Arrow array of integers or floats; what is under a null is undefined."""
    dtype = np.dtype(array.type.to_pandas_dtype())
    buffer = array.buffers()[1]
    if buffer is None or not len(array):
        return np.zeros(len(array), dtype=dtype)
    return np.frombuffer(buffer, dtype, len(array), array.offset * dtype.itemsize)


def null_mask(array: pa.Array) -> NDArray[np.bool_]:
    """Tell which values of an Arrow array are null."""
    import pyarrow as pa

    return to_numpy(array.is_null().cast(pa.uint8())).view(np.bool_)


def from_numpy(data: NDArray[Any]) -> pa.Array:
    """Make an Arrow array of an array of numbers (float64 if they have fractions) or bools."""
    import pyarrow as pa

    if data.dtype.kind == "b":
        bits = pa.py_buffer(np.packbits(data, bitorder="little"))
        return pa.BooleanArray.from_buffers(pa.bool_(), len(data), [None, bits])
    dtype = np.dtype(np.float64) if data.dtype.kind == "f" else data.dtype.newbyteorder("=")
    data = np.ascontiguousarray(data, dtype=dtype)
    return pa.Array.from_buffers(pa.from_numpy_dtype(dtype), len(data), [None, pa.py_buffer(data)])


def offsets(texts: pa.LargeStringArray) -> NDArray[np.int64]:
    """View the n + 1 places where the texts begin and end."""
    places = np.frombuffer(texts.buffers()[1], dtype=np.int64)
    return places[texts.offset : texts.offset + len(texts) + 1]


def lengths(texts: pa.LargeStringArray) -> NDArray[np.int64]:
    """Give the number of bytes of each text."""
    return np.diff(offsets(texts))


def with_nulls(texts: pa.LargeStringArray) -> pa.LargeStringArray:
    """Make empty texts null, without a copy of the others."""
    import pyarrow as pa

    is_there = lengths(texts) > 0
    if is_there.all() and not texts.null_count:
        return texts
    if texts.null_count:
        is_there &= ~null_mask(texts)
    bits = pa.py_buffer(np.packbits(is_there, bitorder="little"))
    return pa.LargeStringArray.from_buffers(
        len(texts), pa.py_buffer(offsets(texts)), texts.buffers()[2], bits
    )
