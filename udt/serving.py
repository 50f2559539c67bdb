"""One row, from a string to logits, in one call of compiled code."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from udt.compilation import kernel
from udt.features.featurizer import HashingFeaturizer
from udt.features.text import scale_rows, transform_rows
from udt.network.kernels import activate, gather
from udt.network.model import SparseNetwork

Array = NDArray[Any]


@kernel
def row_logits(
    data: Array, length: int, classes: Array, ngrams: Array, seed: int, mask: int, ids: Array,
    sublinear: bool, weights: Array, norms: Array, wide: Array, embedding: Array, output: Array,
    bias: Array,
) -> Array:  # fmt: skip
    """Give the logits of the one text in ``data[:length]``, of shape (1, n_classes)."""
    offsets = np.array([0, length])
    indptr, middles, indices, values = transform_rows(
        data, offsets, 0, 1, classes, ngrams, seed, mask, ids, sublinear
    )
    scale_rows(indptr, middles, indices, values, weights, norms, 0, 1)
    hidden = np.empty((1, embedding.shape[1]), dtype=np.float32)
    logits = np.empty((1, bias.shape[0]), dtype=np.float32)
    gather(indptr, indices, values, 0, 1, embedding, hidden)
    activate(hidden, 0, 1, 0.0, 0)
    gather(indptr, indices, values, 0, 1, wide, logits)
    for c in range(bias.shape[0]):
        total = bias[c]
        for d in range(hidden.shape[1]):
            total += output[c, d] * hidden[0, d]
        logits[0, c] += total
    return logits


@kernel
def row_class(
    data: Array, length: int, classes: Array, ngrams: Array, seed: int, mask: int, ids: Array,
    sublinear: bool, weights: Array, norms: Array, wide: Array, embedding: Array, output: Array,
    bias: Array,
) -> int:  # fmt: skip
    """Give the number of the most probable class of the one text in ``data[:length]``."""
    logits = row_logits(
        data, length, classes, ngrams, seed, mask, ids, sublinear, weights, norms, wide, embedding,
        output, bias,
    )  # fmt: skip
    best = 0
    for c in range(1, logits.shape[1]):
        if logits[0, c] > logits[0, best]:
            best = c
    return best


class TextServer:
    """Classifies one text at a time, in a few microseconds.

    Parameters
    ----------
    featurizer : HashingFeaturizer
    network : SparseNetwork
    """

    def __init__(self, featurizer: HashingFeaturizer, network: SparseNetwork) -> None:
        self._normalise = featurizer._normalise
        self._arguments = (
            *featurizer._hash_arguments(),
            featurizer.weights_,
            featurizer._norms(),
            *network.arrays().values(),
        )

    def logits(self, text: str) -> NDArray[np.float32]:
        """Give the logits of a text, of shape (1, n_classes)."""
        return row_logits(*self._utf8(text), *self._arguments)

    def best(self, text: str) -> int:
        """Give the number of the most probable class of a text."""
        return row_class(*self._utf8(text), *self._arguments)

    def _utf8(self, text: str) -> tuple[NDArray[np.uint8], int]:
        if not text.isascii():
            text = self._normalise(text)
        utf8 = text.encode()
        # NumPy refuses an empty buffer, so an empty text is none of the bytes of a space.
        return np.frombuffer(utf8 or b" ", np.uint8), len(utf8)
