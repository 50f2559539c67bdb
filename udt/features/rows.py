"""What featurizers share: columns as bytes, rows out of blocks, and a fit that may fail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

Array = NDArray[Any]


def utf8(column: pa.LargeStringArray) -> tuple[Array, Array]:
    """Give the bytes and offsets of a column."""
    _, offsets, data = column.buffers()
    offsets = np.frombuffer(offsets, np.int64)[column.offset : column.offset + len(column) + 1]
    return np.frombuffer(data or b"", np.uint8), offsets


def csr_matrix(indptr: Array, indices: Array, values: Array, n_columns: int) -> sp.csr_matrix:
    """Make a matrix of arrays without copying them, as its constructor would."""
    matrix = sp.csr_matrix((len(indptr) - 1, n_columns), dtype=np.float32)
    index_type = np.int32 if indptr[-1] < 2**31 else np.int64
    matrix.indptr = indptr.astype(index_type)
    matrix.indices = indices.astype(index_type, copy=False)
    matrix.data = values
    matrix.has_sorted_indices = False
    return matrix


def stack_blocks(
    blocks: Sequence[tuple[Array, Array, Array]], n_columns: int
) -> tuple[sp.csr_matrix, Array]:
    """Put blocks of rows (indptr, indices, values) below each other; give where each begins."""
    starts = np.cumsum([0, *(block[0][-1] for block in blocks)])
    indptr = np.concatenate(
        [[0], *(block[0][1:] + start for block, start in zip(blocks, starts[:-1], strict=True))]
    )
    indices = np.concatenate([block[1] for block in blocks])
    values = np.concatenate([block[2] for block in blocks])
    return csr_matrix(indptr, indices, values, n_columns), starts[:-1]


@contextmanager
def all_or_nothing(estimator: Any) -> Iterator[None]:
    """Leave an estimator as it was if what is done within fails."""
    before = estimator.__dict__.copy()
    try:
        yield
    except BaseException:  # Ctrl-C too: new features beside old weights would be read past
        estimator.__dict__.clear()
        estimator.__dict__.update(before)
        raise
